"""What the engine is given: brought to one kind of arrays and types, or refused in one sentence."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Integer, PRNGKeyArray, Shaped

from jaxrnn.core.checks import (
    as_array,
    check_key,
    check_lengths,
    check_symbols,
    shapes_of,
    shown,
)
from jaxrnn.core.engine.dropout import Dropout, is_traced
from jaxrnn.core.engine.options import Options
from jaxrnn.core.engine.placement import varying_alike
from jaxrnn.core.errors import InputError
from jaxrnn.core.layers import INPUT, Connection
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
    inputs: dict[str, Inputs]
    resets: Bool[Array, "time batch"] | None
    inside: Bool[Array, "time batch"] | None  # of steps before a lane's end; None: all are
    dropout_key: PRNGKeyArray | None
    rates: dict[Connection, Float[Array, ""]]  # of dropout, where they are traced

    @property
    def steps_and_lanes(self) -> tuple[Any, Any]:
        """Numbers, or symbols of `jax.export` that stand for them."""
        time, batch, *_ = next(iter(self.inputs.values())).shape
        return time, batch


def enter(
    network: Network,
    params: Params,
    state: State,
    inputs: GivenInputs | Mapping[str, GivenInputs],
    resets: Any,
    lengths: Any,
    reset_state: State | None,
    dropped: dict[Connection, Dropout],
    dropout_key: PRNGKeyArray | None,
    options: Options,
) -> tuple[Arrays, jnp.dtype]:
    """The engine's door: refuses what does not fit, and settles types once for all.

    Steps beyond a lane's end become resets that hear nothing: whatever they hold, what comes of
    them is finite, and so are gradients of which no part goes back to them.

    Returns:
      Arrays that are all JAX's, parameters and state in one precision; and the products' dtype.
    """
    if not isinstance(options, Options):
        raise InputError(f"options are {shown(options)}; give Options(...), or leave them out")
    named = {
        name: as_array(array, called(network, name))
        for name, array in by_name(network, inputs).items()
    }
    resets = None if resets is None else jnp.asarray(as_array(resets, "resets"))
    check_arrays(network, params, state, named, resets)
    inside, named = _cut_to(lengths, named)
    for name, array in named.items():
        # NumPy's are known before anything is computed.
        if isinstance(array, np.ndarray) and np.issubdtype(array.dtype, np.integer):
            check_symbols(array, network.size(name), f"the {called(network, name)}")
    given = {name: jnp.asarray(array) for name, array in named.items()}
    if dropout_key is not None:
        check_key(dropout_key, "dropout_key")
    elif dropped:
        raise InputError("dropout needs a dropout_key; give one, or leave dropout out")
    lanes = next(iter(given.values())).shape[1]
    _check_reset_state(network, reset_state, lanes)
    if resets is None:
        reset_state = None  # steps beyond an end may as well return to zeros
    if inside is not None:
        resets = ~inside if resets is None else resets | ~inside
    params, state, reset_state = jax.tree.map(jnp.asarray, (params, state, reset_state))
    for which in (state, reset_state or {}):
        dtype = _check_types(params, which, options.compute_dtype)
    working = state_dtype(params)
    params = jax.tree.map(lambda array: array.astype(working), params)
    given = {name: x.astype(working) if x.ndim == 3 else x for name, x in given.items()}
    alike = varying_alike((params, state, reset_state, given, resets, inside))
    params, state, reset_state, given, resets, inside = alike
    rates = {c: jnp.asarray(own.rate) for c, own in dropped.items() if is_traced(own.rate)}
    return Arrays(params, state, reset_state, given, resets, inside, dropout_key, rates), dtype


def by_name(network: Network, inputs: Any) -> dict[str, Any]:
    """Inputs by name, as they were given where there are several."""
    if network.takes_one_array:
        if isinstance(inputs, Mapping):
            raise InputError(
                "inputs are given by name, but the network has one, called 'input'; give its array"
            )
        return {INPUT: inputs}
    names = [name for name, _ in network.inputs]
    if not isinstance(inputs, Mapping) or set(inputs) != set(names):
        given = sorted(map(str, inputs)) if isinstance(inputs, Mapping) else ["an array"]
        raise InputError(
            f"inputs are {', '.join(given) or 'none'}; give arrays by name: {', '.join(names)}"
        )
    return {name: inputs[name] for name in names}


def called(network: Network, name: str) -> str:
    return "inputs" if network.takes_one_array else f"inputs '{name}'"


def _cut_to(lengths: Any, arrays: dict[str, Any]) -> tuple[Array | None, dict[str, Any]]:
    """Which steps are before a lane's end, and inputs with zeros beyond it."""
    if lengths is None:
        return None, arrays
    inputs = next(iter(arrays.values()))
    counts = as_array(lengths, "lengths")
    known = not is_traced(counts)
    counts = np.asarray(counts) if known else counts
    if counts.shape != inputs.shape[1:2] or not np.issubdtype(counts.dtype, np.integer):
        raise InputError(
            f"lengths have the shape {list(counts.shape)} and the type {counts.dtype}; expected "
            f"a whole number for each of the lanes of inputs of the shape {list(inputs.shape)}"
        )
    time = inputs.shape[0]
    if isinstance(counts, np.ndarray) and isinstance(time, int):
        check_lengths(counts, time, "a length is")

    def cut(array: Any) -> Any:
        # On the host where all is known there, so that symbols can be checked.
        on: Any = np if known and isinstance(array, np.ndarray) else jnp
        inside = on.arange(array.shape[0])[:, None] < counts[None, :]
        alike = inside.reshape(inside.shape + (1,) * (array.ndim - 2))
        return on.where(alike, array, array.dtype.type(0))

    return jnp.arange(time)[:, None] < counts[None, :], {n: cut(x) for n, x in arrays.items()}


