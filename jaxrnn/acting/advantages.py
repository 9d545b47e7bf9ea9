"""How much better actions were than expected: what a policy's gradient weighs them by."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrnn.acting.rollout import Rollout


def advantages(
    rollout: Rollout, next_value: Float[Array, " lanes"], *, discount: float, trace: float,
    reward_scale: float = 1.0,
) -> Float[Array, "time lanes"]:  # fmt: skip
    """How much better each action was than expected: generalised advantages.

    Schulman and others 2016, High-dimensional continuous control using generalized advantage
    estimation, equation 16. An episode's end cuts them at its own step. After one that terminated
    nothing is worth anything; one that was cut off would have gone on, from its final observation.
    """
    following = jnp.concatenate([rollout.value[1:], next_value[None]])
    following = jnp.where(rollout.done, rollout.final_value, following)
    errors = reward_scale * rollout.reward + discount * following - rollout.value
    kept = discount * trace * ~rollout.done

    def body(
        later: Float[Array, " lanes"], x: tuple[Array, Array]
    ) -> tuple[Float[Array, " lanes"], Float[Array, " lanes"]]:
        error, kept = x
        advantage = error + kept * later
        return advantage, advantage

    return jax.lax.scan(body, jnp.zeros_like(next_value), (errors, kept), reverse=True)[1]


def normalised(values: Float[Array, "time lanes"]) -> Float[Array, "time lanes"]:
    """Brought to mean 0 and deviation 1 over the whole rollout."""
    return (values - values.mean()) / (values.std() + 1e-8)
