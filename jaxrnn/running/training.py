"""Training any network on any problem: what programs and notebooks call."""

import contextlib
import dataclasses
import hashlib
from operator import attrgetter
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from jaxrnn.core.checks import shown, whole_number
from jaxrnn.core.errors import InputError
from jaxrnn.core.network import Network
from jaxrnn.core.parameters import Params
from jaxrnn.learning.batch import Batch, time_and_lanes
from jaxrnn.learning.parallel import data_mesh, own_lanes, shardings
from jaxrnn.learning.problem import Problem
from jaxrnn.learning.recipe import Recipe
from jaxrnn.learning.symbols import check_data
from jaxrnn.running.display import Display
from jaxrnn.running.fitting import After, Fitted, fit
from jaxrnn.running.keeping import Keeper
from jaxrnn.running.learner import Counted, Learner
from jaxrnn.running.memory import within_memory
from jaxrnn.running.needs import SHORTER, SMALLER, check_training
from jaxrnn.running.stopping import Stopping


def train(
    network: Network,
    problem: Problem,
    recipe: Recipe = Recipe(),  # noqa: B008 (frozen)
    *,
    steps: int | None = None,
    minutes: float | None = None,
    patience: int = 0,
    params: Params | None = None,
    seed: int = 0,
    mesh: Mesh | None = None,
    evaluate_every: int = 1000,
    checkpoint_every: int = 500,
    workdir: Keeper | Path | str | None = None,
    display: Display | None = None,
    after: After | None = None,
) -> Fitted:
    """Trains a network; what it has learned is `.best` of what is returned, or `.state.params`.

    Args:
      network: what is trained.
      problem: what it learns, and how it is judged.
      recipe: how it is trained.
      steps: so long; or else
      minutes: so long.
      patience: stop earlier, after so many evaluations in a row without a new best; 0: never.
      params: what it starts from, as of a network that is trained already; these are evaluated
        before the first step. None: drawn.
      seed: decides parameters that are drawn, data and dropout.
      mesh: the devices that lanes are spread over; None: as many as divide them.
      evaluate_every: as for `fit`, like all below.
      checkpoint_every: steps between two checkpoints.
      workdir: a directory, which may hold the same training already; None: all stays in memory.
        Or an open one, an `InDirectory`.
      display: where the training is shown; one that fails is given up, and training goes on.
      after: called with the step and the parameters after each evaluation that was finite; what it
        raises ends the training, whose state is kept by then.

    Raises:
      InputError: it is not said how long, or problem, network and recipe do not fit each
        other, or do not fit in memory.
    """
    if (steps is None) == (minutes is None):
        raise InputError("training takes either so many steps or so many minutes; give one of them")
    if not (steps or minutes or 0) > 0:
        raise InputError(f"training takes {steps or minutes or 0} steps or minutes; give more")
    for what, number in (
        ("steps", steps), ("patience", patience + 1), ("evaluate_every", evaluate_every),
        ("checkpoint_every", checkpoint_every),
    ):  # fmt: skip
        if number is not None and whole_number(number, what) < 1:
            raise InputError(f"{what} is {number}; it must be at least 1")
    mesh = mesh or data_mesh(problem.batch)
    with contextlib.ExitStack() as stack:
        stack.enter_context(within_memory("training", f"{SMALLER}; or {SHORTER}"))
        learner = make_learner(network, problem, recipe, mesh, seed, params)
        keeper = workdir
        if not isinstance(keeper, Keeper):  # whoever has opened a directory has seen to it before
            check_training(network, problem.loss.of, recipe, learner.data(0), mesh)
        if isinstance(keeper, Path | str):
            # Here, so that without files none of the libraries that write them is needed.
            from jaxrnn.running.directory import InDirectory
            from jaxrnn.running.opening import open_workdir

            config = {
                "network": network.to_dict(), "recipe": dataclasses.asdict(recipe), "seed": seed,
                "problem": _told(problem, seed),
            } | ({} if params is None else {"params": sha256_of(params)})  # fmt: skip
            keeper = InDirectory(stack.enter_context(open_workdir(Path(keeper), config)))
        return fit(
            learner,
            recipe.make_schedule(),
            Stopping(steps, minutes, patience),
            mesh=mesh,
            seed=seed,
            rates=recipe.rates,
            evaluate_every=evaluate_every,
            checkpoint_every=checkpoint_every,
            keeper=keeper,
            display=display,
            after=after,
        )


def _told(problem: Problem, seed: int) -> dict[str, Any]:
    """What tells a problem from another one: how it is judged, and what is learned from first."""
    first = problem.data(seed, 0, slice(None)), next(iter(problem.held_out()))
    return {
        "batch": problem.batch,
        "loss": problem.loss._replace(of=None)._asdict(),
        "metric": problem.judged._replace(of=None)._asdict(),
        "sha256": sha256_of(first),
    }


def sha256_of(tree: Any) -> str:
    """Of a pytree's arrays, their types and shapes."""
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(tree):
        array = np.asarray(leaf)
        digest.update(
            f"{array.dtype}{array.shape}".encode() + np.ascontiguousarray(array).tobytes()
        )
    return digest.hexdigest()


def make_learner(
    network: Network,
    problem: Problem,
    recipe: Recipe,
    mesh: Mesh,
    seed: int,
    params: Params | None = None,
) -> Learner:
    """A network that learns a problem by truncated BPTT, from given parameters or drawn ones.

    Raises:
      InputError: at once or at a later step: symbols are out of the network's range, or lengths are
        not the inputs'.
    """
    lanes = own_lanes(problem.batch)

    def data(step: int) -> Batch:
        batch = problem.data(seed, step, lanes)
        if not isinstance(batch, Batch):
            raise InputError(f"at step {step} the problem's data are {shown(batch)}; give a Batch")
        check_data(network, batch, problem.loss.of)
        return batch

    first = data(0)
    places = shardings(mesh)
    return Learner(
        start=lambda: recipe.start(network, problem.batch, jax.random.key(seed), params),
        steps=recipe.training_steps(network, problem.loss.of, shardings=places),
        data=data,
        learned=attrgetter("params"),
        evaluate=lambda params: problem.evaluate(network, params),
        shardings=places,
        counted=Counted(
            problem.counted, time_and_lanes(first)[0] * problem.batch, problem.loss, problem.judged
        ),
        knows=params is not None,
    )
