"""Matrix products in a chosen precision, and the sums they give in the parameters' own.

Parameters, states and every sum over time, batch or rows have the working precision, float32 or
float64. With a `dtype` for products, bfloat16 say, both operands of each product are rounded to it
where the product is taken, forward and backward, and it is added up in the working precision.
Where a source is a sequence of symbols nothing is multiplied, and so nothing is rounded.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Integer


def product(
    source: Float[Array, "*any source"], matrix: Float[Array, "source target"], dtype: jnp.dtype
) -> Float[Array, "*any target"]:
    """The source times the matrix, operands in `dtype`; for code that is not differentiated."""
    return lax.dot_general(
        source.astype(dtype), matrix.astype(dtype), (((source.ndim - 1,), (0,)), ((), ())),
        preferred_element_type=source.dtype,
    )  # fmt: skip


def outer_product(
    source: Float[Array, "time batch source"],
    delta: Float[Array, "time batch target"],
    dtype: jnp.dtype,
) -> Float[Array, "source target"]:
    """Summed over time and batch.

    Not as rows of one `[time * batch, size]` matrix: a batch that is spread over devices could not
    stay so, and every device would be sent all of it.
    """
    return lax.dot_general(
        source.astype(dtype), delta.astype(dtype), (((0, 1), (0, 1)), ((), ())),
        preferred_element_type=delta.dtype,
    )  # fmt: skip


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def rounded_product(
    source: Float[Array, "time batch source"],
    matrix: Float[Array, "source target"],
    dtype: jnp.dtype,
) -> Float[Array, "time batch target"]:
    """`product`, whose gradients are products of operands in `dtype` as well.

    Autodiff would multiply what comes back, in the working precision, by what was rounded.
    """
    return product(source, matrix, dtype)


def _forward(source: Array, matrix: Array, dtype: jnp.dtype) -> tuple[Array, tuple[Array, Array]]:
    rounded = source.astype(dtype), matrix.astype(dtype)
    return product(source, matrix, dtype), rounded


def _backward(dtype: jnp.dtype, rounded: tuple[Array, Array], delta: Array) -> tuple[Array, Array]:
    source, matrix = rounded
    return product(delta, matrix.T, dtype), outer_product(source, delta, dtype)


rounded_product.defvjp(_forward, _backward)


def rows(
    matrix: Float[Array, "symbols target"], symbols: Integer[Array, "time batch"]
) -> Float[Array, "time batch target"]:
    """Rows, not one-hot products: the same numbers without the work.

    A symbol that there is not, a negative one too, gives NaN.
    """
    return matrix.at[symbols].get(mode="fill", fill_value=jnp.nan, wrap_negative_indices=False)
