"""Optimisers as optax chains: clipping, a direction, and the learning rate, given at each update.

The rate is not the chain's own: a schedule is a function of training's progress from 0 to 1, which
may be counted in steps or in minutes.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from jaxrnn.core.errors import InputError

Schedule = Callable[[Any], Any]  # progress in [0, 1] -> learning rate

OPTIMIZERS: dict[str, Callable[[], optax.GradientTransformation]] = {
    "adam": optax.scale_by_adam,
    "adamw": lambda: optax.chain(optax.scale_by_adam(), optax.add_decayed_weights(0.01, _matrices)),
    "adagrad": optax.scale_by_rss,
    "rmsprop": lambda: optax.scale_by_rms(decay=0.9),
    "sgd": optax.identity,
    "momentum": lambda: optax.trace(decay=0.9),
}
SCHEDULES = ("constant", "cosine", "exponential")
FIRST = 0.01  # of the highest rate: where a cosine's rise begins, for at 0 a step teaches nothing


def make_optimizer(
    direction: str | optax.GradientTransformation,
    *,
    clip_norm: float | None = None,
    clip_value: float | None = None,
) -> optax.GradientTransformationExtraArgs:
    """An optimiser that takes its learning rate at each update, as `learning_rate=`.

    Args:
      direction: one of `OPTIMIZERS`, by its name. AdamW decays matrices, not biases, by 0.01 times
        the rate; momentum is 0.9, and so is RMSProp's decay. Or another one, to be multiplied by
        minus the rate, as from `jaxrnn.learning.muon.muon`.
      clip_norm: scale the gradient down to this global norm (Pascanu and others 2013).
      clip_value: cut each entry of the gradient to [-clip_value, clip_value].
    """
    if isinstance(direction, str):
        if direction not in OPTIMIZERS:
            raise InputError(
                f"unknown optimiser '{direction}'; they are {', '.join(OPTIMIZERS)}, or a "
                "direction, as muon(network)"
            )
        direction = OPTIMIZERS[direction]()
    for option, limit in (("norm", clip_norm), ("value", clip_value)):
        if limit is not None and not limit > 0:
            raise InputError(
                f"gradients are to be clipped by {option} to {limit}; it must exceed 0"
            )
    clipping = [] if clip_value is None else [optax.clip(clip_value)]
    clipping += [] if clip_norm is None else [optax.clip_by_global_norm(clip_norm)]
    # One link of the chain, clipped or not: a run whose clipping changes keeps its state.
    clipped = optax.chain(*clipping) if clipping else optax.identity()
    return optax.chain(clipped, direction, scale_by_given_learning_rate())


def scale_by_given_learning_rate() -> optax.GradientTransformationExtraArgs:
    """Multiplies by minus the extra argument `learning_rate` of each update; the last of a chain.

    Raises:
      InputError: at an update without it.
    """

    def update(
        updates: optax.Updates,
        state: optax.OptState,
        params: optax.Params | None = None,
        *,
        learning_rate: Float[Array, ""] | float | None = None,
        **_: Any,
    ) -> tuple[optax.Updates, optax.OptState]:
        if learning_rate is None:
            raise InputError(
                "this optimiser has no learning rate of its own; give one at each update, "
                "`rates` to training steps"
            )

        def scaled(update: Array) -> Array:
            # At least in float32: bfloat16 has less than three digits of a rate.
            dtype = update.dtype if update.dtype.itemsize >= 4 else jnp.float32
            rate = jnp.asarray(learning_rate, dtype)
            return (-rate * update.astype(dtype)).astype(update.dtype)

        return jax.tree.map(scaled, updates), state

    return optax.GradientTransformationExtraArgs(lambda params: optax.EmptyState(), update)


def make_schedule(name: str, learning_rate: float, *, warmup: float = 0.02) -> Schedule:
    """The learning rate as a function of progress.

    Args:
      name: "constant"; "cosine", which rises from a hundredth during `warmup` and falls to 0 along
        a cosine (Loshchilov and Hutter 2017), which it reaches only when all is done; or
        "exponential", which falls to a hundredth.
      learning_rate: the highest.
      warmup: share of the training that the rise takes.
    """
    if not learning_rate > 0:
        raise InputError(f"the learning rate is {learning_rate}; it must exceed 0")
    if not 0 <= warmup < 1:
        raise InputError(
            f"the warm-up is {warmup} of the training; it must be at least 0 and below 1"
        )
    if name == "constant":
        return optax.constant_schedule(learning_rate)
    if name == "cosine":
        # (1 + cos(2x)) / 2, but as a square, which float32 does not round to 0 before the end.
        return lambda progress: (
            learning_rate
            * jnp.where(
                progress < warmup,
                FIRST + (1 - FIRST) * progress / max(warmup, 1e-9),
                jnp.square(jnp.cos(jnp.pi / 2 * (progress - warmup) / (1 - warmup))),
            )
        )
    if name == "exponential":
        return optax.exponential_decay(learning_rate, transition_steps=1, decay_rate=0.01)
    raise InputError(f"unknown schedule '{name}'; they are {', '.join(SCHEDULES)}")


def _matrices(params: optax.Params) -> optax.Params:
    return jax.tree.map(lambda array: array.ndim > 1, params)
