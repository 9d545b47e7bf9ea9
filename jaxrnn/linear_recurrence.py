"""carry[t] = decay[t] * carry[t-1] + drive[t], elementwise: what needs no loop.

A recurrence that is linear in its carry is a prefix sum (Blelloch 1990), and its deltas are one of
the same kind, backward. `lax.associative_scan` takes log2(time) passes over all time steps at once,
which is what accelerators are good at; on two CPU cores a plain `lax.scan` is 2.3 times as fast
(forward and backward: 1.9 against 4.4 ms at 50 steps of 50 x 256, 31 against 86 ms at 1024 of
16 x 256).
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

Sequence = Float[Array, "time batch size"]
Initial = Float[Array, "batch size"]


def linear_recurrence(
    decay: Sequence, drive: Sequence, initial: Initial, *, deferred: bool = True
) -> Sequence:
    """The carry after every step.

    With `deferred`, deltas are carried back by the same recurrence; otherwise by plain autodiff.
    """
    return (_deferred if deferred else _carries)(decay, drive, initial)


def _carries(decay: Sequence, drive: Sequence, initial: Initial) -> Sequence:
    return lax.platform_dependent(decay, drive, initial, cpu=_in_a_loop, default=_as_prefix_sum)


def _in_a_loop(decay: Sequence, drive: Sequence, initial: Initial) -> Sequence:
    def body(carry: Initial, x: tuple[Initial, Initial]) -> tuple[Initial, Initial]:
        carry = x[0] * carry + x[1]
        return carry, carry

    return lax.scan(body, initial, (decay, drive))[1]


def _as_prefix_sum(decay: Sequence, drive: Sequence, initial: Initial) -> Sequence:
    def join(early: tuple, late: tuple) -> tuple:
        return late[0] * early[0], late[0] * early[1] + late[1]

    drive = drive.at[0].add(decay[0] * initial)
    return lax.associative_scan(join, (decay, drive))[1]


def _forward(decay: Sequence, drive: Sequence, initial: Initial) -> tuple[Sequence, tuple]:
    carries = _carries(decay, drive, initial)
    return carries, (decay, initial, carries)


def _backward(residuals: tuple, carry_grads: Sequence) -> tuple[Sequence, Sequence, Initial]:
    decay, initial, carries = residuals
    flip = partial(jnp.flip, axis=0)
    later = jnp.concatenate([decay[1:], jnp.zeros_like(decay[:1])])
    deltas = flip(_carries(flip(later), flip(carry_grads), jnp.zeros_like(initial)))
    before = jnp.concatenate([initial[None], carries[:-1]])
    return deltas * before, deltas, deltas[0] * decay[0]


_deferred = jax.custom_vjp(_carries)
_deferred.defvjp(_forward, _backward)
