"""Measures jaxrnn: against its peers, against the machine's limit, and as the work grows.

train: a training step; sample: writing; growth: larger networks and longer chunks; corpus: larger
texts; scale: more devices; startup: the main job's first seconds, and what its loop adds to its
steps; choices: what the engine's own choices gain.
"""

from types import ModuleType

import rich.console
from absl import flags

from experiments.benchmark import (
    choices,
    corpus,
    growth,
    peers,
    report,
    sample,
    scale,
    startup,
    train,
)
from experiments.benchmark.options import Options
from experiments.laboratory.tables import make_console
from jaxrnn.command_line.launch import group, launch
from jaxrnn.command_line.lists import define_list
from jaxrnn.core.errors import InputError
from jaxrnn.storage.files import user_path

SUITES: dict[str, ModuleType] = {
    "train": train, "sample": sample, "growth": growth, "corpus": corpus, "scale": scale,
    "startup": startup, "choices": choices,
}  # fmt: skip

SUITE = define_list("suite", list(SUITES), "What to measure.")
PEERS = define_list(
    "peers", None, f"Libraries to compare with: {', '.join(peers.PACKAGES)}, or none [all that are"
    " installed]."
)  # fmt: skip
ONLY = flags.DEFINE_string("only", "", "Leave of the networks those with this in their names.")
REPETITIONS = flags.DEFINE_integer(
    "repetitions", 15, "Rounds, in each of which every contender gives one figure.", lower_bound=1
)
MEGABYTES = define_list("megabytes", [20, 200], "Sizes of the texts to encode.", int)
QUICK = flags.DEFINE_boolean("quick", False, "Tiny sizes: shows that all works, and no more.")
OUTPUT = flags.DEFINE_string("output", None, "Write benchmark.json and pictures to this folder.")

group("What is measured", SUITE, PEERS, ONLY)
group("How", REPETITIONS, MEGABYTES, QUICK, OUTPUT)


def main() -> int:
    console = make_console()
    suites = chosen("suite", SUITE.value, list(SUITES))
    with console.status("starting") as status:
        options = Options(
            peers=tuple(chosen_peers(console)),
            rounds=3 if QUICK.value else REPETITIONS.value,
            seconds=0.02 if QUICK.value else 0.3,
            only=ONLY.value,
            quick=QUICK.value,
            megabytes=megabytes(),
            say=lambda text: status.update(f"{text} ..."),
        )
        folder = user_path(OUTPUT.value) if OUTPUT.value else None
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        machine, measured = report.machine(), {}
        for name in suites:
            measured[name] = SUITES[name].run(options)
            for table in SUITES[name].tables(measured[name]):
                table.show(console)
            if folder is not None:
                SUITES[name].draw(measured[name], folder)
                report.write({"machine": machine, "quick": options.quick, **measured}, folder)
    return 0


def chosen_peers(console: rich.console.Console) -> list[str]:
    """All that are installed, or those asked for."""
    installed = peers.installed()
    if PEERS.value is None:
        missing = [peer for peer in peers.PACKAGES if peer not in installed]
        if missing:
            console.print(
                f"Left out, as not installed: {', '.join(missing)} (requirements-benchmark.txt)."
            )
        return installed
    if PEERS.value == ["none"]:
        return []
    for peer in chosen("peers", PEERS.value, list(peers.PACKAGES)):
        if peer not in installed:
            raise InputError(
                f"--peers has '{peer}', which is not installed; install what "
                "requirements-benchmark.txt lists, or leave it out"
            )
    return PEERS.value


def megabytes() -> tuple[int, ...]:
    for size in MEGABYTES.value:
        if size < 1:
            raise InputError(f"--megabytes has {size} where a whole number above 0 is expected")
    return tuple(MEGABYTES.value)


def chosen(flag: str, names: list[str], known: list[str]) -> list[str]:
    for name in names:
        if name not in known:
            raise InputError(f"--{flag} has '{name}'; it can have {', '.join(known)}")
    return names


if __name__ == "__main__":
    launch(main, __doc__ or "")
