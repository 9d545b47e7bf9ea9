"""Ctrl-C, SIGTERM and SIGHUP: the first is answered when a step is done, a second acts at once.

SIGHUP, by which a terminal that is closed tells its programs, is never a second one: shell and
system both send it, and service managers do after a SIGTERM.
"""

import contextlib
import signal
import socket
import threading
from collections.abc import Iterator

from jaxrnn.running.peers import fail

GRACE = 1.0  # seconds that a program has to end by itself once it must

_NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
STOPPING = tuple(number.name for number in _NUMBERS)  # at which a run is saved


@contextlib.contextmanager
def caught_signals() -> Iterator[list[str]]:
    """Collects the names of signals at which to stop; a second one acts at once.

    SIGHUP is left alone where it is ignored, as after `nohup`.
    """
    caught: list[str] = []
    handlers = {}

    def catch(number: int, _: object) -> None:
        if caught and number == signal.SIGHUP:
            return
        caught.append(signal.Signals(number).name)
        if len(caught) > 1:
            signal.signal(number, handlers[number])
            signal.raise_signal(number)

    for number in _NUMBERS:
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            handlers[number] = signal.signal(number, catch)
    try:
        with ending_at(2):
            yield caught
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def ending_at(count: int) -> Iterator[None]:
    """Ends the process at so many signals, even if its main thread is blocked.

    Python's handlers run in the main thread, when it comes back to Python: from a collective that
    waits for a process which is stuck, never. What the system hands over at once is the number of
    the signal, to a socket; a thread reads it and gives the main thread GRACE seconds.
    """
    heard, hands_over = socket.socketpair()
    hands_over.setblocking(False)
    before = signal.set_wakeup_fd(hands_over.fileno(), warn_on_full_buffer=False)
    done = threading.Event()

    def watch() -> None:
        left = count
        while number := heard.recv(1):
            left -= number[0] in _NUMBERS and (number[0] != signal.SIGHUP or left == count)
            if left == 0 and not done.wait(GRACE):
                fail(KeyboardInterrupt() if number[0] == signal.SIGINT else stop(number[0]))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        done.set()
        hands_over.close()
        watcher.join()
        heard.close()


def stop(number: int) -> SystemExit:
    """What ends a program with the exit code that shells give one which a signal has ended."""
    return SystemExit(128 + number)
