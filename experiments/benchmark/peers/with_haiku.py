"""haiku: `DeepRNN` under `dynamic_unroll`, as in its examples/rnn.

Its `VanillaRNN` has ReLU only, so tanh is a core of one's own in its image. Its GRU is another
variant (v3 of Cho and others 2014): the reset gate acts before the recurrent product.
"""

# pyright: reportMissingImports=false

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.benchmark.peers.training_in_jax import JaxTrainer, trainer
from experiments.benchmark.shapes import SYMBOLS, Data, Params, Shape, layers, output_layer


class TanhRNN(hk.RNNCore):
    """`hk.VanillaRNN(double_bias=False)` with another activation."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__(name="tanh_rnn")
        self.hidden_size = hidden_size

    def __call__(self, inputs, prev_state):
        input_to_hidden = hk.Linear(self.hidden_size)
        hidden_to_hidden = hk.Linear(self.hidden_size, with_bias=False)
        out = jnp.tanh(input_to_hidden(inputs) + hidden_to_hidden(prev_state))
        return out, out

    def initial_state(self, batch_size: int | None) -> jax.Array:
        return jnp.zeros([batch_size, self.hidden_size] if batch_size else [self.hidden_size])


CORES = {"tanh": TanhRNN, "lstm": hk.LSTM, "gru": hk.GRU}


def open_trainer(shape: Shape, params: Params, data: Data) -> JaxTrainer:
    def core() -> hk.RNNCore:
        return hk.DeepRNN([CORES[shape.cell](size) for size in shape.hidden])

    @hk.without_apply_rng
    @hk.transform
    def network(inputs: jax.Array, state: tuple) -> tuple[jax.Array, tuple]:
        one_hot = jax.nn.one_hot(inputs, SYMBOLS)
        hidden, state = hk.dynamic_unroll(core(), one_hot, state)
        return hk.BatchApply(hk.Linear(SYMBOLS))(hidden), state

    def loss(
        params: hk.Params, state: tuple, inputs: jax.Array, targets: jax.Array
    ) -> tuple[jax.Array, tuple]:
        logits, state = network.apply(params, inputs, state)
        nats = optax.softmax_cross_entropy_with_integer_labels(logits, targets)
        return nats.mean(), state

    make_state = hk.without_apply_rng(hk.transform(lambda: core().initial_state(shape.batch)))
    state = jax.tree.map(jnp.array, make_state.apply({}))
    return trainer(loss, copied(shape, params), state, data)


def copied(shape: Shape, params: Params) -> hk.Params:
    """The parameters in haiku's names, order of gates and signs."""
    copies: dict[str, dict[str, np.ndarray]] = {}
    for i, (below, recurrent, bias) in enumerate(layers(shape, params)):
        suffix = f"_{i}" if i else ""
        if shape.cell == "tanh":
            copies[f"tanh_rnn{suffix}/linear"] = {"w": below, "b": bias}
            copies[f"tanh_rnn{suffix}/linear_1"] = {"w": recurrent}
        elif shape.cell == "lstm":
            in_gate, forget_gate, candidate, out_gate = np.split(bias, 4)
            # It adds the 1 itself.
            bias = np.concatenate([in_gate, candidate, forget_gate - 1, out_gate])
            rows = np.concatenate([below, recurrent])
            in_gate, forget_gate, candidate, out_gate = np.split(rows, 4, axis=1)
            rows = np.concatenate([in_gate, candidate, forget_gate, out_gate], axis=1)
            copies[f"lstm{suffix}/linear"] = {"w": rows, "b": bias}
        else:
            arrays = {"w_i": below, "w_h": recurrent, "b": bias}
            copies[f"gru{suffix}"] = {name: _gates(array) for name, array in arrays.items()}
    matrix, bias = output_layer(shape, params)
    copies["linear"] = {"w": matrix, "b": bias}
    return jax.tree.map(jnp.array, copies)


def _gates(array: np.ndarray) -> np.ndarray:
    """reset, update, candidate -> update, reset, candidate; its update gate is one minus ours."""
    reset, update, candidate = np.split(array, 3, axis=-1)
    return np.concatenate([-update, reset, candidate], axis=-1)
