"""The built-in cells' formulas, as published: what each makes of its sums and its carry."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Gates = tuple[Float[Array, "*time batch size"], ...]
Carry = tuple[Float[Array, "*time batch size"], ...]
Output = tuple[Float[Array, "*time batch size"], Carry]

EPSILON = 1e-5  # added to a variance before it divides, as in PyTorch


def lstm(sums: Gates, carry: Carry) -> Output:
    """Hochreiter and Schmidhuber 1997, with the forget gate of Gers and others 2000."""
    input_gate, forget_gate, candidate, output_gate = sums
    (memory,) = carry
    memory = jax.nn.sigmoid(forget_gate) * memory + jax.nn.sigmoid(input_gate) * jnp.tanh(candidate)
    return jax.nn.sigmoid(output_gate) * jnp.tanh(memory), (memory,)


def gru(feedforward: Gates, recurrent: Gates, carry: Carry) -> Output:
    """Cho and others 2014 (v1 of the paper): the reset gate multiplies the recurrent sum."""
    (previous,) = carry
    reset_gate = jax.nn.sigmoid(feedforward[0] + recurrent[0])
    update_gate = jax.nn.sigmoid(feedforward[1] + recurrent[1])
    candidate = jnp.tanh(feedforward[2] + reset_gate * recurrent[2])
    output = update_gate * previous + (1 - update_gate) * candidate
    return output, (output,)


def gru_recurrent_bias(feedforward: Gates, recurrent: Gates, carry: Carry) -> Output:
    """The GRU of cuDNN, PyTorch and Flax: the candidate's recurrent sum has a bias of its own.

    That bias, b_hn in PyTorch, is the own gate; the reset gate multiplies it too.
    """
    *heard, bias = feedforward
    return gru(tuple(heard), (*recurrent[:2], recurrent[2] + bias), carry)


def layer_norm(sums: Gates, carry: Carry) -> Output:
    """Ba, Kiros and Hinton 2016, Layer normalization, equation 4; no activation follows."""
    total, gain, shift = sums
    (normal,) = _normalised((total,))
    return gain * normal + shift, carry


def rms_norm(sums: Gates, carry: Carry) -> Output:
    """Zhang and Sennrich 2019, Root mean square layer normalization, equation 4."""
    total, gain = sums
    square = jnp.mean(jnp.square(total), axis=-1, keepdims=True)
    return gain * total * jax.lax.rsqrt(square + EPSILON), carry


def layer_norm_lstm(feedforward: Gates, recurrent: Gates, carry: Carry) -> Output:
    """Ba, Kiros and Hinton 2016, Layer normalization, equations 20 to 22.

    Three sums are normalised, each with a gain of its own: that of the feed-forward connections and
    that of the delayed ones, all four gates of each together, and the memory, on its way to the
    output but not to the next step. Shifts are added to the gates, after both, and to the memory.
    There is no bias within the first sum as published: give the layer bias=False.
    """
    below, before = _normalised(feedforward[:4]), _normalised(recurrent)
    gains_below, gains_before, shifts = feedforward[4:8], feedforward[8:12], feedforward[12:16]
    memory_gain, memory_shift = feedforward[16:]
    gates = zip(gains_below, below, gains_before, before, shifts, strict=True)
    sums = tuple(a * x + b * y + shift for a, x, b, y, shift in gates)
    input_gate, forget_gate, candidate, output_gate = sums
    (memory,) = carry
    memory = jax.nn.sigmoid(forget_gate) * memory + jax.nn.sigmoid(input_gate) * jnp.tanh(candidate)
    (normal,) = _normalised((memory,))
    return jax.nn.sigmoid(output_gate) * jnp.tanh(memory_gain * normal + memory_shift), (memory,)


def _normalised(sums: Gates) -> Gates:
    """Brought to mean 0 and variance 1, over the units of all of them."""
    row = jnp.concatenate(sums, axis=-1)
    centred = row - row.mean(axis=-1, keepdims=True)
    variance = jnp.square(centred).mean(axis=-1, keepdims=True)
    normal = centred * jax.lax.rsqrt(variance + EPSILON)
    return tuple(jnp.split(normal, len(sums), axis=-1))


def product(feedforward: Gates, recurrent: Gates, carry: Carry) -> Output:
    """What multiplicative RNNs put between a step and the next: (W x) * (U h).

    Sutskever, Martens and Hinton 2011, Generating text with recurrent neural networks.
    """
    (below,), (before,) = feedforward, recurrent
    return below * before, carry


def mogrifier(feedforward: Gates, recurrent: Gates, carry: Carry) -> Output:
    """Melis, Kocisky and Blunsom 2020, Mogrifier LSTM, equation 1: 2 sigmoid(Q h) * x."""
    (below,), (before,) = feedforward, recurrent
    return 2 * jax.nn.sigmoid(before) * below, carry


def mi_tanh(feedforward: Gates, recurrent: Gates, carry: Carry) -> Output:
    """The simple recurrent network of Wu and others 2016, by multiplicative integration."""
    return jnp.tanh(_integrated(feedforward, *recurrent)), carry


def mi_lstm(feedforward: Gates, recurrent: Gates, carry: Carry) -> Output:
    """The LSTM of Wu and others 2016, by multiplicative integration in each gate."""
    sums = (_integrated(feedforward[gate::4], heard) for gate, heard in enumerate(recurrent))
    return lstm(tuple(sums), carry)


def mi_gru(feedforward: Gates, recurrent: Gates, carry: Carry) -> Output:
    """The GRU of Wu and others 2016; its reset gate multiplies the recurrent sum, as in `gru`."""
    (previous,) = carry
    reset_gate = jax.nn.sigmoid(_integrated(feedforward[0::3], recurrent[0]))
    update_gate = jax.nn.sigmoid(_integrated(feedforward[1::3], recurrent[1]))
    candidate = jnp.tanh(_integrated(feedforward[2::3], reset_gate * recurrent[2]))
    output = update_gate * previous + (1 - update_gate) * candidate
    return output, (output,)


def _integrated(feedforward: Gates, recurrent: jax.Array) -> jax.Array:
    """Wu and others 2016, On multiplicative integration with recurrent neural networks.

    Published is alpha * (W x) * (U h) + beta1 * (U h) + beta2 * (W x) + b. With alpha in W this is
    (W x + beta1) * (U h + beta2) + (b - beta1 * beta2), of fewer parameters and less work: beta1 is
    the bias of the feed-forward sum, and the own gates are beta2 and what is added last.
    """
    below, shift, last = feedforward
    return below * (recurrent + shift) + last


def min_gru(sums: Gates) -> tuple[jax.Array, jax.Array]:
    """Feng and others 2024, Were RNNs all we needed?, section 3.1."""
    update_gate, candidate = sums
    return jax.nn.sigmoid(-update_gate), jax.nn.sigmoid(update_gate) * candidate


def min_lstm(sums: Gates) -> tuple[jax.Array, jax.Array]:
    """Feng and others 2024, section 3.2: f / (f + i) and i / (f + i) of f and i in (0, 1)."""
    input_gate, forget_gate, candidate = sums
    # log f - log i, without a quotient of two small numbers.
    keep = jax.nn.softplus(-input_gate) - jax.nn.softplus(-forget_gate)
    return jax.nn.sigmoid(keep), jax.nn.sigmoid(-keep) * candidate


def rg_lru(sums: Gates) -> tuple[jax.Array, jax.Array]:
    """De and others 2024, Griffin, section 2.4: a real-gated linear recurrent unit.

    What they feed to it, the sum of a linear layer, is one of the gates here. As in their code
    (recurrentgemma), the first step of a sequence is not scaled down, and the root's slope is
    bounded.
    """
    recurrence_gate, _, _, retention = sums
    log_decay = -8.0 * jax.nn.sigmoid(recurrence_gate) * jax.nn.softplus(-retention)
    room = _root(-jnp.expm1(2 * log_decay))  # of 1 - decay**2
    return jnp.exp(log_decay), room * rg_lru_first(sums)


def rg_lru_first(sums: Gates) -> jax.Array:
    _, input_gate, value, _ = sums
    return jax.nn.sigmoid(input_gate) * value


@jax.custom_jvp
def _root(x: jax.Array) -> jax.Array:
    """The square root, with a slope of at most 1000."""
    return jnp.sqrt(x)


@_root.defjvp
def _root_jvp(primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> tuple[jax.Array, jax.Array]:
    (x,), (tangent,) = primals, tangents
    return _root(x), tangent / jnp.sqrt(jnp.maximum(4 * x, 1e-6))


def retentions(size: int) -> jax.Array:
    """sigmoid(bias) ** 8, the decay of a unit whose gate is open, evenly from 0.9 to 0.999."""
    decay = jnp.linspace(0.9, 0.999, size) ** (1 / 8)
    return jnp.log(decay) - jnp.log1p(-decay)
