"""Suite train: one training step, of jaxrnn and of its peers, and how far it is from the limit.

A step is forward, backward, clipping by the global norm and Adam, in float32, with the state
carried from chunk to chunk.
"""

from pathlib import Path
from typing import Any

from experiments.benchmark import agreement
from experiments.benchmark.children import Child, ask_all, children
from experiments.benchmark.options import Options
from experiments.benchmark.peers import module_of
from experiments.benchmark.report import spread
from experiments.benchmark.shapes import TRAINED, TRAINED_QUICKLY, Shape, random_data
from experiments.laboratory.plots import COLORS, figure, save
from experiments.laboratory.stopwatch import Spread, take_turns
from experiments.laboratory.tables import Table

PLAIN = "plain_scan"  # the contender where no peer can take part
LIMIT = "matrix_products"


def run(options: Options) -> list[dict[str, Any]]:
    shapes = options.chosen(TRAINED_QUICKLY if options.quick else TRAINED)
    names = ["jaxrnn", *options.peers, PLAIN, LIMIT]
    records = []
    with children({name: module_of(name) for name in names}) as started:
        options.say("looking for the largest rate of matrix products")
        started[LIMIT].ask("open_product")
        for shape in shapes:
            options.say(f"training {shape.name}")
            others = options.peers if shape.is_plain else (PLAIN,)
            contenders = {name: started[name] for name in ("jaxrnn", *others)}
            records += _measure(shape, contenders, started[LIMIT], options)
    return records


def _measure(
    shape: Shape, contenders: dict[str, Child], limit: Child, options: Options
) -> list[dict[str, Any]]:
    data = random_data(shape)
    contenders["jaxrnn"].ask("open_trainer", shape, None, data)
    params = contenders["jaxrnn"].ask("start_params")
    others = {name: child for name, child in contenders.items() if name != "jaxrnn"}
    ask_all(others, "open_trainer", shape, params, data)
    losses = ask_all(contenders, "losses", agreement.STEPS)
    agreement.check_losses(shape, params, data, losses)
    timers = {name: child.seconds_each for name, child in (*contenders.items(), (LIMIT, limit))}
    seconds = take_turns(timers, options.rounds, options.seconds)
    rate = limit.ask("operations_each") / seconds[LIMIT]
    return [
        {
            "shape": shape.name,
            "contender": name,
            "is_variant": agreement.is_variant(name, shape),
            "loss_of_first_step": losses[name][0],
            "milliseconds": Spread.of(1e3 * seconds[name])._asdict(),
            "characters_per_second": Spread.of(shape.characters / seconds[name])._asdict(),
            "jaxrnn_is_times_as_fast": Spread.of(seconds[name] / seconds["jaxrnn"])._asdict(),
            "share_of_limit": Spread.of(shape.operations / seconds[name] / rate)._asdict(),
            "limit_gflops": Spread.of(rate / 1e9)._asdict(),
        }
        for name in contenders
    ]


def tables(records: list[dict[str, Any]]) -> list[Table]:
    table = Table(
        "Training step: median (10% to 90% of the rounds)",
        ["network", "contender", "ms a step", "characters/s", "jaxrnn's speed over it", "limit"],
    )
    shape = None
    for record in records:
        is_ours = record["contender"] == "jaxrnn"
        ratio = record["jaxrnn_is_times_as_fast"]
        table.rows.append([
            "" if record["shape"] == shape else record["shape"],
            record["contender"].replace("_", " ") + "*" * record["is_variant"],
            spread(record["milliseconds"]),
            f"{record['characters_per_second']['median']:,.0f}",
            "" if is_ours else spread(ratio),
            f"{record['share_of_limit']['median']:.0%}",
        ])  # fmt: skip
        shape = record["shape"]
    rates = [record["limit_gflops"]["median"] for record in records]
    table.notes.append(
        "limit: the share of the largest rate of matrix products, measured in turn "
        f"({min(rates):,.0f} to {max(rates):,.0f} GFLOP/s)"
    )
    if any(record["is_variant"] for record in records):
        table.notes.append("*another variant, whose reset gate acts before the recurrent product")
    return [table]


def draw(records: list[dict[str, Any]], folder: Path) -> None:
    """Characters a second of every contender, as multiples of jaxrnn's."""
    shapes = list(dict.fromkeys(record["shape"] for record in records))
    names = list(dict.fromkeys(record["contender"] for record in records))
    picture, axes = figure(8, 0.5 + 0.75 * len(shapes))
    height = 0.8 / max(sum(record["shape"] == shape for record in records) for shape in shapes)
    for i, shape in enumerate(shapes):
        for k, record in enumerate(r for r in records if r["shape"] == shape):
            ratio, name = record["jaxrnn_is_times_as_fast"], record["contender"]
            speed = 1 / ratio["median"]
            errors = [[speed - 1 / ratio["high"]], [1 / ratio["low"] - speed]]
            axes.barh(
                i + (k + 0.5) * height - 0.4, speed, 0.9 * height, xerr=errors,
                color=COLORS[names.index(name)], error_kw={"lw": 0.8},
            )  # fmt: skip
            axes.text(0.01, i + (k + 0.5) * height - 0.4, name.replace("_", " "), va="center",
                      fontsize=7)  # fmt: skip
    axes.set_yticks(range(len(shapes)), shapes)
    axes.invert_yaxis()
    axes.set(xlabel="training speed, jaxrnn = 1")
    save(picture, folder / "train.png")
