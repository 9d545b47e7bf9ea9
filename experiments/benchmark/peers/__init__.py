"""The other libraries, each as its own documentation recommends to write it.

A module here has `open_trainer(shape, params, data)`, which makes a contender that has also
`losses(count)`, of that many training steps from the start. Peers take one-hot input, which for
them is the way to the same function. Some have `open_writer(shape, params, streams, prime)`
too, which reads a prime text; its contender has `logits()` of what follows the prime text, and
`characters()`: how many one run writes.
"""

import importlib.util

PACKAGES = {"torch": "torch", "flax": "flax", "haiku": "haiku"}  # peer -> what is imported


def installed() -> list[str]:
    return [peer for peer, package in PACKAGES.items() if importlib.util.find_spec(package)]


def module_of(contender: str) -> str:
    return f"{__name__}.with_{contender}"
