"""Adagrad with one number for each row of a matrix, for tables of which a step touches few rows.

Adagrad: Duchi, Hazan and Singer 2011, Adaptive subgradient methods for online learning and
stochastic optimization. By rows: Mudigere and others 2022, Software-hardware co-design for fast and
scalable training of deep learning recommendation models.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Integer

from jaxrnn.core.network import Network
from jaxrnn.learning.tables import table_paths


class RowAdagrad(NamedTuple):
    """What is kept: of each table a number a row, or two.

    Attributes:
      sums: of the mean squares of the gradients that a row has had.
      steps: how many were taken; None without decay, as `last`.
      last: the one in which a row last had its decay.
    """

    sums: Any
    steps: Integer[Array, ""] | None
    last: Any


def with_row_adagrad(
    network: Network,
    sources: tuple[str, ...],
    others: optax.GradientTransformation,
    factor: float = 1.0,
    *,
    l2: float = 0.0,
    rate: float = 1.0,
) -> optax.GradientTransformationExtraArgs:
    """A direction, as `make_optimizer` takes one: tables go by rows, all else as `others` has it.

    Args:
      network: whose parameters.
      sources: the inputs or n-grams whose matrices are the tables.
      others: a direction too.
      factor: how many times the learning rate that is given that of tables is.
      l2: as of `scale_by_row_adagrad`.
      rate: too.
    """
    tables = table_paths(network, sources)

    def labels(params: optax.Params) -> Any:
        return jax.tree.map_with_path(
            lambda path, _: "tables" if path in tables else "others", params
        )

    rows = optax.chain(scale_by_row_adagrad(l2, rate), optax.scale(factor))
    return optax.partition({"tables": rows, "others": others}, labels)


def scale_by_row_adagrad(l2: float = 0.0, rate: float = 1.0) -> optax.GradientTransformation:
    """Divides each row of the gradient by the root of all mean squares that it has had so far.

    So a rare row takes long steps when it comes up, and one that does not stays as it is. Beside a
    row of w numbers one is kept, where Adam keeps 2 w.

    Args:
      l2: weight of half the sum of squares of all rows in the loss. A row has its share, of all
        steps since the last time, when it comes up: the rarer it is the less of it is left. Their
        sum may be large, so a step is the proximal one, which no weight makes overshoot.
      rate: the highest learning rate that steps are taken at, which that step depends on.
    """

    def init(params: optax.Params) -> Any:
        sums = jax.tree.map(lambda table: jnp.zeros((len(table), 1), table.dtype), params)
        if not l2:
            return RowAdagrad(sums, None, None)
        last = jax.tree.map(lambda table: jnp.zeros((len(table), 1), jnp.int32), params)
        return RowAdagrad(sums, jnp.zeros((), jnp.int32), last)

    def update(
        updates: optax.Updates, state: Any, params: optax.Params | None = None
    ) -> tuple[optax.Updates, Any]:
        sums = jax.tree.map(
            lambda old, rows: old + jnp.square(rows).mean(axis=-1, keepdims=True),
            state.sums, updates,
        )  # fmt: skip
        roots = jax.tree.map(jnp.sqrt, sums)
        if state.steps is None:
            return jax.tree.map(_divided, updates, roots), RowAdagrad(sums, None, None)
        steps = state.steps + 1
        weights = jax.tree.map(lambda last: l2 * (steps - last), state.last)
        updates = jax.tree.map(
            lambda gradient, row, weight: gradient + weight * row, updates, params, weights
        )
        roots = jax.tree.map(lambda root, weight: root + rate * weight, roots, weights)
        last = jax.tree.map(lambda old: jnp.full_like(old, steps), state.last)
        return jax.tree.map(_divided, updates, roots), RowAdagrad(sums, steps, last)

    return optax.GradientTransformation(init, update)


def _divided(rows: Array, roots: Array) -> Array:
    """Zeros where there was never a gradient."""
    return jnp.where(roots > 0, rows / jnp.where(roots > 0, roots, 1), 0)
