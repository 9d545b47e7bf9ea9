"""Muon: the matrices between layers move along orthogonal matrices, all else as AdamW has it.

Jordan and others 2024, Muon: an optimizer for hidden layers in neural networks.
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.tree_util import DictKey
from jaxtyping import Array, Float

from jaxrnn.core.layers import FULL
from jaxrnn.core.network import Network
from jaxrnn.learning.optimizers import OPTIMIZERS

# Of a quintic that takes singular values from 0.001 to 1 near 1 in five steps, not quite to 1.
QUINTIC = 3.4445, -4.7750, 2.0315
ITERATIONS = 5


def muon(network: Network, factor: float = 1.0) -> optax.GradientTransformationExtraArgs:
    """A direction, as `make_optimizer` takes one, for the parameters of a network.

    Muon's are the matrices of connections between layers, delayed or not, but those of the outputs:
    Nesterov's momentum of 0.95, of which each gate's matrix is made orthogonal by itself.

    Args:
      network: whose.
      factor: how many times the learning rate that is given theirs is.
    """
    gates = {
        (DictKey(c.target), DictKey(c.key)): network.layer(c.target).cell.heard_gates
        for c in network.connections
        if c.kind == FULL
        and not (network.is_input(c.source) or network.is_ngram(c.source))
        and c.target not in network.outputs
    }

    def labels(params: optax.Params) -> Any:
        return jax.tree.map_with_path(lambda path, _: "muon" if path in gates else "adamw", params)

    def orthogonal(updates: optax.Updates, _: optax.Params | None = None) -> optax.Updates:
        return jax.tree.map_with_path(
            lambda path, matrix: each_gate_orthogonal(matrix, gates[path]), updates
        )

    hidden = optax.chain(
        optax.trace(decay=0.95, nesterov=True), optax.stateless(orthogonal), optax.scale(factor)
    )
    return optax.partition({"muon": hidden, "adamw": OPTIMIZERS["adamw"]()}, labels)


def each_gate_orthogonal(
    matrix: Float[Array, "source sums"], gates: int
) -> Float[Array, "source sums"]:
    """Each gate's part of the matrix, made orthogonal; larger where it makes more of less.

    By the square root of how many more units it has than the source: then what a unit hears of an
    update does not depend on the sizes.
    """
    source, sums = matrix.shape
    parts = matrix.reshape(source, gates, sums // gates).swapaxes(0, 1)
    scale = max(1.0, sums / gates / source) ** 0.5
    return scale * orthogonalised(parts).swapaxes(0, 1).reshape(source, sums)


def orthogonalised(matrices: Float[Array, "gates m n"]) -> Float[Array, "gates m n"]:
    """The same singular vectors, with singular values of about 1 (0.7 to 1.2): Newton and Schulz.

    Those below a thousandth of the root of the sum of their squares come out smaller.
    """
    if matrices.shape[1] > matrices.shape[2]:  # the smaller of the two products with itself
        return orthogonalised(matrices.swapaxes(1, 2)).swapaxes(1, 2)
    x = matrices / (jnp.linalg.norm(matrices, axis=(1, 2), keepdims=True) + 1e-7)
    a, b, c = QUINTIC
    for _ in range(ITERATIONS):
        square = x @ x.swapaxes(1, 2)
        x = a * x + (b * square + c * square @ square) @ x
    return x
