"""A problem: what is learned from, and how what was learned is judged."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from jaxtyping import Array, Float

from jaxrnn.core.checks import shown, whole_number
from jaxrnn.core.errors import InputError
from jaxrnn.core.network import Network
from jaxrnn.core.parameters import Params
from jaxrnn.learning import evaluation
from jaxrnn.learning.batch import Batch, stack
from jaxrnn.learning.loss import NATS, Measure


@dataclass(frozen=True, eq=False)
class Problem:
    """What any network can be trained on.

    Attributes:
      data: `(seed, step, lanes)` -> that training step's batch, NumPy arrays of those of its lanes
        that the slice selects: a pure function, so that a run can go on anywhere.
      batch: how many lanes there are in all.
      held_out: -> what is judged by, batches of one shape; the state is carried from each to the
        next, except where `resets` forget it.
      loss: is minimised.
      metric: is judged by; None: the loss.
      baseline: what the best answer reaches that knows nothing of the past, in the unit of what is
        judged by; None: unknown.
      counted: what a time step is called.
    """

    data: Callable[[int, int, slice], Batch]
    batch: int
    held_out: Callable[[], Iterable[Batch]]
    loss: Measure = NATS
    metric: Measure | None = None
    baseline: float | None = None
    counted: str = "time step"

    def __post_init__(self) -> None:
        for name in ("data", "held_out"):
            if not callable(getattr(self, name)):
                raise InputError(f"a problem's {name} is {shown(getattr(self, name))}, no function")
        for name, measure in (("loss", self.loss), ("metric", self.judged)):
            if not isinstance(measure, Measure):
                raise InputError(
                    f"a problem's {name} is {shown(measure)}; give a Measure, as "
                    "Measure(function, unit)"
                )
        if whole_number(self.batch, "a problem's batch") < 1:
            raise InputError(f"a problem's batch is {self.batch}; it must be at least 1 lane")

    @property
    def judged(self) -> Measure:
        """What is judged by."""
        return self.metric or self.loss

    def evaluate(self, network: Network, params: Params) -> float:
        """The mean over what is held out, in its unit, batch by batch."""
        measure = self.judged
        mean = evaluation.evaluate(network, params, self.held_out(), metric=measure.of)
        return measure.factor * mean

    def figure(self, network: Network) -> Callable[[Params], Float[Array, ""]]:
        """The same as a function that JAX can compile and map, with all batches at hand."""
        measure, batches = self.judged, stack(self.held_out())
        return lambda params: (
            measure.factor * evaluation.mean_metric(network, params, batches, measure.of)
        )
