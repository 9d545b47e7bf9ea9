"""Contenders in processes of their own, which take turns.

In one process two libraries' thread pools would disturb each other. So each contender lives in a
process of its own, and in every round each is asked in turn for one figure
(`laboratory.stopwatch`). What is reported are medians over the rounds and, for ratios, medians of
the ratios within each round.
"""

import contextlib
import importlib
import multiprocessing
import os
import signal
import traceback
from collections.abc import Iterator, Mapping
from multiprocessing.connection import Connection
from typing import Any


class Child:
    """A process that holds one contender after the other, made by one module, and asks it things.

    The module's functions `open_...` make contenders; what else is asked for are methods of the
    contender that was opened last.
    """

    def __init__(self, module: str) -> None:
        context = multiprocessing.get_context("spawn")
        self._module = module
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, module), daemon=True)
        self._process.start()
        theirs.close()

    def ask(self, method: str, *arguments: Any) -> Any:
        """What the contender's method returns; of `open_...` nothing."""
        self.send(method, *arguments)
        return self.receive()

    def send(self, method: str, *arguments: Any) -> None:
        """Asks, without waiting for the answer."""
        self._connection.send((method, arguments))

    def receive(self) -> Any:
        """The answer to what was sent."""
        try:
            done, answer = self._connection.recv()
        except EOFError:
            self._process.join()
            raise RuntimeError(
                f"the process of {self._module} ended with code {self._process.exitcode}"
            ) from None
        if not done:
            raise RuntimeError(f"in the process of {self._module}:\n{answer}")
        return answer

    def seconds_each(self, at_least: float) -> float:
        return self.ask("seconds_each", at_least)

    def close(self) -> None:
        self._connection.close()
        self._process.join(timeout=5)
        self._process.kill()


@contextlib.contextmanager
def children(modules: Mapping[str, str]) -> Iterator[dict[str, Child]]:
    """A child for each name, all importing at once; ended at the end."""
    started: dict[str, Child] = {}
    try:
        for name, module in modules.items():
            started[name] = Child(module)
        yield started
    finally:
        for child in started.values():
            child.close()


def ask_all(asked: Mapping[str, Child], method: str, *arguments: Any) -> dict[str, Any]:
    """The answers of children that work on them at the same time; not for what is timed."""
    for child in asked.values():
        child.send(method, *arguments)
    return {name: child.receive() for name, child in asked.items()}


def _serve(connection: Connection, module: str) -> None:
    """The child's life: answers until nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then hangs up
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # a GPU has room for all
    contender = None
    with contextlib.suppress(EOFError, BrokenPipeError):
        while True:
            method, arguments = connection.recv()
            try:
                if method.startswith("open_"):
                    contender = None  # frees the last one's memory first
                    contender = getattr(importlib.import_module(module), method)(*arguments)
                    answer = None
                else:
                    answer = getattr(contender, method)(*arguments)
            except Exception:
                connection.send((False, traceback.format_exc()))
            else:
                connection.send((True, answer))
