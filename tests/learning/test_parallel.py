"""Training on four devices: what crosses between them, and that the numbers are those of one."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import pytest

from jaxrnn import InputError
from jaxrnn.learning.parallel import data_mesh, own_lanes, placement
from tests.xla_flags import with_flags

ROOT = Path(__file__).parents[2]

# Run where there are four devices; prints what the tests look at.
FOUR_DEVICES = """
import json, re
import jax, jax.numpy as jnp, numpy as np
from jaxrnn import Connection, Dropout, InputError, Layer, Network, init, stacked
from jaxrnn.learning.optimizers import make_optimizer
from jaxrnn.learning.batch import Batch
from jaxrnn.learning.parallel import data_mesh, feed, local, place, placement, shardings
from jaxrnn.learning.training import make_training_steps, start

facts = {"meshes": {}, "same": {}, "collectives": {}, "programs": {}, "lanes": {}}
for batch, limit in ((8, None), (6, None), (7, None), (8, 2), (6, 4), (8, 5)):
    try:
        mesh = data_mesh(batch, limit)
        facts["meshes"][f"{batch} {limit}"] = [mesh.size, placement(mesh, batch)]
    except InputError as mistake:
        facts["meshes"][f"{batch} {limit}"] = str(mistake)

MIXED = Network(
    6,
    [Layer("low", 5, "gru"), Layer("high", 4, "lstm"), Layer("top", 3, "tanh"),
     Layer("output", 6, "linear")],
    [Connection("input", "low"), Connection("input", "low", 2), Connection("low", "low", 1),
     Connection("low", "high"), Connection("high", "low", 1), Connection("high", "top"),
     Connection("top", "top", 3), Connection("high", "output"), Connection("top", "output")],
)
STEPS, TIME, BATCH = 3, 5, 8
rng = np.random.default_rng(0)
own = [rng.integers(6, size=(STEPS, TIME, BATCH)).astype(np.int32) for _ in range(2)]
own = Batch(*own, rng.random((STEPS, TIME, BATCH)) < 0.2)
rates, keys = jnp.full(STEPS, 0.01), jax.random.split(jax.random.key(1), STEPS)
optimizer = make_optimizer("adam", clip_norm=1.0)
for name, network, rate in (("dropout", MIXED, 0.3), ("plain", stacked(6, [5], 6), 0.0)):
    results = []
    for count in (1, 4):
        mesh = data_mesh(BATCH, count)
        steps = make_training_steps(
            network, optimizer, dropout=Dropout(rate), shardings=shardings(mesh)
        )
        state = start(network, init(network, jax.random.key(0)), optimizer, BATCH)
        state = place(shardings(mesh), state)
        if count == 4:
            text = steps.lower(state, feed(mesh, own), keys, rates).compile().as_text()
            kinds = "all-reduce|all-gather|all-to-all|collective-permute|reduce-scatter"
            found = re.findall(rf" ({kinds})(?:-start)?\\(", text)
            facts["collectives"][name] = {kind: found.count(kind) for kind in found}
        for _ in range(2):
            state, report = steps(state, feed(mesh, own), keys, rates)
        facts["programs"][f"{name} {count}"] = steps._cache_size()
        remembered = jax.tree.leaves(state.network_state)
        lanes = {array.sharding.shard_shape(array.shape)[0] for array in remembered}
        facts["lanes"][f"{name} {count}"] = sorted(lanes)
        results.append((report.losses, local(state.params), state.network_state))
    one, four = (list(map(np.asarray, jax.tree.leaves(result))) for result in results)
    facts["same"][name] = max(float(np.abs(a - b).max()) for a, b in zip(one, four, strict=True))
facts["restarted"] = {}
network = stacked(6, [5], 6)
for count in (1, 4):
    mesh = data_mesh(BATCH, count)
    steps = make_training_steps(network, optimizer, shardings=shardings(mesh))
    for lanes in ([5], [0, 7], range(8)):
        state = start(network, init(network, jax.random.key(0)), optimizer, BATCH)
        spoilt = jax.tree.map(lambda x: x.at[jnp.array(lanes)].set(jnp.nan), state.network_state)
        chunks = feed(mesh, own._replace(resets=np.zeros((STEPS, TIME, BATCH), bool)))
        state = place(shardings(mesh), state._replace(network_state=spoilt))
        _, report = steps(state, chunks, keys, rates)
        facts["restarted"][f"{len(lanes)} of {count}"] = report.restarted.tolist()
