"""Suite growth: how time, memory and compile time grow with chunk, hidden size, batch and depth.

One of them at a time, from one small LSTM. The exponent is that of the power of the size that fits
best: 1 means twice as much for twice the size, 0 means no growth. Memory is what XLA plans for a
step: parameters, optimiser, data and everything that the backward pass needs.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import jaxrnn
from experiments.benchmark.children import Child, children
from experiments.benchmark.options import Options
from experiments.benchmark.peers import module_of
from experiments.benchmark.report import spread
from experiments.benchmark.shapes import Shape
from experiments.laboratory.plots import COLORS, figures, save
from experiments.laboratory.stopwatch import Spread, take_turns
from experiments.laboratory.tables import Table

BASE = Shape("lstm", (128,), 16, 64)
SIZES = {
    "chunk": (16, 64, 256, 1024, 4096),
    "hidden": (32, 64, 128, 256, 512),
    "batch": (4, 16, 64, 256),
    "depth": (1, 2, 4, 8),
}
SIZES_QUICKLY = {"chunk": (2, 4)}
LONG, LONG_QUICKLY = Shape("lstm", (256, 256), 16, 4096), Shape("lstm", (8,), 2, 64)
LONG_CHUNK = "long chunk"
FIGURES = {
    "milliseconds": "ms a step",
    "megabytes": "memory, MB",
    "compile_seconds": "compiling, s",
}
MOST_ROUNDS = 7  # the exponents need no more


def run(options: Options) -> list[dict[str, Any]]:
    module = module_of("compiled_steps")
    records = []
    with children({"steps": module}) as started:
        for axis, sizes in (SIZES_QUICKLY if options.quick else SIZES).items():
            options.say(f"growing: {axis} {sizes[0]} to {sizes[-1]}")
            records += _grow(axis, sizes, started["steps"], options)
    # Whether a long chunk is cut into segments; never, and as jaxrnn chooses by itself.
    variants: dict[str, dict[str, Any]] = {
        "whole": {"options": jaxrnn.Options(segment=0)}, "in segments": {}
    }  # fmt: skip
    with children(dict.fromkeys(variants, module)) as started:
        records += _long_chunk(variants, started, options)
    return records


def _grow(
    axis: str, sizes: tuple[int, ...], child: Child, options: Options
) -> list[dict[str, Any]]:
    shapes = [_shape(axis, size) for size in sizes]
    child.ask("open_steps", shapes, {})
    facts = child.ask("facts")
    timers = {str(i): partial(child.ask, "seconds_of", i) for i in range(len(shapes))}
    seconds = take_turns(timers, min(options.rounds, MOST_ROUNDS), options.seconds / 2)
    return [
        {
            "axis": axis,
            "size": size,
            "shape": shape.name,
            "milliseconds": Spread.of(1e3 * seconds[str(i)])._asdict(),
            **facts[i],
        }
        for i, (size, shape) in enumerate(zip(sizes, shapes, strict=True))
    ]


def _shape(axis: str, size: int) -> Shape:
    if axis == "hidden":
        return replace(BASE, hidden=(size,))
    if axis == "depth":
        return replace(BASE, hidden=BASE.hidden * size)
    return replace(BASE, **{axis: size})


def _long_chunk(
    variants: dict[str, dict[str, Any]], started: dict[str, Child], options: Options
) -> list[dict[str, Any]]:
    shape = LONG_QUICKLY if options.quick else LONG
    options.say(f"a long chunk: {shape.name}")
    floors = {}
    for name, child in started.items():
        child.ask("open_steps", [shape], variants[name])
        floors[name] = child.ask("peak_megabytes")
    timers = {name: child.seconds_each for name, child in started.items()}
    seconds = take_turns(timers, min(options.rounds, 3), options.seconds)
    return [
        {
            "axis": LONG_CHUNK,
            "size": name,
            "shape": shape.name,
            "milliseconds": Spread.of(1e3 * seconds[name])._asdict(),
            "times_as_long_as_whole": Spread.of(seconds[name] / seconds["whole"])._asdict(),
            **child.ask("facts")[0],
            "resident_megabytes_before": floors[name],
            "resident_megabytes": child.ask("peak_megabytes"),
        }
        for name, child in started.items()
    ]


def tables(records: list[dict[str, Any]]) -> list[Table]:
    grown = Table(
        f"Growth from {BASE.name}: a training step",
        ["what grows", "to", *FIGURES.values()],
    )
    for axis, own in _by_axis(records).items():
        for record in own:
            grown.rows.append([
                axis,
                f"{record['size']:,}",
                spread(record["milliseconds"]),
                f"{record['megabytes']:,.1f}",
                f"{record['compile_seconds']:.2f}",
            ])  # fmt: skip
        grown.rows.append(
            [f"{axis}: exponent", "", *(f"{exponent(own, figure):.2f}" for figure in FIGURES)]
        )
    variants = [record for record in records if record["axis"] == LONG_CHUNK]
    long = Table(
        f"A long chunk: {variants[0]['shape']}",
        ["chunk", "ms a step", "times the whole's", "planned, MB", "peak of the process, MB"],
    )
    for record in variants:
        long.rows.append([
            record["size"],
            spread(record["milliseconds"], ",.0f"),
            f"{record['times_as_long_as_whole']['median']:.2f}",
            f"{record['megabytes']:,.0f}",
            f"{record['resident_megabytes']:,.0f} "
            f"({record['resident_megabytes_before']:,.0f} before the first step)",
        ])  # fmt: skip
    return [grown, long]


def exponent(records: list[dict[str, Any]], name: str) -> float:
    """Of the power law of the size that fits a figure best, in logarithms."""
    sizes = [record["size"] for record in records]
    return float(np.polyfit(np.log(sizes), np.log([_value(r, name) for r in records]), 1)[0])


def draw(records: list[dict[str, Any]], folder: Path) -> None:
    """Each figure against each size, both as multiples of the smallest."""
    picture, panels = figures(11, 3.8, len(FIGURES))
    for axes, (name, label) in zip(panels, FIGURES.items(), strict=True):
        for color, (axis, own) in zip(COLORS, _by_axis(records).items(), strict=False):
            axes.plot(
                [record["size"] / own[0]["size"] for record in own],
                [_value(record, name) / _value(own[0], name) for record in own],
                "o-", ms=4, color=color, label=f"{axis} (exponent {exponent(own, name):.2f})",
            )  # fmt: skip
        scale = "linear" if name == "compile_seconds" else "log"  # what hardly grows has no power
        axes.set(xscale="log", yscale=scale, title=label, xlabel="times the size")
        axes.legend(frameon=False, fontsize=8)
    panels[0].set_ylabel("times as much")
    save(picture, folder / "growth.png")


def _by_axis(records: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Those that grow, from the smallest up."""
    axes = dict.fromkeys(record["axis"] for record in records if record["axis"] != LONG_CHUNK)
    return {axis: [record for record in records if record["axis"] == axis] for axis in axes}


def _value(record: dict[str, Any], name: str) -> float:
    value = record[name]
    return value["median"] if isinstance(value, dict) else value
