"""What the engine is compared with: the definition of a network, in float64 NumPy, by plain loops.

`forward` adds up one connection at a time, one time step at a time. `backward` is textbook
back-propagation through time with derivatives worked out by hand. Neither knows of components,
hoisted products or JAX. Outputs are kept by time step; negative steps are the remembered ones.
"""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from jaxrnn import Connection, Layer, Network
from jaxrnn.core.parameters import LayerState


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


# Each activation, and its derivative at x where its value is y.
ACTIVATIONS = {
    "logistic": (sigmoid, lambda x, y: y * (1 - y)),
    "tanh": (np.tanh, lambda x, y: 1 - y**2),
    "relu": (lambda x: np.maximum(x, 0), lambda x, y: (x > 0) * 1.0),
    "leaky_relu": (lambda x: np.where(x > 0, x, 0.01 * x), lambda x, y: np.where(x > 0, 1, 0.01)),
    "elu": (lambda x: np.where(x > 0, x, np.expm1(x)), lambda x, y: np.where(x > 0, 1, y + 1)),
    "linear": (lambda x: x, lambda x, y: np.ones_like(x)),
}


def lstm(total, memory):
    """The output and the memory; `total` holds the sums of input, forget, cell and output gate."""
    i, f, g, o = np.split(total, 4, axis=-1)
    memory = sigmoid(f) * memory + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(memory), memory


def lstm_backward(total, memory, d_output, d_memory):
    i, f, g, o = np.split(total, 4, axis=-1)
    i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
    squashed = np.tanh(f * memory + i * g)
    d_o = d_output * squashed * o * (1 - o)
    d_new = d_memory + d_output * o * (1 - squashed**2)
    d_i = d_new * g * i * (1 - i)
    d_f = d_new * memory * f * (1 - f)
    d_g = d_new * i * (1 - g**2)
    return np.concatenate([d_i, d_f, d_g, d_o], axis=-1), d_new * f


def gru(feedforward, recurrent, previous):
    fr, fu, fc = np.split(feedforward, 3, axis=-1)
    rr, ru, rc = np.split(recurrent, 3, axis=-1)
    reset, update = sigmoid(fr + rr), sigmoid(fu + ru)
    return update * previous + (1 - update) * np.tanh(fc + reset * rc)


def gru_backward(feedforward, recurrent, previous, d_output):
    fr, fu, fc = np.split(feedforward, 3, axis=-1)
    rr, ru, rc = np.split(recurrent, 3, axis=-1)
    reset, update = sigmoid(fr + rr), sigmoid(fu + ru)
    candidate = np.tanh(fc + reset * rc)
    d_u = d_output * (previous - candidate) * update * (1 - update)
    d_c = d_output * (1 - update) * (1 - candidate**2)
    d_r = d_c * rc * reset * (1 - reset)
    d_feedforward = np.concatenate([d_r, d_u, d_c], axis=-1)
    d_recurrent = np.concatenate([d_r, d_u, d_c * reset], axis=-1)
    return d_feedforward, d_recurrent, d_output * update


def gru_recurrent_bias(feedforward, recurrent, previous):
    """The fourth of the feed-forward sums is the bias of the third of the recurrent ones."""
    heard, bias = np.split(feedforward, [3 * previous.shape[1]], axis=-1)
    r, u, c, _ = np.split(recurrent, 4, axis=-1)
    return gru(heard, np.concatenate([r, u, c + bias], axis=-1), previous)


def gru_recurrent_bias_backward(feedforward, recurrent, previous, d_output):
    heard, bias = np.split(feedforward, [3 * previous.shape[1]], axis=-1)
    r, u, c, _ = np.split(recurrent, 4, axis=-1)
    recurrent = np.concatenate([r, u, c + bias], axis=-1)
    d_heard, d_recurrent, d_previous = gru_backward(heard, recurrent, previous, d_output)
    d_bias = np.split(d_recurrent, 3, axis=-1)[2]
    d_feedforward = np.concatenate([d_heard, d_bias], axis=-1)
    return d_feedforward, np.pad(d_recurrent, ((0, 0), (0, d_bias.shape[1]))), d_previous


