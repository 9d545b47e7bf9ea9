"""Where arrays lie, as far as JAX's types say: explicit meshes, and what varies in a `shard_map`.

The engine is written for arrays of which it knows nothing. Where types carry more, they are brought
to that at the door and back: the axes of an explicit mesh become automatic inside, and inside a
`shard_map` all arrays are made to vary over the axes over which one of them does. So the gradient
of what was the same on all devices is summed over them, by the transpose of that step.
"""

from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from jaxtyping import PyTree


def varying_alike(arrays: PyTree) -> PyTree:
    """The arrays, each varying over all axes of a `shard_map` over which any of them does."""
    axes = frozenset().union(*(_varying_axes(array) for array in jax.tree.leaves(arrays)))
    return jax.tree.map(lambda array: _varying(array, axes), arrays) if axes else arrays


def with_automatic_axes(
    function: Callable[..., tuple[Any, Any]],
    arrays: tuple,
    lanes: tuple[tuple[jax.Array, int], ...],
) -> tuple[Any, Any]:
    """`function(*arrays)`, run with every axis of an explicit mesh made automatic.

    Args:
      function: returns sequences `[time, batch, ...]` and states `[batch, ...]`.
      arrays: what it takes.
      lanes: arrays, and which of their axes is the batch's: what is returned lies as the first of
        them that is spread does.
    """
    meshes = [jax.typeof(array).sharding.mesh for array in jax.tree.leaves(arrays)]
    mesh = next((mesh for mesh in meshes if AxisType.Explicit in mesh.axis_types), None)
    if mesh is None:
        return function(*arrays)
    specs = [jax.typeof(array).sharding.spec[axis] for array, axis in lanes]
    spread = next((spec for spec in specs if spec is not None), None)
    places = (
        NamedSharding(mesh, PartitionSpec(None, spread)),
        NamedSharding(mesh, PartitionSpec(spread)),
    )
    run: Any = jax.sharding.auto_axes(function, out_sharding=places)
    return run(*arrays)


def _varying_axes(array: jax.Array) -> frozenset[str]:
    kind = jax.typeof(array)
    # By either of the names that JAX has for it.
    return kind.vma if hasattr(kind, "vma") else kind.manual_axis_type.varying


def _varying(array: jax.Array, axes: frozenset[str]) -> jax.Array:
    missing = tuple(sorted(axes - _varying_axes(array)))
    return jax.lax.pcast(array, missing, to="varying") if missing else array
