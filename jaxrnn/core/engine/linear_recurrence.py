"""carry[t] = decay[t] * carry[t-1] + drive[t], elementwise: what needs no product in its loop.

A recurrence that is linear in its carry is a prefix sum (Blelloch 1990), and its deltas are one of
the same kind, backward. `lax.associative_scan` takes about 2 log2(time) passes over the chunk, one
after the other, where a loop takes as many as there are time steps; on a CPU a plain `lax.scan`
does less work, and is what runs there (`python -m experiments.benchmark --suite=choices
--only=linear`). Which is faster on accelerators has not been measured.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

Sequence = Float[Array, "time batch size"]
Initial = Float[Array, "batch size"]
Resets = Bool[Array, "time batch"]


def linear_recurrence(
    decay: Sequence,
    drive: Sequence,
    initial: Initial,
    resets: Resets | None = None,
    *,
    plain_autodiff: bool = False,
) -> Sequence:
    """The carry after every step.

    Where `resets` is true the carry before that step counts as 0, whatever it was: not finite, say.
    Deltas are carried back by the same recurrence, unless by `plain_autodiff`.
    """
    return (_carries if plain_autodiff else _by_rule)(decay, drive, initial, resets)


def _carries(decay: Sequence, drive: Sequence, initial: Initial, resets: Resets | None) -> Sequence:
    arguments = decay, drive, initial, resets
    if not isinstance(decay.shape[0], int):  # a symbol of `jax.export`
        return _in_a_loop(*arguments)
    return lax.platform_dependent(*arguments, cpu=_in_a_loop, default=_as_prefix_sum)


def _in_a_loop(
    decay: Sequence, drive: Sequence, initial: Initial, resets: Resets | None
) -> Sequence:
    def body(carry: Initial, x: tuple) -> tuple[Initial, Initial]:
        decay, drive, reset = x
        carry = decay * _unless(reset, carry) + drive
        return carry, carry

    return lax.scan(body, initial, (decay, drive, resets))[1]


def _as_prefix_sum(
    decay: Sequence, drive: Sequence, initial: Initial, resets: Resets | None
) -> Sequence:
    """Of steps (decay, drive, reset): one does what an early and a late one do in turn."""

    def join(early: tuple, late: tuple) -> tuple:
        forgets = None if late[2] is None else late[2][..., 0]
        decay = late[0] * _unless(forgets, early[0])
        drive = late[0] * _unless(forgets, early[1]) + late[1]
        return decay, drive, None if forgets is None else early[2] | late[2]

    first = None if resets is None else resets[0]
    drive = drive.at[0].add(decay[0] * _unless(first, initial))
    flags = None if resets is None else resets[..., None]
    return lax.associative_scan(join, (decay, drive, flags))[1]


def _forward(
    decay: Sequence, drive: Sequence, initial: Initial, resets: Resets | None
) -> tuple[Sequence, tuple]:
    carries = _carries(decay, drive, initial, resets)
    return carries, (decay, initial, resets, carries)


def _backward(residuals: tuple, carry_grads: Sequence) -> tuple:
    decay, initial, resets, carries = residuals
    flip = partial(jnp.flip, axis=0)

    def next_one(x: Array) -> Array:
        return jnp.concatenate([x[1:], jnp.zeros_like(x[:1])])

    later_resets = None if resets is None else flip(next_one(resets))
    deltas = flip(
        _carries(flip(next_one(decay)), flip(carry_grads), jnp.zeros_like(initial), later_resets)
    )
    before = _unless(resets, jnp.concatenate([initial[None], carries[:-1]]))
    first = None if resets is None else resets[0]
    return deltas * before, deltas, _unless(first, deltas[0] * decay[0]), None


def _unless(
    reset: Bool[Array, "*time batch"] | None, carry: Float[Array, "*time batch size"]
) -> Float[Array, "*time batch size"]:
    """Selected, not multiplied: 0 times what is not finite is not 0."""
    return carry if reset is None else jnp.where(reset[..., None], 0, carry)


_by_rule = jax.custom_vjp(_carries)
_by_rule.defvjp(_forward, _backward)
