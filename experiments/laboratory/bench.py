"""Where a study's trials are computed, each of them once.

What a trial comes to is kept in the study's work directory: a study that was interrupted goes on
with the first trial that is not there.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import rich.progress

from experiments.laboratory.divergence import finals
from experiments.laboratory.replicas import CUT, RATES, train_replicas, tune
from experiments.laboratory.statistics import listed
from experiments.laboratory.tables import Table, make_console
from jaxrnn import Network, Params
from jaxrnn.learning.problem import Problem
from jaxrnn.learning.recipe import Recipe
from jaxrnn.running.opening import open_workdir
from jaxrnn.running.surroundings import surroundings
from jaxrnn.running.workdir import WorkDirectory
from jaxrnn.text import EncodedText, Vocabulary, encode_corpus, open_corpus
from jaxrnn.text.problem import text_problem


class Runs(NamedTuple):
    """What the runs of one setting, one from each seed, came to.

    Attributes:
      record: of the trial: the learning `rate`, what was `tried` to find it, pairs of a rate and
        its figure, a curve of each run (`Curve`), and whatever else was asked for.
    """

    record: dict[str, Any]

    @property
    def rate(self) -> float:
        return self.record["rate"]

    @property
    def steps(self) -> list[int]:
        """After which all runs were evaluated."""
        return self.record["curves"][0]["steps"]

    @property
    def figures(self) -> list[float | None]:
        """The last of each run; None: it diverged."""
        curves = self.record["curves"]
        return finals((curve["valid"] for curve in curves), curves[0]["baseline"])

    @property
    def mean_curve(self) -> list[float | None]:
        """The mean of the runs that did not diverge; empty if all did."""
        pairs = zip(self.record["curves"], self.figures, strict=True)
        ended = [curve["valid"] for curve, figure in pairs if figure is not None]
        return listed(np.mean(np.array(ended, float), axis=0), 4) if ended else []


class Bench:
    """The trials of a study. Made by `open_bench`.

    Attributes:
      settings: all that decides the results.
      seconds: of processor time that all trials took.
    """

    workdir: WorkDirectory

    def __init__(
        self, name: str, settings: Mapping[str, Any], path: Path, stack: contextlib.ExitStack
    ) -> None:
        self.settings = dict(settings)
        self._name, self._path, self._stack = name, path, stack
        self._console = make_console()
        self._known: dict[str, dict[str, Any]] = {}
        self._count = self._done = self._computed = 0
        self._elapsed = 0.0

    @property
    def seeds(self) -> list[int]:
        return self.settings["seeds"]

    @property
    def seconds(self) -> float:
        return round(sum(record["seconds"] for record in self._known.values()), 1)

    def text(self, vocabulary: Vocabulary | None = None) -> EncodedText:
        """The text that the flags name."""
        return encode_corpus(open_corpus(self.settings["corpus"]), vocabulary=vocabulary)

    def reading(self, text: EncodedText, *, batch: int, chunk: int) -> Problem:
        """To predict the text, of which so much is read as the settings say (`train`, `valid`)."""
        train = text.train[: self.settings.get("train")]
        valid = text.valid[: self.settings["valid"]]
        return text_problem(train, valid, batch=batch, chunk=chunk, cut=CUT)

    def begin(self, trials: int) -> None:
        """Opens the work directory; what can be refused should have been.

        Args:
          trials: how many there will be, as far as one can tell.
        """
        config = {"experiment": self._name, **self.settings}
        self.workdir = self._stack.enter_context(open_workdir(self._path, config))
        records = self.workdir.records("trials.jsonl", trial=str, seconds=(int, float))
        self._known = {record["trial"]: record for record in records}
        self._count = trials
        bar = rich.progress.Progress(
            rich.progress.TextColumn("{task.completed}/{task.total}"),
            rich.progress.BarColumn(),
            rich.progress.TextColumn("{task.description}"),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._bar = self._stack.enter_context(bar)
        self._task = self._bar.add_task("", total=trials)
        if self._known:
            self._console.print(f"Going on after {len(self._known)} of {trials} trials.")

    def trial(self, name: str, compute: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
        """What `compute` returns, as JSON holds it; it is called only if that is not yet known.

        What is not finite becomes None. A trial that went on from what an interrupted study left
        says how many seconds that had taken (`seconds_before`).
        """
        self._done += 1
        self._count = max(self._count, self._done)
        if name not in self._known:
            if not self._computed:
                self._note_surroundings()
            self._bar.update(self._task, description=f"{name} {self._left()}")
            began, used = time.monotonic(), time.process_time()
            record = {"trial": name, **compute()}
            seconds = time.monotonic() - began
            used = time.process_time() - used + record.get("seconds_before", 0.0)
            record["seconds"] = round(used, 2)
            self._known[name] = self.workdir.append("trials.jsonl", record)
            self._elapsed, self._computed = self._elapsed + seconds, self._computed + 1
            if self._bar.disable:
                self._console.print(
                    f"[{self._done}/{self._count}] {name}: {seconds:.1f} s{self._left()}",
                    markup=False,
                )
        self._bar.update(self._task, completed=self._done, total=self._count)
        return self._known[name]

    def train(
        self,
        name: str,
        network: Network,
        recipe: Recipe,
        problem: Problem,
        *,
        rate: float | None = None,
        rates: Sequence[float] | None = None,
        slack: float = 0.0,
        steps: int | None = None,
        evaluations: int | None = None,
        solved: float | None = None,
        after: Callable[[int, Params], None] | None = None,
        also: Callable[[Params], Mapping[str, Any]] = lambda _: {},
    ) -> Runs:
        """A trial: the network trained from every seed, at the learning rate that suits it.

        That is found by short runs. How long they and the others are, and how often those are
        evaluated, is among the settings: `steps`, `evaluations`, `tuning_steps`, `moves`, `rates`.

        Args:
          name: of the trial.
          network: what is trained.
          recipe: how.
          problem: what it learns; it must have a baseline.
          rate: the learning rate, if it is known.
          rates: where tuning looks first, if not where the settings say.
          slack: as for `tune`.
          steps: how many, if not as many as the settings say.
          evaluations: how many, likewise.
          solved: as for `train_replicas`.
          after: likewise.
          also: what else is recorded of the parameters of all runs, stacked.
        """
        sizes, seeds = self.settings, self.seeds
        assert problem.baseline is not None

        def compute() -> dict[str, Any]:
            found, tried = rate, []
            if found is None:
                found, tried = tune(
                    network, recipe, problem, steps=sizes["tuning_steps"], moves=sizes["moves"],
                    rates=rates or sizes.get("rates", RATES), slack=slack,
                )  # fmt: skip
            curves, params = train_replicas(
                network, recipe, problem, seeds, [found] * len(seeds),
                steps=steps or sizes["steps"],
                evaluations=evaluations or sizes["evaluations"], solved=solved, after=after,
            )  # fmt: skip
            return {
                "rate": found,
                "tried": [[curve.rate, curve.valid[-1]] for curve in tried],
                "curves": [curve._asdict() for curve in curves],
                **also(params),
            }

        return Runs(self.trial(name, compute))

    def show(self, table: Table, answer: str) -> None:
        """Shows what came out, when all is done."""
        self._bar.stop()
        table.show(self._console)
        self._console.print(f"{answer}\n", markup=False, soft_wrap=True)
        self._console.print(
            f"{self.seconds:,.0f} s of processor time. Everything is in {self.workdir.path}: "
            "results.json, table.md, picture.png.",
            soft_wrap=True,
        )

    def _note_surroundings(self) -> None:
        if said := self.workdir.begin(len(self._known), surroundings()):
            self._console.print(said, markup=False)

    def _left(self) -> str:
        if not self._computed:
            return ""
        left = (self._count - self._done) * self._elapsed / self._computed
        return f", about {left / 60:.0f} min left" if left >= 90 else f", about {left:.0f} s left"


@contextlib.contextmanager
def open_bench(name: str, settings: Mapping[str, Any], path: Path) -> Iterator[Bench]:
    """A study's bench; at the end it closes the work directory.

    Args:
      name: of the study.
      settings: all that decides the results; a work directory of other ones is refused.
      path: of the work directory, made anew or gone on with.
    """
    with contextlib.ExitStack() as stack:
        yield Bench(name, settings, path, stack)
