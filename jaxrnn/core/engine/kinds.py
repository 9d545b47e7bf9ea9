"""What a connection adds to its target's sums, forward and backward, by its kind.

A matrix multiplies, with operands in a chosen precision; a diagonal and an identity are elementwise
work in the parameters' own. Of the deltas of a layer only those of the gates that connections add
to come here, side by side in the last axis.
"""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jaxrnn.core.engine.products import outer_product, product
from jaxrnn.core.layers import DIAGONAL, FULL, IDENTITY, Layer

Weights = Float[Array, "*_source _target"] | None  # a matrix, a diagonal, or an identity's nothing
Gates = tuple[Float[Array, "*_time _batch _size"], ...]  # one array a gate


def added(
    kind: str, source: Float[Array, "*time batch source"], weights: Weights, layer: Layer,
    dtype: jnp.dtype,
) -> Gates:  # fmt: skip
    """To each gate that hears the source."""
    if kind == IDENTITY:
        return (source,)
    assert weights is not None
    if kind == DIAGONAL:
        return tuple(source * part for part in split_gates(weights, layer))
    return split_gates(product(source, weights, dtype), layer)


def source_grad(
    kind: str, delta: Float[Array, "*time batch heard"], transposed: Weights, layer: Layer,
    dtype: jnp.dtype,
) -> Float[Array, "*time batch source"]:  # fmt: skip
    """With respect to the source."""
    if kind == IDENTITY:
        return delta
    assert transposed is not None
    if kind == DIAGONAL:
        gates = zip(split_gates(delta, layer), split_gates(transposed, layer), strict=True)
        first, *others = (gate * part for gate, part in gates)
        return sum(others, start=first)
    return product(delta, transposed, dtype)


def weight_grad(
    kind: str, source: Float[Array, "time batch source"], delta: Float[Array, "time batch heard"],
    layer: Layer, dtype: jnp.dtype,
) -> Float[Array, "*source heard"]:  # fmt: skip
    """With respect to the weights, over the whole chunk."""
    if kind == DIAGONAL:
        parts = [jnp.sum(source * gate, axis=(0, 1)) for gate in split_gates(delta, layer)]
        return jnp.concatenate(parts)
    assert kind == FULL
    return outer_product(source, delta, dtype)


def split_gates(
    row: Float[Array, "*any sums"], layer: Layer
) -> tuple[Float[Array, "*any size"], ...]:
    starts = range(0, row.shape[-1], layer.size)
    return tuple(lax.slice_in_dim(row, start, start + layer.size, axis=-1) for start in starts)
