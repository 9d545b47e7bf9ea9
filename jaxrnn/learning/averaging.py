"""The average of the parameters over the steps, which often predicts better than where they are.

Polyak and Juditsky 1992, Acceleration of stochastic approximation by averaging; with weights that
fade, as Kingma and Ba 2015, Adam: a method for stochastic optimization, section 7.2.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Integer

from jaxrnn.core.errors import InputError
from jaxrnn.core.network import Network
from jaxrnn.learning.tables import table_paths


class Iterate(NamedTuple):
    """Where training is, and goes on from, while what is evaluated is an average.

    Attributes:
      params: of the last step; None in place of tables that are trained by rows: to average these
        would cost as much as they are large, so they stand as they are.
      steps: how many took part in the average.
    """

    params: Any
    steps: Integer[Array, ""]


def begin_average(network: Network, params: Any, tables: tuple[str, ...]) -> Iterate:
    """Before the first step; copies, so that iterate and average can both be donated."""
    left_out = table_paths(network, tables)
    copies = jax.tree.map_with_path(
        lambda path, array: None if path in left_out else jnp.array(array), params
    )
    return Iterate(copies, jnp.zeros((), jnp.int32))


def going_on_from(params: Any, iterate: Iterate | None) -> Any:
    """What the next step changes."""
    if iterate is None:
        return params
    return jax.tree.map(
        lambda own, array: array if own is None else own, iterate.params, params, is_leaf=_is_none
    )


def check_average(decay: float, iterate: Iterate | None) -> None:
    if not 0 <= decay < 1:
        raise InputError(f"the average's decay is {decay}; it must be at least 0 and below 1")
    if bool(decay) != (iterate is not None):
        raise InputError(
            "the training state was started with" + "out" * (iterate is None) + " an average and "
            "the steps were made with" + "out" * (not decay) + " one; give average to both"
        )


def averaged(
    average: Any, iterate: Iterate, new: Any, decay: float, taken: Bool[Array, ""]
) -> tuple[Any, Iterate]:
    """Average and iterate after a step to new parameters, unless it was not taken.

    The decay is at most (1 + t) / (10 + t) after t steps: so the start is soon forgotten.
    """
    steps = iterate.steps
    share = jnp.minimum(decay, (1 + steps) / (10 + steps))

    def mixed(own: Any, old: Float[Array, "..."], to: Float[Array, "..."]) -> Float[Array, "..."]:
        if own is None:
            return to
        mixture = share.astype(old.dtype) * old + (1 - share).astype(old.dtype) * to
        return jnp.where(taken, mixture, old)

    average = jax.tree.map(mixed, iterate.params, average, new, is_leaf=_is_none)
    moved = jax.tree.map(
        lambda own, to: None if own is None else to, iterate.params, new, is_leaf=_is_none
    )
    return average, Iterate(moved, steps + taken)


def _is_none(x: Any) -> bool:
    return x is None
