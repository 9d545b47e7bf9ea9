"""Networks that are copied or pickled: equal to what they were, and so the same program."""

import copy
import pickle
import subprocess
import sys
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import CELLS, Cell, Network, init, linear_cell, register, stacked
from jaxrnn.core import cells
from jaxrnn.core.cells import elman


def halving(sums, carry):
    (drive,), (held,) = sums, carry
    held = 0.5 * held + drive
    return jnp.tanh(held), (held,)


def terms(sums):
    (drive,) = sums
    return jnp.full_like(drive, 0.5), drive


@jax.jit
def softly(total, slope=1.0):
    return jnp.log1p(jnp.exp(slope * total))


@jax.jit
def as_its_size(size):
    return jnp.full(4, size)


OWN = {
    "a function": Cell("own", halving, carries=1, biases=(as_its_size,)),
    "terms": linear_cell("own", terms),
    "a function of JAX's": elman("own", jnp.sin),
    "a derivative rule": elman("own", jax.nn.relu),
    "a jitted function": elman("own", softly),
    "an argument given": elman("own", partial(softly, slope=2.0)),
    "another name": elman("tanh", jax.nn.relu),
}
COPIES = {
    "pickle": lambda x: pickle.loads(pickle.dumps(x)),
    "the oldest pickle": lambda x: pickle.loads(pickle.dumps(x, protocol=0)),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}


def assert_same_program(network: Network, again: Network) -> None:
    traces = []

    @partial(jax.jit, static_argnums=0)
    def size(network: Network) -> jax.Array:
        traces.append(network)
        return jnp.array(network.parameter_count)

    assert again == network
    assert hash(again) == hash(network)
    assert size(network) == size(again)
    assert len(traces) == 1


@pytest.mark.parametrize("make", COPIES.values(), ids=COPIES)
@pytest.mark.parametrize("cell", [*CELLS, *OWN.values()], ids=[*CELLS, *OWN])
def test_a_copy_of_a_network_is_an_equal_network(cell, make):
    network = stacked(3, [4, 5], 2, cell, skip=True)
    assert_same_program(network, make(network))


def in_a_notebook(code: str) -> dict:
    """What the code makes, whose functions no module holds."""
    names = {"__name__": "__main__"}
    exec("import jax.numpy as jnp\nfrom jaxrnn import *\n" + code, names)
    return names


LEAKY = """
def leaky(sums, carry):
    return SLOPE * sums[0], carry
network = stacked(2, [3], 1, Cell("leaky", leaky))
"""


def test_a_copy_by_value_of_a_cell_is_the_cell_itself():
    """Cloudpickle takes the functions of a notebook by value, and so makes other ones."""
    cloudpickle = pytest.importorskip("cloudpickle")
    network = in_a_notebook("SLOPE = 0.1\n" + LEAKY)["network"]
    assert_same_program(network, cloudpickle.loads(cloudpickle.dumps(network)))
    for cell in OWN.values():
        network = stacked(2, [3], 1, cell)
        assert_same_program(network, cloudpickle.loads(cloudpickle.dumps(network)))


def test_a_redefined_function_is_never_taken_for_the_old_one(monkeypatch):
    """Its code may be the same where a global that it refers to is not."""
    cloudpickle = pytest.importorskip("cloudpickle")
    monkeypatch.setattr(cells, "CELLS", dict(CELLS))
    slope_of = jax.jit(
        lambda network: network.layers[0].cell.apply((1.0,), ())[0], static_argnums=0
    )
    names = in_a_notebook("SLOPE = 0.1\n" + LEAKY + 'register(network.layer("hidden1").cell)')
    old = names["network"]
    assert slope_of(old) == pytest.approx(0.1)
    names["SLOPE"] = 0.2
    exec(LEAKY, names)
    again = cloudpickle.loads(cloudpickle.dumps(names["network"]))
    assert again == names["network"] != old
    assert slope_of(again) == pytest.approx(0.2)


def test_cells_of_the_same_function_are_equal_and_others_differ():
    assert elman("own", jnp.sin) == elman("own", jnp.sin)
    assert hash(elman("own", jnp.sin)) == hash(elman("own", jnp.sin))
    assert linear_cell("own", terms) == linear_cell("own", terms)
    others = [
        elman("own", jnp.sin), elman("own", jnp.cos), elman("other", jnp.sin),
        linear_cell("own", terms), Cell("own", halving, carries=1),
        Cell("own", halving, carries=1, biases=(1.0,)),
    ]  # fmt: skip
    assert len(set(others)) == len(others)


def test_a_network_is_equal_in_another_process(tmp_path):
    """Where its cells are made of functions that both import."""
    made = [stacked(3, [4], 2, cell) for cell in [*CELLS, elman("own", jnp.sin)]]
    (tmp_path / "networks").write_bytes(pickle.dumps(made))
    code = """
import pickle, sys
import jax.numpy as jnp
from jaxrnn import CELLS, stacked
from jaxrnn.core.cells import elman
made = [stacked(3, [4], 2, cell) for cell in [*CELLS, elman("own", jnp.sin)]]
with open(sys.argv[1], "rb") as file:
    assert pickle.load(file) == made
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "networks")], check=True)


def test_a_copy_initialises_and_registers_as_the_original(monkeypatch):
    monkeypatch.setattr(cells, "CELLS", dict(CELLS))
    network = pickle.loads(pickle.dumps(stacked(3, [4], 2, register(OWN["a function"]))))
    assert Network.from_json(network.to_json()) == network
    params = init(network, jax.random.key(0))
    np.testing.assert_allclose(params["hidden1"]["bias"], 4)
