"""Has an agent that remembers learned what Bayes' rule would say?

In finite POMDPs the exact belief, the probability of each state given all that was observed, is all
that a best agent needs to know of the past (Kaelbling, Littman and Cassandra 1998). Agents with a
GRU learn the tiger problem and two mazes; again and again, in episodes that were not learned from,
the belief is read out of the network's state by a linear map, fitted to half of the episodes and
judged on the other half. The control is the untrained network, which hears the same episodes: what
it happens to keep of them was not learned. (Lambrechts, Bolland and Ernst 2022,
Recurrent networks, hidden states and beliefs in partially observable environments; Hennig and
others 2023, Emergence of belief-like representations through reinforcement learning.)
"""

from functools import cache
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.laboratory.agents import make_network, usual_settings
from experiments.laboratory.plots import COLORS, figures
from experiments.laboratory.statistics import mean_of
from experiments.laboratory.study import Bench, Results, Study, Table, conduct
from experiments.laboratory.tasks.catalogue import Task, task
from jaxrnn import Network, initial_state, unroll_layers
from jaxrnn.acting import PPO, train_agent
from jaxrnn.acting.judging import watch
from jaxrnn.acting.training import JUDGED, play_seeds
from jaxrnn.core.parameters import Params
from jaxrnn.pomdp import POMDP, Bounds, bound_value

FULL = {
    "tasks": ["tiger", "cheese", "4x3"], "steps": 600_000, "units": 64, "evaluations": 10,
    "episodes": 1000, "watched": 60, "gap_seconds": 20.0,
}  # fmt: skip
QUICK = {
    "tasks": ["tiger"], "steps": 4096, "units": 8, "evaluations": 2, "episodes": 40, "watched": 12,
    "gap_seconds": 1.0,
}  # fmt: skip
RIDGE = 1e-3  # of the read-out, times the number of examples
SHOWN = 40  # steps of the episode in the picture
MOST = 5000  # beliefs of which the best action is looked for
LEAST = 1e-6  # probability below which a belief's logarithm is cut


class Episode(NamedTuple):
    """What is read out of, and what is to be read: `[steps, episodes, ...]`."""

    memory: np.ndarray
    control: np.ndarray  # the same of the untrained network
    belief: np.ndarray
    action: np.ndarray
    alive: np.ndarray


def trials(bench: Bench) -> dict[str, Any]:
    sizes = bench.settings
    bench.begin(len(sizes["tasks"]) * len(bench.seeds))
    return {"rows": [study(bench, name, seed) for name in sizes["tasks"] for seed in bench.seeds]}


def study(bench: Bench, name: str, seed: int) -> dict[str, Any]:
    """One agent, looked into again and again while it learns."""
    sizes, chosen = bench.settings, task(name)
    settings = usual_settings(chosen).but(
        task=name, steps=sizes["steps"], hidden=(sizes["units"],), cell="gru"
    )
    network = make_network(settings, chosen)
    pomdp = chosen.pomdp
    assert pomdp is not None

    def compute() -> dict[str, Any]:
        bounds = bounds_of(pomdp, sizes["gap_seconds"])
        points: list[dict[str, Any]] = []
        last: dict[str, Any] = {}
        untrained: list[Params] = []

        def look(update: int, params: Params) -> None:
            own = jax.tree.map(lambda x: x[0], params)
            untrained.append(own)
            episodes = seen(network, own, untrained[0], chosen, settings.ppo, sizes)
            played = play_seeds(
                network, params, chosen.place, settings.ppo, jax.random.key(JUDGED),
                episodes=sizes["episodes"], watched=chosen.watched,
            )  # fmt: skip
            of_two = len(pomdp.states) == 2
            share, shown = read_out(episodes, of_two)
            control, _ = read_out(episodes._replace(memory=episodes.control), of_two)
            points.append({
                "steps": update * settings.ppo.lanes * settings.ppo.rollout, "r2": share,
                "control": control,
                "agrees": agreement(episodes, pomdp, bounds),
                "return": float(chosen.returns(played).mean()),
            })  # fmt: skip
            last.update(shown)

        train_agent(
            network, chosen.place, settings.ppo, steps=settings.steps, seeds=[seed],
            judge=lambda params: 0.0, evaluations=sizes["evaluations"], after=look,
        )  # fmt: skip
        return {"points": points, "lower": bounds.lower, "upper": bounds.upper, "shown": last}

    record = bench.trial(f"{name}, seed {seed}", compute)
    return {"task": name, "seed": seed, **record}


