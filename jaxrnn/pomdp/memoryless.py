"""What the best agent without memory reaches: one whose action depends on what it sees alone.

Its value is exact for any policy, from a linear system. Which policy is the best is a hard problem
with many local optima (Littman 1994, Memoryless policies: theoretical limitations and practical
results), the best of them often a random choice among actions (Singh, Jaakkola and Jordan 1994,
Learning without state-estimation in partially observable Markovian decision processes). So many
ascents are made, each from another policy, and the best end counts.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from jaxrnn.core.errors import InputError
from jaxrnn.pomdp.model import POMDP

ASCENTS, STEPS = 64, 1500
SHARPEST = 8.0  # of the first policies' logits, the deviation: some are all but deterministic
RATE = 0.1


class Memoryless(NamedTuple):
    """The best memoryless policy found.

    Attributes:
      value: at the start, exactly.
      policy: the probability of each action where each observation is seen; the last row, if there
        is one more, is for the first step, at which nothing was seen.
    """

    value: float
    policy: Float[np.ndarray, "observations actions"]


def best_memoryless(pomdp: POMDP, *, ascents: int = ASCENTS, seed: int = 0) -> Memoryless:
    """The best of many ascents, each along the exact gradient.

    Raises:
      InputError: the discount is 1.
    """
    if pomdp.discount >= 1:
        raise InputError(
            f"a memoryless policy's value is for discounts below 1, not {pomdp.discount:g}"
        )
    seen = pomdp.observation.shape[2] + (pomdp.first_observation is None)
    actions = pomdp.transition.shape[0]
    scale = jnp.logspace(-1, np.log10(SHARPEST), ascents)[:, None, None]
    begun = scale * jax.random.normal(jax.random.key(seed), (ascents, seen, actions))
    chain = _chain(pomdp)
    ascended = jax.jit(jax.vmap(partial(_ascend, jax.tree.map(jnp.float32, chain))))(begun)
    policies = np.asarray(jax.nn.softmax(ascended, axis=-1), np.float64)
    # Nearly always the same action: perhaps it had better be always.
    sure = np.eye(actions)[policies.argmax(axis=-1)]
    candidates = [*policies, *sure, *(np.where(p.max(-1, keepdims=True) > 0.99, s, p)
                                      for p, s in zip(policies, sure, strict=True))]  # fmt: skip
    values = [float(_value(*chain, policy, np)) for policy in candidates]
    best = int(np.argmax(values))
    return Memoryless(values[best], candidates[best])


def value_of(pomdp: POMDP, policy: Float[np.ndarray, "observations actions"]) -> float:
    """At the start, of acting by what is seen alone; in float64."""
    return float(_value(*_chain(pomdp), np.asarray(policy, np.float64), np))


def _chain(pomdp: POMDP) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Over what is seen and the state: the start, [a, s, s2, o] and the rewards."""
    states, seen = pomdp.observation.shape[1:]
    steps = np.einsum("ast,ato->asto", pomdp.transition, pomdp.observation)
    if pomdp.first_observation is None:  # one observation more, of nothing
        start = np.zeros((states, seen + 1))
        start[:, seen] = pomdp.start
        steps = np.concatenate([steps, np.zeros((*steps.shape[:3], 1))], axis=3)
    else:
        start = pomdp.start[:, None] * pomdp.first_observation
    return start, steps, pomdp.expected_reward, pomdp.discount


def _value(start, steps, reward, discount, policy, array):
    """In NumPy or JAX: the value of each state at which it is known what is seen, then the mean.

    The value of state s before it is seen, v(s, o) = sum over a of p(a | o) (r(a, s) + discount *
    sum over s2, o2 of steps(a, s, s2, o2) v(s2, o2)), is linear in what is expected of v after a
    step, w(a, s) = sum of steps * v; and w solves a system of [actions * states] unknowns.
    """
    actions, states = reward.shape
    # From (a, s) to (b, s2): the observation in between decides how likely b is.
    turn = array.einsum("asto,ob->asbt", steps, policy)
    turn = turn.reshape(actions * states, actions * states)
    values = array.linalg.solve(
        array.eye(actions * states) - discount * turn, reward.reshape(-1)
    ).reshape(actions, states)  # of doing a in s
    return array.einsum("so,oa,as->", start, policy, values)


def _ascend(chain: tuple[Array, Array, Array, Array], logits: Array) -> Array:
    start, steps, reward, discount = chain
    scale = jnp.abs(reward).max() + 1e-9
    adam = optax.adam(optax.linear_schedule(RATE, 0.0, STEPS))

    def cost(logits: Array) -> Array:
        policy = jax.nn.softmax(logits, axis=-1)
        return -_value(start, steps, reward / scale, discount, policy, jnp)

    def body(state: tuple[Array, optax.OptState], _: None) -> tuple[tuple, None]:
        logits, moments = state
        updates, moments = adam.update(jax.grad(cost)(logits), moments)
        return (optax.apply_updates(logits, updates), moments), None

    return jax.lax.scan(body, (logits, adam.init(logits)), None, STEPS)[0][0]
