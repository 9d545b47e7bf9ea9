"""Tasks of pure memory: what was seen is asked for later."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray

from experiments.laboratory.tasks.mazes import EAST, WEST
from jaxrnn.acting import Box, Discrete, Environment


class Corridor(NamedTuple):
    """Where the agent is, where the goal is, and how many steps it has taken."""

    cell: Array
    goal: Array
    time: Array


class PassiveTMaze(Environment):
    """A T-maze in which nothing has to be found: going on is all there is to do but the turn.

    Ni and others 2023, When do transformers shine in RL?, section 5: an episode lasts `length` + 1
    steps; `length` steps east lead to the junction, each step in which one is less far east than
    one could be costs 1 / `length`, and the right turn at the end wins 1. The goal is seen at the
    start alone.
    """

    observations, actions = Discrete(4), Discrete(4)

    def __init__(self, length: int) -> None:
        self.length, self.limit = length, None
        self.name = f"passive tmaze {length}"

    def begin(self, key: PRNGKeyArray) -> tuple[Array, Corridor]:
        state = Corridor(jnp.int32(0), jax.random.randint(key, (), 0, 2), jnp.int32(0))
        return state.goal, state

    def move(
        self, key: PRNGKeyArray, state: Corridor, action: Array
    ) -> tuple[Array, Corridor, Array, Array]:
        time, at_end = state.time + 1, state.cell == self.length
        step = jnp.where(action == EAST, 1, jnp.where(action == WEST, -1, 0))
        cell = jnp.clip(state.cell + step, 0, self.length)
        over = time > self.length
        won = jnp.float32(over & at_end & (action == state.goal))
        late = jnp.where(~over & (cell < time), 1 / self.length, 0.0)
        seen = jnp.where(cell == self.length, 3, 2)
        return seen, Corridor(cell, state.goal, time), won - late, over


class Query(NamedTuple):
    context: Array
    time: Array


class MemoryLength(Environment):
    """A bit is shown at first and asked for at the end.

    Osband and others 2020, Behaviour suite for reinforcement learning, memory_len: an episode takes
    `length` + 1 steps; time, query and context are observed, the context (1 or -1) at first alone;
    the answer at the last step wins 1 if it is right, else -1.
    """

    actions, limit = Discrete(2), None
    observations = Box((2,))

    def __init__(self, length: int) -> None:
        self.length = length
        self.name = f"memory length {length}"

    def begin(self, key: PRNGKeyArray) -> tuple[Array, Query]:
        state = Query(jax.random.randint(key, (), 0, 2), jnp.int32(0))
        return self._seen(state), state

    def move(
        self, key: PRNGKeyArray, state: Query, action: Array
    ) -> tuple[Array, Query, Array, Array]:
        after = state._replace(time=state.time + 1)
        over = state.time >= self.length
        won = jnp.where(action == state.context, 1.0, -1.0)
        return self._seen(after), after, jnp.where(over, won, 0.0), over

    def _seen(self, state: Query) -> Array:
        context = jnp.where(state.time == 0, 2.0 * state.context - 1, 0.0)
        return jnp.stack([1 - state.time / self.length, context])


SUITS, RANKS = 4, 13


class Cards(NamedTuple):
    """The suits of all cards, and which one is seen."""

    suits: Array
    time: Array


class Repeat(Environment):
    """Cards of some decks are shown one by one, and the suit of an earlier one is to be said.

    Morad and others 2023, POPGym, RepeatPrevious and RepeatFirst: of decks of 52 cards the suit is
    seen; each answer that is right wins 1 / n, each that is wrong loses that, n being how many
    count, so that an episode wins between -1 and 1.

    Args:
      decks: how many.
      back: how many cards before the one that is seen; None: the first of all.
    """

    observations, actions, limit = Discrete(SUITS), Discrete(SUITS), None

    def __init__(self, decks: int, back: int | None) -> None:
        self.cards, self.back = decks * SUITS * RANKS, back
        self.counted = self.cards - (back or 0)
        self.name = f"repeat {'first' if back is None else f'previous {back}'} {decks}"

    def begin(self, key: PRNGKeyArray) -> tuple[Array, Cards]:
        # What POPGym has: dealt from shuffled decks.
        suits = jax.random.permutation(key, jnp.arange(self.cards, dtype=jnp.int32) % SUITS)
        return suits[0], Cards(suits, jnp.int32(0))

    def move(
        self, key: PRNGKeyArray, state: Cards, action: Array
    ) -> tuple[Array, Cards, Array, Array]:
        asked = state.time - self.back if self.back is not None else jnp.int32(0)
        right = action == state.suits[jnp.maximum(asked, 0)]
        won = jnp.where(asked >= 0, jnp.where(right, 1.0, -1.0) / self.counted, 0.0)
        time = state.time + 1
        over = time >= self.cards
        return state.suits[jnp.minimum(time, self.cards - 1)], Cards(state.suits, time), won, over


class Arms(NamedTuple):
    chances: Array
    time: Array


class Bandit(Environment):
    """A bandit whose arms' chances are drawn anew, evenly from 0 to 1, in each episode.

    Nothing is observed; what was pulled and what it won says all (Wang and others 2016, Learning to
    reinforcement learn, section 3.1).
    """

    observations = Discrete(1)

    def __init__(self, arms: int = 2, pulls: int = 20) -> None:
        self.arms, self.pulls, self.limit = arms, pulls, None
        self.actions = Discrete(arms)
        self.name = f"bandit {arms} {pulls}"

    def begin(self, key: PRNGKeyArray) -> tuple[Array, Arms]:
        return jnp.int32(0), Arms(jax.random.uniform(key, (self.arms,)), jnp.int32(0))

    def move(
        self, key: PRNGKeyArray, state: Arms, action: Array
    ) -> tuple[Array, Arms, Array, Array]:
        won = jax.random.bernoulli(key, state.chances[action]).astype(jnp.float32)
        time = state.time + 1
        return jnp.int32(0), Arms(state.chances, time), won, time >= self.pulls


def bandit_optimum(pulls: int) -> float:
    """What the best agent wins of two arms, by dynamic programming over what was won and lost.

    Of an arm that won w and lost l times the next pull wins with probability (w + 1) / (w + l + 2).
    """
    value: dict[tuple[int, int, int], float] = {}
    for pulled in range(pulls, -1, -1):
        now: dict[tuple[int, int, int], float] = {}
        for first in range(pulled + 1):  # pulls of the first arm
            for a in range(first + 1):
                for b in range(pulled - first + 1):
                    if pulled == pulls:
                        now[first, a, b] = 0.0
                        continue
                    second = pulled - first
                    p, q = (a + 1) / (first + 2), (b + 1) / (second + 2)
                    now[first, a, b] = max(
                        p * (1 + value[first + 1, a + 1, b]) + (1 - p) * value[first + 1, a, b],
                        q * (1 + value[first, a, b + 1]) + (1 - q) * value[first, a, b],
                    )
        value = now
    return value[0, 0, 0]


class Pole(NamedTuple):
    """Place and speed of the cart, angle and speed of the pole."""

    place: Array
    speed: Array
    angle: Array
    turning: Array


class PositionCartPole(Environment):
    """A pole on a cart, of which only the place and the angle are seen, not how they change.

    Barto, Sutton and Anderson 1983, Neuronlike adaptive elements that can solve difficult learning
    control problems, with the numbers of gymnasium's CartPole; as of POPGym (Morad and others
    2023), an episode of `limit` steps wins 1.
    """

    observations, actions = Box((2,)), Discrete(2)
    GRAVITY, CART, POLE, HALF, FORCE, SECONDS = 9.8, 1.0, 0.1, 0.5, 10.0, 0.02
    FAR, STEEP = 2.4, 12 * math.pi / 180

    def __init__(self, limit: int = 200) -> None:
        self.limit, self.won = limit, 1 / limit
        self.name = f"position cartpole {limit}"

    def begin(self, key: PRNGKeyArray) -> tuple[Array, Pole]:
        state = Pole(*jax.random.uniform(key, (4,), minval=-0.05, maxval=0.05))
        return self._seen(state), state

    def move(
        self, key: PRNGKeyArray, state: Pole, action: Array
    ) -> tuple[Array, Pole, Array, Array]:
        force = jnp.where(action == 1, self.FORCE, -self.FORCE)
        sine, cosine = jnp.sin(state.angle), jnp.cos(state.angle)
        total, moment = self.CART + self.POLE, self.POLE * self.HALF
        pushed = (force + moment * state.turning**2 * sine) / total
        turned = (self.GRAVITY * sine - cosine * pushed) / (
            self.HALF * (4 / 3 - self.POLE * cosine**2 / total)
        )
        moved = pushed - moment * turned * cosine / total
        after = Pole(
            state.place + self.SECONDS * state.speed, state.speed + self.SECONDS * moved,
            state.angle + self.SECONDS * state.turning, state.turning + self.SECONDS * turned,
        )  # fmt: skip
        fallen = (jnp.abs(after.place) > self.FAR) | (jnp.abs(after.angle) > self.STEEP)
        return self._seen(after), after, jnp.float32(self.won), fallen

    def _seen(self, state: Pole) -> Array:
        return jnp.stack([state.place / self.FAR, state.angle / self.STEEP])