GRU = {
    "gru": (gru, gru_backward),
    "gru_recurrent_bias": (gru_recurrent_bias, gru_recurrent_bias_backward),
}


def min_gru(total, previous):
    update, candidate = np.split(total, 2, axis=-1)
    z = sigmoid(update)
    return (1 - z) * previous + z * candidate


def min_gru_backward(total, previous, d_output):
    update, candidate = np.split(total, 2, axis=-1)
    z = sigmoid(update)
    d_update = d_output * (candidate - previous) * z * (1 - z)
    return np.concatenate([d_update, d_output * z], axis=-1), d_output * (1 - z)


def min_lstm(total, previous):
    i, f, candidate = np.split(total, 3, axis=-1)
    i, f = sigmoid(i), sigmoid(f)
    return f / (f + i) * previous + i / (f + i) * candidate


def min_lstm_backward(total, previous, d_output):
    i, f, candidate = np.split(total, 3, axis=-1)
    i, f = sigmoid(i), sigmoid(f)
    d_i = d_output * (candidate - previous) * f / (f + i) ** 2 * i * (1 - i)
    d_f = d_output * (previous - candidate) * i / (f + i) ** 2 * f * (1 - f)
    d_total = np.concatenate([d_i, d_f, d_output * i / (f + i)], axis=-1)
    return d_total, d_output * f / (f + i)


def rg_lru(total, previous, heard=1.0):
    """`heard` is 0 before a lane's first step, which is not scaled down."""
    r, i, value, retention = np.split(total, 4, axis=-1)
    a = sigmoid(retention) ** (8 * sigmoid(r))
    scale = np.where(heard == 0, 1, np.sqrt(1 - a**2))
    return a * previous + scale * sigmoid(i) * value


def rg_lru_backward(total, previous, d_output, heard=1.0):
    r, i, value, retention = np.split(total, 4, axis=-1)
    r, i, keep = sigmoid(r), sigmoid(i), sigmoid(retention)
    a = keep ** (8 * r)
    root = np.where(heard == 0, 1, np.sqrt(1 - a**2))
    d_a = d_output * (previous - np.where(heard == 0, 0, a / root) * i * value)
    d_r = d_a * a * 8 * np.log(keep) * r * (1 - r)
    d_retention = d_a * 8 * r * a * (1 - keep)
    d_i = d_output * root * value * i * (1 - i)
    d_total = np.concatenate([d_r, d_i, d_output * root * i, d_retention], axis=-1)
    return d_total, d_output * a


def normalised(total):
    """Brought to mean 0 and variance 1 in each lane."""
    centred = total - total.mean(axis=-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-5)


def normalised_backward(total, d_normal):
    deviation = np.sqrt(total.var(axis=-1, keepdims=True) + 1e-5)
    normal = normalised(total)
    along = (d_normal * normal).mean(axis=-1, keepdims=True) * normal
    return (d_normal - d_normal.mean(axis=-1, keepdims=True) - along) / deviation


def layer_norm(total):
    total, gain, shift = np.split(total, 3, axis=-1)
    return gain * normalised(total) + shift


def layer_norm_backward(total, d_output):
    total, gain, _ = np.split(total, 3, axis=-1)
    d_total = normalised_backward(total, d_output * gain)
    return np.concatenate([d_total, d_output * normalised(total), d_output], axis=-1)


def rms_norm(total):
    total, gain = np.split(total, 2, axis=-1)
    return gain * total / np.sqrt((total**2).mean(axis=-1, keepdims=True) + 1e-5)


def rms_norm_backward(total, d_output):
    total, gain = np.split(total, 2, axis=-1)
    root = np.sqrt((total**2).mean(axis=-1, keepdims=True) + 1e-5)
    d_normal = d_output * gain
    d_total = d_normal / root - total * (d_normal * total).mean(axis=-1, keepdims=True) / root**3
    return np.concatenate([d_total, d_output * total / root], axis=-1)


NORMS = {
    "layer_norm": (layer_norm, layer_norm_backward),
    "rms_norm": (rms_norm, rms_norm_backward),
}