@cache
def bounds_of(pomdp: POMDP, seconds: float) -> Bounds:
    """Those that all agents in it are compared with."""
    return bound_value(pomdp, gap=1e-3 * abs(pomdp.reward).max(), seconds=seconds)


def seen(
    network: Network,
    params: Params,
    untrained: Params,
    chosen: Task,
    ppo: PPO,
    sizes: dict[str, Any],
) -> Episode:
    """Fresh episodes: what the network's hidden layer put out, and what Bayes' rule says."""
    trace = watch(
        network, params, chosen.place, jax.random.key(JUDGED + 1), episodes=sizes["episodes"],
        steps=sizes["watched"], reward_scale=ppo.reward_scale,
    )  # fmt: skip
    memory: Any = trace.memory
    environment: Any = trace.environment
    control = unroll_layers(
        network, untrained, initial_state(network, sizes["episodes"]), trace.heard,
        resets=trace.first,
    ).outputs["hidden1"]  # fmt: skip
    arrays = (
        memory["hidden1"].past[0], control, environment[0].belief, trace.action, trace.alive
    )  # fmt: skip
    return Episode(*(np.asarray(x) for x in arrays))


def read_out(episodes: Episode, of_two: bool) -> tuple[float, dict[str, Any]]:
    """The share of the belief's variance that a linear map explains in other episodes.

    Of two states the log-odds are read out, else the probabilities.

    Returns:
      That share, and belief and read-out over one of the other episodes.
    """
    half = episodes.memory.shape[1] // 2
    wanted = episodes.belief.astype(np.float64)
    if of_two:
        wanted = np.log(wanted.clip(LEAST))
        wanted = (wanted[..., 0] - wanted[..., 1])[..., None]
    known, other = (
        (episodes.memory[:, part].astype(np.float64), wanted[:, part], episodes.alive[:, part])
        for part in (slice(half), slice(half, None))
    )
    heard, goal = known[0][known[2]], known[1][known[2]]
    mean, goal_mean = heard.mean(axis=0), goal.mean(axis=0)
    centred = heard - mean
    matrix = np.linalg.solve(
        centred.T @ centred + RIDGE * len(heard) * np.eye(heard.shape[1]),
        centred.T @ (goal - goal_mean),
    )

    def read(memory: np.ndarray) -> np.ndarray:
        return (memory - mean) @ matrix + goal_mean

    error = np.square(read(other[0][other[2]]) - other[1][other[2]]).sum()
    spread = np.square(other[1][other[2]] - other[1][other[2]].mean(axis=0)).sum()
    shown = {
        "belief": np.round(other[1][:SHOWN, 0], 4).tolist(),
        "read": np.round(read(other[0][:SHOWN, 0]), 4).tolist(),
    }
    return float(1 - error / max(spread, 1e-12)), shown


