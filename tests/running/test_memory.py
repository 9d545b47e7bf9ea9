"""Memory that does not suffice: counted before anything is made, and told in one sentence."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn.core.errors import InputError
from jaxrnn.core.layers import Layer
from jaxrnn.core.network import Network
from jaxrnn.core.parameters import init
from jaxrnn.core.stacks import stacked
from jaxrnn.learning.loss import cross_entropy
from jaxrnn.learning.parallel import data_mesh
from jaxrnn.learning.recipe import Recipe
from jaxrnn.running import memory, needs, train
from jaxrnn.running.exits import explain
from jaxrnn.text.problem import text_problem

MEBI = 2**20


@pytest.fixture
def system(tmp_path, monkeypatch):
    """A made-up system's files, of 100 MiB that are free; returns a function that writes others."""

    def write(file: str, text: str) -> None:
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    write("proc/meminfo", f"MemTotal: 999999 kB\nMemAvailable: {90 * 1024} kB\n")
    with (tmp_path / "proc/meminfo").open("a") as file:
        file.write(f"SwapFree: {10 * 1024} kB\n")
    monkeypatch.setattr(memory, "SYSTEM", tmp_path)
    return write


def test_what_is_free_is_the_least_of_what_system_limits_and_groups_leave(system, monkeypatch):
    assert memory.host_memory() == 100 * MEBI
    system("proc/self/cgroup", "4:memory:/a/b\n3:cpu:/x\n0::/c\n")
    system("sys/fs/cgroup/c/memory.max", "max\n")  # no limit
    system("sys/fs/cgroup/c/memory.current", f"{MEBI}\n")
    assert memory.host_memory() == 100 * MEBI
    system("sys/fs/cgroup/memory.max", f"{70 * MEBI}\n")  # of the group above
    system("sys/fs/cgroup/memory.current", f"{20 * MEBI}\n")
    system("sys/fs/cgroup/memory.stat", f"anon 5\ninactive_file {5 * MEBI}\n")  # can be freed
    assert memory.host_memory() == 55 * MEBI
    system("sys/fs/cgroup/memory/a/memory.limit_in_bytes", f"{50 * MEBI}\n")  # version 1
    system("sys/fs/cgroup/memory/a/memory.usage_in_bytes", f"{10 * MEBI}\n")
    assert memory.host_memory() == 40 * MEBI
    system("proc/self/status", f"Name: x\nVmSize: {30 * 1024} kB\nVmData: {1024} kB\n")
    limits = {"RLIMIT_AS": 60 * MEBI, "RLIMIT_DATA": -1}
    resource = pytest.importorskip("resource")
    monkeypatch.setattr(
        resource, "getrlimit",
        lambda which: next((limits[n], 0) for n in limits if getattr(resource, n) == which),
    )  # fmt: skip
    assert memory.host_memory() == 30 * MEBI


def test_a_system_that_tells_nothing_refuses_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "SYSTEM", tmp_path)
    monkeypatch.setattr(memory.os, "sysconf_names", {})
    monkeypatch.setattr(memory, "_of_limits", lambda: iter(()))
    assert memory.host_memory() is None
    memory.check_memory("all", [memory.Part("it", 2**80, "take less")])


@pytest.mark.parametrize(
    ("network", "recipe", "batch", "chunk", "advice"),
    [
        ((200_000,), Recipe(), 4, 8, "--hidden"),
        ((3_000_000_000, 2), Recipe(), 4, 8, "--hidden"),
        ((2**70,), Recipe(), 4, 8, "--hidden"),
        ((4000, 4000), Recipe(dtype="float64"), 4, 8, "--dtype=float32"),
        ((8,), Recipe(), 100_000_000, 8, "--batch"),
        ((8,), Recipe(), 4, 100_000_000, "--chunk"),
        ((8,), Recipe(), 10**15, 10**15, "--segment"),
    ],
)
def test_training_too_large_is_refused_before_anything_is_made(
    system, network, recipe, batch, chunk, advice
):
    network = stacked(50, network, 50, "gru")
    with pytest.raises(InputError, match=rf"100 MiB of memory are free here; .*{advice}") as told:
        needs.check_training(
            network, cross_entropy, recipe, needs.text_shapes(batch, chunk), data_mesh(batch, 1)
        )
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("average", [0.0, 0.9])
@pytest.mark.parametrize("optimizer", ["adam", "sgd", "adamw", "momentum"])
def test_what_is_counted_is_what_training_starts_from(optimizer, average):
    network, recipe = stacked(7, (5, 6), 7, "lstm"), Recipe(optimizer=optimizer, average=average)
    shapes = needs.text_shapes(4, 3)
    parts = needs.training_parts(network, recipe, shapes, data_mesh(4, 1))
    state = jax.eval_shape(lambda: recipe.start(network, 4, jax.random.key(0)))
    learned, activations, lanes, data = (part.size for part in parts)
    # Of updates, which are no parameter's.
    counts = 4 * optimizer.startswith("adam") + 4 * (average > 0)
    kept = nbytes(state.optimizer_state) + nbytes(state.iterate)
    assert learned == 2 * nbytes(state.params) + kept - counts
    assert activations == 4 * (3 * 4 * 7 + 3 * 4 * (5 + 6))
    assert lanes == nbytes(state.network_state)
    assert data == 10 * 3 * 4 * (4 + 4 + 1)


