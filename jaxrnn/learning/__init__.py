"""Problems, how networks learn them, and how they are judged."""

from jaxrnn.learning.batch import Batch
from jaxrnn.learning.evaluation import evaluate
from jaxrnn.learning.loss import (
    ACCURACY,
    BITS_PER_CHARACTER,
    NATS,
    SQUARED_ERROR,
    Measure,
    cross_entropy,
    squared_error,
)
from jaxrnn.learning.problem import Problem
from jaxrnn.learning.recipe import Recipe

__all__ = [
    "ACCURACY",
    "BITS_PER_CHARACTER",
    "NATS",
    "SQUARED_ERROR",
    "Batch",
    "Measure",
    "Problem",
    "Recipe",
    "cross_entropy",
    "evaluate",
    "squared_error",
]
