"""Training by rows: a step reads and changes those rows of a table that its symbols look up.

A table is the matrix of a delay-0 connection from a source of symbols, an input or an n-gram: a row
a symbol. A step runs on a smaller network whose source has as many symbols as the step can touch,
with these rows for its matrix; so the gradient is dense over them, sums up what falls on one row,
and takes part in whatever the optimiser does to a gradient as a whole, its clipping say. Rows of
parameters and of the optimiser's state are then put back where they came from. None of it costs
more in a table of a million rows than in one of a thousand.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.tree_util import DictKey
from jaxtyping import Array, Bool, Int, Integer

from jaxrnn.core.checks import listed, shown
from jaxrnn.core.engine.arguments import by_name, called, check_arrays
from jaxrnn.core.engine.delays import ages_since, newest
from jaxrnn.core.engine.ngrams import ngram_symbols
from jaxrnn.core.errors import InputError
from jaxrnn.core.layers import FULL, INPUT
from jaxrnn.core.network import Network
from jaxrnn.core.parameters import LayerState, Params, State, state_dtype
from jaxrnn.learning.batch import Batch

WHOLE = ""  # the owner of what is no table's


class LookUp(NamedTuple):
    """What a step touches.

    Attributes:
      network: whose sources of tables have as many symbols as rows were looked up. N-grams are
        inputs of it.
      batch: with inputs that number these rows.
      state: the network's, before the batch.
      pasts: what the whole network remembers of its inputs after the batch.
      rows: of each such source's tables; in increasing order, without repetition. Those beyond the
        table's end stand for none, where the step's symbols are fewer.
    """

    network: Network
    batch: Batch
    state: State
    pasts: State
    rows: dict[str, Int[Array, " rows"]]


def ngram_tables(network: Network) -> tuple[str, ...]:
    """The n-grams that can be trained by rows: those that are heard through matrices alone."""
    elsewise = {c.source for c in network.connections if c.kind != FULL}
    return tuple(ngram.name for ngram in network.ngrams if ngram.name not in elsewise)


def table_shapes(network: Network) -> list[tuple[int, int]]:
    """Rows and widths of the tables of the n-grams that can be trained by rows."""
    sources = ngram_tables(network)
    shapes = (network.shape(c) for c in network.connections if c.source in sources)
    return [(rows, width) for rows, width in filter(None, shapes)]


def table_paths(network: Network, sources: Iterable[str]) -> set[tuple[Any, ...]]:
    """Where, among the parameters, the matrices of connections from the sources are."""
    names = set(sources)
    return {(DictKey(c.target), DictKey(c.key)) for c in network.connections if c.source in names}


def check_tables(network: Network, sources: Iterable[str]) -> tuple[str, ...]:
    """The sources, each of them an input or an n-gram that is heard through tables alone."""
    names = tuple(listed(sources, "tables"))
    heard = {connection.source for connection in network.connections}
    known = [name for name, _ in network.inputs] + [ngram.name for ngram in network.ngrams]
    known = [name for name in known if name in heard]
    for name in names:
        if name not in known:
            raise InputError(
                f"tables name {shown(name)}, which is no input or n-gram that a layer hears; those "
                f"are {', '.join(known)}"
            )
        for connection in network.connections:
            if connection.source == name and (connection.delay or connection.kind != FULL):
                raise InputError(
                    f"connection {connection} is no table; train '{name}' by rows only where all "
                    "that hear it do at once and through a matrix"
                )
    return tuple(dict.fromkeys(names))


def look_up(
    network: Network, sources: tuple[str, ...], params: Params, batch: Batch, state: State
) -> LookUp:
    """The rows that a batch's symbols touch.

    Symbols that there are not stay such; those beyond a lane's end touch nothing. Since symbols get
    other numbers, locked dropout of symbols draws other masks than on the whole network.

    Raises:
      InputError: what is given does not fit the network, or a table's input is no symbols.
    """
    if not sources:
        return LookUp(network, batch, state, {}, {})
    inputs = by_name(network, batch.inputs)
    check_arrays(network, params, state, inputs, batch.resets)
    working = state_dtype(params)
    inputs = {name: x.astype(working) if x.ndim == 3 else x for name, x in inputs.items()}
    for name in sources:
        if name in inputs and not jnp.issubdtype(inputs[name].dtype, jnp.integer):
            raise InputError(
                f"{called(network, name)} are {inputs[name].dtype}; a table needs symbols, whole "
                "numbers"
            )
    steps, lanes = next(iter(inputs.values())).shape[:2]
    lengths, resets = batch.lengths, batch.resets
    inside = jnp.ones((steps, lanes), bool)
    if lengths is not None:
        inside = jnp.arange(steps)[:, None] < lengths
        lengths = inside.sum(axis=0, dtype=jnp.int32)
        resets = ~inside if resets is None else resets | ~inside
    ages = ages_since(resets)
    pasts = {
        name: LayerState(newest(inputs[name], state[name].past, ages, lengths), ())
        for name in inputs
        if name in state
    }
    inputs |= ngram_symbols(network, inputs, state, ages)
    heard = {connection.source for connection in network.connections}
    inputs = {name: sequence for name, sequence in inputs.items() if name in heard}
    sizes, rows = {name: network.size(name) for name in inputs}, {}
    for name in sources:
        rows[name], inputs[name] = _distinct(inputs[name], sizes[name], inside)
        sizes[name] = rows[name].size
    small = Network(sizes, network.layers, network.connections, network.outputs)
    given = inputs[INPUT] if small.takes_one_array else inputs
    kept = {
        name: LayerState(own.past[: small.memory(name)], own.carry)
        for name, own in state.items()
        if name not in pasts or small.memory(name)
    }
    return LookUp(small, batch._replace(inputs=given), kept, pasts, rows)


def _distinct(
    symbols: Integer[Array, "time batch"], size: int, inside: Bool[Array, "time batch"]
) -> tuple[Int[Array, " rows"], Int[Array, "time batch"]]:
    """The symbols that there are, each once, and at each step which of these it is."""
    count, steps = min(symbols.size, size), symbols.size
    symbols = symbols.astype(jnp.promote_types(symbols.dtype, jnp.int32))
    known = inside & (symbols >= 0) & (symbols < size)
    given, at = jnp.where(known, symbols, size).ravel(), jnp.arange(steps)
    if (size + 1) * steps <= 2**32:
        # Both in one number: to sort these takes a fifth of the time.
        pairs = jnp.sort(given.astype(jnp.uint32) * steps + at.astype(jnp.uint32))
        given, at = (pairs // steps).astype(given.dtype), pairs % steps
    else:
        given, at = jax.lax.sort((given, at), num_keys=1)
    number = jnp.cumsum(jnp.diff(given, prepend=given[:1]) != 0, dtype=jnp.int32)
    places = jnp.zeros(steps, jnp.int32).at[at].set(number, unique_indices=True)
    places = places.reshape(symbols.shape)
    # What is no symbol comes last: where there are as many others as rows it has none.
    rows = jnp.full(count, size, given.dtype).at[number].set(given, mode="drop")
    # Each of those that stand for none is another one, since indices are said to be.
    rows = jnp.where(rows < size, rows, size + jnp.arange(count))
    return rows, jnp.where(known, places, count)


def owners(
    network: Network,
    sources: tuple[str, ...],
    optimizer: optax.GradientTransformation,
    learned: tuple[Any, optax.OptState],
) -> Any:
    """Of each array of the parameters and the optimiser's state, by whose rows it goes: a source's.

    `WHOLE` of all that are no tables and do not go by the rows of one: how many steps were taken,
    say. Arrays whose first axis grows with the source do.

    Raises:
      InputError: the optimiser keeps something else for a table than arrays of its rows.
    """
    arrays, structure = jax.tree.flatten(learned)
    found = [WHOLE] * len(arrays)
    shapes = jax.eval_shape(lambda params: params, learned[0])
    for source in sources:
        grown = {layer: dict(own) for layer, own in shapes.items()}
        for table in (c for c in network.connections if c.source == source):
            count, width = shapes[table.target][table.key].shape
            grown[table.target][table.key] = jax.ShapeDtypeStruct(
                (count + 1, width), shapes[table.target][table.key].dtype
            )
        larger = jax.eval_shape(lambda params: (params, optimizer.init(params)), grown)
        for i, (array, one) in enumerate(zip(arrays, jax.tree.leaves(larger), strict=True)):
            if one.shape == array.shape:
                continue
            if one.shape != (array.shape[0] + 1, *array.shape[1:]):
                raise InputError(
                    f"the optimiser keeps {list(array.shape)} numbers for the table of '{source}', "
                    "which do not go by its rows; take another one, as optax.adam"
                )
            found[i] = source
    return jax.tree.unflatten(structure, found)


def gather(learned: Any, owned: Any, rows: dict[str, Int[Array, " rows"]]) -> Any:
    """What is learned, of tables the rows alone; zeros for those that stand for none."""

    def gathered(array: Array, owner: str) -> Array:
        if owner == WHOLE:
            return array
        return array.at[rows[owner]].get(
            mode="fill", fill_value=0, indices_are_sorted=True, unique_indices=True
        )

    return jax.tree.map(gathered, learned, owned)


def scatter(learned: Any, new: Any, owned: Any, rows: dict[str, Int[Array, " rows"]]) -> Any:
    """The new in place of what was learned, of tables in those rows."""

    def scattered(array: Array, part: Array, owner: str) -> Array:
        if owner == WHOLE:
            return part
        return array.at[rows[owner]].set(
            part, mode="drop", indices_are_sorted=True, unique_indices=True
        )

    return jax.tree.map(scattered, learned, new, owned)
