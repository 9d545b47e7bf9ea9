"""What computes a run, and how a change of it is told."""

import json
import os

import jax
import pytest

from jaxrnn.learning.parallel import data_mesh
from jaxrnn.running.devices import devices_as_before
from jaxrnn.running.surroundings import change, surroundings

CPU = {
    "devices": 2, "devices_there": 2, "processes": 1, "cores": 2, "platform": "cpu",
    "device": "cpu", "processor": "EPYC", "versions": {"jax": "0.10.2", "numpy": "2.4"},
    "options": {"XLA_FLAGS": ""},
}  # fmt: skip
GPU = CPU | {"platform": "gpu", "device": "H100"}


def test_what_computes_here_is_json_and_equals_itself():
    now = surroundings(1)
    assert json.loads(json.dumps(now, allow_nan=False)) == now
    assert (now["platform"], now["device"]) == ("cpu", "cpu")
    assert now["cores"] == len(os.sched_getaffinity(0))
    assert now["devices_there"] == jax.device_count()
    assert now["versions"]["jax"] == jax.__version__
    assert now["options"]["jax_disable_most_optimizations"] is True  # as tests/conftest.py has it
    assert change(now, surroundings(1)) is None


@pytest.mark.parametrize(
    ("now", "said"),
    [
        ({"devices": 1, "devices_there": 1}, "1 device where so far it was 2 devices:"),
        ({"devices": 1}, "1 of 2 devices where so far it was 2 devices:"),
        ({"cores": 1}, "1 core where so far it was 2 cores:"),
        ({"processes": 3}, "3 processes where so far it was 1 process:"),
        ({"processor": "Xeon"}, "Xeon where so far it was EPYC:"),
        ({"versions": {"jax": "0.11", "numpy": "2.4"}}, "jax 0.11 where so far it was jax 0.10.2:"),
        ({"options": {"XLA_FLAGS": "-a"}}, "XLA_FLAGS=-a where so far it was XLA_FLAGS=:"),
        ({"devices": 1, "cores": 1}, "1 of 2 devices, 1 core where so far it was 2 devices, 2 c"),
    ],
)  # fmt: skip
def test_each_change_is_said(now, said):
    sentence = change(CPU, CPU | now)
    assert sentence is not None
    assert sentence.startswith(f"Going on with {said}")
    assert "no longer equal, to the bit" in sentence


def test_double_precision_that_is_allowed_decides_sums_of_single_precision_too():
    before = surroundings(1)
    jax.config.update("jax_enable_x64", True)
    try:
        sentence = change(before, surroundings(1))
    finally:
        jax.config.update("jax_enable_x64", False)
    assert sentence is not None
    assert "jax_enable_x64=True where so far it was jax_enable_x64=False:" in sentence


def test_what_is_not_known_of_before_is_no_change():
    assert change({"from": 0, "versions": {"jax": "0.10.2"}}, CPU) is None
    assert change({}, CPU) is None


def test_of_an_accelerator_the_processor_beside_it_decides_nothing():
    assert change(GPU, GPU | {"cores": 9, "processor": "Xeon", "devices_there": 8}) is None
    assert change(GPU, GPU | {"device": "H200"}) is not None
    assert change(GPU, CPU) is not None


def test_as_many_devices_as_before_where_that_can_be():
    now, there = surroundings(1), jax.device_count()
    assert data_mesh(8 * there).size == there
    assert devices_as_before(now, 8) == 1
    for other in (
        None, {}, now | {"devices": there + 1}, now | {"devices": 0}, now | {"devices": "1"},
        now | {"platform": "gpu"}, now | {"cores": now["cores"] + 1}, {"versions": {}},
    ):  # fmt: skip
        assert devices_as_before(other, 8) is None
