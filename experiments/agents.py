"""Which memory does an agent need, and how far back must its gradients reach?

Agents learn by recurrent PPO, from equally many steps each, in tasks in which what was seen earlier
decides what is right now: a T-maze, the card shown three cards before, the tiger problem. Their
memories: none; the last observations, actions and rewards, by connections with delays; a plain tanh
layer; IRNN; GRU; LSTM; two cells without a loop, with two layers; and for the cards a graph that
does what is asked, one connection with the right delay. A run has solved its task once the return
of fresh episodes reaches 95% of the best possible.

In the T-maze a GRU also learns with shorter rollouts, through which gradients flow less far back,
from equally many steps an update.
"""

from typing import Any

import jax
import numpy as np

from experiments.laboratory.agents import AgentSettings, make_network, usual_settings
from experiments.laboratory.plots import COLORS, figures
from experiments.laboratory.statistics import Interval, mean_of
from experiments.laboratory.study import Bench, Results, Study, Table, conduct
from experiments.laboratory.tasks.catalogue import Task, task
from jaxrnn import Network
from jaxrnn.acting import train_agent
from jaxrnn.acting.environments import size_of
from jaxrnn.acting.training import JUDGED, play_seeds
from jaxrnn.core.parameters import Params

SOLVED = 0.95  # of the ceiling
MEMORIES: dict[str, dict[str, Any]] = {
    "none": {"memory": False, "cell": "tanh"},
    "last 4": {"memory": False, "cell": "tanh", "delays": (1, 2, 3, 4)},
    "tanh": {"cell": "tanh"},
    "IRNN": {"cell": "relu", "recurrent_initializer": "identity"},
    "gru": {"cell": "gru"},
    "lstm": {"cell": "lstm"},
    "min_gru": {"cell": "min_gru", "layers": 2},
    "rg_lru": {"cell": "rg_lru", "layers": 2},
}
DELAY = "delay 3"  # the graph that does what the cards ask for
FULL = {
    "tasks": [
        {"task": "tmaze", "length": 10, "steps": 300_000, "entropy": 0.01},
        {"task": "repeat_previous_easy", "length": None, "steps": 300_000, "entropy": 0.01},
        {"task": "tiger", "length": None, "steps": 300_000, "entropy": 0.05},
    ],
    "learning_rate": 2.5e-3,
    "memories": [*MEMORIES, DELAY],
    "units": 64,  # of a layer
    "rollouts": [4, 8, 16, 32], "update": 2048,  # steps in all lanes
    "evaluations": 20, "episodes": 500,
}  # fmt: skip
QUICK = {
    "tasks": [
        {"task": "tmaze", "length": 1, "steps": 2000, "entropy": 0.01},
        {"task": "repeat_previous_easy", "length": None, "steps": 2000, "entropy": 0.01},
    ],
    "learning_rate": 2.5e-3,
    "memories": ["none", DELAY], "units": 8, "rollouts": [4], "update": 256,
    "evaluations": 2, "episodes": 8,
}  # fmt: skip