def check_arrays(
    network: Network,
    params: Params,
    state: State,
    inputs: dict[str, Any],
    resets: Array | None,
) -> None:
    """Refuses what does not fit the network, or does not fit together, by its shape."""
    for name, array in inputs.items():
        _check_input(array, network.size(name), called(network, name))
    (first, steps_and_lanes), *others = ((name, x.shape[:2]) for name, x in inputs.items())
    for name, found in others:
        if found != steps_and_lanes:
            raise InputError(
                f"inputs '{first}' and '{name}' have {list(steps_and_lanes)} and {list(found)} as "
                "[time, batch]; make them equal"
            )
    if resets is not None and (resets.shape != steps_and_lanes or resets.dtype != bool):
        raise InputError(
            f"resets have the shape {list(resets.shape)} and the type {resets.dtype}; expected "
            f"bool {list(steps_and_lanes)}, the inputs' [time, batch]"
        )
    lanes = steps_and_lanes[1]
    check_shapes(
        params, parameter_shapes(network), "parameters do not fit the network", "them with init"
    )
    check_shapes(
        state, state_shapes(network, lanes),
        f"state does not fit the network and {lanes} lanes", "one with initial_state",
    )  # fmt: skip


def _check_input(array: Any, size: int, what: str) -> None:
    symbols = jnp.issubdtype(array.dtype, jnp.integer)
    if (
        array.ndim != (2 if symbols else 3)
        or (array.ndim == 3 and array.shape[2] != size)
        or jnp.issubdtype(array.dtype, jnp.complexfloating)
    ):
        raise InputError(
            f"{what} have the shape {list(array.shape)} and the type {array.dtype}; expected "
            f"features [time, batch, {size}] or whole numbers, for symbols, [time, batch]"
        )


def _check_reset_state(network: Network, reset_state: State | None, batch: int) -> None:
    """One for each lane, or one for all."""
    if reset_state is None:
        return
    lanes = {getattr(leaf, "shape", ())[:1] for leaf in jax.tree.leaves(reset_state)}
    check_shapes(
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
    kind = next(iter(kinds), jnp.dtype(jnp.float32))
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


def check_shapes(given: Params | State, shapes: Any, complaint: str, maker: str) -> None:
    if shapes_of(given) == shapes:
        return
    wanted, found = _by_path(shapes), _by_path(shapes_of(given))
    name = next((n for n in wanted | found if wanted.get(n) != found.get(n)), "the whole")
    raise InputError(
        f"the {complaint}: {name} is {found.get(name)} where {wanted.get(name)} is expected; make "
        f"{maker}"
    )


def _by_path(shapes: Any) -> dict[str, Any]:
    leaves = jax.tree_util.tree_leaves_with_path(shapes, is_leaf=_is_shape)
    return {jax.tree_util.keystr(path): shape for path, shape in leaves}


def _is_shape(value: Any) -> bool:
    return isinstance(value, tuple) and all(isinstance(size, int) for size in value)
