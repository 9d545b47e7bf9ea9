"""Adagrad with one number for each row of a matrix, for tables of which a step touches few rows."""

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array


def scale_by_row_adagrad() -> optax.GradientTransformation:
    """Divides each row of the gradient by the root of all mean squares that it has had so far.

    Adagrad (Duchi, Hazan and Singer 2011, Adaptive subgradient methods for online learning and
    stochastic optimization) by rows (Mudigere and others 2022, Software-hardware co-design for fast
    and scalable training of deep learning recommendation models): rows that are rare take long
    steps when they come up, and a row that does not stays as it is. Beside a row of w numbers it
    keeps one, where Adam keeps 2 w.
    """

    def init(params: optax.Params) -> optax.Updates:
        return jax.tree.map(lambda table: jnp.zeros((len(table), 1), table.dtype), params)

    def update(
        updates: optax.Updates, sums: optax.Updates, params: optax.Params | None = None
    ) -> tuple[optax.Updates, optax.Updates]:
        sums = jax.tree.map(
            lambda total, rows: total + jnp.square(rows).mean(axis=-1, keepdims=True), sums, updates
        )
        return jax.tree.map(_divided, updates, sums), sums

    return optax.GradientTransformation(init, update)


def _divided(rows: Array, sums: Array) -> Array:
    """Zeros where there was never a gradient."""
    return jnp.where(sums > 0, rows * jax.lax.rsqrt(jnp.where(sums > 0, sums, 1)), 0)
