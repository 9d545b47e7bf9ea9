"""Suite choices: what the engine's own choices gain over what else could be done, on one device.

Each choice is timed beside its alternative, in turns; where several delays are compared, beside the
shortest.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxrnn
from experiments.benchmark.options import Options
from experiments.benchmark.report import spread
from experiments.benchmark.shapes import CLIP_NORM, LEARNING_RATE, SYMBOLS, Shape
from experiments.laboratory.plots import COLORS, figure, save
from experiments.laboratory.stopwatch import Contender, Spread, take_turns
from experiments.laboratory.tables import Table
from jaxrnn import Connection, Dropout, Layer, Network, init, initial_state, unroll
from jaxrnn.core.engine.linear_recurrence import _as_prefix_sum, _in_a_loop
from jaxrnn.learning.batch import Batch
from jaxrnn.learning.loss import cross_entropy
from jaxrnn.learning.optimizers import make_optimizer
from jaxrnn.learning.training import STEPS_PER_CALL, make_training_steps, start

Contenders = dict[str, Contender]  # the choice, then its alternatives


class Called(Contender):
    """A jitted function of fixed arguments."""

    def __init__(self, function: Callable, *arguments: Any) -> None:
        self.function, self.arguments = jax.jit(function), arguments

    def run(self, count: int) -> None:
        for _ in range(count):
            jax.block_until_ready(self.function(*self.arguments))


class Training(Contender):
    """Training steps on random symbols, so many in a call; a run is ten steps."""

    def __init__(
        self, network: Network, batch: int, chunk: int, steps: int, **options: Any
    ) -> None:
        optimizer = make_optimizer("adam", clip_norm=CLIP_NORM)
        self.state = start(network, init(network, jax.random.key(0)), optimizer, batch)
        self.call = make_training_steps(network, optimizer, **options)
        drawn = np.random.default_rng(0).integers(network.input_size, size=(steps, chunk, batch))
        symbols = jnp.asarray(drawn)
        chunks = Batch(symbols, symbols % network.size("output"), jnp.zeros(symbols.shape, bool))
        keys = jax.random.split(jax.random.key(0), steps)
        self.rest, self.steps = (chunks, keys, jnp.full(steps, LEARNING_RATE)), steps

    def run(self, count: int) -> None:
        for _ in range(count * STEPS_PER_CALL // self.steps):
            self.state, report = self.call(self.state, *self.rest)
            jax.block_until_ready(report)


def gradient(network: Network, batch: int, time: int, **options: Any) -> Contender:
    """Of the loss on random symbols."""
    params, state = init(network, jax.random.key(0)), initial_state(network, batch)
    drawn = np.random.default_rng(0).integers(network.input_size, size=(time, batch))
    resets = jnp.zeros((time, batch), bool)

    def loss(params: Any, symbols: jax.Array) -> jax.Array:
        outputs, _ = unroll(network, params, state, symbols, resets=resets, **options)
        return cross_entropy(outputs, symbols % outputs.shape[-1]).mean()

    return Called(jax.grad(loss), params, jnp.asarray(drawn))


def of_shape(shape: Shape, **options: Any) -> Contender:
    return gradient(shape.network(), shape.batch, shape.chunk, **options)


def with_delay(size: int, delay: int) -> Network:
    layers = [Layer("hidden", size, "tanh"), Layer("output", SYMBOLS, "linear")]
    chain = [Connection("input", "hidden"), Connection("hidden", "output")]
    return Network(SYMBOLS, layers, [*chain, Connection("hidden", "hidden", delay)])


def with_vocabulary(size: int, symbols: int) -> Network:
    layers = [Layer("hidden", size, "tanh"), Layer("output", SYMBOLS, "linear")]
    edges = [("input", "hidden"), ("hidden", "hidden", 1), ("hidden", "output")]
    return Network(symbols, layers, [Connection(*edge) for edge in edges])


def recurrence(run: Callable, time: int, batch: int, size: int) -> Contender:
    """A linear recurrence, forward and backward."""
    decay, drive = jnp.full((2, time, batch, size), 0.5)
    loss = lambda *arguments: jnp.sum(run(*arguments, None) ** 2)  # noqa: E731
    return Called(jax.grad(loss, argnums=(0, 1, 2)), decay, drive, jnp.zeros((batch, size)))


def replicas(shape: Shape, count: int, vmapped: bool) -> Contender:
    """Gradients of several parameters on one chunk."""
    network = shape.network()
    keys = jax.random.split(jax.random.key(0), count)
    params, state = jax.vmap(partial(init, network))(keys), initial_state(network, shape.batch)
    symbols = jnp.zeros((shape.chunk, shape.batch), int)

    def one(params: Any) -> Any:
        loss = lambda p: cross_entropy(unroll(network, p, state, symbols)[0], symbols).mean()  # noqa: E731
        return jax.grad(loss)(params)

    return Called(jax.vmap(one) if vmapped else partial(jax.lax.map, one), params)


def choices(quick: bool) -> dict[str, Callable[[], Contenders]]:
    def shape(cell: str, hidden: tuple[int, ...], batch: int, chunk: int) -> Shape:
        return Shape(cell, (4,), 2, 4) if quick else Shape(cell, hidden, batch, chunk)

    size, batch, time = (4, 2, 4) if quick else (64, 16, 64)
    gru, tanh = shape("gru", (256, 256), 50, 50), shape("tanh", (256, 256), 32, 16)
    lstm, small = shape("lstm", (256, 256), 50, 50), shape("tanh", (128, 128), 32, 16)
    found: dict[str, Callable[[], Contenders]] = {}
    for each in (gru, lstm, tanh):
        found[f"rule for BPTT, {each.name}"] = lambda each=each: {
            "its own": of_shape(each),
            "autodiff": of_shape(each, options=jaxrnn.Options(plain_autodiff=True)),
        }  # fmt: skip
    found[f"steps a call, {gru.name}"] = lambda: {
        name: Training(gru.network(), gru.batch, gru.chunk, steps)
        for name, steps in (("ten", STEPS_PER_CALL), ("one", 1))
    }
    counts = (20, 40) if quick else (1_000, 10_000, 100_000, 1_000_000)
    found[f"rows of a table, tanh {size} B{batch} T{time}"] = lambda: {
        f"{rows:,}, {name}": Training(
            with_vocabulary(size, rows), batch, time, STEPS_PER_CALL, tables=tables
        )
        for name, tables in (("by rows", ["input"]), ("whole", []))
        for rows in counts
    }
    for steps, lanes, units in ((4, 2, 4),) if quick else ((50, 50, 256), (1024, 16, 256)):
        found[f"linear recurrence, {steps} steps of {lanes} x {units}"] = lambda s=(
            steps, lanes, units
        ): {
            "loop": recurrence(_in_a_loop, *s), "prefix sum": recurrence(_as_prefix_sum, *s)
        }  # fmt: skip
    found[f"a loop's delay, tanh {size} B{batch} T{time}"] = lambda: {
        f"delay {delay}": gradient(with_delay(size, delay), batch, time)
        for delay in (1, 2, 16, 64, 128)
    }
    large = with_vocabulary(size, 20 if quick else 10_000)
    found[f"dropout of symbols, {large.input_size:,} of them"] = lambda: {
        "without": gradient(large, 2 * batch, time),
        **{
            name: gradient(
                large, 2 * batch, time, dropout=Dropout(0.5, locked),
                dropout_key=jax.random.key(0),
            )
            for name, locked in (("fresh", False), ("locked", True))
        },
    }  # fmt: skip
    found[f"five replicas, {small.name}"] = lambda: {
        "one after the other": replicas(small, 5, False), "vmapped": replicas(small, 5, True)
    }  # fmt: skip
    return found


def run(options: Options) -> list[dict[str, Any]]:
    records = []
    for name, make in choices(options.quick).items():
        if options.only.lower() not in name.lower():
            continue
        options.say(f"timing {name}")
        contenders = make()
        timers = {key: contender.seconds_each for key, contender in contenders.items()}
        seconds = take_turns(timers, options.rounds, options.seconds)
        first = next(iter(contenders))
        records += [
            {
                "choice": name,
                "alternative": key,
                "milliseconds": Spread.of(1000 * seconds[key])._asdict(),
                "the_first_is_times_as_fast": Spread.of(seconds[key] / seconds[first])._asdict(),
            }
            for key in contenders
        ]
    return records


def tables(records: list[dict[str, Any]]) -> list[Table]:
    table = Table(
        "What is chosen, and its alternatives: median (10% to 90% of the rounds)",
        ["choice", "", "ms", "the first's speed over it"],
    )
    shown = None
    for record in records:
        is_first = record["choice"] != shown
        table.rows.append([
            record["choice"] if is_first else "",
            record["alternative"],
            spread(record["milliseconds"]),
            "" if is_first else spread(record["the_first_is_times_as_fast"]),
        ])  # fmt: skip
        shown = record["choice"]
    return [table]


def draw(records: list[dict[str, Any]], folder: Path) -> None:
    """How much longer each alternative takes."""
    picture, axes = figure(8, 0.6 + 0.32 * len(records))
    for i, record in enumerate(records):
        ratio = record["the_first_is_times_as_fast"]
        errors = [[ratio["median"] - ratio["low"]], [ratio["high"] - ratio["median"]]]
        axes.barh(i, ratio["median"], color=COLORS[0], xerr=errors, error_kw={"lw": 0.8})
    names = [f"{record['choice']}: {record['alternative']}" for record in records]
    axes.set_yticks(range(len(records)), names)
    axes.axvline(1, color="#999999", lw=0.8)
    axes.invert_yaxis()
    axes.set(xlabel="time, the first of each group = 1")
    save(picture, folder / "choices.png")
