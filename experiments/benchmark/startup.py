"""Suite startup: how soon the main job trains, and how much of its time is not training.

The main job is launched as a person launches it, but for a clock around its training steps.
"""

import itertools
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from experiments.benchmark.options import Options
from experiments.benchmark.report import spread
from experiments.laboratory.plots import COLORS, figure, save
from experiments.laboratory.stopwatch import Spread
from experiments.laboratory.tables import Table

# A thread waits for each call's results, so that the loop goes on preparing the next call as it
# does without a clock. When it has seen enough calls, it ends the process at once.
MAIN_JOB = """
import os, sys, time
from concurrent.futures import ThreadPoolExecutor
import jax
from jaxrnn.command_line import train
from jaxrnn.command_line.launch import launch
from jaxrnn.learning import recipe

make, waiter, calls_left = recipe.make_training_steps, ThreadPoolExecutor(1), int(sys.argv.pop(1))

def wait(began, report):
    global calls_left
    jax.block_until_ready(report)
    print("call", began, time.perf_counter(), flush=True)
    calls_left -= 1
    if not calls_left:
        os._exit(0)

def make_clocked(*arguments, **options):
    training_steps = make(*arguments, **options)
    def clocked(*arguments):
        began = time.perf_counter()
        state, report = training_steps(*arguments)
        waiter.submit(wait, began, report)
        return state, report
    return clocked

recipe.make_training_steps = make_clocked
launch(train.main, "")
"""
LAUNCHES = 3  # with everything cached
CALLS = 50  # of ten steps each: as many as there are before the first checkpoint

Calls = list[tuple[float, float]]  # when each began and ended, in seconds


def run(options: Options) -> list[dict[str, Any]]:
    calls_each, launches = (2, 1) if options.quick else (CALLS, LAUNCHES)
    flags = ["--hidden=8", "--batch=4", "--chunk=8"] if options.quick else []
    with tempfile.TemporaryDirectory(prefix="jaxrnn-") as folder:
        options.say("launching the main job, with nothing cached")
        first, _ = _launch(Path(folder), "first", calls_each, flags)
        seconds, shares = [], []
        for i in range(launches):
            options.say(f"launching the main job again, for {10 * calls_each} steps")
            later, calls = _launch(Path(folder), f"later{i}", calls_each, flags)
            seconds.append(later)
            shares.append(outside(calls))
    return [
        {
            "seconds_to_first_call_with_nothing_cached": first,
            "seconds_to_first_call": Spread.of(seconds)._asdict(),
            "calls_of_ten_steps": calls_each,
            "share_outside_of_training_steps": Spread.of(shares)._asdict(),
        }
    ]


def _launch(folder: Path, name: str, count: int, flags: list[str]) -> tuple[float, Calls]:
    """Seconds until the first call of training steps was done, and all calls."""
    command = [sys.executable, "-c", MAIN_JOB, str(count), f"--workdir={folder / name}", *flags]
    environment = os.environ | {"JAXRNN_CACHE": str(folder / "cache")}
    calls: Calls = []
    first = 0.0
    began = time.perf_counter()
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("call "):
                first = first or time.perf_counter() - began
                _, start, end = line.split()
                calls.append((float(start), float(end)))
    if process.returncode:
        raise RuntimeError(f"the main job ended with code {process.returncode}")
    return first, calls


def outside(calls: Calls) -> float:
    """The share of the loop's time in which no call is at work, compilation left out."""
    pairs = itertools.pairwise(calls)
    inside = sum(end - max(start, before) for (_, before), (start, end) in pairs)
    return 1 - inside / (calls[-1][1] - calls[0][1])


def tables(records: list[dict[str, Any]]) -> list[Table]:
    (record,) = records
    table = Table("The main job, by default", ["what", "figure"])
    table.rows += [
        [
            "seconds from launch to the end of its first call (10 steps), nothing cached",
            f"{record['seconds_to_first_call_with_nothing_cached']:.1f}",
        ],
        ["the same, launched again", spread(record["seconds_to_first_call"], ".1f")],
        [
            f"share of the loop's time outside of its {10 * record['calls_of_ten_steps']} steps",
            spread(record["share_outside_of_training_steps"], ".1%"),
        ],
    ]
    return [table]


def draw(records: list[dict[str, Any]], folder: Path) -> None:
    """Seconds from launch."""
    (record,) = records
    picture, axes = figure(6, 2)
    seconds = (
        record["seconds_to_first_call_with_nothing_cached"],
        record["seconds_to_first_call"]["median"],
    )
    axes.barh(["nothing cached", "launched again"], seconds, color=COLORS[:2])
    axes.invert_yaxis()
    axes.set(xlabel="seconds from launch to the end of the first ten training steps")
    save(picture, folder / "startup.png")