def trials(bench: Bench) -> dict[str, Any]:
    sizes = bench.settings
    settings = [
        (one, memory) for one in sizes["tasks"] for memory in sizes["memories"]
        if memory != DELAY or one["task"].startswith("repeat_previous")
    ]  # fmt: skip
    first = sizes["tasks"][0]
    bench.begin(len(settings) + len(sizes["rollouts"]))
    rows = [train(bench, one, memory) for one, memory in settings]
    cut = [
        train(bench, first, "gru", rollout=rollout, lanes=sizes["update"] // rollout)
        for rollout in sizes["rollouts"]
    ]
    return {"rows": rows, "rollouts": cut}


def train(bench: Bench, one: dict[str, Any], memory: str, **others: int) -> dict[str, Any]:
    """All seeds of an agent in a task."""
    chosen = task(one["task"], one["length"])
    sizes = bench.settings
    settings, network = contender(
        one, chosen, memory, sizes["units"], learning_rate=sizes["learning_rate"], **others
    )
    said = "".join(f", {name} {value}" for name, value in others.items())

    def compute() -> dict[str, Any]:
        returns: list[list[float]] = []

        def judge(params: Params) -> float:
            played = play_seeds(
                network, params, chosen.place, settings.ppo, jax.random.key(JUDGED),
                episodes=bench.settings["episodes"], watched=chosen.watched,
            )  # fmt: skip
            returns.append(chosen.returns(played).mean(axis=1).tolist())
            return float(np.mean(returns[-1]))

        fitted = train_agent(
            network, chosen.place, settings.ppo, steps=settings.steps, seeds=bench.seeds,
            judge=judge, evaluations=bench.settings["evaluations"],
        )  # fmt: skip
        per_step = settings.ppo.lanes * settings.ppo.rollout
        return {
            "steps": [step * per_step for step, _ in fitted.figures],
            "returns": np.transpose(returns).tolist(),
            "seconds": fitted.progress.seconds / len(bench.seeds),
            "stopped": fitted.reason,
        }

    record = bench.trial(f"{chosen.name}, {memory}{said}", compute)
    low, high = chosen.ceiling() or (None, None)
    return {
        "task": chosen.name, "memory": memory, **others, "parameters": network.parameter_count,
        "ceiling": [low, high], "memoryless": chosen.memoryless(),
        "ends": [curve[-1] for curve in record["returns"]],
        "solved_after": [first_at(record["steps"], c, SOLVED * low) for c in record["returns"]]
        if low is not None else [None] * len(record["returns"]),
        "seconds": round(record["seconds"], 1), "steps": record["steps"],
        "curve": np.mean(record["returns"], axis=0).tolist(),
    }  # fmt: skip


def contender(
    one: dict[str, Any], chosen: Task, memory: str, units: int, **others: float
) -> tuple[AgentSettings, Network]:
    """How an agent with such a memory learns, and its network."""
    settings = usual_settings(chosen).but(**one, **others)
    if memory == DELAY:
        size = size_of(chosen.place.observations)
        return settings, Network(
            {"observation": size}, [("policy", size, "linear"), ("value", 1, "linear")],
            [("observation", "policy", 3), ("observation", "value", 3)],
            outputs=("policy", "value"),
        )  # fmt: skip
    said = dict(MEMORIES[memory])
    settings = settings.but(hidden=(units,) * said.pop("layers", 1), **said)
    return settings, make_network(settings, chosen)


def first_at(steps: list[int], returns: list[float], limit: float) -> int | None:
    """After how many steps an evaluation first found at least so much; None: never."""
    return next((n for n, won in zip(steps, returns, strict=True) if won >= limit), None)


def median_steps(row: dict[str, Any]) -> float:
    """Over seeds; a run that never solved it counts as infinitely long."""
    return float(np.median([np.inf if n is None else n for n in row["solved_after"]]))


def _told(row: dict[str, Any]) -> str:
    median, runs = median_steps(row), len(row["solved_after"])
    solved = sum(n is not None for n in row["solved_after"])
    steps = f"{median:,.0f}" if np.isfinite(median) else "-"
    return f"{steps} ({solved}/{runs})"


def _seconds(row: dict[str, Any]) -> str:
    """Of training until then, in one run."""
    median = median_steps(row)
    return f"{row['seconds'] * median / row['steps'][-1]:.1f}" if np.isfinite(median) else "-"


def _interval(row: dict[str, Any]) -> Interval:
    return mean_of(row["ends"])


def table(results: Results) -> Table:
    rows = [*results["summary"]["rows"], *results["summary"]["rollouts"]]
    return Table.of(
        "Returns at the end: mean over seeds (95% interval); and steps until solved: median "
        "(runs that solved it)",
        rows,
        {
            "task": "{task}",
            "memory": lambda row: row["memory"]
            + (f", rollouts of {row['rollout']}" if "rollout" in row else ""),
            "parameters": "{parameters:,}",
            "without memory": lambda row: _number(row["memoryless"]),
            "return": lambda row: format(_interval(row), ".3f"),
            "the best": lambda row: _number(row["ceiling"][1]),
            "steps until solved": _told,
            "seconds": _seconds,
        },
        [f"Solved: an evaluation found at least {SOLVED:.0%} of the best possible. Seconds: of a "
         "run's training until then."],
    )  # fmt: skip


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def answer(results: Results) -> str:
    sentences = []
    for name in dict.fromkeys(row["task"] for row in results["summary"]["rows"]):
        rows = [row for row in results["summary"]["rows"] if row["task"] == name]
        able = sorted(
            (row for row in rows if None not in row["solved_after"]), key=median_steps
        )  # fmt: skip
        if able:
            ranked = ", ".join(f"{row['memory']} ({median_steps(row):,.0f})" for row in able)
            sentences.append(f"{name} is solved from every seed by {ranked} steps in the median.")
        else:
            best = max(rows, key=lambda row: np.mean(row["ends"]))
            sentences.append(
                f"{name} is solved from every seed by none; {best['memory']} comes nearest, with "
                f"{_interval(best)} of {best['ceiling'][1]:.3f}."
            )
        sentences += [
            f"Without memory the return is {_interval(row)}, where at most "
            f"{row['memoryless']:.3f} is possible."
            for row in rows if row["memory"] == "none" and row["memoryless"] is not None
        ]  # fmt: skip
    cut = ", ".join(f"{row['rollout']}: {_told(row)}" for row in results["summary"]["rollouts"])
    first = results["summary"]["rollouts"][0]["task"]
    sentences.append(f"In {first} by rollouts of so many steps a GRU takes, until solved, {cut}.")
    return " ".join(sentences)


def draw(results: Results) -> Any:
    summary = results["summary"]
    names = list(dict.fromkeys(row["task"] for row in summary["rows"]))
    picture, axes = figures(5.2 * (len(names) + 1), 4.2, len(names) + 1)
    colors = [*COLORS, "#333333", "#c08497"]
    for panel, name in zip(axes, names, strict=False):
        rows = [row for row in summary["rows"] if row["task"] == name]
        for row in rows:
            color = colors[results["settings"]["memories"].index(row["memory"]) % len(colors)]
            panel.plot(row["steps"], row["curve"], color=color, label=row["memory"])
        _bounds(panel, rows[0])
        panel.set(title=name, xlabel="steps in the environment", ylabel="return of fresh episodes")
        least = min(min(row["curve"][1:]) for row in rows)
        if rows[0]["ceiling"][1] is not None and least < -3 * abs(rows[0]["ceiling"][1]):
            panel.set_ylim(-1.5 * abs(rows[0]["ceiling"][1]), 1.2 * rows[0]["ceiling"][1])
        panel.legend(frameon=False, fontsize=8)
    for color, row in zip(COLORS, summary["rollouts"], strict=False):
        axes[-1].plot(row["steps"], row["curve"], color=color, label=f"{row['rollout']} steps")
    _bounds(axes[-1], summary["rollouts"][0])
    axes[-1].set(title=f"{names[0]}: gru, by rollout", xlabel="steps in the environment")
    axes[-1].legend(frameon=False, fontsize=8)
    return picture


def _bounds(axes: Any, row: dict[str, Any]) -> None:
    for value, style in ((row["ceiling"][1], "--"), (row["memoryless"], ":")):
        if value is not None:
            axes.axhline(value, color="black", lw=0.8, ls=style)


STUDY = Study("agents", __doc__, FULL, QUICK, trials, table, answer, draw, seeds=5, corpus=False)

if __name__ == "__main__":
    conduct(STUDY)
