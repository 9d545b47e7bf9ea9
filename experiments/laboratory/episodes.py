"""Episodes of an agent as text and as a picture: what it saw, did, won and remembered."""

from typing import Any, NamedTuple

import jax
import numpy as np
import scipy.special

from experiments.laboratory.plots import figures
from experiments.laboratory.tasks.catalogue import Task
from jaxrnn import Network
from jaxrnn.acting import PPO, Discrete
from jaxrnn.acting.finite import Finite
from jaxrnn.acting.judging import watch
from jaxrnn.core.parameters import Params

LONGEST = 120  # steps that are shown of an episode
SEED = 4_000_000  # of the episodes that are shown


class Record(NamedTuple):
    """One episode, step by step; NumPy's arrays.

    Attributes:
      observation, action, reward: what was seen, done and won.
      policy: the policy's outputs.
      memory: what the first layer that remembers had put out after each step; None: nothing does.
      belief: the exact one, where the task is finite data.
    """

    observation: np.ndarray
    action: np.ndarray
    reward: np.ndarray
    policy: np.ndarray
    memory: np.ndarray | None
    belief: np.ndarray | None


def recorded(
    network: Network, params: Params, chosen: Task, ppo: PPO, episodes: int
) -> list[Record]:
    """Some episodes of an agent; the longest part of each that is shown."""
    trace = watch(
        network, params, chosen.place, jax.random.key(SEED), episodes=episodes,
        steps=min(chosen.watched, LONGEST), reward_scale=ppo.reward_scale,
    )  # fmt: skip
    memory: Any = trace.memory
    remembers = next((x.past[0] for x in memory.values() if x.past), None)
    environment: Any = trace.environment
    inner = environment[0] if isinstance(environment, tuple) else None
    belief = inner.belief if isinstance(inner, Finite) else None
    records = []
    for lane in range(episodes):
        steps = int(np.asarray(trace.alive)[:, lane].sum())

        def of(x: Any, lane: int = lane, steps: int = steps) -> Any:
            return None if x is None else np.asarray(x)[:steps, lane]

        records.append(
            Record(*map(of, (trace.observation, trace.action, trace.reward, trace.policy,
                             remembers, belief)))
        )  # fmt: skip
    return records


def told(records: list[Record], chosen: Task) -> str:
    """What happened, a line a step."""
    lines = []
    for number, record in enumerate(records, 1):
        total = float(record.reward.sum())
        lines.append(f"episode {number}: {len(record.reward)} steps, return {total:.4g}")
        for i, reward in enumerate(record.reward):
            won = f"  {reward:+.4g}" if reward else ""
            lines.append(
                f"{i:4}  sees {named(record.observation[i], chosen.seen):<24}"
                f" does {_done(record, i, chosen)}{won}"
            )
        lines.append("")
    return "\n".join(lines)


def named(value: np.ndarray, names: tuple[str, ...]) -> str:
    """A symbol's name, or numbers."""
    if np.ndim(value) == 0:
        return names[int(value)] if int(value) < len(names) else str(int(value))
    return " ".join(f"{x:+.3f}" for x in np.ravel(value))


def _done(record: Record, i: int, chosen: Task) -> str:
    action = named(record.action[i], chosen.done)
    if not isinstance(chosen.place.actions, Discrete):
        return action
    return f"{action} ({chances(record.policy[i : i + 1])[0, int(record.action[i])]:.0%})"


def chances(policy: np.ndarray) -> np.ndarray:
    """The probabilities of discrete actions, `[steps, actions]`."""
    return scipy.special.softmax(policy, axis=-1)


def draw_episodes(records: list[Record], chosen: Task) -> Any:
    """One column an episode: observation, policy, belief and memory against time."""
    rows = ["observation", "policy"]
    rows += ["exact belief"] if records[0].belief is not None else []
    rows += ["memory"] if records[0].memory is not None else []
    picture, axes = figures(
        4.6 * len(records), 1.8 * len(rows), len(rows) * len(records), rows=len(rows)
    )
    is_discrete = isinstance(chosen.place.actions, Discrete)
    for column, record in enumerate(records):
        for row, what in enumerate(rows):
            panel = axes[row * len(records) + column]
            names: tuple[str, ...] = ()
            if what == "observation":
                array, names = _rows(record.observation, len(chosen.seen)), chosen.seen
            elif what == "policy":
                array = chances(record.policy) if is_discrete else record.policy
                names = chosen.done
            elif what == "memory":
                array = record.memory
            else:
                array = record.belief
                assert chosen.pomdp is not None
                names = tuple(chosen.pomdp.states)
            assert array is not None
            limit = max(1e-9, float(np.abs(array).max()))
            signed = bool(array.min() < 0)
            panel.imshow(
                array.T, aspect="auto", interpolation="nearest",
                cmap="RdBu_r" if signed else "Greys", vmin=-limit if signed else 0, vmax=limit,
            )  # fmt: skip
            panel.grid(False)
            if 0 < len(names) <= 12:
                panel.set_yticks(range(array.shape[1]), names[: array.shape[1]], fontsize=7)
            if row == 0:
                panel.set_title(f"episode {column + 1}: return {record.reward.sum():.3g}")
            if what == "policy" and is_discrete:
                panel.plot(range(len(record.action)), record.action, "o", ms=3, color="#b4442a")
            if column == 0:
                panel.set_ylabel(what)
            if row == len(rows) - 1:
                panel.set_xlabel("step")
    return picture


def _rows(observation: np.ndarray, symbols: int) -> np.ndarray:
    """One-hot rows of symbols; numbers as they are."""
    if observation.ndim > 1:
        return observation
    return np.eye(max(symbols, int(observation.max()) + 1))[observation]
