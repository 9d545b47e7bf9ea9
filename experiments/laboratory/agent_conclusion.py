"""The end of an agent's run, and what it is judged by on the way there."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments.laboratory.agents import AgentSettings, seeds_of
from experiments.laboratory.episodes import draw_episodes, recorded, told
from experiments.laboratory.plots import COLORS, figure, save
from experiments.laboratory.statistics import Interval, mean_of
from experiments.laboratory.tasks.catalogue import Task
from jaxrnn import Network
from jaxrnn.acting.judging import Episodes
from jaxrnn.acting.training import JUDGED, RETURN, play_seeds
from jaxrnn.command_line.conclusion import stopped
from jaxrnn.core.parameters import Params
from jaxrnn.running.display import Unfailing
from jaxrnn.running.exits import DIVERGED
from jaxrnn.running.fitting import Fitted
from jaxrnn.running.signals import STOPPING
from jaxrnn.running.workdir import WorkDirectory

FINAL = JUDGED + 1  # the seed of the episodes at the end
SHOWN = 3  # episodes
MEANWHILE = 250  # episodes by which a run is judged while it learns


class Judge:
    """Judges what was learned by fresh episodes, the same ones each time."""

    def __init__(self, network: Network, chosen: Task, settings: AgentSettings) -> None:
        self.network, self.chosen, self.settings = network, chosen, settings
        self.unit = RETURN._replace(unit=chosen.unit)
        self.found: Interval | None = None

    def play(self, params: Params, seed: int, episodes: int, likely: bool = False) -> Episodes:
        return play_seeds(
            self.network, params, self.chosen.place, self.settings.ppo, jax.random.key(seed),
            episodes=episodes, watched=self.chosen.watched, likely=likely,
        )  # fmt: skip

    def __call__(self, params: Params) -> float:
        played = self.play(params, JUDGED, min(self.settings.episodes, MEANWHILE))
        self.found = over_runs(self.chosen.returns(played))
        return self.found.mean

    def sentence(self, step: int) -> str:
        """The interval that belongs to the last figure."""
        settings, found = self.settings, self.found
        steps = step * settings.ppo.lanes * settings.ppo.rollout
        over = "seeds" if settings.seeds > 1 else "episodes"
        return "" if found is None else (
            f"{found:.4g} over {over}, after {steps:,} steps in the environment"
        )  # fmt: skip


def over_runs(returns: np.ndarray) -> Interval:
    """The mean of `[seeds, episodes]`; its interval over seeds, or of one seed over episodes."""
    return mean_of((returns.mean(axis=1) if len(returns) > 1 else returns[0]).tolist())


def conclude(
    settings: AgentSettings,
    chosen: Task,
    network: Network,
    fitted: Fitted,
    known: dict[str, Any],
    workdir: WorkDirectory,
    display: Unfailing,
) -> int:
    """Judges the end of the run, and writes what it leaves behind; returns the exit code."""
    picture = workdir.path / "learning_curve.png"
    display.made(picture.name, lambda: draw_curve(settings, chosen, known, workdir, picture))
    progress = fitted.progress
    if fitted.reason in STOPPING:
        return stopped(fitted, display)
    if fitted.reason == "not finite":
        rewarded = bool(np.all(np.asarray(fitted.state.reward_is_finite)))
        cause = "an update would not have been finite" if rewarded else (
            f"{chosen.name} gave a reward that is not finite"
        )  # fmt: skip
        display.say(
            f"\nTraining stopped at update {progress.step - progress.skipped_in_a_row:,}: {cause}. "
            + (f"{workdir.path} keeps the state of update {fitted.saved:,}."
               if fitted.saved else "No state was worth keeping.")
        )  # fmt: skip
        return DIVERGED
    judge, params = Judge(network, chosen, settings), fitted.state.params
    found = judged(judge, params, settings, chosen)
    trained = progress.step * settings.ppo.lanes * settings.ppo.rollout
    result = {
        "task": chosen.name, **found,
        "ceiling": known["ceiling"] and known["ceiling"][1],
        "ceiling_from_below": known["ceiling"] and known["ceiling"][0],
        "memoryless": known["memoryless"],
        "environment_steps": trained, "updates": progress.step,
        "parameters": network.parameter_count,
        "steps_per_second": round(trained * settings.seeds / max(progress.seconds, 1e-9), 1),
        "seconds": round(progress.seconds, 1),
        "updates_skipped": progress.skipped, "stopped_because": fitted.reason,
    }  # fmt: skip
    first = jax.tree.map(lambda x: x[0], params)
    records = recorded(network, first, chosen, settings.ppo, SHOWN)
    text = display.made("episodes.txt", lambda: told(records, chosen))
    if text is not None:
        workdir.write_text("episodes.txt", text)
    picture = workdir.path / "episodes.png"
    display.made(picture.name, lambda: save(draw_episodes(records, chosen), picture))
    workdir.write_json("result.json", result)
    display.say(f"\n{summary(result, chosen)}")
    display.say(
        f"Everything is in {workdir.path}: result.json, learning_curve.png, episodes.txt, "
        "episodes.png ..."
    )
    return 0


def judged(judge: Judge, params: Params, settings: AgentSettings, chosen: Task) -> dict[str, Any]:
    """What the end of the run comes to, in episodes that nothing was chosen by."""
    played = judge.play(params, FINAL, settings.episodes)
    sure = judge.play(params, FINAL, settings.episodes, likely=True)
    own, own_sure = map(chosen.returns, (played, sure))
    interval = over_runs(own)
    return {
        "judged_by": judge.unit.unit,
        "mean_return": float(np.mean(played.won)),
        "discounted_return": float(np.mean(played.discounted)),
        "return_interval": [interval.low, interval.high],
        "interval_over": "seeds" if settings.seeds > 1 else "episodes",
        "return_of_each_seed": own.mean(axis=1).tolist(),
        "likeliest_actions_return": float(np.mean(own_sure)),
        "likeliest_actions_return_of_each_seed":
            own_sure.mean(axis=1).tolist(),
        "episode_length": float(np.mean(played.length)),
        "episodes": int(np.size(own)),
        "seeds": list(seeds_of(settings)),
    }  # fmt: skip


def summary(result: dict[str, Any], chosen: Task) -> str:
    own = result["discounted_return" if chosen.discounted else "mean_return"]
    low, high = result["return_interval"]
    said = f"{result['judged_by']} {own:.4g} ({low:.4g} to {high:.4g} over "
    said += f"{result['interval_over']}), with the likeliest action each time "
    said += f"{result['likeliest_actions_return']:.4g}"
    if result["ceiling"] is not None:
        said += f"; the best agent reaches {result['ceiling']:.4g}"
    if result["memoryless"] is not None:
        said += f", without memory {result['memoryless']:.4g}"
    return (
        f"{said}.\n{result['environment_steps']:,} steps a seed in {result['seconds']:.0f} s "
        f"({result['steps_per_second']:,.0f} steps a second)."
    )


def draw_curve(
    settings: AgentSettings,
    chosen: Task,
    known: dict[str, Any],
    workdir: WorkDirectory,
    path: Path,
) -> None:
    """Return against steps: of the episodes while learning, and of fresh ones."""
    picture, axes = figure(7, 4.2)
    metrics, per_step = workdir.metrics(), settings.ppo.lanes * settings.ppo.rollout

    def line(key: str) -> tuple[Sequence[float], Sequence[float]]:
        points = [(m["step"] * per_step, m[key]) for m in metrics if m.get(key) is not None]
        return tuple(zip(*points, strict=True)) if points else ((), ())  # type: ignore

    if not chosen.discounted:
        axes.plot(*line("train_return"), color=COLORS[1], label="while learning")
    fresh = f"valid_{chosen.unit}".replace(" ", "_")
    axes.plot(*line(fresh), "o-", ms=4, color=COLORS[0], label="fresh episodes")
    if known["ceiling"] is not None:
        axes.axhline(known["ceiling"][1], color="black", lw=0.8, ls="--", label="the best agent")
    if known["memoryless"] is not None:
        axes.axhline(known["memoryless"], color="black", lw=0.8, ls=":", label="without memory")
    axes.set(xlabel="steps in the environment", ylabel=chosen.unit, title=chosen.name)
    axes.legend(frameon=False)
    save(picture, path)
