"""T-mazes: what is seen at the start says which way to turn at the end."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from jaxrnn.acting import Discrete, Environment
from jaxrnn.pomdp import POMDP

NORTH, SOUTH, EAST, WEST = range(4)


class At(NamedTuple):
    """Where the agent is, 0 being the start, and where the goal is."""

    cell: Array
    goal: Array


class TMaze(Environment):
    """A corridor with a junction at its end.

    Bakker 2002, Reinforcement learning with long short-term memory, section 4, with the numbers of
    Allen and others 2024, Mitigating partial observability in decision processes via the lambda
    discrepancy: from the start `length` + 1 steps east lead to the junction, where north or south
    ends the episode and wins 4 or loses 0.1. The start shows which of the two it is; corridor and
    junction look the same for both. Elsewhere north and south do nothing.
    """

    observations, actions = Discrete(4), Discrete(4)
    RIGHT, WRONG = 4.0, -0.1

    def __init__(self, length: int, limit: int = 1000) -> None:
        self.length, self.limit = length, limit
        self.name = f"tmaze {length}"

    def begin(self, key: PRNGKeyArray) -> tuple[Array, At]:
        state = At(jnp.int32(0), jax.random.randint(key, (), 0, 2))
        return self._seen(state), state

    def move(self, key: PRNGKeyArray, state: At, action: Array) -> tuple[Array, At, Array, Array]:
        junction = self.length + 1
        turns = (state.cell == junction) & (action < EAST)
        step = jnp.where(action == EAST, 1, jnp.where(action == WEST, -1, 0))
        after = At(jnp.clip(state.cell + step, 0, junction), state.goal)
        won = jnp.where(action == state.goal, self.RIGHT, self.WRONG)
        return self._seen(after), after, jnp.where(turns, won, 0.0), turns

    def _seen(self, state: At) -> Array:
        """Goal north, goal south, corridor, junction."""
        elsewhere = jnp.where(state.cell == self.length + 1, 3, 2)
        return jnp.where(state.cell == 0, state.goal, elsewhere)


def tmaze_pomdp(length: int, discount: float = 0.99) -> POMDP:
    """The same as data: two corridors, and a state in which all is over."""
    cells = length + 2
    over, states = 2 * cells, 2 * cells + 1
    transition, reward = np.zeros((4, states, states)), np.zeros((4, states, states))
    observation = np.zeros((4, states, 4))
    transition[:, over, over] = observation[:, over, 2] = 1
    for goal in (NORTH, SOUTH):
        for cell in range(cells):
            here = goal * cells + cell
            transition[EAST, here, min(here + 1, goal * cells + cells - 1)] = 1
            transition[WEST, here, max(here - 1, goal * cells)] = 1
            seen = goal if cell == 0 else 3 if cell == cells - 1 else 2
            observation[:, here, seen] = 1
            for turn in (NORTH, SOUTH):
                leads = over if cell == cells - 1 else here
                transition[turn, here, leads] = 1
                if leads == over:
                    reward[turn, here, over] = TMaze.RIGHT if turn == goal else TMaze.WRONG
    start = np.zeros(states)
    start[[0, cells]] = 0.5
    return POMDP(transition, observation, reward, start, discount, observation[0])