def agreement(episodes: Episode, pomdp: POMDP, bounds: Bounds) -> float:
    """How often the action is as good as the best one for the exact belief, as far as is known.

    By one step of looking ahead, from which on the policy of the lower bound acts; what is as good
    to within the gap between the bounds counts as the best.
    """
    beliefs = episodes.belief[episodes.alive].astype(np.float64)
    chosen = episodes.action[episodes.alive]
    every = max(1, len(beliefs) // MOST)
    beliefs, chosen = beliefs[::every], chosen[::every]
    values = []
    for a, transition in enumerate(pomdp.transition):
        value = beliefs @ pomdp.expected_reward[a]
        for o in range(pomdp.observation.shape[2]):
            after = beliefs @ (transition * pomdp.observation[a, :, o])
            value = value + pomdp.discount * (after @ bounds.vectors.T).max(axis=1)
        values.append(value)
    own = np.stack(values)[chosen, np.arange(len(chosen))]
    return float(np.mean(own >= np.max(values, axis=0) - (bounds.upper - bounds.lower)))


def table(results: Results) -> Table:
    rows = [
        [row for row in results["summary"]["rows"] if row["task"] == name]
        for name in results["settings"]["tasks"]
    ]

    def over_seeds(field: str, at: int) -> Any:
        return lambda rows: format(mean_of([row["points"][at][field] for row in rows]), ".3f")

    return Table.of(
        "Read-out of the exact belief, and what the agent does: mean over seeds (95% interval)",
        rows,
        {
            "task": lambda rows: rows[0]["task"],
            "R2": over_seeds("r2", -1), "R2, untrained": over_seeds("control", -1),
            "optimal actions": over_seeds("agrees", -1),
            "untrained": over_seeds("agrees", 0),
            "return": over_seeds("return", -1),
            "the best": lambda rows: f"{rows[0]['lower']:.3f} to {rows[0]['upper']:.3f}",
        },
        ["R2: the share of the belief's variance (of two states: of its log-odds') that a linear "
         "map of the network's state explains in episodes that it was not fitted to. An action "
         "counts as optimal if it is as good as the best to within the gap between the bounds."],
    )  # fmt: skip


def answer(results: Results) -> str:
    sentences = []
    for name in results["settings"]["tasks"]:
        rows = [row for row in results["summary"]["rows"] if row["task"] == name]
        own, control = (
            mean_of([row["points"][-1][name] for row in rows]) for name in ("r2", "control")
        )
        regret = np.mean([row["upper"] - row["points"][-1]["return"] for row in rows])
        agrees = np.mean([row["points"][-1]["agrees"] for row in rows])
        sentences.append(
            f"In {name} a linear map reads {own} of the belief's variance out of the trained "
            f"network's state, {control} out of the untrained one's; {agrees:.0%} of the actions "
            f"are those that are best for the exact belief, and the return is at most {regret:.3g} "
            f"below the best of {rows[0]['upper']:.4g}."
        )
    return " ".join(sentences)


def draw(results: Results) -> Any:
    names = results["settings"]["tasks"]
    picture, axes = figures(5.2 * len(names), 7.2, 2 * len(names), rows=2)
    for i, name in enumerate(names):
        rows = [row for row in results["summary"]["rows"] if row["task"] == name]
        panel, below = axes[i], axes[len(names) + i]
        for field, color, label in (
            ("r2", COLORS[0], "belief read out (R2)"),
            ("control", COLORS[5], "the same, untrained network"),
            ("agrees", COLORS[2], "actions that are optimal"),
        ):
            for row in rows:
                points = [(point["steps"], point[field]) for point in row["points"]]
                panel.plot(
                    *zip(*points, strict=True), color=color, label=label if row is rows[0] else None
                )
        panel.set(title=name, xlabel="steps in the environment", ylim=(-0.05, 1.05))
        panel.legend(frameon=False, fontsize=8)
        shown = rows[0]["shown"]
        belief, read = np.array(shown["belief"]), np.array(shown["read"])
        what = "log-odds of the belief" if belief.shape[1] == 1 else "probability of a state"
        order = belief.var(axis=0).argsort()[::-1][:3]
        for color, state in zip(COLORS, order, strict=False):
            below.plot(belief[:, state], color=color, label="exact" if state == order[0] else None)
            below.plot(
                read[:, state],
                color=color,
                ls="--",
                label="read out" if state == order[0] else None,
            )
        below.set(xlabel="step of an episode", ylabel=what)
        below.legend(frameon=False, fontsize=8)
    return picture


STUDY = Study("belief", __doc__, FULL, QUICK, trials, table, answer, draw, seeds=3, corpus=False)

if __name__ == "__main__":
    conduct(STUDY)
