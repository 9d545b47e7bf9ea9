"""Finite POMDPs as data: reading them, beliefs, and what an agent can reach in them."""

from jaxrnn.pomdp.bounds import Bounds, bound_value
from jaxrnn.pomdp.memoryless import Memoryless, best_memoryless
from jaxrnn.pomdp.model import POMDP
from jaxrnn.pomdp.reader import parse_pomdp, read_pomdp

__all__ = [
    "POMDP",
    "Bounds",
    "Memoryless",
    "best_memoryless",
    "bound_value",
    "parse_pomdp",
    "read_pomdp",
]
