"""The heart of all training: what the next call needs is prepared while the device computes."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

S = TypeVar("S")


def in_calls(
    steps: Callable[..., tuple[S, Any]], state: S, calls: Iterable[tuple]
) -> Iterator[tuple[S, Any, tuple]]:
    """Takes training steps, call after call, for as long as there are calls and one asks for more.

    Args:
      steps: `(state, *call) -> (state, report)`, which returns before the device is done.
      state: before the first step; donated.
      calls: what the steps are called with besides the state: data, keys and rates. The next one
        is drawn while the device computes.

    Yields:
      The state and the report after each call, and the call.
    """
    waiting = iter(calls)
    call = next(waiting, None)
    while call is not None:
        state, report = steps(state, *call)
        following = next(waiting, None)
        yield state, report, call
        call = following
