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
from jaxrnn.learning.training import make_training_steps, start

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
    "make_training_steps",
    "squared_error",
    "start",
]
