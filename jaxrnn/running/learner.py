"""What the training loop runs: a network on a problem, or whatever else learns in steps."""

from collections.abc import Callable
from typing import Any, NamedTuple

from jaxrnn.core.parameters import Params
from jaxrnn.learning.loss import Measure
from jaxrnn.learning.training import Report


class Counted(NamedTuple):
    """What a step counts, and in what its loss and an evaluation are said.

    Attributes:
      name: what is counted, one of them, as "character".
      per_step: how many a training step takes.
      loss: what steps report; its function is not called here.
      judged: what evaluations find; likewise.
      where: what they judge by, in words.
    """

    name: str
    per_step: int
    loss: Measure
    judged: Measure
    where: str = "on the validation split"


class Learner(NamedTuple):
    """Whatever learns in steps; the loop knows its state as a pytree only.

    Attributes:
      start: -> the state before the first step.
      steps: `(state, data, keys, rates) -> (state, report)`: as many steps as there are keys. The
        state is donated.
      data: a step's number -> what it learns from, a pytree of NumPy arrays `[time, lanes, ...]`,
        this process's own lanes; the steps get several, stacked along a new first axis.
      learned: of a state, what is evaluated.
      evaluate: -> the figure by which it is judged, in its unit.
      shardings: where the state lies, a prefix of its tree.
      counted: what is counted, and how it is called.
      knows: whether it has learned something before its first step, so that it is evaluated then.
    """

    start: Callable[[], Any]
    steps: Callable[..., tuple[Any, Report]]
    data: Callable[[int], Any]
    learned: Callable[[Any], Params]
    evaluate: Callable[[Params], float]
    shardings: Any
    counted: Counted
    knows: bool = False
