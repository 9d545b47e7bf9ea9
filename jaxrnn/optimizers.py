"""Optimisers as optax chains: clipping, then a direction; the rate comes from a schedule.

The learning rate is kept out of the chain: a schedule is a function of training's progress from 0
to 1, which may be counted in steps or in minutes.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxrnn.errors import InputError

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


def make_optimizer(
    name: str, *, clip_norm: float | None = None, clip_value: float | None = None
) -> optax.GradientTransformation:
    """What to subtract from the parameters, before it is multiplied by the learning rate.

    Args:
      name: one of `OPTIMIZERS`. AdamW decays matrices, not biases, by 0.01 times the rate;
        momentum is 0.9, and so is RMSProp's decay.
      clip_norm: scale the gradient down to this global norm (Pascanu and others 2013).
      clip_value: cut each entry of the gradient to [-clip_value, clip_value].
    """
    if name not in OPTIMIZERS:
        raise InputError(f"unknown optimiser '{name}'; they are {', '.join(OPTIMIZERS)}")
    for option, limit in (("norm", clip_norm), ("value", clip_value)):
        if limit is not None and not limit > 0:
            raise InputError(
                f"gradients are to be clipped by {option} to {limit}; it must exceed 0"
            )
    clipping = [] if clip_value is None else [optax.clip(clip_value)]
    clipping += [] if clip_norm is None else [optax.clip_by_global_norm(clip_norm)]
    return optax.chain(*clipping, OPTIMIZERS[name]())


def make_schedule(name: str, learning_rate: float, *, warmup: float = 0.02) -> Schedule:
    """The learning rate as a function of progress.

    Args:
      name: "constant"; "cosine", which rises from 0 during `warmup` and falls to 0 along a cosine
        (Loshchilov and Hutter 2017); or "exponential", which falls to a hundredth.
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
        fall = optax.cosine_decay_schedule(learning_rate, 1)
        return lambda progress: jnp.where(
            progress < warmup,
            learning_rate * progress / max(warmup, 1e-9),
            fall((progress - warmup) / (1 - warmup)),
        )
    if name == "exponential":
        return optax.exponential_decay(learning_rate, transition_steps=1, decay_rate=0.01)
    raise InputError(f"unknown schedule '{name}'; they are {', '.join(SCHEDULES)}")


def _matrices(params: optax.Params) -> optax.Params:
    return jax.tree.map(lambda array: array.ndim > 1, params)
