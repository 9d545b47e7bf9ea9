"""The training loop: evaluation, checkpoints, early stopping, interruption and resumption."""

import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Key

from jaxrnn.core.errors import InputError
from jaxrnn.core.keys import derive
from jaxrnn.core.parameters import Params
from jaxrnn.learning import parallel
from jaxrnn.learning.optimizers import Schedule
from jaxrnn.learning.stepping import in_calls
from jaxrnn.learning.training import STEPS_PER_CALL, Report
from jaxrnn.running.display import Display, Quiet, Unfailing
from jaxrnn.running.keeping import Keeper
from jaxrnn.running.learner import Learner
from jaxrnn.running.processes import any_of, from_writer, is_writer
from jaxrnn.running.progress import Clock, Progress, evaluation_record
from jaxrnn.running.signals import STOPPING
from jaxrnn.running.stopping import Stopping, turn_towards, turned
from jaxrnn.running.surroundings import surroundings

LOG_EVERY = 100  # steps

After = Callable[[int, Params], object]


@dataclass(frozen=True, eq=False)
class Fitted:
    """What training comes to.

    Attributes:
      state: the last.
      progress: how far it came.
      reason: why it stopped: "steps", "minutes", "patience", "not finite", or the name of a signal.
      saved: the step of the last state that was kept; 0 if none was.
      figures: of this session's evaluations: after which step, and what was found.
    """

    state: Any
    progress: Progress
    reason: str
    saved: int
    figures: list[tuple[int, float]]
    find_best: Callable[[], Params]

    @property
    def best(self) -> Params:
        """What was best in an evaluation; without one, what was learned last.

        Raises:
          InputError: nothing that was evaluated was finite, or training came to such an end.
        """
        return self.find_best()


def fit(
    learner: Learner,
    schedule: Schedule,
    stopping: Stopping,
    *,
    mesh: Mesh,
    seed: int = 0,
    rates: str = "",
    evaluate_every: int = 1000,
    checkpoint_every: int = 500,
    log_every: int = LOG_EVERY,
    keeper: Keeper | None = None,
    display: Display | None = None,
    after: After | None = None,
) -> Fitted:
    """Trains on from where a run was kept, or from the start, until told to stop.

    Whatever a step does is a function of the seed and the step's number, so that a resumed run
    equals one that was never interrupted, to the bit, unless `stopping` counts minutes. What it
    depends on besides, `surroundings`, is noted where it is kept, and a change of it is said.
    Where `stopping` has another length than so far, the rate turns (`jaxrnn.running.stopping`).

    A state is kept before anything of it is shown. One whose evaluation is not finite, or after
    which the last step was skipped, is not kept: the one that was kept before may be good.

    All processes of a run (see `jaxrnn.running.processes`) call this and take the same decisions.

    Args:
      learner: what learns.
      schedule: its learning rate, as a function of how much of the training is done.
      stopping: when it ends.
      mesh: the devices.
      seed: decides the steps' keys.
      rates: the schedule in words, by which a run that goes on sees whether it is another.
      evaluate_every: steps between two evaluations, rounded up to whole calls.
      checkpoint_every: the same of checkpoints,
      log_every: and of records of the loss.
      keeper: where the run is kept, and goes on from; None: nowhere, no signal is caught either.
      display: where it is shown; None: nowhere. One that fails is given up, and training goes on.
      after: called with the step and what was learned after each evaluation that was finite, by the
        writer alone. The state is kept by then; what it raises ends the training.
    """
    keeper = keeper or Keeper()
    run = _Run(learner, stopping, mesh, keeper, Unfailing(display or Quiet()), after)
    state = run.resume()
    if not run.progress.reason_to_stop(stopping):
        _take_up(run, schedule, rates)
    state = parallel.place(learner.shardings, state)
    if learner.knows and not run.progress.step and run.progress.best is None:
        _evaluate(run, state)
    calls = _calls(run, turned(schedule, run.progress.turn), seed)
    clock = Clock(learner.counted, stopping, run.progress)
    with keeper.caught_signals() as caught:
        reason = run.reason_to_stop(caught)
        trained = iter(()) if reason else in_calls(learner.steps, state, calls)
        for state, report, (_, _, rates) in trained:
            before, step = run.progress.step, run.progress.step + len(rates)
            run.progress.step, run.progress.rate = step, float(np.asarray(rates)[-1])
            _count_skipped(run.progress, report)
            clock.tick(np.asarray(report.losses), np.asarray(report.finite))
            run.display.update(step, clock.fraction, clock.facts, clock.seconds_left)
            if _passed(log_every, before, step):
                keeper.log(clock.record())
            if _passed(evaluate_every, before, step):
                _evaluate(run, state)
                clock.leave_out()
            elif _passed(checkpoint_every, run.saved, step):
                run.save(state)
                clock.leave_out()
            reason = run.reason_to_stop(caught)
            if reason:
                break
        if reason in STOPPING:  # no evaluation: a run that is not stopped makes none here
            if run.saved != run.progress.step:
                run.save(state)
        elif (
            reason != "not finite"
            and run.progress.evaluated < run.progress.step
            and run.progress.length == stopping.length  # else it was longer than is now asked for
        ):
            _evaluate(run, state)
    return Fitted(
        state, run.progress, str(reason), run.saved, run.figures, partial(run.find_best, state)
    )


