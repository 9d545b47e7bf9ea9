"""What training, writing and judging need of memory at least, counted from shapes alone."""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from jaxrnn.core.engine.segments import segment_length
from jaxrnn.core.network import Network
from jaxrnn.core.parameters import init, state_shapes
from jaxrnn.core.stacks import stacked
from jaxrnn.learning.batch import Batch, time_and_lanes
from jaxrnn.learning.loss import Loss
from jaxrnn.learning.parallel import everywhere, shardings, step_lanes
from jaxrnn.learning.recipe import Recipe
from jaxrnn.learning.tables import table_shapes
from jaxrnn.learning.training import STEPS_PER_CALL
from jaxrnn.running.memory import Part, check_memory, free_memory

SMALLER = "take smaller layers (--hidden, or the sizes in --network)"
SHORTER = "take fewer lanes (--batch), a shorter chunk (--chunk) or shorter segments (--segment)"
NEAR = 16  # the compiler is asked from a sixteenth of what there is on


def check_training(network: Network, loss: Loss, recipe: Recipe, batch: Batch, mesh: Mesh) -> None:
    """Refuses training that needs more memory than there is; no array is made for it.

    First by a count of what it needs in any case. Where that takes a good part of what there is,
    the compiler is asked, which knows to the byte what the program will ask for.

    Args:
      network: what is to be trained.
      loss: its loss.
      recipe: how.
      batch: the arrays of one step, this process's own lanes; or their shapes and types.
      mesh: the devices.

    Raises:
      InputError: one sentence with what would be needed, and what there is.
    """
    there = free_memory()
    if there is None:
        return
    parts = training_parts(network, recipe, batch, mesh)
    check_memory("training", parts, there)
    if jax.process_count() > 1 or sum(part.size for part in parts) * NEAR < there:
        return
    size = _program_size(network, loss, recipe, batch, mesh) * _sharing(mesh)
    advice = dict.fromkeys(part.advice for part in parts if part.size)
    following = parts[-1].size  # the program's own are counted there
    check_memory(
        "training",
        [
            Part("the compiled training steps", size, "; ".join(advice)),
            Part("the data of the steps that follow", following, SHORTER),
        ],
        there,
    )


def training_parts(network: Network, recipe: Recipe, batch: Batch, mesh: Mesh) -> list[Part]:
    """What training needs on this machine, or on each accelerator, in any case."""
    sharing = _sharing(mesh)
    time, own = time_and_lanes(batch)
    lanes = -(-own // len(mesh.local_devices)) * sharing
    size = 8 if recipe.dtype == "float64" else 4
    tables = table_shapes(network)
    in_tables = sum(map(math.prod, tables))
    learned = (network.parameter_count - in_tables) * (2 + _slots(recipe)) + in_tables
    # Of a table a number is kept for each row, and the rows that a step touches have a gradient.
    learned += sum(rows + min(rows, time * own) * width for rows, width in tables)
    learned *= size * sharing
    # One piece of the outputs for the whole chunk, and of hidden layers for a segment.
    outputs = size * time * lanes * sum(network.size(name) for name in network.outputs)
    hidden = sum(layer.size for layer in network.layers if layer.name not in network.outputs)
    kept = size * segment_length(recipe.segment, time) * lanes * hidden
    data = sum(math.prod(x.shape) * x.dtype.itemsize for x in jax.tree.leaves(batch))
    data = STEPS_PER_CALL * data * lanes // own
    smaller = SMALLER + (" or --dtype=float32" if size == 8 else "")
    state = f"parameters, their gradient and the state of {recipe.optimizer}"
    return [
        Part(state, learned, smaller),
        Part("one chunk's activations", outputs + kept, SHORTER),
        Part("the lanes' states", state_size(network, lanes, size), SHORTER),
        Part(f"the data of {STEPS_PER_CALL} steps", data, SHORTER),
    ]


def text_shapes(batch: int, chunk: int) -> Batch:
    """What a step of a text problem is given, as shapes."""
    symbols = jax.ShapeDtypeStruct((chunk, batch), jnp.int32)
    return Batch(symbols, symbols, jax.ShapeDtypeStruct((chunk, batch), jnp.bool_))


def _sharing(mesh: Mesh) -> int:
    """How many devices take from one memory: those of a CPU do, each accelerator has its own."""
    return len(mesh.local_devices) if mesh.local_devices[0].platform == "cpu" else 1


def _program_size(network: Network, loss: Loss, recipe: Recipe, batch: Batch, mesh: Mesh) -> int:
    """Bytes that the compiled training steps use on each device, arguments included."""

    def shapes(places: Any, tree: Any) -> Any:
        places = jax.tree.broadcast(places, tree)
        return jax.tree.map(
            lambda x, place: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place), tree, places
        )

    _, lanes = time_and_lanes(batch)
    key = jax.eval_shape(jax.random.key, 0)
    places = shardings(mesh)
    state = jax.eval_shape(lambda key: recipe.start(network, lanes, key), key)
    stacked = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(
            (STEPS_PER_CALL, *x.shape), x.dtype, sharding=step_lanes(mesh, 1 + len(x.shape))
        ),
        batch,
    )
    keys, rates = (
        jax.ShapeDtypeStruct((STEPS_PER_CALL,), dtype, sharding=everywhere(mesh))
        for dtype in (key.dtype, jnp.float32)
    )
    steps: Any = recipe.training_steps(network, loss, shardings=places)
    found = steps.lower(shapes(places, state), stacked, keys, rates).compile().memory_analysis()
    if found is None:  # a backend that does not tell
        return 0
    return (
        found.argument_size_in_bytes + found.output_size_in_bytes - found.alias_size_in_bytes
        + found.temp_size_in_bytes
    )  # fmt: skip


