"""The processes of a run: what they tell each other, and that none outlives another.

All of it goes through the key-value store of JAX's coordination service, which process 0 keeps and
which works where a collective does not: before JAX has begun, for text of any size, and beside a
main thread that is blocked. Alone, a process has nobody to tell.

A process that fails claims the end of the run. The first one to claim it says why, and its exit
code is everyone's. A thread of each process waits for that, and ends it hard: the main thread may
be in a collective, which Python cannot leave.
"""

import contextlib
import itertools
import os
import re
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, NoReturn, TypeVar

import jax

from jaxrnn.core.errors import InputError
from jaxrnn.running.exits import explain

T = TypeVar("T")

# How long a process lives after another one has ended, in seconds: no longer than FAREWELL where
# that one could say so. One that was killed cannot; of a CPU's its connections tell at once, else
# JAX ends the others when they have not heard of it for HEARTBEAT_TIMEOUT.
FAREWELL = 3
HEARTBEAT_TIMEOUT = 30
BUG = 1

_POLL = 500  # milliseconds of one look into the store: in between, Python hears of signals
_FAILED, _CODE, _LEFT = "jaxrnn/failed", "jaxrnn/code", "jaxrnn/left"
_LOSS = re.compile("gloo|nccl|rccl|heartbeat|coordination.?service", re.IGNORECASE)


class Group(NamedTuple):
    """Several processes, and which one this is."""

    client: Any  # of JAX's coordination service
    index: int
    count: int
    numbers: Iterator[int]  # of what is told: each process tells and hears in the same order


_group: Group | None = None  # None: this process is alone
_failing = threading.Lock()  # held from the moment this process fails


def current() -> Group | None:
    """The processes that this one has met; None: it is alone."""
    return _group


def meet() -> None:
    """Makes this process one of those that `jax.distributed.initialize` has connected."""
    global _group
    # Private, so looked up only here; JAX's public ways to all this have it begin with its devices.
    from jax._src.distributed import global_state

    if global_state.num_processes > 1:
        index, count = global_state.process_id, global_state.num_processes
        _group = Group(global_state.client, index, count, itertools.count())


def told(group: Group, text: Callable[[], str]) -> str:
    """Process 0's text, in every process; only there the function is called."""
    key = f"jaxrnn/told/{next(group.numbers)}"
    if group.index == 0:
        group.client.key_value_set(key, text())
    return _wait_for(group, key)


def gathered(group: Group, text: str) -> list[str]:
    """Every process's text, in every process."""
    key = f"jaxrnn/gathered/{next(group.numbers)}"
    group.client.key_value_set(f"{key}/{group.index}", text)
    return [_wait_for(group, f"{key}/{index}") for index in range(group.count)]


@contextlib.contextmanager
def ending_together() -> Iterator[None]:
    """Whatever ends one process in the meantime ends all of them."""
    group = _group
    if group is None:
        yield
        return
    closing = threading.Event()
    listener = threading.Thread(target=_listen, args=(group, closing), daemon=True)
    listener.start()
    try:
        yield
        jax.distributed.shutdown()  # waits for the others to come here
    except BaseException as error:
        fail(error)
    finally:
        closing.set()
        listener.join()  # a thread inside of JAX would abort Python's own end


def fail(error: BaseException) -> NoReturn:
    """Ends this process as an error would, and the others with it, from whichever thread."""
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):  # whoever sends one more does not wait
            signal.signal(number, signal.SIG_DFL)
    if not _failing.acquire(blocking=False):  # another thread is about it, and says why
        time.sleep(4 * FAREWELL)
        _exit(BUG)
    group = _group
    first = _within(FAREWELL, lambda: _claim(group)) if group else None
    if group and first not in (None, group.index):
        _follow(group)
    code = _say(error)
    if group and first is not None:
        _within(FAREWELL, lambda: group.client.key_value_set(_CODE, str(code)))
        _within(FAREWELL, lambda: _part(group))
    _exit(code)


def _say(error: BaseException) -> int:
    """Says why a process ends, and returns its exit code."""
    try:
        if _group and isinstance(error, RuntimeError | ValueError) and _LOSS.search(str(error)):
            cause = str(error).splitlines()[0]
            explain(InputError(f"another process was lost ({cause}); the same commands go on"))
            return BUG
        return explain(error)
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
            return BUG
        return end.code or 0
    except BaseException as bug:
        traceback.print_exception(bug)
        return BUG


def _listen(group: Group, closing: threading.Event) -> None:
    while not closing.is_set():
        try:
            first = int(group.client.blocking_key_value_get(_FAILED, _POLL))
        except RuntimeError as error:
            if _is_too_early(error):
                continue
            return  # process 0 is lost, and JAX ends those that it has left
        if first != group.index:
            _follow(group)
        return


def _claim(group: Group) -> int:
    """The first process that failed: this one, if no other has."""
    with contextlib.suppress(RuntimeError):  # another one has
        group.client.key_value_set(_FAILED, str(group.index))
    return int(group.client.blocking_key_value_get(_FAILED, _POLL))


def _follow(group: Group) -> NoReturn:
    """Ends this process as the first one to fail did."""
    code = _within(FAREWELL, lambda: _wait_for(group, _CODE))
    _within(FAREWELL, lambda: _part(group))
    _exit(int(code or BUG))


def _part(group: Group) -> None:
    """The last that this process tells; process 0 hears the others first, for the store is its."""
    if group.index > 0:
        group.client.key_value_set(f"{_LEFT}/{group.index}", "")
        return
    for index in range(1, group.count):
        _wait_for(group, f"{_LEFT}/{index}")
    time.sleep(1)  # until they are gone: JAX has much to say where process 0 goes before them


def _exit(code: int) -> NoReturn:
    """Ends the process from whichever thread, and waits for none."""
    if sys.stdout.isatty():
        os.write(sys.stdout.fileno(), b"\x1b[?25h\n")  # a progress bar hides the cursor
    os._exit(code)


def _wait_for(group: Group, key: str) -> str:
    while True:
        try:
            return group.client.blocking_key_value_get(key, _POLL)
        except RuntimeError as error:
            if not _is_too_early(error):
                raise


def _is_too_early(error: RuntimeError) -> bool:
    return "DEADLINE_EXCEEDED" in str(error)


def _within(seconds: float, function: Callable[[], T]) -> T | None:
    """What a function returns; None where it fails, or takes longer than so many seconds."""
    results: list[T] = []

    def run() -> None:
        with contextlib.suppress(RuntimeError):
            results.append(function())

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    return results[0] if results else None