def layer_norm_lstm(feedforward, recurrent, memory):
    """The output and the memory; then the gates' sums, and what the output gate shows of."""
    size = memory.shape[1]
    below, gain_below, gain_before, shift, c_gain, c_shift = np.split(
        feedforward, [4 * size, 8 * size, 12 * size, 16 * size, 17 * size], axis=-1
    )
    before = recurrent[:, : 4 * size]
    total = gain_below * normalised(below) + gain_before * normalised(before) + shift
    i, f, g, o = np.split(total, 4, axis=-1)
    memory = sigmoid(f) * memory + sigmoid(i) * np.tanh(g)
    squashed = np.tanh(c_gain * normalised(memory) + c_shift)
    return sigmoid(o) * squashed, memory, total, squashed


def layer_norm_lstm_backward(feedforward, recurrent, memory, d_output, d_memory):
    size = memory.shape[1]
    below, gain_below, gain_before, _, c_gain, _ = np.split(
        feedforward, [4 * size, 8 * size, 12 * size, 16 * size, 17 * size], axis=-1
    )
    before = recurrent[:, : 4 * size]
    _, new, total, squashed = layer_norm_lstm(feedforward, recurrent, memory)
    i, f, g, o = np.split(total, 4, axis=-1)
    i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
    d_shown = d_output * o * (1 - squashed**2)
    d_new = d_memory + normalised_backward(new, d_shown * c_gain)
    d_total = np.concatenate(
        [
            d_new * g * i * (1 - i), d_new * memory * f * (1 - f), d_new * i * (1 - g**2),
            d_output * squashed * o * (1 - o),
        ], axis=-1,
    )  # fmt: skip
    d_below = normalised_backward(below, d_total * gain_below)
    d_before = normalised_backward(before, d_total * gain_before)
    own = [
        d_total * normalised(below), d_total * normalised(before), d_total,
        d_shown * normalised(new), d_shown,
    ]  # fmt: skip
    d_feedforward = np.concatenate([d_below, *own], axis=-1)
    return d_feedforward, np.pad(d_before, ((0, 0), (0, 14 * size))), d_new * f


def product(feedforward, recurrent):
    return feedforward * recurrent


def product_backward(feedforward, recurrent, d_output):
    return d_output * recurrent, d_output * feedforward


def mogrifier(feedforward, recurrent):
    return 2 * sigmoid(recurrent) * feedforward


def mogrifier_backward(feedforward, recurrent, d_output):
    gate = sigmoid(recurrent)
    return d_output * 2 * gate, d_output * 2 * gate * (1 - gate) * feedforward


def integrated(feedforward, recurrent):
    """Multiplicative integration, with the heard sums first and then each gate's own two."""
    below, shift, last = np.split(feedforward, 3, axis=-1)
    return below * (np.split(recurrent, 3, axis=-1)[0] + shift) + last


def integrated_backward(feedforward, recurrent, d_total):
    below, shift, _ = np.split(feedforward, 3, axis=-1)
    d_before = d_total * below
    heard = np.split(recurrent, 3, axis=-1)[0]
    d_feedforward = np.concatenate([d_total * (heard + shift), d_before, d_total], axis=-1)
    return d_feedforward, np.pad(d_before, ((0, 0), (0, 2 * d_before.shape[1])))


def mi_tanh(feedforward, recurrent):
    return np.tanh(integrated(feedforward, recurrent))


def mi_tanh_backward(feedforward, recurrent, d_output):
    slope = 1 - mi_tanh(feedforward, recurrent) ** 2
    return integrated_backward(feedforward, recurrent, d_output * slope)


# Of two sums and no carry.
TWO_SUMS = {
    "product": (product, product_backward),
    "mogrifier": (mogrifier, mogrifier_backward),
    "mi_tanh": (mi_tanh, mi_tanh_backward),
}


def mi_lstm_backward(feedforward, recurrent, memory, d_output, d_memory):
    total = integrated(feedforward, recurrent)
    d_total, d_memory = lstm_backward(total, memory, d_output, d_memory)
    return *integrated_backward(feedforward, recurrent, d_total), d_memory