def check_replicas(network: Network, recipe: Recipe, lanes: int, replicas: int) -> None:
    """Refuses to train more replicas side by side than surely fit in memory.

    Raises:
      InputError: one sentence with what would be needed, and what there is.
    """
    size = 8 if recipe.dtype == "float64" else 4
    learned = size * network.parameter_count * (1 + _slots(recipe))
    advice = "take fewer of them (--seeds)"
    check_memory(
        f"training {replicas:,} replicas at once",
        [
            Part("their parameters and optimisers' states", replicas * learned, advice),
            Part("their lanes' states", replicas * state_size(network, lanes, size), advice),
        ],
    )


def check_model(network: Network, size: int, where: Any) -> None:
    """Refuses a model whose parameters, of so many bytes each, surely are too many to be read."""
    advice = "use a machine with more, or a smaller model"
    check_memory(
        f"the model in {where}", [Part("parameters", size * network.parameter_count, advice)]
    )


def check_writing(network: Network, params: Any, streams: int, text: int, block: int) -> None:
    """Refuses to write what surely does not fit in memory.

    Args:
      network: what writes.
      params: its parameters.
      streams: how many texts it writes at once.
      text: bytes of each text that are held until all of it is written.
      block: how many symbols of each are written in one program.

    Raises:
      InputError: one sentence with what would be needed, and what there is.
    """
    size = max(4, max(x.dtype.itemsize for x in jax.tree.leaves(params)))
    fewer = "write fewer texts at once (--streams, --population)"
    shorter = "write fewer or shorter texts (--streams, --population, --length)"
    logits = size * streams * network.size("output")
    check_memory(
        f"writing {streams:,} texts at once" if streams > 1 else "writing a text",
        [
            Part("the streams' states", state_size(network, streams, size), fewer),
            Part("the logits and the noise of each one's next symbols", 2 * block * logits, fewer),
            Part("the texts", streams * text, shorter),
        ],
    )


def state_size(network: Network, lanes: int, size: int) -> int:
    """Bytes of the state of so many lanes, of numbers of so many bytes."""
    shapes = jax.tree.leaves(state_shapes(network, lanes), is_leaf=_is_shape)
    return size * sum(math.prod(shape) for shape in shapes)


def _is_shape(x: Any) -> bool:
    return isinstance(x, tuple) and not hasattr(x, "_fields") and bool(x) and isinstance(x[0], int)


def _slots(recipe: Recipe) -> int:
    """How many numbers the training state keeps for each parameter beside itself, at least."""
    small = stacked(16, (16,), 16)
    params = jax.eval_shape(lambda: init(small, jax.random.key(0)))
    kept = jax.tree.leaves(jax.eval_shape(recipe.make_optimizer(small).init, params))
    numbers = sum(leaf.size for leaf in kept)
    return numbers // small.parameter_count + (recipe.average > 0)
