"""Adagrad with one number for each row of a matrix, for tables of which a step touches few rows.

Adagrad: Duchi, Hazan and Singer 2011, Adaptive subgradient methods for online learning and
stochastic optimization. By rows: Mudigere and others 2022, Software-hardware co-design for fast and
scalable training of deep learning recommendation models.
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array

from jaxrnn.core.network import Network
from jaxrnn.learning.tables import table_paths


def with_row_adagrad(
    network: Network,
    sources: tuple[str, ...],
    others: optax.GradientTransformation,
    factor: float = 1.0,
) -> optax.GradientTransformationExtraArgs:
    """A direction, as `make_optimizer` takes one: tables go by rows, all else as `others` has it.

    Args:
      network: whose parameters.
      sources: the inputs or n-grams whose matrices are the tables.
      others: a direction too.
      factor: how many times the learning rate that is given that of tables is.
    """
    tables = table_paths(network, sources)

    def labels(params: optax.Params) -> Any:
        return jax.tree.map_with_path(
            lambda path, _: "tables" if path in tables else "others", params
        )

    rows = optax.chain(scale_by_row_adagrad(), optax.scale(factor))
    return optax.partition({"tables": rows, "others": others}, labels)


def scale_by_row_adagrad() -> optax.GradientTransformation:
    """Divides each row of the gradient by the root of all mean squares that it has had so far.

    So a rare row takes long steps when it comes up, and one that does not stays as it is. Beside a
    row of w numbers one is kept, where Adam keeps 2 w.
    """

    def init(params: optax.Params) -> optax.Updates:
        return jax.tree.map(lambda table: jnp.zeros((len(table), 1), table.dtype), params)

    def update(
        updates: optax.Updates, state: optax.Updates, params: optax.Params | None = None
    ) -> tuple[optax.Updates, optax.Updates]:
        sums = jax.tree.map(
            lambda old, rows: old + jnp.square(rows).mean(axis=-1, keepdims=True), state, updates
        )
        return jax.tree.map(_divided, updates, sums), sums

    return optax.GradientTransformation(init, update)


def _divided(rows: Array, sums: Array) -> Array:
    """Zeros where there was never a gradient."""
    return jnp.where(sums > 0, rows * jax.lax.rsqrt(jnp.where(sums > 0, sums, 1)), 0)
