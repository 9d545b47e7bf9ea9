"""Recurrent neural networks in JAX: what `import jaxrnn` gives names to."""

from jaxrnn.core.cells import CELLS, Cell, linear_cell, register
from jaxrnn.core.engine.dropout import Dropout
from jaxrnn.core.engine.dropout_by_source import dropout_by_source
from jaxrnn.core.engine.options import Options
from jaxrnn.core.engine.unroll import Unrolled, step, unroll, unroll_layers
from jaxrnn.core.errors import InputError
from jaxrnn.core.layers import Connection, Layer, NGram
from jaxrnn.core.network import Network
from jaxrnn.core.parameters import (
    DIAGONAL_INITIALIZERS,
    INITIALIZERS,
    LayerState,
    Params,
    State,
    init,
    initial_state,
    state_dtype,
)
from jaxrnn.core.stacks import stacked
from jaxrnn.core.weights.exchange import (
    from_flax,
    from_haiku,
    from_torch,
    to_flax,
    to_haiku,
    to_torch,
)

__all__ = [
    "CELLS",
    "DIAGONAL_INITIALIZERS",
    "INITIALIZERS",
    "Cell",
    "Connection",
    "Dropout",
    "InputError",
    "Layer",
    "LayerState",
    "NGram",
    "Network",
    "Options",
    "Params",
    "State",
    "Unrolled",
    "dropout_by_source",
    "from_flax",
    "from_haiku",
    "from_torch",
    "init",
    "initial_state",
    "linear_cell",
    "register",
    "stacked",
    "state_dtype",
    "step",
    "to_flax",
    "to_haiku",
    "to_torch",
    "unroll",
    "unroll_layers",
]
