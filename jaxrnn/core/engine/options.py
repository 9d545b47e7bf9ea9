"""How a network is run, whatever is run: types, segments, and which of two ways to one result."""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp

from jaxrnn.core.checks import whole_number
from jaxrnn.core.errors import InputError


@dataclass(frozen=True)
class Options:
    """How a network is run; hashable, and static under `jit`.

    Attributes:
      compute_dtype: of the operands of matrix products, forward and backward, of all connections
        alike: bfloat16, say; by default that of the parameters. Whatever is added up, carried or
        returned keeps the type `state_dtype(params)`.
      segment: run the chunk in segments of so many steps, which takes less memory and one more
        forward pass under `jax.grad`; 0: in one piece; None: in segments of 128 steps from a chunk
        of 1024 on. Each segment draws its own dropout masks, unless they are locked.
      plain_autodiff: differentiate by JAX alone, instead of by the engine's own rule for BPTT, in
        which weight gradients are one product over the chunk. Slower; for `jax.jvp` and higher
        derivatives.
      stepwise: run all layers together, one time step at a time, instead of taking products that do
        not recur out of the time loop. Slower; the definition, to compare with.

    Raises:
      InputError: a type that is none, or a segment of a negative length.
    """

    compute_dtype: Any = None
    segment: int | None = None
    plain_autodiff: bool = False
    stepwise: bool = False

    def __post_init__(self) -> None:
        if self.compute_dtype is not None:
            try:
                dtype = jnp.dtype(self.compute_dtype)
            except TypeError:
                raise InputError(
                    f"compute_dtype is {self.compute_dtype!r}; give a type, as bfloat16"
                ) from None
            object.__setattr__(self, "compute_dtype", dtype)
        if self.segment is not None:
            object.__setattr__(self, "segment", whole_number(self.segment, "the segment"))
            if self.segment < 0:
                raise InputError(
                    f"the segment is {self.segment} steps long; give at least 1, or 0 for no cuts"
                )