def mi_gru(feedforward, recurrent, previous):
    """The output, the reset gate and the recurrent sums with its effect."""
    size = previous.shape[1]
    reset = sigmoid(integrated(feedforward, recurrent)[:, :size])
    gated = recurrent.copy()
    gated[:, 2 * size : 3 * size] *= reset
    total = integrated(feedforward, gated)
    update, candidate = sigmoid(total[:, size : 2 * size]), np.tanh(total[:, 2 * size :])
    return update * previous + (1 - update) * candidate, reset, gated


def mi_gru_backward(feedforward, recurrent, previous, d_output):
    size = previous.shape[1]
    _, reset, gated = mi_gru(feedforward, recurrent, previous)
    _, update, candidate = np.split(integrated(feedforward, gated), 3, axis=-1)
    update, candidate = sigmoid(update), np.tanh(candidate)
    d_u = d_output * (previous - candidate) * update * (1 - update)
    d_c = d_output * (1 - update) * (1 - candidate**2)
    below = feedforward[:, 2 * size : 3 * size]
    d_r = d_c * below * recurrent[:, 2 * size : 3 * size] * reset * (1 - reset)
    d_total = np.concatenate([d_r, d_u, d_c], axis=-1)
    d_feedforward, d_recurrent = integrated_backward(feedforward, gated, d_total)
    d_recurrent[:, 2 * size : 3 * size] *= reset
    return d_feedforward, d_recurrent, d_output * update


# Cells whose output is their carry, and linear in it.
LINEAR = {
    "min_gru": (min_gru, min_gru_backward),
    "min_lstm": (min_lstm, min_lstm_backward),
    "rg_lru": (rg_lru, rg_lru_backward),
}


def cell_forward(name, feedforward, recurrent, carry):
    if name == "lstm":
        output, memory = lstm(feedforward + recurrent, *carry)
        return output, (memory,)
    if name == "layer_norm_lstm":
        output, memory, *_ = layer_norm_lstm(feedforward, recurrent, *carry)
        return output, (memory,)
    if name == "mi_lstm":
        output, memory = lstm(integrated(feedforward, recurrent), *carry)
        return output, (memory,)
    if name == "mi_gru":
        output, *_ = mi_gru(feedforward, recurrent, *carry)
        return output, (output,)
    if name in TWO_SUMS:
        return TWO_SUMS[name][0](feedforward, recurrent), ()
    if name in NORMS:
        return NORMS[name][0](feedforward + recurrent), ()
    if name in GRU:
        output = GRU[name][0](feedforward, recurrent, *carry)
        return output, (output,)
    if name in LINEAR:
        output = LINEAR[name][0](feedforward + recurrent, *carry)
        return output, (output, *map(np.ones_like, carry[1:]))
    return ACTIVATIONS[name][0](feedforward + recurrent), ()


def cell_backward(name, feedforward, recurrent, carry, d_output, d_carry):
    """Gradients of the feed-forward sum, the recurrent sum and the carry before the step."""
    if name == "lstm":
        d_total, d_memory = lstm_backward(feedforward + recurrent, *carry, d_output, *d_carry)
        return d_total, d_total, (d_memory,)
    if name == "layer_norm_lstm":
        d_ff, d_rec, d_memory = layer_norm_lstm_backward(
            feedforward, recurrent, *carry, d_output, *d_carry
        )
        return d_ff, d_rec, (d_memory,)
    if name == "mi_lstm":
        d_ff, d_rec, d_memory = mi_lstm_backward(feedforward, recurrent, *carry, d_output, *d_carry)
        return d_ff, d_rec, (d_memory,)
    if name == "mi_gru":
        d_ff, d_rec, d_previous = mi_gru_backward(
            feedforward, recurrent, *carry, d_output + d_carry[0]
        )
        return d_ff, d_rec, (d_previous,)
    if name in TWO_SUMS:
        return *TWO_SUMS[name][1](feedforward, recurrent, d_output), ()
    if name in NORMS:
        d_total = NORMS[name][1](feedforward + recurrent, d_output)
        return d_total, d_total, ()
    if name in GRU:
        d_ff, d_rec, d_previous = GRU[name][1](
            feedforward, recurrent, *carry, d_output + d_carry[0]
        )
        return d_ff, d_rec, (d_previous,)
    if name in LINEAR:
        total = feedforward + recurrent
        previous, *heard = carry
        d_total, d_previous = LINEAR[name][1](total, previous, d_output + d_carry[0], *heard)
        return d_total, d_total, (d_previous, *map(np.zeros_like, heard))
    activation, derivative = ACTIVATIONS[name]
    total = feedforward + recurrent
    d_total = d_output * derivative(total, activation(total))
    return d_total, d_total, ()


