"""Trains an agent that remembers: it acts in a place of which it sees a part only.

Recurrent PPO: `--lanes` places at once, `--rollout` steps in each between two updates. The same
command again goes on from the last checkpoint, to the bit, and so does --workdir alone. At the end
the agent is judged in fresh episodes, beside the best that any agent can reach, and the best that
one without memory can, where they can be computed. What --help says in brackets is for the T-maze;
other tasks have steps, a discount and the like of their own.
"""

import contextlib
from pathlib import Path
from typing import Any

from absl import flags

from experiments.laboratory.agent_conclusion import Judge, conclude
from experiments.laboratory.agents import (
    AgentSettings,
    make_network,
    seeds_of,
    task_of,
    usual_settings,
)
from experiments.laboratory.tasks.catalogue import Task, task
from jaxrnn.acting import train_agent
from jaxrnn.command_line.launch import launch
from jaxrnn.command_line.progress import progress_display
from jaxrnn.command_line.setting_flags import define_flags, values_given
from jaxrnn.running.directory import InDirectory
from jaxrnn.running.opening import open_workdir
from jaxrnn.running.workdir import is_trained, read_config
from jaxrnn.storage.fields import from_dict, leaves
from jaxrnn.storage.files import user_path

WORKDIR = flags.DEFINE_string(
    "workdir", None, "Where the run is kept; a run that is there goes on [runs/agent-TASK]."
)
OFF = {"clip_norm": None, "delays": (), "hidden": ()}  # what settings have for the flag's 0
TITLES = {"what": "The task", "policy": "The agent's network", "ppo": "How it learns"}

define_flags(AgentSettings, TITLES, WORKDIR)


def main() -> int:
    path, settings, chosen = plan()
    network = make_network(settings, chosen)
    config = {"network": network.to_dict()}
    with contextlib.ExitStack() as stack:
        workdir = stack.enter_context(open_workdir(path, config, settings))
        display = stack.enter_context(progress_display())
        display.say(f"{network}\n")
        known = {"ceiling": chosen.ceiling(), "memoryless": chosen.memoryless()}
        display.say(describe(settings, chosen, known))
        judge = Judge(network, chosen, settings)
        fitted = train_agent(
            network, chosen.place, settings.ppo, steps=settings.steps, seeds=seeds_of(settings),
            judge=judge, judged=judge.unit, evaluations=settings.evaluations,
            workdir=InDirectory(workdir), display=display,
            after=lambda step, params: display.say(judge.sentence(step)),
        )  # fmt: skip
        workdir.keep_changeable()
        return conclude(settings, chosen, network, fitted, known, workdir, display)


def plan() -> tuple[Path, AgentSettings, Task]:
    """Where the run is kept, what it is, and its task: as flags, the run there, or the task say."""
    given = values_given(AgentSettings, OFF)
    name = given.get("task", "tmaze")
    path = user_path(WORKDIR.value or f"runs/agent-{Path(name).stem}")
    known = read_config(path) if path.exists() else None
    if known is not None and is_trained(path) and "task" not in given:
        base = from_dict(AgentSettings, known.get("settings"), path / "config.json")
    else:
        base = usual_settings(task(name, given.get("length")))
    settings = base.but(**given)
    return path, settings, task_of(settings)


def describe(settings: AgentSettings, chosen: Task, known: dict[str, Any]) -> str:
    """The task, and what is known of it."""
    said = [f"{chosen.name}: agents are judged by the {chosen.unit}"]
    if known["ceiling"] is not None:
        low, high = known["ceiling"]
        most = f"{high:.4g}" if high - low < 1e-3 * abs(high) else f"{low:.4g} to {high:.4g}"
        said.append(f"the best agent reaches {most}")
    if known["memoryless"] is not None:
        said.append(f"the best without memory {known['memoryless']:.4g}")
    runs = f"{settings.seeds} run{'s' * (settings.seeds > 1)}"
    return "; ".join(said) + f".\n{runs} of {settings.steps:,} steps.\n"


if __name__ == "__main__":
    launch(
        main, __doc__ or "",
        defaults={leaf.flag: leaf.of(AgentSettings()) for leaf in leaves(AgentSettings)},
    )  # fmt: skip
