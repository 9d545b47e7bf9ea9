"""The engine: `unroll` runs a network over a chunk of time steps, `step` over one."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Bool, Float, Integer, PRNGKeyArray, Shaped

from jaxrnn.core.checks import as_array
from jaxrnn.core.engine.arguments import GivenInputs, by_name, called, enter
from jaxrnn.core.engine.chunk import How, run_chunk
from jaxrnn.core.engine.dropout import Dropout, dropped_on
from jaxrnn.core.engine.options import Options
from jaxrnn.core.errors import InputError
from jaxrnn.core.layers import INPUT, OUTPUT, Connection
from jaxrnn.core.network import Network
from jaxrnn.core.parameters import Ends, Params, State

GivenStep = Shaped[Array | np.ndarray, "batch *_features"] | list
Returned = Any  # one array, or arrays by name: which of them it is the network says
if not TYPE_CHECKING:
    Returned = Float[Array, "*time batch outputs"] | dict[str, Float[Array, "*time batch _size"]]


def unroll(
    network: Network,
    params: Params,
    state: State,
    inputs: GivenInputs | Mapping[str, GivenInputs],
    *,
    resets: Bool[Array | np.ndarray, "time batch"] | list | None = None,
    lengths: Integer[Array | np.ndarray, " batch"] | list | None = None,
    reset_state: State | None = None,
    dropout: Dropout | Mapping[Connection | Ends, Dropout] | None = None,
    dropout_key: PRNGKeyArray | None = None,
    options: Options = Options(),  # noqa: B008 (frozen)
) -> tuple[Returned, State]:
    """Runs a chunk; returns the network's outputs and the state after the last step.

    Inputs and outputs are one array each, `[time, batch, ...]`, unless the network has several
    inputs or outputs, or others than "input" and "output": then they are arrays by name.

    Args:
      network: static under `jit`, like `dropout` and `options`; but a mapping for `dropout` is not
        hashable, so the function under `jit` closes over it.
      params: as from `init`, all of one floating-point type. Half-precision ones are taken as
        float32 (so that gradients are added up in it), with `options.compute_dtype` their own type.
      state: as from `initial_state`, or from the chunk before; of the type `state_dtype(params)`.
      inputs: features, or symbols that stand for one-hot vectors (never built: rows are looked up).
        A symbol outside of [0, input_size) makes its lane NaN until a reset; in NumPy arrays it is
        refused. Without a time step nothing happens.
      resets: where true, everything before that step is forgotten in that lane, including what
        delayed connections would still hear.
      lengths: how many steps each lane takes, from 0 to all: outputs are zero from there on, and
        the state returned is the lane's own at its end. What inputs hold beyond reaches nothing.
      reset_state: what resets return to, learned or given, instead of zeros; what the network would
        remember had it run until now. As from `initial_state`, for each lane or, of a batch of 1,
        for all.
      dropout: one for all connections, or one each by connection, which may be given by its
        source, its target and, unless 0, its delay. Left out when not training.
      dropout_key: decides what is dropped; needed with `dropout`.
      options: types of products, segments, and other ways to run the chunk.

    Raises:
      InputError: parameters, state, inputs, resets, dropout, types or segment do not fit the
        network or each other.
    """
    dropped = dropped_on(network, dropout)
    arrays, dtype = enter(
        network, params, state, inputs, resets, lengths, reset_state, dropped, dropout_key,
        options,
    )  # fmt: skip
    how = How(dropped, dtype, options.plain_autodiff, options.stepwise)
    (outputs, _), state = run_chunk(network, arrays, how, options.segment)
    return outputs[OUTPUT] if network.returns_one_array else outputs, state


class Unrolled(NamedTuple):
    """What every layer does in a chunk.

    Attributes:
      outputs: of each layer, by its name.
      carries: what each layer's cell carries after every step, as the cell sees it: a carry that is
        its output comes first. Empty where it carries nothing.
      state: after the last step.
    """

    outputs: dict[str, Float[Array, "time batch _size"]]
    carries: dict[str, tuple[Float[Array, "time batch _size"], ...]]
    state: State


def unroll_layers(
    network: Network,
    params: Params,
    state: State,
    inputs: GivenInputs | Mapping[str, GivenInputs],
    *,
    resets: Bool[Array | np.ndarray, "time batch"] | list | None = None,
    lengths: Integer[Array | np.ndarray, " batch"] | list | None = None,
    reset_state: State | None = None,
    dropout: Dropout | Mapping[Connection | Ends, Dropout] | None = None,
    dropout_key: PRNGKeyArray | None = None,
    options: Options = Options(),  # noqa: B008 (frozen)
) -> Unrolled:
    """`unroll`, returning what every layer puts out and carries, by the layer's name."""
    dropped = dropped_on(network, dropout)
    arrays, dtype = enter(
        network, params, state, inputs, resets, lengths, reset_state, dropped, dropout_key,
        options,
    )  # fmt: skip
    how = How(dropped, dtype, options.plain_autodiff, options.stepwise, all_layers=True)
    (outputs, others), state = run_chunk(network, arrays, how, options.segment)
    carries = {
        layer.name: (outputs[layer.name],) * layer.cell.carries_output + others.get(layer.name, ())
        for layer in network.layers
    }
    return Unrolled(outputs, carries, state)


def step(
    network: Network,
    params: Params,
    state: State,
    inputs: GivenStep | Mapping[str, GivenStep],
    *,
    resets: Bool[Array | np.ndarray, " batch"] | list | None = None,
    reset_state: State | None = None,
    options: Options = Options(),  # noqa: B008 (frozen)
) -> tuple[Returned, State]:
    """One time step: sampling, acting, streaming; all as for `unroll`, without the axis of time."""
    if network.runs_backward:
        raise InputError("a network with backward layers cannot be stepped; give unroll all steps")
    arrays = {
        name: as_array(array, called(network, name))[None]
        for name, array in by_name(network, inputs).items()
    }
    chunk = arrays[INPUT] if network.takes_one_array else arrays
    resets = None if resets is None else as_array(resets, "resets")[None]
    outputs, state = unroll(
        network, params, state, chunk, resets=resets, reset_state=reset_state, options=options
    )
    return jax.tree.map(lambda output: output[0], outputs), state
