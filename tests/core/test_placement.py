"""The engine and training on an explicit mesh of four devices, and inside `shard_map`."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.xla_flags import with_flags

ROOT = Path(__file__).parents[2]

# Run where there are four devices; prints the largest differences from one device.
FOUR_DEVICES = """
import json
from functools import partial
import jax, jax.numpy as jnp, numpy as np, optax
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
from jaxrnn import *
from jaxrnn.core.parameters import parameter_shapes
from jaxrnn.text.sampling import read, write
from jaxrnn.learning.batch import Batch
from jaxrnn.learning.training import make_training_steps, start

NETWORK = Network(
    5,
    [Layer("low", 4, "gru"), Layer("high", 3, "lstm"), Layer("far", 3, "tanh"),
     Layer("linear", 3, "rg_lru"), Layer("mixing", 3, "layer_norm_lstm"),
     Layer("output", 5, "linear")],
    [Connection("input", "low"), Connection("input", "low", 2), Connection("low", "low", 1),
     Connection("low", "high"), Connection("high", "low", 1), Connection("high", "far"),
     Connection("far", "far", 3), Connection("far", "linear"), Connection("linear", "output"),
     Connection("linear", "mixing"), Connection("mixing", "mixing", 1, "diagonal"),
     Connection("mixing", "output"), Connection("low", "output", 4)],
)
TIME, BATCH = 6, 8
rng = np.random.default_rng(0)


def drawn(shape):  # by NumPy, for which nothing is compiled
    return (0.5 * rng.normal(size=shape)).astype(np.float32)


def drawn_for(network):  # with biases, lest a sum of nothing be normalised
    shapes = parameter_shapes(network)
    return {layer: {name: drawn(own[name]) for name in own} for layer, own in shapes.items()}


params = drawn_for(NETWORK)
state = jax.tree.map(lambda x: drawn(x.shape), initial_state(NETWORK, BATCH))
resets = jnp.asarray(rng.random((TIME, BATCH)) < 0.2)
inputs = {
    "symbols": jnp.asarray(rng.integers(5, size=(TIME, BATCH))),
    "features": jnp.asarray(rng.normal(size=(TIME, BATCH, 5)), jnp.float32),
}
dropped = {"dropout": Dropout(0.3, locked=True), "dropout_key": jax.random.key(3)}
cut = dropped | {"options": Options(segment=2)}
mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Explicit,))
lanes = partial(jax.device_put, device=NamedSharding(mesh, P(None, "data")))
states = partial(jax.device_put, device=NamedSharding(mesh, P("data")))
everywhere = partial(jax.device_put, device=NamedSharding(mesh, P()))


def difference(a, b):
    gap = lambda x, y: float(np.max(np.abs(np.asarray(x) - np.asarray(y)), initial=0))
    return max(jax.tree.leaves(jax.tree.map(gap, a, b)))


def run(params, state, inputs, resets, **options):
    def loss(params, state):
        outputs, after = unroll(NETWORK, params, state, inputs, resets=resets, **options)
        total = jnp.sum(outputs**2) + sum(jnp.sum(x**2) for x in jax.tree.leaves(after))
        return total, (outputs, after)

    (_, result), gradients = jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)(params, state)
    return result, gradients


facts = {"explicit": {}, "shard_map": {}, "types": []}
for kind, given in inputs.items():
    for name, chosen in [("", {})] if kind == "features" else [("dropout in segments", cut)]:
        alone = jax.jit(partial(run, **chosen))(params, state, given, resets)
        with jax.set_mesh(mesh):
            spread = everywhere(params), states(state), lanes(given), lanes(resets)
            together = jax.jit(partial(run, **chosen))(*spread)
            facts["explicit"][f"{kind} {name}"] = difference(alone, together)
            facts["types"] += [str(jax.typeof(x)) for x in jax.tree.leaves(together[0])]
        if name:  # of dropout, a mask is drawn for each device's lanes
            continue

        def sharded(params, state, given, resets):
            result, (gradient, past) = run(params, state, given, resets, **chosen)
            return result, gradient, past

        with jax.set_mesh(jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,))):
            program = jax.shard_map(
                sharded, in_specs=(P(), P("data"), P(None, "data"), P(None, "data")),
                out_specs=((P(None, "data"), P("data")), P(), P("data")),
            )
            result, gradient, past = jax.jit(program)(params, state, given, resets)
            facts["shard_map"][f"{kind} {name}"] = difference(alone, (result, (gradient, past)))

