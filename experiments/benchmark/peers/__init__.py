"""The other libraries, each as its own documentation recommends to write it.

A module here has one function for training, `open(shape, params, data)`, which makes a contender
that also has `losses(count)`: of that many training steps from the start. Peers take one-hot
input, which for them is the way to the same function.
"""

import importlib.util

PACKAGES = {"torch": "torch", "flax": "flax", "haiku": "haiku"}  # peer -> what is imported


def installed() -> list[str]:
    return [peer for peer, package in PACKAGES.items() if importlib.util.find_spec(package)]


def module_of(contender: str) -> str:
    return f"{__name__}.with_{contender}"