@dataclass
class Tape:
    """A chunk that was run forward, with what the backward pass needs."""

    network: Network
    params: dict[str, dict[str, np.ndarray]]
    resets: np.ndarray  # [time, batch]
    masks: dict[Connection, np.ndarray]  # [time, batch, source size]
    out: dict[str, dict[int, np.ndarray]]
    sums: dict[tuple[str, int], tuple[np.ndarray, np.ndarray]]
    carries: dict[tuple[str, int], tuple[np.ndarray, ...]]  # before the step
    carried: dict[tuple[str, int], tuple[np.ndarray, ...]]  # after it
    outputs: np.ndarray
    state: dict[str, LayerState]

    def visible(self, time: int, delay: int) -> np.ndarray:
        """1 in lanes without a reset since the outputs `delay` steps ago, else 0."""
        since = self.resets[max(time - delay + 1, 0) : time + 1]
        return 1.0 * ~since.any(axis=0)[:, None]

    def gain(self, connection: Connection, time: int) -> Any:
        """What the source's outputs are multiplied by before the matrix."""
        heard = self.masks[connection][time] if connection in self.masks else 1.0
        return heard * self.visible(time, connection.delay) if connection.delay else heard


def weighed(connection: Connection, source, params):
    """What a connection adds to its target's gates, of those that hear it."""
    weights = params[connection.target].get(f"{connection.source}@{connection.delay}")
    if connection.kind == "identity":
        return source
    if connection.kind == "diagonal":
        return np.concatenate([source] * (len(weights) // source.shape[1]), axis=-1) * weights
    return source @ weights


def weighed_backward(connection: Connection, source, delta, params):
    weights = params[connection.target].get(f"{connection.source}@{connection.delay}")
    size = source.shape[1]
    if connection.kind == "identity":
        return None, delta[:, :size]
    if connection.kind == "diagonal":
        gates = range(0, len(weights), size)
        d_weights = [(source * delta[:, g : g + size]).sum(axis=0) for g in gates]
        d_source = sum(weights[g : g + size] * delta[:, g : g + size] for g in gates)
        return np.concatenate(d_weights), d_source
    delta = delta[:, : weights.shape[1]]
    return source.T @ delta, delta @ weights.T


def beside_output(network: Network, name: str, carry: tuple) -> tuple:
    """What is carried but for the output."""
    return carry[network.layer(name).cell.carries_output :] if carry else ()


def in_order(network: Network) -> list[Layer]:
    """The layers, each after the sources of its delay-0 connections."""
    placed, waiting = ["input"], list(network.layers)
    ordered = []
    while waiting:
        for layer in waiting:
            into = [c for c in network.connections if c.target == layer.name and not c.delay]
            if all(c.source in placed for c in into):
                placed.append(layer.name)
                ordered.append(layer)
                waiting.remove(layer)
                break
    return ordered


def forward(network, params, state, inputs, resets=None, masks=None) -> Tape:
    time, batch = inputs.shape[:2]
    resets = np.zeros((time, batch), bool) if resets is None else np.asarray(resets)
    out = {"input": dict(enumerate(inputs))} | {layer.name: {} for layer in network.layers}
    for name, remembered in state.items():
        for k, past in enumerate(remembered.past, start=1):
            out[name][-k] = past
    tape = Tape(network, params, resets, masks or {}, out, {}, {}, {}, np.array(0), {})
    carry = {}
    for layer in network.layers:
        kept = state.get(layer.name, LayerState((), ()))
        carry[layer.name] = (*kept.past[: layer.cell.carries_output], *kept.carry)
    for t in range(time):
        for layer in in_order(network):
            width = layer.cell.gates * layer.size
            bias = params[layer.name].get("bias", np.zeros(0))
            feedforward = np.zeros((batch, width)) + np.pad(bias, (width - len(bias), 0))
            recurrent = np.zeros((batch, width))
            for c in network.connections:
                if c.target == layer.name:
                    heard = out[c.source][t - c.delay] * tape.gain(c, t)
                    heard = weighed(c, heard, params)
                    # A cell's own gates, the last ones, hear nothing.
                    heard = np.pad(heard, ((0, 0), (0, width - heard.shape[1])))
                    if c.delay:
                        recurrent = recurrent + heard
                    else:
                        feedforward = feedforward + heard
            before = tuple(x * ~resets[t][:, None] for x in carry[layer.name])
            tape.sums[layer.name, t] = feedforward, recurrent
            tape.carries[layer.name, t] = before
            out[layer.name][t], carry[layer.name] = cell_forward(
                layer.cell.name, feedforward, recurrent, before
            )
            tape.carried[layer.name, t] = carry[layer.name]
    tape.outputs = np.stack([out["output"][t] for t in range(time)])
    for name, remembered in state.items():
        delays = range(1, len(remembered.past) + 1)
        past = tuple(out[name][time - k] * tape.visible(time, k) for k in delays)
        tape.state[name] = LayerState(past, beside_output(network, name, carry.get(name, ())))
    return tape


def backward(tape: Tape, d_outputs, d_state):
    """Gradients of parameters, initial state and inputs, given those of outputs and final state."""
    network, params = tape.network, tape.params
    time = len(d_outputs)
    d_params = jax.tree.map(np.zeros_like, params)
    d_out: dict = defaultdict(float)  # by source and time step; 0 where nothing was added
    # A carry that is the output gets its gradient as the output.
    d_carry = {
        layer.name: (np.zeros(1),) * layer.cell.carries_output + d_state[layer.name].carry
        for layer in network.layers
        if layer.name in d_state
    }
    for t in range(time):
        d_out["output", t] += d_outputs[t]
    for name, state in d_state.items():
        for k, d_past in enumerate(state.past, start=1):
            d_out[name, time - k] += d_past * tape.visible(time, k)
    for t in reversed(range(time)):
        for layer in reversed(in_order(network)):
            name = layer.name
            d_ff, d_rec, d_before = cell_backward(
                layer.cell.name, *tape.sums[name, t], tape.carries[name, t],
                d_out[name, t] + np.zeros_like(tape.out[name][t]), d_carry.get(name, ()),
            )  # fmt: skip
            d_carry[name] = tuple(d * ~tape.resets[t][:, None] for d in d_before)
            if "bias" in d_params[name]:
                biased = d_params[name]["bias"].shape[0]
                d_params[name]["bias"] += d_ff.sum(axis=0)[-biased:]
            for c in network.connections:
                if c.target == name:
                    gain, delta = tape.gain(c, t), d_rec if c.delay else d_ff
                    source = tape.out[c.source][t - c.delay] * gain
                    d_weights, d_source = weighed_backward(c, source, delta, params)
                    if d_weights is not None:
                        d_params[name][f"{c.source}@{c.delay}"] += d_weights
                    d_out[c.source, t - c.delay] += d_source * gain
    for layer in network.layers:
        if layer.cell.carries_output:
            d_out[layer.name, -1] += d_carry[layer.name][0]
    d_initial = {
        name: LayerState(
            tuple(d_out[name, -k] + np.zeros_like(x) for k, x in enumerate(state.past, start=1)),
            beside_output(network, name, d_carry.get(name, ())),
        )
        for name, state in d_state.items()
    }
    d_inputs = [d_out["input", t] + np.zeros_like(tape.out["input"][t]) for t in range(time)]
    return d_params, d_initial, np.stack(d_inputs)


def one_hot(symbols, size: int) -> np.ndarray:
    return np.eye(size)[symbols]


def inner(a, b) -> float:
    """The sum of products of two pytrees' numbers."""
    return sum(jax.tree.leaves(jax.tree.map(lambda x, y: np.sum(x * y), a, b)), start=0.0)


def shifted(tree, direction, distance: float):
    return jax.tree.map(lambda x, d: x + distance * d, tree, direction)


def assert_close(actual, expected, tolerance: float = 1e-9) -> None:
    """One structure, one set of shapes and, within the tolerance, the same numbers."""
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)