class _Run:
    """What all parts of the loop need."""

    def __init__(
        self,
        learner: Learner,
        stopping: Stopping,
        mesh: Mesh,
        keeper: Keeper,
        display: Unfailing,
        after: After | None,
    ) -> None:
        self.learner, self.stopping, self.mesh = learner, stopping, mesh
        self.keeper, self.display, self.after = keeper, display, after
        self.progress = Progress()
        self.saved = 0
        self.best: Params | None = None  # of this session
        self.figures: list[tuple[int, float]] = []

    def resume(self) -> Any:
        state, self.progress, told = self.keeper.resume(self.learner.start())
        self.saved = self.progress.step
        for line in told:
            self.display.say(line)
        return state

    def reason_to_stop(self, caught: list[str]) -> str | None:
        """A signal that was caught first, in whichever process, or what the progress says."""
        number = any_of(signal.Signals[caught[0]] if caught else 0)
        if number:
            return signal.Signals(number).name
        return self.progress.reason_to_stop(self.stopping)

    def save(self, state: Any, best: bool = False) -> None:
        """Keeps a state, unless it looks as if nothing finite could come of it."""
        if self.progress.is_sound:
            self.keeper.save(parallel.whole(self.mesh, state), self.progress, best=best)
            self.saved = self.progress.step

    def find_best(self, state: Any) -> Params:
        if self.best is not None:
            return self.best
        if self.progress.best is not None:
            return self.learner.learned(self.keeper.best(state))
        if self.progress.evaluated or not self.progress.is_sound:
            raise InputError(
                "training diverged before any evaluation was finite, so that nothing is best; "
                "train anew with a lower learning rate or clip_norm"
            )
        return self.learner.learned(state)


def _take_up(run: _Run, schedule: Schedule, rates: str) -> None:
    """Notes what is going to train, how fast and for how long, and says what of it is new."""
    progress, stopping = run.progress, run.stopping
    changed = run.keeper.note_surroundings(progress.step, surroundings(run.mesh.size))
    if changed:
        run.display.say(changed)
    before, progress.length = progress.length, stopping.length
    is_new = progress.rates not in ("", rates)
    progress.rates = rates
    if before in ("", stopping.length) and not is_new:
        return
    since = stopping.fraction(progress.step, progress.seconds)
    turn = turn_towards(schedule, since, progress.rate, at_once=is_new)
    progress.turned_since, progress.turned_rate = turn or (0.0, None)
    if turn is not None:
        goal = float(schedule(turn.until))
        run.display.say(
            f"The learning rate, {turn.rate:.2g} at step {progress.step:,} of a training of "
            f"{before}, {'rises' if goal > turn.rate else 'falls'} to {goal:.2g} by "
            f"{stopping.moment(turn.until)}, as the schedule{f' ({rates})' * is_new} over "
            f"{stopping.length} has it; a run begun with that {'one' if is_new else 'length'} "
            "would differ."
        )
    elif is_new:
        run.display.say(
            f"The learning rate, {progress.rate:.2g} at step {progress.step:,}, is "
            f"{float(schedule(since)):.2g} from here on, as the schedule ({rates}) over "
            f"{stopping.length} has it."
        )


def _calls(
    run: _Run, schedule: Schedule, seed: int
) -> Iterator[tuple[Any, Key[Array, " steps"], Float[Array, " steps"]]]:
    """Data, keys and rates of call after call; each rate is that of the moment it is asked for."""
    stopping, key = run.stopping, derive(jax.random.key(seed), "dropout")

    @partial(jax.jit, out_shardings=parallel.everywhere(run.mesh))
    def keys_and_rates(steps: jax.Array, fractions: jax.Array) -> tuple[jax.Array, jax.Array]:
        keys = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, steps)
        return keys, jax.vmap(schedule)(fractions)

    step = run.progress.step
    while stopping.steps is None or step < stopping.steps:
        # Calls end at multiples of STEPS_PER_CALL, so that a resumed run makes the same calls.
        end = step + STEPS_PER_CALL - step % STEPS_PER_CALL
        steps = range(step, end if stopping.steps is None else min(end, stopping.steps))
        fractions = [stopping.fraction(step, run.progress.seconds) for step in steps]
        data = [run.learner.data(step) for step in steps]
        stacked = parallel.feed(run.mesh, jax.tree.map(lambda *arrays: np.stack(arrays), *data))
        yield stacked, *keys_and_rates(np.array(steps), np.array(fractions, np.float32))
        step = steps.stop


def _evaluate(run: _Run, state: Any) -> None:
    learner, progress = run.learner, run.progress
    params = parallel.local(learner.learned(state))
    figure = from_writer(lambda: learner.evaluate(params))
    is_best = progress.note_evaluation(figure, learner.counted.judged)
    if not progress.step and progress.figure is None:
        raise InputError(
            f"what the training starts from has no finite {learner.counted.judged.unit}, as after "
            "a training that diverged; start from other parameters"
        )
    run.figures.append((progress.step, figure))
    run.best = params if is_best else run.best
    run.keeper.log(evaluation_record(progress, learner.counted))
    run.save(state, best=is_best)
    moment = f"\nstep {progress.step:,}" if progress.step else "before training"
    run.display.say(
        f"{moment}: {'no finite' if progress.figure is None else f'{figure:.4f}'} "
        f"{learner.counted.judged.unit} {learner.counted.where}"
        + (" (the best so far)" if is_best and progress.step else "")
    )
    if run.after and progress.figure is not None and is_writer():
        run.after(progress.step, params)


def _count_skipped(progress: Progress, report: Report) -> None:
    for is_finite in np.asarray(report.finite):
        progress.skipped += not is_finite
        progress.skipped_in_a_row = 0 if is_finite else progress.skipped_in_a_row + 1
    progress.restarted += int(np.sum(report.restarted))


def _passed(every: int, before: int, now: int) -> bool:
    """Whether a multiple of `every` was reached."""
    return now // every > before // every
