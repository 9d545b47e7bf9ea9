"""Random keys by name: what one thing draws never depends on how much another one drew.

`split` and `fold_in` of one key can give the same keys, so a key that is used for two purposes is
first derived for each of them by name.
"""

import hashlib

import jax
import numpy as np
from jaxtyping import PRNGKeyArray


def derive(key: PRNGKeyArray, *names: str) -> PRNGKeyArray:
    """The key of what these names name, from the general to the particular."""
    for name in names:
        digest = hashlib.sha256(name.encode()).digest()
        for start in (0, 4):  # 64 bits of it: `fold_in` takes 32 at a time
            key = jax.random.fold_in(key, int.from_bytes(digest[start : start + 4], "little"))
    return key


def generator(seed: int, number: int, purpose: str) -> np.random.Generator:
    """NumPy's random numbers for one of many draws: of a step, say, with none drawn before it.

    Seed and number are Philox's key, so each is at least 0 and below 2^64. The purpose is the half
    of its counter that no draw comes to: two purposes never share a number.
    """
    digest = hashlib.sha256(purpose.encode()).digest()
    counter = np.frombuffer(bytes(16) + digest[:16], "<u8").astype(np.uint64)
    return np.random.Generator(
        np.random.Philox(key=np.array([seed, number], np.uint64), counter=counter)
    )