both = Network(
    {"symbols": 5, "features": 5},
    [Layer("ahead", 3, "gru"), Layer("back", 3, "min_gru", backward=True),
     Layer("output", 2, "tanh")],
    [("symbols", "ahead"), ("ahead", "ahead", 1), ("symbols", "back"), ("features", "back"),
     ("ahead", "output"), ("back", "output")],
)
counts = jnp.asarray(rng.integers(TIME + 1, size=BATCH))
both_params, both_state = drawn_for(both), initial_state(both, BATCH)
run_both = jax.jit(partial(unroll, both))
alone = run_both(both_params, both_state, inputs, resets=resets, lengths=counts)
with jax.set_mesh(mesh):
    together = run_both(
        everywhere(both_params), states(both_state), jax.tree.map(lanes, inputs),
        resets=lanes(resets), lengths=states(counts),
    )
    facts["explicit"]["both ways"] = difference(alone, together)

# A state that is made inside is the same on all devices; what the loop makes of it is not.
def from_zero(params, given):
    outputs, _ = unroll(NETWORK, params, initial_state(NETWORK, given.shape[1]), given)
    return jax.lax.psum(jnp.sum(outputs**2), "data")

blank = initial_state(NETWORK, BATCH)
alone = jax.jit(
    jax.grad(lambda p: jnp.sum(unroll(NETWORK, p, blank, inputs["symbols"])[0] ** 2))
)(params)
with jax.set_mesh(jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,))):
    program = jax.shard_map(
        jax.grad(from_zero), in_specs=(P(), P(None, "data")), out_specs=P()
    )
    facts["from zero"] = difference(alone, jax.jit(program)(params, inputs["symbols"]))

steps = 3
chunks = Batch(
    jnp.asarray(rng.integers(5, size=(steps, TIME, BATCH))),
    jnp.asarray(rng.integers(5, size=(steps, TIME, BATCH))),
    jnp.stack([resets] * steps),
)
keys = jax.random.split(jax.random.key(0), steps)
train = make_training_steps(NETWORK, optax.adam(1e-2))
fresh = lambda: start(NETWORK, jax.tree.map(jnp.copy, params), optax.adam(1e-2), BATCH)
alone, report = train(fresh(), chunks, keys)
with jax.set_mesh(mesh):
    begin = fresh()
    begin = begin._replace(
        params=everywhere(begin.params), optimizer_state=everywhere(begin.optimizer_state),
        network_state=states(begin.network_state),
    )
    place = partial(jax.device_put, device=NamedSharding(mesh, P(None, None, "data")))
    together, spread_report = train(begin, jax.tree.map(place, chunks), keys)
    facts["training"] = difference((alone, report.losses), (together, spread_report.losses))
    position = read(NETWORK, everywhere(params), np.array([1, 2]), 4)
    facts["writes"] = next(write(NETWORK, everywhere(params), position, jax.random.key(0))).shape
print(json.dumps(facts))
"""


@pytest.fixture(scope="module")
def facts() -> dict[str, Any]:
    environment = with_flags("--xla_force_host_platform_device_count=4")
    outcome = subprocess.run(
        [sys.executable, "-c", FOUR_DEVICES], cwd=ROOT, env=environment, capture_output=True,
        text=True, timeout=300,
    )  # fmt: skip
    assert outcome.returncode == 0, outcome.stderr[-3000:]
    return json.loads(outcome.stdout.splitlines()[-1])


@pytest.mark.parametrize("way", ["explicit", "shard_map"])
def test_outputs_states_and_gradients_are_those_of_one_device(facts, way):
    assert facts[way]
    assert {name: gap for name, gap in facts[way].items() if not gap < 3e-4} == {}


def test_what_comes_back_lies_as_what_went_in(facts):
    assert facts["types"]
    assert all("8@data" in kind for kind in facts["types"])


def test_a_state_may_be_the_same_on_all_devices_of_a_shard_map(facts):
    assert facts["from zero"] < 1e-4


def test_training_and_writing_work_on_an_explicit_mesh(facts):
    assert facts["training"] < 1e-4
    assert facts["writes"] == [256, 4]
