"""Acting: one step at a time in several places at once, each of which may begin anew at any step.

An agent sees a place's first observation with its memory forgotten, in that lane alone. Learning
from what it saw runs the same steps as one chunk.
"""

import jax
import numpy as np

from jaxrnn import init, initial_state, stacked, step, unroll

OBSERVED, ACTIONS, TIME, PLACES = 3, 2, 12, 4
POLICY = stacked(OBSERVED, [16], ACTIONS, "gru")


def main() -> None:
    params, state = init(POLICY, jax.random.key(0)), initial_state(POLICY, PLACES)
    rng = np.random.default_rng(0)
    seen = rng.normal(size=(TIME, PLACES, OBSERVED)).astype(np.float32)
    begins = rng.random((TIME, PLACES)) < 0.2  # whether this observation is a place's first
    act = jax.jit(lambda state, seen, begins: step(POLICY, params, state, seen, resets=begins))
    preferred = []
    for observations, first in zip(seen, begins, strict=True):
        logits, state = act(state, observations, first)
        preferred.append(logits)

    whole, after = unroll(POLICY, params, initial_state(POLICY, PLACES), seen, resets=begins)
    np.testing.assert_allclose(np.stack(preferred), whole, atol=1e-6)
    np.testing.assert_allclose(state["hidden1"].past[0], after["hidden1"].past[0], atol=1e-6)
    print(f"{TIME} steps in {PLACES} places with {begins.sum()} resets: stepped as in one chunk")


if __name__ == "__main__":
    main()
