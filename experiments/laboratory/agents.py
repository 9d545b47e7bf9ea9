"""Settings of an agent's run, and what follows from them."""

from dataclasses import dataclass, field
from typing import Any

from experiments.laboratory.tasks.catalogue import NAMES, Task, task
from jaxrnn import Network
from jaxrnn.acting import PPO, policy_network
from jaxrnn.acting.policy import SOURCES, check_policy
from jaxrnn.core.cells import CELLS
from jaxrnn.core.errors import InputError
from jaxrnn.storage.fields import check, replaced, setting
from jaxrnn.storage.files import user_path
from jaxrnn.text.from_settings import read_network


@dataclass(frozen=True)
class TaskSettings:
    """What is to be done."""

    task: str = setting(
        "tmaze", f"What the agent is to do: {', '.join(NAMES)}, or a .POMDP file in Cassandra's"
        " format.",
    )  # fmt: skip
    length: int | None = setting(
        None, "How long what was seen has to be remembered, where the task has a length [the"
        " task's].", at_least=1,
    )  # fmt: skip

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class PolicySettings:
    """The agent's network."""

    cell: str = setting("gru", f"What hidden layers are made of: {', '.join(CELLS)}.")
    hidden: tuple[int, ...] = setting((64,), "Sizes of the hidden layers, from the inputs up.")
    memory: bool = setting(True, "Recurrent connections; --nomemory: the agent knows the present.")
    delays: tuple[int, ...] = setting(
        (), "Further connections from what is heard, that many steps late: memory without"
        " recurrence, with --nomemory.", at_least=1,
    )  # fmt: skip
    hears: tuple[str, ...] = setting(
        SOURCES, "What the agent hears: observation, action and reward, the last two of the step"
        " before.",
    )  # fmt: skip
    skip: bool = setting(False, "Connect inputs and outputs to every layer.")
    graph: str | None = setting(
        None, "A JSON file with any graph of these inputs and the outputs policy and value,"
        " instead of the flags above.", flag="network",
    )  # fmt: skip

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class AgentSettings:
    """All that decides a run."""

    seed: int = setting(0, "Of the first run.", at_least=0, at_most=2**31 - 1)
    seeds: int = setting(1, "How many runs, from this seed on, in one program.", at_least=1)
    steps: int = setting(
        1_000_000, "Steps in the environment that each run learns from.", at_least=1,
        changeable=True,
    )  # fmt: skip
    evaluations: int = setting(
        20, "How often it is judged meanwhile, and saved.", at_least=1, changeable=True
    )
    episodes: int = setting(
        1000, "Fresh episodes by which each run is judged at the end.", at_least=2,
        changeable=True,
    )  # fmt: skip
    what: TaskSettings = field(default_factory=TaskSettings)
    policy: PolicySettings = field(default_factory=PolicySettings)
    ppo: PPO = field(default_factory=PPO)

    def __post_init__(self) -> None:
        check(self)

    def but(self, **leaves: Any) -> "AgentSettings":
        """The same, but for some leaves, by name, whichever part they are of."""
        return replaced(self, **leaves)


def usual_settings(chosen: Task) -> AgentSettings:
    """Those of a task, where nothing else is said."""
    own = {"discount": chosen.discount, "steps": chosen.steps} | chosen.settings
    return AgentSettings().but(**own)


def seeds_of(settings: AgentSettings) -> range:
    return range(settings.seed, settings.seed + settings.seeds)


def task_of(settings: AgentSettings) -> Task:
    return task(settings.what.task, settings.what.length)


def make_network(settings: AgentSettings, chosen: Task) -> Network:
    """The agent's network.

    Raises:
      InputError: the graph, or what is said instead, is none for this task.
    """
    said = settings.policy
    if said.graph is not None:
        network = read_network(str(user_path(said.graph)))
        check_policy(network, chosen.place)
        return network
    if said.cell not in CELLS:
        raise InputError(f"unknown cell '{said.cell}'; the cells are {', '.join(CELLS)}")
    return policy_network(
        chosen.place, said.hidden, said.cell, hears=said.hears, memory=said.memory,
        delays=said.delays, skip=said.skip,
    )  # fmt: skip
