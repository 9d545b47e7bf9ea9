"""Suite sample: characters a second that a network writes, from one stream of text and from many.

jaxrnn by `jaxrnn.text.sampling.write`; torch by one call of its module per character.
"""

from pathlib import Path
from typing import Any

import numpy as np

from experiments.benchmark.agreement import check_logits
from experiments.benchmark.children import children
from experiments.benchmark.options import Options
from experiments.benchmark.peers import module_of
from experiments.benchmark.report import spread
from experiments.benchmark.shapes import SYMBOLS, WRITTEN, WRITTEN_QUICKLY
from experiments.laboratory.plots import COLORS, figure, save
from experiments.laboratory.stopwatch import Spread, take_turns
from experiments.laboratory.tables import Table

STREAMS, STREAMS_QUICKLY = (1, 64), (2,)
PEERS = ("torch",)  # the others would need a loop of one's own


def run(options: Options) -> list[dict[str, Any]]:
    shapes = options.chosen(WRITTEN_QUICKLY if options.quick else WRITTEN)
    names = ["jaxrnn", *(peer for peer in options.peers if peer in PEERS)]
    prime = np.random.default_rng(0).integers(0, SYMBOLS, 16)
    records = []
    with children({name: module_of(name) for name in names}) as started:
        for shape in shapes:
            for streams in STREAMS_QUICKLY if options.quick else STREAMS:
                options.say(f"writing with {shape.network_name}, {streams} at once")
                params = None
                for child in started.values():
                    child.ask("open_writer", shape, params, streams, prime)
                    params = started["jaxrnn"].ask("start_params")
                logits = {name: child.ask("logits") for name, child in started.items()}
                check_logits(shape, logits)
                timers = {name: child.seconds_each for name, child in started.items()}
                seconds = take_turns(timers, options.rounds, options.seconds)
                speeds = {
                    name: child.ask("characters") / seconds[name] for name, child in started.items()
                }
                records += [
                    {
                        "network": shape.network_name,
                        "streams": streams,
                        "contender": name,
                        "characters_per_second": Spread.of(speed)._asdict(),
                        "jaxrnn_is_times_as_fast": Spread.of(speeds["jaxrnn"] / speed)._asdict(),
                    }
                    for name, speed in speeds.items()
                ]
    return records


def tables(records: list[dict[str, Any]]) -> list[Table]:
    table = Table(
        "Writing: median (10% to 90% of the rounds)",
        ["network", "streams", "contender", "characters/s", "jaxrnn's speed over it"],
    )
    for record in records:
        is_ours = record["contender"] == "jaxrnn"
        table.rows.append([
            record["network"],
            str(record["streams"]),
            record["contender"],
            spread(record["characters_per_second"], ",.0f"),
            "" if is_ours else spread(record["jaxrnn_is_times_as_fast"]),
        ])  # fmt: skip
    return [table]


def draw(records: list[dict[str, Any]], folder: Path) -> None:
    """Characters a second, on a logarithmic axis."""
    names = list(dict.fromkeys(record["contender"] for record in records))
    cases = list(dict.fromkeys((record["network"], record["streams"]) for record in records))
    picture, axes = figure(7, 0.8 + 0.55 * len(cases))
    for k, name in enumerate(names):
        own = [record for record in records if record["contender"] == name]
        heights = [i + (k + 0.5) / len(names) * 0.8 - 0.4 for i in range(len(own))]
        speeds = [record["characters_per_second"]["median"] for record in own]
        axes.barh(heights, speeds, 0.7 / len(names), color=COLORS[k], label=name)
    axes.set_yticks(
        range(len(cases)), [f"{network}, {streams} at once" for network, streams in cases]
    )
    axes.invert_yaxis()
    axes.set(xlabel="characters a second", xscale="log")
    axes.legend(frameon=False)
    save(picture, folder / "sample.png")
