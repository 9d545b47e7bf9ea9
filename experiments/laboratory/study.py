"""A study: a question answered by many trials, each of which is computed once.

An experiment names its trials and computes each by a function; the study keeps what they return in
its work directory, shows progress, goes on where it was interrupted, and at the end writes

results.json        settings, what the experiment makes of its trials, seconds of processor time
table.md            its table in Markdown
picture.png         its picture
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import rich.console
import rich.progress
from absl import flags

from experiments.command_line.launch import group
from experiments.laboratory.plots import save
from experiments.laboratory.tables import Table, make_console
from jaxrnn.running.surroundings import surroundings
from jaxrnn.running.workdir import WorkDirectory, open_workdir
from jaxrnn.storage.files import user_path

Results = dict[str, Any]  # what results.json holds

flags.disclaim_key_flags()  # absl: flags that are defined here belong to the module that asks


def define_flags(name: str, *, seeds: int, corpus: bool = True) -> None:
    """Defines the flags that all experiments of this kind have.

    Args:
      name: of the experiment, and so of its work directory.
      seeds: how many seeds its answer needs.
      corpus: whether it reads a text.
    """
    holders = [
        flags.DEFINE_string("workdir", None, f"Where the study is kept [runs/{name}]."),
        flags.DEFINE_boolean("quick", False, "A tiny size, which shows that all works."),
        flags.DEFINE_integer(
            "seeds", None, f"How many runs each setting gets [{seeds}; 2 with --quick].",
            lower_bound=1,
        ),
    ]  # fmt: skip
    if corpus:
        holders.append(
            flags.DEFINE_list("corpus", ["shakespeare"], "Texts to read, as for char_lm.")
        )
    group("The study", *holders)
    _defaults[name] = seeds


_defaults: dict[str, int] = {}


class Study:
    """A work directory's trials. Made by `open_study`, which holds the lock."""

    def __init__(
        self, name: str, settings: Mapping[str, Any], workdir: WorkDirectory, trials: int
    ) -> None:
        self.name, self.settings, self.workdir = name, settings, workdir
        self.console = make_console()
        known = workdir.records("trials.jsonl", trial=str, seconds=(int, float))
        self._known = {record["trial"]: record for record in known}
        self._count, self._done, self._seconds, self._computed = trials, 0, 0.0, 0
        self._bar = rich.progress.Progress(
            rich.progress.TextColumn("{task.completed}/{task.total}"),
            rich.progress.BarColumn(),
            rich.progress.TextColumn("{task.description}"),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self._task = self._bar.add_task("", total=trials)
        if self._known:
            self.console.print(f"Going on after {len(self._known)} of {trials} trials.")

    def trial(self, name: str, compute: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
        """What `compute` returns, as JSON holds it; it is called only if that is not yet known.

        What is not finite becomes None.
        """
        self._done += 1
        self._count = max(self._count, self._done)
        if name not in self._known:
            if not self._computed and (said := self._note_surroundings()):
                self.console.print(said, markup=False)
            self._bar.update(self._task, description=f"{name} {self._left()}")
            began, used = time.monotonic(), time.process_time()
            record = {"trial": name, **compute()}
            seconds = time.monotonic() - began
            record["seconds"] = round(time.process_time() - used, 2)
            self._known[name] = self.workdir.append("trials.jsonl", record)
            self._seconds, self._computed = self._seconds + seconds, self._computed + 1
            if self._bar.disable:
                self.console.print(
                    f"[{self._done}/{self._count}] {name}: {seconds:.1f} s{self._left()}",
                    markup=False,
                )
        self._bar.update(self._task, completed=self._done, total=self._count)
        return self._known[name]

    def conclude(
        self,
        summary: Mapping[str, Any],
        *,
        table: Callable[[Results], Table],
        answer: Callable[[Results], str],
        draw: Callable[[Results], Any],
    ) -> int:
        """Writes and shows what came out; returns the exit code.

        Args:
          summary: what the experiment makes of its trials, the least that the rest needs.
          table: made from the results, as `results.json` holds them, alone; so are
          answer: the question's answer, in a sentence or two; and
          draw: a matplotlib figure.
        """
        seconds = sum(record["seconds"] for record in self._known.values())
        results = {
            "experiment": self.name,
            "settings": dict(self.settings),
            "seconds": round(seconds, 1),
            "summary": dict(summary),
        }
        results["answer"] = answer(results)
        shown = table(results)
        self.workdir.write_json("results.json", results)
        self.workdir.write_text("table.md", shown.markdown() + "\n")
        save(draw(results), self.workdir.path / "picture.png")
        self._bar.stop()
        shown.show(self.console)
        self.console.print(f"{results['answer']}\n", markup=False, soft_wrap=True)
        self.console.print(
            f"{seconds:,.0f} s of processor time. Everything is in {self.workdir.path}: "
            "results.json, table.md, picture.png.",
            soft_wrap=True,
        )
        return 0

    def _note_surroundings(self) -> str | None:
        return self.workdir.note_surroundings(len(self._known), surroundings())

    def _left(self) -> str:
        if not self._computed:
            return ""
        left = (self._count - self._done) * self._seconds / self._computed
        return f", about {left / 60:.0f} min left" if left >= 90 else f", about {left:.0f} s left"


@contextlib.contextmanager
def open_study(name: str, settings: Mapping[str, Any], trials: int) -> Iterator[Study]:
    """Opens the work directory that the flags name, made anew or of the same settings.

    Args:
      name: of the experiment, as given to `define_flags`.
      settings: all that decides the results.
      trials: how many there will be, as far as one can tell.
    """
    values = flags.FLAGS
    path = values.workdir or f"runs/{name}" + ("-quick" if values.quick else "")
    config = {"experiment": name, **settings}
    with open_workdir(user_path(path), config, changeable=()) as workdir:
        study = Study(name, settings, workdir, trials)
        with study._bar:
            yield study


def seeds_of(name: str) -> tuple[int, ...]:
    """The seeds that the flags ask for."""
    values = flags.FLAGS
    return tuple(range(values.seeds or (2 if values.quick else _defaults[name])))
