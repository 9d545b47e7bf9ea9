"""Training an agent: the loop, checkpoints and resumption are those of all training."""

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jaxrnn.acting.environments import Place
from jaxrnn.acting.judging import Episodes, play
from jaxrnn.acting.ppo import PPO, AgentState, make_agent_steps, start
from jaxrnn.core.checks import whole_number
from jaxrnn.core.errors import InputError
from jaxrnn.core.network import Network
from jaxrnn.core.parameters import Params
from jaxrnn.learning.loss import Measure
from jaxrnn.learning.optimizers import make_schedule
from jaxrnn.learning.parallel import data_mesh, everywhere
from jaxrnn.learning.replicas import over_replicas
from jaxrnn.learning.training import STEPS_PER_CALL, Report
from jaxrnn.running.display import Display
from jaxrnn.running.fitting import Fitted, fit
from jaxrnn.running.keeping import Keeper
from jaxrnn.running.learner import Counted, Learner
from jaxrnn.running.memory import within_memory
from jaxrnn.running.stopping import Stopping


def _of_no_output(*_: Array) -> Array:
    """What a return is of: episodes. The loop asks a measure for its name and its sign alone."""
    raise NotImplementedError("returns are of episodes, not of outputs")


JUDGED = 3_000_000  # the seed of the episodes that evaluations play; of no run
RETURN = Measure(_of_no_output, "return", larger_is_better=True)


def train_agent(
    network: Network,
    place: Place,
    ppo: PPO = PPO(),  # noqa: B008 (frozen)
    *,
    steps: int,
    seeds: Sequence[int] = (0,),
    judge: Callable[[Params], float] | None = None,
    judged: Measure = RETURN,
    episodes: int = 256,
    watched: int = 1000,
    evaluations: int = 20,
    workdir: Keeper | Path | str | None = None,
    display: Display | None = None,
    after: Callable[[int, Params], object] | None = None,
) -> Fitted:
    """Trains an agent from each of some seeds, all in one program.

    What they have learned is `.state.params` of what is returned, with a first axis of seeds: the
    end of the run, not its best moment. A run in a work directory goes on where it stood, to the
    bit.

    Args:
      network: the agent's, as from `policy_network`.
      place: where it acts, as from `adapt`.
      ppo: how it learns.
      steps: of the environment, in all lanes together, rounded up to whole rollouts.
      seeds: each decides a run's parameters, and all that happens in it.
      judge: what is learned -> the figure by which an evaluation judges it; None: the mean return
        of `episodes` fresh episodes of every seed.
      judged: how that figure is said, and whether more of it is better.
      episodes: likewise.
      watched: the most steps of an episode that is judged.
      evaluations: how often, evenly over the training.
      workdir: a directory, which may hold the same training already; None: all stays in memory.
      display: where the training is shown.
      after: called with the update's number and what was learned after each evaluation, the first
        of which comes before any update.

    Raises:
      InputError: network and environment do not fit each other, there is nothing to do, or memory
        does not suffice.
    """
    for what, number in (("steps", steps), ("evaluations", evaluations), ("episodes", episodes)):
        if whole_number(number, what) < 1:
            raise InputError(f"{what} is {number}; it must be at least 1")
    if not seeds:
        raise InputError("an agent is trained from no seed; give at least one")
    updates = -(-steps // (ppo.lanes * ppo.rollout))
    every = max(1, updates // evaluations)
    mesh = data_mesh(1, 1)
    learner = make_learner(
        network, place, ppo, seeds,
        judge or partial(mean_return, network, place, ppo, episodes, watched), judged, mesh,
    )  # fmt: skip
    schedule = make_schedule(ppo.schedule, ppo.learning_rate)
    with within_memory("training an agent", "take fewer lanes, a shorter rollout or fewer seeds"):
        run = partial(
            fit, learner, schedule, Stopping(updates), mesh=mesh,
            rates=f"{ppo.schedule}, at most {ppo.learning_rate:g}", evaluate_every=every,
            checkpoint_every=every, log_every=STEPS_PER_CALL, display=display, after=after,
        )  # fmt: skip
        if not isinstance(workdir, Path | str):
            return run(keeper=workdir)
        # Here, so that without files none of the libraries that write them is needed.
        from jaxrnn.running.directory import InDirectory
        from jaxrnn.running.opening import open_workdir

        config = {
            "network": network.to_dict(), "place": place.name, "ppo": dataclasses.asdict(ppo),
            "seeds": list(seeds),
        }  # fmt: skip
        with open_workdir(Path(workdir), config) as opened:
            return run(keeper=InDirectory(opened))


def make_learner(
    network: Network,
    place: Place,
    ppo: PPO,
    seeds: Sequence[int],
    judge: Callable[[Params], float],
    judged: Measure,
    mesh: Any,
) -> Learner:
    """Agents that learn in a place, one from each seed; lanes are on one device."""
    inner = make_agent_steps(network, place, ppo)
    numbers = jnp.array(seeds)

    @jax.jit
    def by_seed(keys: Array) -> Array:
        return jax.vmap(lambda seed: jax.vmap(lambda key: jax.random.fold_in(key, seed))(keys))(
            numbers
        )

    def steps(state: AgentState, data: Any, keys: Array, rates: Array) -> tuple[Any, Report]:
        return inner(state, data, by_seed(keys), rates)

    def begin() -> AgentState:
        # One after the other on a CPU: mapped side by side, some networks' QR decompositions never
        # return there (jaxlib 0.10.2).
        return over_replicas(lambda seed: start(network, place, ppo, jax.random.key(seed)))(numbers)

    return Learner(
        start=begin,
        steps=steps,
        data=lambda step: {},
        learned=attrgetter("params"),
        evaluate=judge,
        shardings=everywhere(mesh),
        counted=Counted(
            "environment step",
            ppo.lanes * ppo.rollout * len(seeds),
            RETURN,
            judged,
            "in fresh episodes",
        ),
        knows=True,  # how an agent acts that has learned nothing is worth knowing
    )


def mean_return(
    network: Network, place: Place, ppo: PPO, episodes: int, watched: int, params: Params
) -> float:
    """Of fresh episodes of every seed, the same ones each time."""
    key = jax.random.key(JUDGED)
    found = play_seeds(network, params, place, ppo, key, episodes=episodes, watched=watched)
    return float(np.mean(np.asarray(found.won)))


@partial(jax.jit, static_argnames=("network", "place", "ppo", "episodes", "watched", "likely"))
def play_seeds(
    network: Network,
    params: Params,
    place: Place,
    ppo: PPO,
    key: Array,
    *,
    episodes: int,
    watched: int,
    likely: bool = False,
) -> Episodes:
    """`play`, for parameters of several seeds along a first axis."""
    return over_replicas(
        lambda own: play(
            network, own, place, key, episodes=episodes, steps=watched, discount=ppo.discount,
            reward_scale=ppo.reward_scale, likely=likely,
        )
    )(params)  # fmt: skip
