"""A study: a question that many trials answer, declared as data and run as a program.

A study says what it tries and what it makes of that; flags, work directory, resuming and results
are the same for all. Its work directory holds

trials.jsonl        what each trial came to
results.json        settings, what the study makes of its trials, seconds of processor time
table.md            its table in Markdown
picture.png         its picture, and whatever pages it writes
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Any

from absl import flags

from experiments.laboratory.bench import Bench, Runs, open_bench
from experiments.laboratory.plots import save
from experiments.laboratory.tables import Column, Table
from jaxrnn.command_line.launch import group, launch
from jaxrnn.command_line.lists import define_list
from jaxrnn.storage.files import replace, to_json, user_path
from jaxrnn.text.reading.corpora import resolved

# All that a study is declared with.
__all__ = ["Bench", "Column", "Results", "Runs", "Study", "Table", "conduct", "find"]

Results = dict[str, Any]  # what results.json holds


@dataclass(frozen=True)
class Study:
    """What a study is.

    Attributes:
      name: of its module, and so of its work directory.
      question: what `--help` shows first: the module's docstring.
      full: sizes of all that it tries, as JSON holds them.
      quick: those that show in seconds that all works.
      trials: computes all there is to know; returns the least that the following need. They are
        made of the results, as `results.json` holds them, alone:
      table: what was found;
      answer: the question's answer, in a few sentences;
      draw: a matplotlib figure;
      pages: more files, from names to texts.
      seeds: how many the answer needs.
      corpus: whether it reads a text.
      options: flags of its own, strings: from names to what `--help` says.
    """

    name: str
    question: str | None
    full: Mapping[str, Any]
    quick: Mapping[str, Any]
    trials: Callable[[Bench], Mapping[str, Any]]
    table: Callable[[Results], Table]
    answer: Callable[[Results], str]
    draw: Callable[[Results], Any]
    _: KW_ONLY
    seeds: int
    pages: Callable[[Results], Mapping[str, str]] = lambda _: {}
    corpus: bool = True
    options: Mapping[str, str] = field(default_factory=dict)


def find(results: Results, **setting: Any) -> dict[str, Any]:
    """The row of a setting."""
    return next(row for row in results["summary"]["rows"] if setting.items() <= row.items())


def conduct(study: Study, argv: Sequence[str] | None = None) -> None:
    """The study as a program, which ends the process."""
    define_flags(study)
    launch(lambda: run(study), study.question or "", argv)


def define_flags(study: Study) -> None:
    """Those that every study has, and its own."""
    holders = [
        flags.DEFINE_string("workdir", None, f"Where the study is kept [runs/{study.name}]."),
        flags.DEFINE_boolean("quick", False, "A tiny size, which shows that all works."),
        flags.DEFINE_integer(
            "seeds", None, f"How many runs each setting gets [{study.seeds}; 2 with --quick].",
            lower_bound=1,
        ),
    ]  # fmt: skip
    if study.corpus:
        holders.append(define_list("corpus", ["shakespeare"], "Texts to read, as for training."))
    holders += [flags.DEFINE_string(name, None, text) for name, text in study.options.items()]
    group("The study", *holders)


def run(study: Study) -> int:
    """Runs what the flags ask for, or goes on with it; returns the exit code."""
    values = flags.FLAGS
    path = values.workdir or f"runs/{study.name}" + ("-quick" if values.quick else "")
    with open_bench(study.name, settings_of(study), user_path(path)) as bench:
        summary = study.trials(bench)
        results = {
            "experiment": study.name, "settings": bench.settings, "seconds": bench.seconds,
            "summary": summary,
        }  # fmt: skip
        publish(study, results, bench.workdir.path)
        bench.show(study.table(results), results["answer"])
    return 0


def settings_of(study: Study) -> dict[str, Any]:
    """All that decides the results: the sizes, and what the flags say."""
    values = flags.FLAGS
    seeds = values.seeds or (2 if values.quick else study.seeds)
    return {
        **({"corpus": list(resolved(values.corpus))} if study.corpus else {}),
        "seeds": list(range(seeds)),
        **{name: values[name].value for name in study.options},
        **(study.quick if values.quick else study.full),
    }


def publish(study: Study, results: Results, folder: Path) -> None:
    """Adds the answer to the results, and writes all that is made of them."""
    results["answer"] = study.answer(results)
    texts = {
        "results.json": to_json(results, indent=2, ensure_ascii=False),
        "table.md": study.table(results).markdown(),
        **study.pages(results),
    }
    for name, text in texts.items():
        replace(folder / name, f"{text.rstrip()}\n".encode())
    save(study.draw(results), folder / "picture.png")
