"""Random keys by name: what one thing draws never depends on how much another one drew.

`split` and `fold_in` of one key can give the same keys, so a key that is used for two purposes is
first derived for each of them by name.
"""

import hashlib

import jax
from jaxtyping import PRNGKeyArray


def derive(key: PRNGKeyArray, *names: str) -> PRNGKeyArray:
    """The key of what these names name, from the general to the particular."""
    for name in names:
        digest = hashlib.sha256(name.encode()).digest()
        for start in (0, 4):  # 64 bits of it: `fold_in` takes 32 at a time
            key = jax.random.fold_in(key, int.from_bytes(digest[start : start + 4], "little"))
    return key
