"""The tasks by name: where an agent acts, what is known of it, and how it learns there."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from experiments.laboratory.tasks.mazes import TMaze, tmaze_pomdp
from experiments.laboratory.tasks.recall import (
    Bandit,
    MemoryLength,
    PassiveTMaze,
    PositionCartPole,
    Repeat,
    bandit_optimum,
)
from jaxrnn.acting import Environment, Episodes, Place, adapt
from jaxrnn.acting.finite import FiniteEnvironment
from jaxrnn.core.errors import InputError
from jaxrnn.pomdp import POMDP, best_memoryless, bound_value, read_pomdp

FILES = Path(__file__).parent / "pomdps"
NEVER_ENDS = 1000  # steps after which an episode of a process without an end is cut off
LOOKED_AT = 1e-4  # what is left of a reward's weight where a process without an end is left


@dataclass(frozen=True, eq=False)
class Task:
    """Where an agent acts, and what is known of it.

    Attributes:
      name: its own.
      place: where the agent acts.
      discounted: whether agents are judged by the discounted return; else by the return.
      discount: of rewards, a step.
      watched: the most steps of an episode that is judged.
      ceiling: -> what the best agent reaches on average, from below and from above; None: unknown.
      memoryless: -> what the best agent without memory reaches; None: unknown.
      steps: of the environment, that an agent usually learns from.
      settings: how it learns, where that is not as usual.
      pomdp: the task as data, where it is finite and small.
      seen, done: what the observations and actions mean, in words; empty: numbers.
    """

    name: str
    place: Place
    discounted: bool = False
    discount: float = 0.99
    watched: int = 1000
    ceiling: Callable[[], tuple[float, float] | None] = lambda: None
    memoryless: Callable[[], float | None] = lambda: None
    steps: int = 1_000_000
    settings: dict[str, Any] = field(default_factory=dict)
    pomdp: POMDP | None = None
    seen: tuple[str, ...] = ()
    done: tuple[str, ...] = ()

    @property
    def unit(self) -> str:
        """What agents are judged by, in words."""
        return "discounted return" if self.discounted else "return"

    def returns(self, played: Episodes) -> np.ndarray:
        """Likewise, of each episode."""
        return np.asarray(played.discounted if self.discounted else played.won, np.float64)


IN_A_MAZE: dict[str, Any] = {
    "seen": ("goal north", "goal south", "corridor", "junction"),
    "done": ("north", "south", "east", "west"),
}


def _of(environment: Environment, **known: Any) -> Task:
    place = adapt(environment)
    return Task(place.name, place, **known)


def _exactly(value: float) -> Callable[[], tuple[float, float]]:
    return lambda: (value, value)


def _tmaze(length: int) -> Task:
    # Without memory one turns right for one goal, and had better stay at the start at the other.
    return _of(
        TMaze(length), ceiling=_exactly(TMaze.RIGHT), memoryless=lambda: TMaze.RIGHT / 2,
        # At the usual rate one of 20 seeds loses again what it had learned.
        settings={"learning_rate": 1e-3, "entropy": 0.03},
        pomdp=tmaze_pomdp(length), **IN_A_MAZE,
    )  # fmt: skip


def _passive_tmaze(length: int) -> Task:
    return _of(
        PassiveTMaze(length), discount=1.0, watched=length + 1, ceiling=_exactly(1.0),
        memoryless=lambda: 0.5, steps=16_000 * (length + 1), **IN_A_MAZE,
    )  # fmt: skip


def _memory_length(length: int) -> Task:
    return _of(
        MemoryLength(length), watched=length + 1, ceiling=_exactly(1.0),
        memoryless=lambda: 1.0 if length == 0 else 0.0, steps=10_000 * (length + 1),
    )  # fmt: skip


def _repeat(decks: int, back: int | None) -> Task:
    environment, suits = Repeat(decks, back), ("clubs", "diamonds", "hearts", "spades")
    return _of(
        environment, watched=environment.cards, ceiling=_exactly(1.0), steps=4_000_000,
        seen=suits, done=suits,
    )  # fmt: skip


def _bandit(pulls: int) -> Task:
    return _of(
        Bandit(2, pulls), discount=1.0, watched=pulls, ceiling=lambda: (bandit_optimum(pulls),) * 2,
        memoryless=lambda: pulls / 2, steps=2_000_000, seen=("-",), done=("left", "right"),
    )  # fmt: skip


def _cartpole(steps: int) -> Task:
    return _of(PositionCartPole(steps), watched=steps, ceiling=_exactly(1.0), steps=2_000_000)


def _finite(pomdp: POMDP, name: str, **settings: Any) -> Task:
    """A POMDP as data: agents are judged by what its discount says."""
    ends = pomdp.terminal.any()
    watched = NEVER_ENDS
    if not ends and pomdp.discount < 1:
        watched = min(watched, math.ceil(math.log(LOOKED_AT) / math.log(pomdp.discount)))
    known = pomdp.discount < 1

    @cache
    def ceiling() -> tuple[float, float] | None:
        scale = abs(pomdp.reward).max()
        found = bound_value(pomdp, gap=2e-3 * scale, seconds=20.0) if known else None
        return found and (found.lower, found.upper)

    @cache
    def memoryless() -> float | None:
        return best_memoryless(pomdp).value if known else None

    place = adapt(FiniteEnvironment(pomdp, name, NEVER_ENDS if ends else 2 * watched))
    # One rare disaster outweighs many gains: means take many episodes.
    usual = {"reward_scale": 1 / abs(pomdp.reward).max(), "entropy": 0.05, "episodes": 20_000}
    return Task(
        name, place, discounted=known, discount=pomdp.discount, watched=watched, ceiling=ceiling,
        memoryless=memoryless, settings=usual | settings,
        pomdp=pomdp, seen=(*pomdp.observations, "nothing yet"), done=tuple(pomdp.actions),
    )  # fmt: skip


# Tasks with a length, and what it counts.
LONG: dict[str, tuple[Callable[[int], Task], int, str]] = {
    "tmaze": (_tmaze, 10, "cells of the corridor"),
    "passive_tmaze": (_passive_tmaze, 50, "steps to the junction"),
    "memory_length": (_memory_length, 20, "steps between what is shown and the question"),
    "bandit": (_bandit, 20, "pulls"),
    "cartpole": (_cartpole, 200, "steps"),
}
REPEATED = {
    "repeat_previous_easy": (1, 3), "repeat_previous_medium": (2, 31),
    "repeat_previous_hard": (3, 63), "repeat_first_easy": (1, None),
    "repeat_first_medium": (8, None), "repeat_first_hard": (16, None),
}  # fmt: skip
SEEN_AT_START = ("cheese", "4x3", "shuttle", "network")  # as any state is
FINITE = ("tiger", "tiger-once", *SEEN_AT_START, "paint")
NAMES = (*LONG, *REPEATED, *FINITE)


@cache
def task(name: str, length: int | None = None) -> Task:
    """The task of that name, or that which a .POMDP file describes; the same one each time.

    Raises:
      InputError: there is no such task, it has no length, or the length is not one.
    """
    if length is not None and name not in LONG:
        raise InputError(
            f"--length is {length}, but the task '{name}' has none; leave it out (those that have "
            f"one: {', '.join(LONG)})"
        )
    if name in LONG:
        make, usual, counts = LONG[name]
        if length is not None and length < 1:
            raise InputError(f"--length is {length}; it counts {counts}, at least 1")
        return make(length or usual)
    if name in REPEATED:
        return _repeat(*REPEATED[name])
    if name in FINITE:
        seen = name in SEEN_AT_START
        own = {"entropy": 0.2} if name == "paint" else {}  # else most seeds give up shipping
        return _finite(read_pomdp(FILES / f"{name}.POMDP", seen_at_start=seen), name, **own)
    if name.endswith(".POMDP") or "/" in name:
        return _finite(read_pomdp(name), Path(name).stem)
    raise InputError(
        f"unknown task '{name}'; the tasks are {', '.join(NAMES)}, or a file whose name ends in "
        ".POMDP"
    )
