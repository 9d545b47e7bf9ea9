"""Suite scale: characters a second against the number of devices.

Strong: one batch, spread over more devices. Weak: a batch for each device. Where a CPU has fewer
cores than devices they share them.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from experiments.benchmark.agreement import TOLERANCE, Disagreement
from experiments.benchmark.children import children
from experiments.benchmark.options import Options
from experiments.benchmark.peers import module_of
from experiments.benchmark.report import spread
from experiments.benchmark.shapes import Shape
from experiments.laboratory.plots import COLORS, figure, save
from experiments.laboratory.stopwatch import Spread, take_turns
from experiments.laboratory.tables import Table

BASE, BASE_QUICKLY = Shape("gru", (256, 256), 64, 50), Shape("gru", (8,), 4, 4)


def run(options: Options) -> list[dict[str, Any]]:
    base, counts = (BASE_QUICKLY, [1, 2]) if options.quick else (BASE, _device_counts())
    shapes = {("strong", n): base for n in counts}
    shapes |= {("weak", n): replace(base, batch=base.batch * n) for n in counts if n > 1}
    names = {f"{kind} {n}": (kind, n) for kind, n in shapes}
    options.say(f"spreading {base.name} over {', '.join(map(str, counts))} devices")
    with children(dict.fromkeys(names, module_of("jaxrnn"))) as started:
        for name, child in started.items():
            kind, n = names[name]
            child.ask("open_spread", shapes[kind, n], n)
        losses = {name: child.ask("losses", 2) for name, child in started.items()}
        for name, (kind, _) in names.items():
            if kind == "strong" and not np.allclose(losses[name], losses["strong 1"], TOLERANCE, 0):
                raise Disagreement(f"losses depend on the number of devices: {losses}")
        timers = {name: child.seconds_each for name, child in started.items()}
        seconds = take_turns(timers, options.rounds, options.seconds)
    speeds = {name: shapes[names[name]].characters / seconds[name] for name in names}
    records = []
    for name, (kind, n) in names.items():
        for scaling in ("strong", "weak") if n == 1 else (kind,):  # one device begins both
            records.append({
                "scaling": scaling,
                "devices": n,
                "shape": shapes[kind, n].name,
                "characters_per_second": Spread.of(speeds[name])._asdict(),
                "times_as_fast_as_one": Spread.of(speeds[name] / speeds["strong 1"])._asdict(),
            })  # fmt: skip
    return sorted(records, key=lambda record: (record["scaling"], record["devices"]))


def _device_counts() -> list[int]:
    """1, 2, 4, ... up to all local devices."""
    with children({"census": module_of("jaxrnn")}) as started:
        started["census"].ask("open_census")
        most = started["census"].ask("most")
    return [2**k for k in range(most.bit_length())]


def tables(records: list[dict[str, Any]]) -> list[Table]:
    table = Table(
        "Devices: median (10% to 90% of the rounds)",
        ["batch", "devices", "network", "characters/s", "times as fast as one"],
    )
    for record in records:
        each = "the same in all" if record["scaling"] == "strong" else "the same on each"
        table.rows.append([
            each,
            str(record["devices"]),
            record["shape"],
            spread(record["characters_per_second"], ",.0f"),
            spread(record["times_as_fast_as_one"]),
        ])  # fmt: skip
    return [table]


def draw(records: list[dict[str, Any]], folder: Path) -> None:
    """Speed-up against the number of devices."""
    picture, axes = figure(6, 3.8)
    for color, scaling in zip(COLORS, ("strong", "weak"), strict=False):
        own = [record for record in records if record["scaling"] == scaling]
        counts = [record["devices"] for record in own]
        speeds = [record["times_as_fast_as_one"]["median"] for record in own]
        axes.plot(counts, speeds, "o-", color=color, label=scaling)
    axes.set(xlabel="devices", ylabel="times as fast as one", xticks=counts)
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    save(picture, folder / "scale.png")