def test_of_a_table_that_is_trained_by_rows_only_what_a_step_touches_has_a_gradient():
    layers = [Layer("output", 7, "linear")]
    network = Network(7, layers, [("pairs", "output")], ngrams=[("pairs", 2, 1000)])
    shapes, mesh = needs.text_shapes(4, 3), data_mesh(4, 1)
    learned, *_ = needs.training_parts(network, Recipe(), shapes, mesh)
    # Parameters and a number a row; of the bias, gradient and two moments; the gradient of rows.
    assert learned.size == 4 * (7 * 1000 + 1000 + 7 * 4 + 7 * 4 * 3)


def test_of_muon_which_keeps_less_for_some_matrices_no_more_is_counted_than_there_is():
    network, recipe = stacked(7, (5, 6), 7, "lstm"), Recipe(optimizer="muon")
    counted = needs.training_parts(network, recipe, needs.text_shapes(4, 3), data_mesh(4, 1))[0]
    state = jax.eval_shape(lambda: recipe.start(network, 4, jax.random.key(0)))
    kept = nbytes(state.optimizer_state)
    assert nbytes(state.params) < counted.size <= 2 * nbytes(state.params) + kept


def test_the_compiler_is_asked_where_the_count_comes_near(monkeypatch):
    network, shapes = stacked(7, (64,), 7, "relu"), needs.text_shapes(64, 32)
    arguments = network, cross_entropy, Recipe(), shapes, data_mesh(64, 1)
    parts = needs.training_parts(network, Recipe(), shapes, data_mesh(64, 1))
    count, exact = sum(part.size for part in parts), needs._program_size(*arguments)
    assert count < exact < needs.NEAR * count
    exact += 10 * 64 * 32 * (4 + 4 + 1)  # the next call's data, made while the device computes
    monkeypatch.setattr(needs, "free_memory", lambda: exact)
    needs.check_training(*arguments)
    monkeypatch.setattr(needs, "free_memory", lambda: exact - 1)
    with pytest.raises(InputError, match="the compiled training steps"):
        needs.check_training(*arguments)


def test_a_training_that_is_refused_leaves_no_directory(system, tmp_path):
    text = np.arange(100, dtype=np.int32) % 5
    problem = text_problem(text, text, batch=2, chunk=4)
    with pytest.raises(InputError, match="GiB for parameters"):
        train(stacked(5, (100_000,), 5, "gru"), problem, steps=1, workdir=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_writing_too_much_at_once_is_refused(system):
    network = stacked(5, (8,), 5, "gru")
    params = jax.eval_shape(lambda: init(network, jax.random.key(0)))
    needs.check_writing(network, params, 1000, 1000, block=256)
    for streams, text, block, advice in (
        (10**8, 10, 1, "--streams"), (10**6, 10, 2**10, "noise"), (2, 10**12, 1, "--length"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=advice):
            needs.check_writing(network, params, streams, text, block)


def nbytes(tree) -> int:
    return sum(array.size * array.dtype.itemsize for array in jax.tree.leaves(tree))


def _refused_by(make) -> Exception:
    with pytest.raises((MemoryError, ValueError, RuntimeError)) as caught:
        make()
    return caught.value


REFUSED = [
    lambda: np.zeros(2**58, np.uint8),
    lambda: np.zeros(2**62, np.float64),
    lambda: np.zeros((2**40, 2**40)),
    lambda: jnp.zeros(2**50).block_until_ready(),
    lambda: jax.jit(lambda: jnp.ones((2**25, 2**25)))().block_until_ready(),
    lambda: bytearray(2**60),
    lambda: "x" * 2**60,
    lambda: [0] * 2**60,
]


@pytest.mark.parametrize("make", REFUSED)
def test_whoever_refuses_memory_it_ends_in_one_sentence_and_code_2(make, capsys):
    error = _refused_by(make)
    assert explain(error) == 2
    told = capsys.readouterr().err
    assert "memory does not suffice" in told
    assert "are free" in told
    assert told.count("\n") == 1
    with (
        pytest.raises(InputError, match=r"for it \(.*take less"),
        memory.within_memory("it", "take less"),
    ):
        raise error


@pytest.mark.parametrize(
    "error",
    [ValueError("a bug"), RuntimeError("a bug"), KeyError("out of memory"), OSError(5, "?")],
)
def test_another_error_stays_what_it_is(error):
    assert memory.refusal_of_memory(error) is None
    with pytest.raises(type(error)):
        explain(error)
