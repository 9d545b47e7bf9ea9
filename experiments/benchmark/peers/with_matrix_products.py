"""The limit: the largest rate at which JAX multiplies float32 matrices on this machine."""

import jax
import jax.numpy as jnp

from experiments.laboratory.stopwatch import Contender

SIZES = ((1024, 1024, 1024), (4096, 1024, 1024), (2500, 256, 1024))


def open_product() -> "MatrixProduct":
    products = [MatrixProduct(*size) for size in SIZES]
    return max(products, key=MatrixProduct.rate)


class MatrixProduct(Contender):
    """One product, `[m, k] @ [k, n]`."""

    def __init__(self, m: int, k: int, n: int) -> None:
        self.operations = 2 * m * k * n
        keys = jax.random.split(jax.random.key(0))
        self.left = jax.random.normal(keys[0], (m, k))
        self.right = jax.random.normal(keys[1], (k, n))
        self.product = jax.jit(jnp.matmul)

    def run(self, count: int) -> None:
        for _ in range(count):
            result = self.product(self.left, self.right)
        jax.block_until_ready(result)

    def operations_each(self) -> int:
        return self.operations

    def rate(self) -> float:
        """The best of a few, in operations a second."""
        return self.operations / min(self.seconds_each(0.1) for _ in range(3))
