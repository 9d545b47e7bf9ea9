"""Recurrent neural networks in JAX: any graph of layers and delays, one jitted program."""

from jaxrnn.cells import CELLS, Cell, linear_cell, register
from jaxrnn.errors import InputError
from jaxrnn.network import Connection, Layer, Network, stacked
from jaxrnn.parameters import (
    INITIALIZERS,
    LayerState,
    Params,
    State,
    init,
    initial_state,
    state_dtype,
)
from jaxrnn.unroll import Dropout, step, unroll, unroll_layers

__all__ = [
    "CELLS",
    "INITIALIZERS",
    "Cell",
    "Connection",
    "Dropout",
    "InputError",
    "Layer",
    "LayerState",
    "Network",
    "Params",
    "State",
    "init",
    "initial_state",
    "linear_cell",
    "register",
    "stacked",
    "state_dtype",
    "step",
    "unroll",
    "unroll_layers",
]
