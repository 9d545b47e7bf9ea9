"""What the engine is given: brought to one kind of arrays and types, or refused in one sentence."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Integer, PRNGKeyArray, Shaped

from jaxrnn.core.engine.dropout import Dropout
from jaxrnn.core.engine.placement import varying_alike
from jaxrnn.core.errors import InputError
from jaxrnn.core.network import Network
from jaxrnn.core.parameters import Params, State, parameter_shapes, state_dtype, state_shapes

Inputs = Float[Array, "time batch features"] | Integer[Array, "time batch"]
GivenInputs = (  # as a user may give them: NumPy arrays and lists work too
    Shaped[Array | np.ndarray, "time batch *features"] | list
)


class Arrays(NamedTuple):
    """What a chunk is run on; parameters and state in one precision, at least float32."""

    params: Params
    state: State
    reset_state: State | None
    inputs: Inputs
    resets: Bool[Array, "time batch"] | None
    inside: Bool[Array, "time batch"] | None  # of steps before a lane's end; None: all are
    dropout_key: PRNGKeyArray | None


def enter(
    network: Network,
    params: Params,
    state: State,
    inputs: GivenInputs,
    resets: Any,
    lengths: Any,
    reset_state: State | None,
    dropout: Dropout | None,
    dropout_key: PRNGKeyArray | None,
    compute_dtype: jnp.dtype | None,
) -> tuple[Arrays, jnp.dtype]:
    """The engine's door: refuses what does not fit, and settles types once for all.

    Steps beyond a lane's end become resets that hear nothing: whatever they hold, what comes of
    them is finite, and so are gradients of which no part goes back to them.

    Returns:
      Arrays that are all JAX's, parameters and state in one precision; and the products' dtype.
    """
    inside, inputs = _cut_to(lengths, inputs)
    _check_symbols(network, inputs)
    given: Any = jnp.asarray(inputs)
    resets = None if resets is None else jnp.asarray(resets)
    _check(network, params, state, given, resets, dropout, dropout_key)
    _check_reset_state(network, reset_state, given.shape[1])
    if resets is None:
        reset_state = None  # steps beyond an end may as well return to zeros
    if inside is not None:
        resets = ~inside if resets is None else resets | ~inside
    params, state, reset_state = jax.tree.map(jnp.asarray, (params, state, reset_state))
    for which in (state, reset_state or {}):
        dtype = _check_types(params, which, compute_dtype)
    working = state_dtype(params)
    params = jax.tree.map(lambda array: array.astype(working), params)
    if given.ndim == 3:
        given = given.astype(working)
    arrays = varying_alike((params, state, reset_state, given, resets, inside))
    return Arrays(*arrays, dropout_key), dtype


def _cut_to(lengths: Any, inputs: GivenInputs) -> tuple[Array | None, GivenInputs]:
    """Which steps are before a lane's end, and inputs with zeros beyond it."""
    if lengths is None:
        return None, inputs
    known = not isinstance(lengths, jax.core.Tracer)
    inputs = inputs if isinstance(inputs, jax.Array) else np.asarray(inputs)
    counts = np.asarray(lengths) if known else lengths
    if counts.shape != inputs.shape[1:2] or not np.issubdtype(counts.dtype, np.integer):
        raise InputError(
            f"lengths have the shape {list(counts.shape)} and the type {counts.dtype}; expected "
            f"a whole number for each of the lanes of inputs of the shape {list(inputs.shape)}"
        )
    time = inputs.shape[0]
    if (
        known
        and counts.size
        and isinstance(time, int)
        and not 0 <= counts.min() <= counts.max() <= time
    ):
        wrong = counts.min() if counts.min() < 0 else counts.max()
        raise InputError(f"a length is {wrong}; those of inputs of {time} steps are 0 to {time}")
    # On the host where all is known there, so that symbols can be checked.
    on: Any = np if known and isinstance(inputs, np.ndarray) else jnp
    inside = on.arange(time)[:, None] < counts[None, :]
    alike = inside.reshape(inside.shape + (1,) * (inputs.ndim - 2))
    return jnp.asarray(inside), on.where(alike, inputs, inputs.dtype.type(0))


