"""What a person chose, in a form that every suite takes."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from experiments.benchmark.shapes import Shape
from jaxrnn.core.errors import InputError


@dataclass(frozen=True)
class Options:
    """For all suites.

    Attributes:
      peers: the libraries to compare with.
      rounds: how many figures each contender gives.
      seconds: how long a contender runs for one figure.
      only: leaves of the networks those whose names have this in them.
      quick: tiny sizes, which show that all works and nothing else.
      megabytes: sizes of the texts to encode.
      say: tells whoever waits what is being done.
    """

    peers: tuple[str, ...]
    rounds: int
    seconds: float
    only: str
    quick: bool
    megabytes: tuple[int, ...]
    say: Callable[[str], None]

    def chosen(self, shapes: Iterable[Shape]) -> list[Shape]:
        shapes = list(shapes)
        found = [shape for shape in shapes if self.only.lower() in shape.name.lower()]
        if not found:
            raise InputError(
                f"--only={self.only} is in the name of no network; they are "
                f"{'; '.join(shape.name for shape in shapes)}"
            )
        return found