print(json.dumps(facts))
"""

# Run where the user told JAX nothing about devices, on a machine of four cores.
FOUR_CORES = """
import json
import jax
from jaxrnn import stacked
from jaxrnn.running import devices

devices.cores = lambda: 4
facts = {"taken": devices.use_cores(), "devices": jax.device_count()}
network = stacked(65, [128], 65)
batches = (8, 31, 32, 50, 60, 64, 640)
facts["lanes"] = {batch: devices.worthwhile_devices(network, batch, 16) for batch in batches}
facts["sizes"] = [
    devices.worthwhile_devices(stacked(9, [n], 9), 64, chunk)
    for n, chunk in ((16, 16), (256, 16), (1500, 16), (1500, 160))
]
tables = stacked(9, [256], 9, ngrams=(2,), ngram_rows=10**6, ngram_size=4)
facts["tables"] = devices.worthwhile_devices(tables, 64, 16)
facts["taken again"] = devices.use_cores()
print(json.dumps(facts))
"""


@pytest.fixture(scope="module")
def facts() -> dict[str, Any]:
    return printed_by(FOUR_DEVICES, "--xla_force_host_platform_device_count=4")


def printed_by(program: str, flags: str) -> dict[str, Any]:
    """What a program prints, on a CPU, with more XLA flags."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT, env=with_flags(flags), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_four_devices_train_as_one_does_with_and_without_dropout(facts):
    assert facts["same"].keys() == {"dropout", "plain"}
    assert max(facts["same"].values()) < 1e-5


def test_between_devices_only_the_gradients_are_summed_once_a_step(facts):
    """The steps are a loop, so that once in the program is once a step."""
    assert facts["collectives"] == {name: {"all-reduce": 1} for name in ("dropout", "plain")}


def test_each_device_keeps_its_own_lanes(facts):
    for name, lanes in facts["lanes"].items():
        assert lanes == ([2] if name.endswith("4") else [8])


def test_the_second_call_finds_the_state_where_the_first_one_did(facts):
    assert set(facts["programs"].values()) == {1}


def test_lanes_that_exploded_start_anew_on_whichever_device_they_are(facts):
    for name, restarted in facts["restarted"].items():
        assert restarted == [int(name.split()[0]), 0, 0]


def test_as_many_devices_are_used_as_divide_the_batch(facts):
    meshes = facts["meshes"]
    assert meshes["8 None"] == [4, "Training on 4 of 4 devices."]
    assert meshes["6 None"] == [3, "Training on 3 of 4 devices; 4 cannot share 6 lanes evenly."]
    assert meshes["7 None"][0] == 1
    assert meshes["8 2"] == [2, "Training on 2 of 4 devices."]
    assert "a batch of 6 lanes cannot be spread evenly over 4 devices" in meshes["6 4"]
    assert "5 devices were asked for where there are 4" in meshes["8 5"]


def test_of_a_cpu_as_many_cores_are_taken_as_are_kept_busy():
    facts = printed_by(FOUR_CORES, "")
    assert (facts["taken"], facts["devices"], facts["taken again"]) == (True, 4, False)
    lanes = {"8": 1, "31": 1, "32": 2, "50": 2, "60": 3, "64": 4, "640": 4}
    assert facts["lanes"] == lanes
    assert facts["sizes"] == [1, 4, 1, 4]  # too small, right, too large for so short a chunk, right
    assert facts["tables"] == 4  # as if its tables were not there


def test_what_the_user_says_of_cpu_devices_holds():
    facts = printed_by(FOUR_CORES, "--xla_force_host_platform_device_count=3")
    assert (facts["taken"], facts["devices"]) == (False, 3)


def test_the_only_device_takes_all_lanes():
    mesh = data_mesh(7)
    assert mesh.devices.tolist() == jax.devices()[:1]
    assert placement(mesh, 7) == "Training on 1 of 1 devices."
    assert own_lanes(7) == slice(0, 7)
    with pytest.raises(InputError, match="2 devices were asked for where there are 1"):
        data_mesh(8, 2)
