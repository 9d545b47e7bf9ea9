"""Weights of PyTorch's, Flax's and Haiku's recurrent modules: taken over, and given back.

What goes both ways is a stack: recurrent layers one above the other, an embedding below them and a
linear layer on top where there is one. Theirs become layers `hidden1`, `hidden2`, ... and `output`,
the uppermost one, be it linear or recurrent.

    arrays = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    network, params = from_torch(arrays, ["rnn", "decoder"])
    arrays = to_torch(network, params, ["rnn", "decoder"])
    model.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})

Outputs are equal up to rounding, from a state of zeros. `unroll` takes [time, batch, features], as
torch.nn does; Flax's RNN takes [batch, time, features]. Matrices come back to the bit, biases as
each function says. Matrices that a model ties come apart.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxrnn.core.network import Network
from jaxrnn.core.parameters import Params
from jaxrnn.core.weights.forms import FLAX, HAIKU, LINEN, NNX, TORCH
from jaxrnn.core.weights.giving import give
from jaxrnn.core.weights.taking import take

Modules = Sequence[str]
Arrays = Mapping[str, Any]


def from_torch(
    arrays: Arrays, modules: Modules = ("",), *, cell: str = "tanh"
) -> tuple[Network, Params]:
    """The network of a `state_dict` with torch.nn.Embedding, RNN, LSTM, GRU, their cells, Linear.

    An LSTM's gates are i, f, g, o on both sides, a GRU's r, z, n. The two biases of each gate are
    added to one; but b_hn of a GRU's candidate stays apart, in the cell `gru_recurrent_bias`. With
    bias=False layers have none. Of a bidirectional module, each layer becomes two: `hidden1` and
    `hidden1_backward`; if nothing lies above, `output` and `output_backward` are both outputs.

    Args:
      arrays: NumPy's by name: `weight_ih_l0` [gates * size, inputs], `weight_hh_l0` [gates * size,
        size], `bias_ih_l0`, `bias_hh_l0` [gates * size], and so on for each layer. The lowest of
        several modules, if all that it has is `weight`, is an Embedding.
      modules: names, within the state_dict, of those to take over, from the input up; by default
        the state_dict is one module's own.
      cell: what an RNN's arrays do not tell, its nonlinearity: tanh or relu.

    Returns:
      Parameters of the arrays' type (float64 if JAX has it enabled).

    Raises:
      InputError: arrays are missing, unknown or of another shape, or have a proj_size.
    """
    return take(TORCH, arrays, modules, cell)


def to_torch(network: Network, params: Params, modules: Modules = ("",)) -> dict[str, np.ndarray]:
    """What `from_torch` would take as that network, for `load_state_dict`.

    `bias_ih` holds the whole bias and `bias_hh` zeros, but for a GRU's b_hn. Both are trained
    there: by plain gradient descent their sum moves twice as far as one bias would.

    Args:
      network: a stack of layers with the cells tanh, relu, lstm, gru or gru_recurrent_bias, and
        linear ones. The lowest is an Embedding if it is linear and has no bias.
      params: its parameters.
      modules: names from the input up; one for all recurrent layers that lie upon each other, or
        one for each layer.

    Raises:
      InputError: the network is no such stack, or has another number of modules.
    """
    return give(TORCH, network, params, modules)


def from_flax(
    arrays: Arrays, modules: Modules = ("",), *, cell: str = "tanh"
) -> tuple[Network, Params]:
    """The network of Flax's Embed, SimpleCell, LSTMCell, OptimizedLSTMCell, GRUCell, Dense, Linear.

    An LSTM's gates are i, f, g, o, a GRU's r, z, n, as here; linen has an array for each. linen's
    GRUCell has a bias b_hn (the cell `gru_recurrent_bias`), that of nnx has none (`gru`), whatever
    its documentation says.

    Args:
      arrays: nested, as linen's `variables["params"]`, or for nnx
        `nnx.to_pure_dict(nnx.state(model, nnx.Param))`.
      modules: paths, with "/", of those to take over, from the input up: `["rnn/cell", "head"]`.
      cell: the activation function of a SimpleCell; tanh is Flax's default.

    Raises:
      InputError: arrays are missing, unknown or of another shape.
    """
    return take(FLAX, arrays, modules, cell)


def to_flax(
    network: Network, params: Params, modules: Modules = ("",), *, nnx: bool = False
) -> dict[str, Any]:
    """What `from_flax` would take as that network: nested arrays of linen's cells, or of nnx's.

    As an LSTM, nnx gets an OptimizedLSTMCell. All comes back to the bit; a missing bias as zeros.

    Raises:
      InputError: the network is no stack of such cells (b_hn has no place in nnx), or the modules
        are not as many as its layers.
    """
    result: dict[str, Any] = {}
    for path, array in give(NNX if nnx else LINEN, network, params, modules).items():
        *folders, name = path.split("/")
        place = result
        for folder in folders:
            place = place.setdefault(folder, {})
        place[name] = array
    return result


def from_haiku(arrays: Arrays, modules: Modules) -> tuple[Network, Params]:
    """The network of Haiku's Embed, VanillaRNN (relu), LSTM and Linear.

    An LSTM's gates are i, g, f, o there, and 1 is added to f as it runs: here that 1 is part of the
    bias. Two biases of a VanillaRNN are added to one. Haiku's GRU is refused: its candidate hears
    matrix * (reset * output), where that of a cell here hears reset * (matrix * output).

    Args:
      arrays: as from `init`: `{"lstm/linear": {"w": [inputs + size, 4 * size], "b": [4 * size]}}`.
      modules: paths of those to take over, from the input up: `["lstm", "linear"]`.

    Raises:
      InputError: arrays are missing, unknown or of another shape, or a GRU's.
    """
    return take(HAIKU, arrays, modules, "relu")


def to_haiku(network: Network, params: Params, modules: Modules) -> dict[str, Any]:
    """What `from_haiku` would take as that network.

    A VanillaRNN's second bias is zero, and an LSTM's forget gate has 1 less, up to rounding.

    Raises:
      InputError: the network is no stack of such layers, or the modules are not as many.
    """
    result: dict[str, Any] = {}
    for path, array in give(HAIKU, network, params, modules).items():
        module, _, name = path.rpartition("/")
        result.setdefault(module, {})[name] = array
    return result
