"""Data parallelism: the lanes of a batch are spread over devices, all else is on each of them.

One mesh with one axis, `data`. The network and the training step know nothing of it: `jit` follows
the arrays to where they lie, and the compiler puts in the one sum over devices that a step needs,
that of its gradients. The devices may belong to several processes, each of which makes only the
lanes that its own devices train on.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Shaped

from jaxrnn.core.errors import InputError
from jaxrnn.core.parameters import Params
from jaxrnn.learning.training import TrainingState

_AXIS = "data"

# Bytes of a state that processes hand over at once.
PIECE = 2**26


def data_mesh(batch: int, limit: int | None = None) -> Mesh:
    """The devices over which the lanes of a batch are spread evenly.

    Args:
      batch: how many lanes there are, over all processes.
      limit: how many devices to use of each process; None: the most that divide the batch.

    Raises:
      InputError: the lanes cannot be spread evenly, or there are not so many devices.
    """
    processes = by_process()
    most = min(map(len, processes))
    share, left_over = divmod(batch, len(processes))
    if left_over:
        raise InputError(
            f"a batch of {batch} lanes cannot be spread evenly over {len(processes)} processes; "
            f"take a multiple of {len(processes)}"
        )
    count = largest_divisor(share, most) if limit is None else limit
    if count > most:
        raise InputError(
            f"{count} devices were asked for where there are {most}; take at most {most}"
        )
    if share % count:
        raise InputError(
            f"a batch of {batch} lanes cannot be spread evenly over {count * len(processes)} "
            f"devices; take a multiple of {count * len(processes)}, or fewer devices"
        )
    # In the order of the processes, so that the lanes of each lie side by side.
    chosen = [device for devices in processes for device in devices[:count]]
    return Mesh(np.array(chosen), (_AXIS,), axis_types=(AxisType.Auto,))


def placement(mesh: Mesh, batch: int) -> str:
    """One line on where a run trains."""
    used, there = mesh.size, jax.device_count()
    return (
        f"Training on {used} of {there} devices"
        + (f" in {jax.process_count()} processes" if jax.process_count() > 1 else "")
        + (f"; {there} cannot share {batch} lanes evenly" if batch % there else "")
        + "."
    )


def own_lanes(batch: int) -> slice:
    """Which lanes this process makes."""
    share = batch // jax.process_count()
    return slice(jax.process_index() * share, (jax.process_index() + 1) * share)


def everywhere(mesh: Mesh) -> NamedSharding:
    """The whole of an array on each device."""
    return NamedSharding(mesh, PartitionSpec())


def shardings(mesh: Mesh) -> TrainingState:
    """Where a training state lies: the lanes of the network's state apart, the rest everywhere."""
    lanes = NamedSharding(mesh, PartitionSpec(_AXIS))
    places: tuple[Any, ...] = (everywhere(mesh), everywhere(mesh), lanes, everywhere(mesh))
    return TrainingState(*places)


def place(places: Any, state: Any) -> Any:
    """Puts a state, which every process has whole, where training wants it.

    Args:
      places: a prefix of the state's tree, of shardings, as from `shardings`.
      state: a pytree of arrays.
    """
    if jax.process_count() == 1:
        return jax.device_put(state, places)
    # There `device_put` has all processes compare all that they have.
    places = jax.tree.broadcast(places, state)
    return jax.tree.map(
        lambda array, place: jax.make_array_from_callback(
            array.shape, place, np.asarray(array).__getitem__
        ),
        state,
        places,
    )


def feed(mesh: Mesh, own: Any) -> Any:
    """Several steps' data on the devices, from every process's own lanes.

    Args:
      mesh: the devices.
      own: a pytree of NumPy arrays `[steps, time, lanes, ...]`, or `[steps, lanes]`.
    """
    if mesh.size == 1:
        return jax.tree.map(jnp.asarray, own)  # as below, at half the cost

    def fed(array: Shaped[np.ndarray, "..."]) -> jax.Array:
        return jax.make_array_from_process_local_data(step_lanes(mesh, array.ndim), array)

    return jax.tree.map(fed, own)


def step_lanes(mesh: Mesh, axes: int) -> NamedSharding:
    """The lanes of several steps' data apart: `[steps, time, lanes, ...]`, or `[steps, lanes]`."""
    return NamedSharding(mesh, PartitionSpec(*(None,) * min(2, axes - 1), _AXIS))


def whole(mesh: Mesh, state: Any) -> Any:
    """A state of which every process can read all, to be saved. All processes must call it."""
    if jax.process_count() == 1:
        return state
    return _copies(mesh)(state)


def from_first(state: Any) -> Any:
    """Process 0's arrays, to the bit, in every process. All processes must call it.

    Args:
      state: a pytree of arrays; of the other processes only its structure, shapes and dtypes count.
    """
    return jax.tree.map(lambda array: jnp.array(array_from_first(np.asarray(array))), state)


def array_from_first(own: np.ndarray) -> np.ndarray:
    """Process 0's array, to the bit, whatever its dtype and size. All processes must call it."""
    is_first = jax.process_index() == 0
    # Bytes, so that no number is rounded, and so many at once, so that no size is too large.
    given = own.reshape(-1).view(np.uint8) if is_first else np.zeros(own.nbytes, np.uint8)
    pieces = [largest(given[at : at + PIECE]) for at in range(0, own.nbytes, PIECE)]
    return np.concatenate(pieces).view(own.dtype).reshape(own.shape) if pieces else own


def largest(own: np.ndarray) -> np.ndarray:
    """The largest of the processes' numbers, entry by entry. All processes must call it."""
    places, reduce = _meeting()
    return np.asarray(reduce(jax.make_array_from_process_local_data(places, own[None])))


def local(params: Params) -> Params:
    """A copy of the parameters for this process alone, on one device, as `init` would make them."""
    return jax.tree.map(lambda array: jnp.array(np.asarray(array)), params)


@functools.cache
def _copies(mesh: Mesh) -> Callable[[Any], Any]:
    """The program of `whole`: one for all saves."""
    return jax.jit(lambda state: state, out_shardings=everywhere(mesh))


@functools.cache
def _meeting() -> tuple[NamedSharding, Callable[[jax.Array], jax.Array]]:
    """Where the processes' arrays lie side by side, each on one device, and what reduces them."""
    chosen = np.array([devices[0] for devices in by_process()])
    mesh = Mesh(chosen, (_AXIS,), axis_types=(AxisType.Auto,))
    reduce = jax.jit(lambda arrays: arrays.max(0), out_shardings=everywhere(mesh))
    return NamedSharding(mesh, PartitionSpec(_AXIS)), reduce


def largest_divisor(share: int, most: int) -> int:
    """Of a share of the lanes, as far as `most`."""
    return max(n for n in range(1, most + 1) if share % n == 0)


def by_process() -> list[list[Any]]:
    """The devices of each process."""
    devices = sorted(jax.devices(), key=lambda device: device.id)
    return [
        [device for device in devices if device.process_index == index]
        for index in range(jax.process_count())
    ]