def _check(
    network: Network,
    params: Params,
    state: State,
    inputs: Inputs,
    resets: Array | None,
    dropout: Dropout | None,
    dropout_key: PRNGKeyArray | None,
) -> None:
    """Refuses what does not fit the network, or does not fit together, by its shape."""
    size, symbols = network.input_size, jnp.issubdtype(inputs.dtype, jnp.integer)
    if (
        inputs.ndim != (2 if symbols else 3)
        or (inputs.ndim == 3 and inputs.shape[2] != size)
        or jnp.issubdtype(inputs.dtype, jnp.complexfloating)
    ):
        raise InputError(
            f"inputs have the shape {list(inputs.shape)} and the type {inputs.dtype}; expected "
            f"features [time, batch, {size}] or whole numbers, for symbols, [time, batch]"
        )
    if resets is not None and (resets.shape != inputs.shape[:2] or resets.dtype != bool):
        raise InputError(
            f"resets have the shape {list(resets.shape)} and the type {resets.dtype}; expected "
            f"bool {list(inputs.shape[:2])}, the inputs' [time, batch]"
        )
    _check_shapes(
        params, parameter_shapes(network), "parameters do not fit the network", "them with init"
    )
    _check_shapes(
        state, state_shapes(network, inputs.shape[1]),
        f"state does not fit the network and {inputs.shape[1]} lanes", "one with initial_state",
    )  # fmt: skip
    if dropout is not None and not 0 <= dropout.rate < 1:
        raise InputError(f"the dropout rate is {dropout.rate}; it must be at least 0 and below 1")
    if dropout is not None and dropout.rate and dropout_key is None:
        raise InputError("dropout needs a dropout_key; give one, or leave dropout out")


def _check_symbols(network: Network, inputs: GivenInputs) -> None:
    """Refuses symbols that there are not, where that is known before anything is computed."""
    if not isinstance(inputs, np.ndarray | list):
        return
    symbols = np.asarray(inputs)
    if not (np.issubdtype(symbols.dtype, np.integer) and symbols.size):
        return
    for symbol in (symbols.min(), symbols.max()):
        if not 0 <= symbol < network.input_size:
            raise InputError(
                f"the inputs have the symbol {symbol}; the network's symbols are 0 to "
                f"{network.input_size - 1}"
            )


def _check_reset_state(network: Network, reset_state: State | None, batch: int) -> None:
    """One for each lane, or one for all."""
    if reset_state is None:
        return
    lanes = {jnp.shape(array)[:1] for array in jax.tree.leaves(reset_state)}
    _check_shapes(
        reset_state, state_shapes(network, 1 if lanes == {(1,)} else batch),
        f"reset_state does not fit the network and {batch} lanes, or one for all of them",
        "one with initial_state",
    )  # fmt: skip


def _check_types(params: Params, state: State, compute_dtype: jnp.dtype | None) -> jnp.dtype:
    """One type for all parameters, its `state_dtype` for the state; returns the products' dtype."""
    kinds = {array.dtype for array in jax.tree.leaves(params)}
    if len(kinds) > 1:
        raise InputError(
            f"the parameters are of several types ({', '.join(sorted(map(str, kinds)))}); cast "
            "them to one, and give compute_dtype if products are to have another"
        )
    (kind,) = kinds
    if not jnp.issubdtype(kind, jnp.floating):
        raise InputError(f"the parameters are {kind}; they must be floating-point numbers")
    working = state_dtype(params)
    for path, array in jax.tree_util.tree_leaves_with_path(state):
        if array.dtype != working:
            raise InputError(
                f"the state's {jax.tree_util.keystr(path)} is {array.dtype} where {working} is "
                f"expected, as parameters are {kind}; make it with initial_state(network, batch, "
                "state_dtype(params))"
            )
    dtype = kind if compute_dtype is None else compute_dtype
    if not jnp.issubdtype(dtype, jnp.floating) or jnp.finfo(dtype).bits > jnp.finfo(working).bits:
        raise InputError(
            f"compute_dtype is {dtype}; with parameters of {kind} products can be {working} or a "
            "smaller floating-point type, such as bfloat16"
        )
    return dtype


def _check_shapes(given: Params | State, shapes: Any, complaint: str, maker: str) -> None:
    if jax.tree.map(jnp.shape, given) == shapes:
        return
    wanted, found = _by_name(shapes), _by_name(jax.tree.map(jnp.shape, given))
    name = next((n for n in wanted | found if wanted.get(n) != found.get(n)), "the whole")
    raise InputError(
        f"the {complaint}: {name} is {found.get(name)} where {wanted.get(name)} is expected; make "
        f"{maker}"
    )


def _by_name(shapes: Any) -> dict[str, Any]:
    leaves = jax.tree_util.tree_leaves_with_path(shapes, is_leaf=_is_shape)
    return {jax.tree_util.keystr(path): shape for path, shape in leaves}


def _is_shape(value: Any) -> bool:
    return isinstance(value, tuple) and all(isinstance(size, int) for size in value)
