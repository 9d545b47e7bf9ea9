import hashlib
import json
import logging
import re
import resource
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from absl import logging as absl_logging
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jaxrnn.core.errors import InputError
from jaxrnn.storage import checkpoints
from jaxrnn.storage.checkpoints import Checkpoints


class State(NamedTuple):
    params: dict
    optimizer: optax.OptState
    key: jax.Array
    step: int


def make_state(seed: int = 0, size: int = 4) -> State:
    keys = jax.random.split(jax.random.key(seed), 3)
    params = {
        "hidden": {"bias": jax.random.normal(keys[0], (size,))},
        "output": {"hidden -> output": jax.random.normal(keys[1], (size, 3))},
    }
    return State(params, optax.adam(1e-3).init(params), jax.random.key_data(keys[2]), seed)


def assert_same(left, right) -> None:
    """The same structure, the same types, the same bits."""
    assert jax.tree.structure(left) == jax.tree.structure(right)
    for a, b in zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True):
        assert type(a) is type(b)
        a, b = np.asarray(a), np.asarray(b)
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        assert a.tobytes() == b.tobytes()


def saved(directory: Path, *steps: int) -> Checkpoints:
    kept = Checkpoints(directory)
    for step in steps:
        kept.save(step, make_state(step), metrics={"bits_per_character": 1 / step})
    return kept


def newest(kept: Checkpoints, which: str = "last") -> Path:
    return max((kept.directory / which).iterdir())


def files_of(checkpoint: Path) -> list[Path]:
    return sorted(path for path in checkpoint.rglob("*") if path.is_file())


def flip_byte(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 0x20
    path.write_bytes(content)


# Hypothesis writes its own bits, so NaNs with a payload and negative zeros are among them.
DTYPES = ["float32", "bfloat16", "float16", "int32", "uint32", "int8", "uint8", "bool"]


@st.composite
def arrays(draw) -> jax.Array:
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    shape = draw(st.lists(st.integers(0, 3), max_size=3))
    size = int(np.prod(shape)) * dtype.itemsize
    bits = np.frombuffer(draw(st.binary(min_size=size, max_size=size)), np.uint8)
    return jnp.array((bits % 2 if dtype.kind == "b" else bits).view(dtype).reshape(shape))


names = st.sampled_from(["bias", "a/b", "../x", "h -> h [1]", ".", "", "Ω", "0", "'"])
leaves = st.one_of(
    arrays(), st.integers(-(2**63), 2**63 - 1), st.floats(), st.booleans(), st.none()
)
trees = st.recursive(
    leaves,
    lambda inside: st.one_of(
        st.dictionaries(names, inside, max_size=3),
        st.lists(inside, max_size=3),
        st.tuples(inside, inside),
        st.builds(optax.MaskedState, inside),
    ),
    max_leaves=6,
)


@given(tree=trees)
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_pytree_comes_back_to_the_bit(tmp_path, tree):
    state = {"tree": tree, "something": jnp.ones(1)}
    kept = Checkpoints(tmp_path)
    kept.save(1, state, metrics={})
    assert_same(kept.restore(state).state, state)


def test_64_bit_and_numpy_arrays_come_back_to_the_bit(tmp_path):
    with jax.enable_x64(True):
        state = {
            "jax": [jnp.array([0.1, -0.0], jnp.float64), jnp.array(2**40), jnp.array(1j)],
            "numpy": [np.array([0.1, np.inf]), np.arange(6).reshape(2, 3).T, np.zeros((0, 2))],
        }
        kept = Checkpoints(tmp_path)
        kept.save(1, state, metrics={})
        assert_same(kept.restore(state).state, state)


def test_a_training_state_comes_back_with_its_step_and_metrics(tmp_path):
    state = make_state(3)
    metrics = {"bits_per_character": jnp.float32(1.5), "epoch": 2, "loss": 0.1}
    Checkpoints(tmp_path).save(300, state, metrics=metrics)
    found = Checkpoints(tmp_path).restore(make_state(0))
    assert_same(found.state, state)
    assert (found.step, found.skipped) == (300, ())
    assert found.metrics == {"bits_per_character": 1.5, "epoch": 2, "loss": 0.1}


def test_the_template_may_be_shapes_alone(tmp_path):
    state = make_state(1).params
    Checkpoints(tmp_path).save(1, state, metrics={})
    shapes = jax.eval_shape(lambda: state)
    assert_same(Checkpoints(tmp_path).restore(shapes).state, state)


def test_a_restored_state_may_be_donated(tmp_path):
    state = {"w": jnp.arange(64.0)}
    kept = Checkpoints(tmp_path)
    kept.save(1, state, metrics={})
    double = jax.jit(lambda tree: jax.tree.map(lambda x: 2 * x, tree), donate_argnums=0)
    doubled = double(kept.restore(state).state)
    np.testing.assert_array_equal(doubled["w"], 2 * np.arange(64.0))


def test_the_two_newest_are_kept(tmp_path):
    kept = saved(tmp_path, 1, 2, 3, 4)
    assert kept.steps() == (3, 4)
    assert kept.restore(make_state()).step == 4


def test_the_best_stays_while_the_last_ones_go(tmp_path):
    kept = Checkpoints(tmp_path)
    for step, best in ((1, True), (2, True), (3, False), (4, False), (5, False)):
        kept.save(step, make_state(step), metrics={"step": step}, best=best)
    assert (kept.steps(), kept.steps("best")) == ((4, 5), (2,))
    found = kept.restore(make_state(), which="best")
    assert (found.step, found.metrics) == (2, {"step": 2})
    assert_same(found.state, make_state(2))


def test_a_run_taken_up_from_an_earlier_step_keeps_its_own_checkpoints(tmp_path):
    kept = saved(tmp_path, 800, 900)
    kept.save(500, make_state(500), metrics={})
    assert kept.steps() == (900, 500)
    assert kept.restore(make_state()).step == 500


def test_a_step_may_be_saved_again(tmp_path):
    kept = saved(tmp_path, 7)
    kept.save(7, make_state(8), metrics={})
    assert_same(kept.restore(make_state()).state, make_state(8))
    assert kept.steps() == (7, 7)


def test_a_flipped_byte_in_any_file_is_found_and_the_previous_one_taken(tmp_path):
    kept = saved(tmp_path, 1, 2)
    damaged = newest(kept)
    files = files_of(damaged)
    assert len(files) > 5
    for path in files:
        content = path.read_bytes()
        for position in {0, len(content) // 2, len(content) - 1} if content else ():
            flip_byte(path, position)
            found = kept.restore(make_state())
            assert found.step == 1
            assert_same(found.state, make_state(1))
            [skipped] = found.skipped
            assert skipped.startswith("000002-step-2: ")
            if path.name != "SHA256SUMS":
                assert path.relative_to(damaged).as_posix() in skipped
            path.write_bytes(content)
    assert kept.restore(make_state()).skipped == ()


@pytest.mark.parametrize("what", ["truncated", "deleted", "emptied"])
def test_a_file_cut_short_or_gone_is_found_and_the_previous_one_taken(tmp_path, what):
    kept = saved(tmp_path, 1, 2)
    for path in files_of(newest(kept)):
        content = path.read_bytes()
        if what == "deleted":
            path.unlink()
        elif content:
            path.write_bytes(content[:-1] if what == "truncated" else b"")
        else:
            continue
        found = kept.restore(make_state())
        assert (found.step, len(found.skipped)) == (1, 1)
        path.write_bytes(content)


def test_a_checkpoint_without_its_manifest_was_never_finished(tmp_path):
    kept = saved(tmp_path, 1, 2)
    (newest(kept) / "SHA256SUMS").unlink()
    found = kept.restore(make_state())
    assert found.step == 1
    assert found.skipped == ("000002-step-2: it was never finished (no SHA256SUMS)",)


def test_a_damaged_checkpoint_goes_before_the_good_one_that_it_replaced(tmp_path):
    kept = saved(tmp_path, 1, 2)
    flip_byte(newest(kept) / "checkpoint.json", 5)
    kept.save(3, make_state(3), metrics={})
    assert kept.steps() == (1, 3)


# Every call that changes the disk is a moment at which a run may be killed.
@pytest.mark.parametrize("moment", ["_sums", "_flush", "_delete_old", "rename", "arrays"])
def test_a_save_that_is_killed_leaves_the_previous_ones(tmp_path, monkeypatch, moment):
    kept = saved(tmp_path, 1, 2)
    kept.save(2, make_state(2), metrics={}, best=True)
    before = kept.steps()

    def die(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        if moment == "rename":
            patch.setattr(Path, "rename", die)
        elif moment == "arrays":
            patch.setattr("orbax.checkpoint.PyTreeCheckpointHandler.finalize", die)
        else:
            patch.setattr(checkpoints, moment, die)
        with pytest.raises(KeyboardInterrupt):
            kept.save(3, make_state(3), metrics={})
    found = kept.restore(make_state())
    assert found.skipped == ()
    assert_same(found.state, make_state(found.step))
    assert kept.steps()[:2] == before
    assert kept.restore(make_state(), which="best").step == 2
    kept.save(4, make_state(4), metrics={})
    assert kept.steps()[-1] == 4
    assert len(list((kept.directory / "last").iterdir())) == 2


def test_half_a_deletion_does_not_look_like_a_checkpoint(tmp_path, monkeypatch):
    kept = saved(tmp_path, 1, 2)

    def die_half_way(checkpoint):
        (checkpoint / "checkpoint.json").unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", die_half_way)
        with pytest.raises(KeyboardInterrupt):
            kept.save(3, make_state(3), metrics={})
    assert kept.steps() == (2, 3)


def test_a_kill_between_best_and_last_leaves_the_step_to_be_done_again(tmp_path, monkeypatch):
    kept = saved(tmp_path, 1)
    write = checkpoints._write

    def write_best_only(checkpoint, *rest):
        if checkpoint.parent.name == "last":
            raise KeyboardInterrupt
        write(checkpoint, *rest)

    monkeypatch.setattr(checkpoints, "_write", write_best_only)
    with pytest.raises(KeyboardInterrupt):
        kept.save(2, make_state(2), metrics={}, best=True)
    assert (kept.steps(), kept.steps("best")) == ((1,), (2,))


def test_no_intact_checkpoint_is_an_input_error_that_tells_what_is_wrong(tmp_path):
    kept = saved(tmp_path, 1, 2)
    for checkpoint in (kept.directory / "last").iterdir():
        flip_byte(checkpoint / "checkpoint.json", 5)
    with pytest.raises(InputError, match=r"is intact \(000002-step-2: checkpoint.json .*000001"):
        kept.restore(make_state())


@pytest.mark.parametrize("which", ["last", "best"])
def test_no_checkpoint_at_all_is_an_input_error(tmp_path, which):
    kept = Checkpoints(tmp_path)
    assert kept.steps(which) == ()
    with pytest.raises(InputError, match=r"there is no checkpoint in .*; train there first"):
        kept.restore(make_state(), which=which)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ({"a": {"w": jnp.zeros((2, 4)), "b": jnp.zeros(3)}}, r"'w'\] is float32\[2, 3\] there and"),
        ({"a": {"w": jnp.zeros((2, 3), "bfloat16"), "b": jnp.zeros(3)}}, r"and bfloat16\[2, 3\]"),
        ({"a": {"w": jnp.zeros((2, 3)), "b": 0.0}}, r"'b'\] is float32\[3\] .* float64\[\] here"),
        ({"a": {"w": jnp.zeros((2, 3))}}, r"\['a'\]\['b'\] is float32\[3\] there and nothing here"),
        ({"c": jnp.zeros(1)}, r"\['c'\] is nothing there and float32\[1\] here"),
    ],
)
def test_a_state_of_another_network_is_refused_by_its_first_array(tmp_path, template, message):
    kept = Checkpoints(tmp_path)
    kept.save(1, {"a": {"w": jnp.zeros((2, 3)), "b": jnp.zeros(3)}}, metrics={})
    with pytest.raises(InputError, match=message):
        kept.restore(template)


def test_a_checkpoint_of_another_format_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "_FORMAT", 99)
    kept = saved(tmp_path, 1)
    monkeypatch.undo()
    with pytest.raises(InputError, match="has format 99 where this jaxrnn reads 1"):
        kept.restore(make_state())


def test_the_manifest_is_one_that_sha256sum_checks(tmp_path):
    """By the tool where the machine has it, and in any case by the tool's format."""
    checkpoint = newest(saved(tmp_path, 1))
    manifest = (checkpoint / "SHA256SUMS").read_text()
    lines = re.findall(r"^([0-9a-f]{64})  (.+)\n", manifest, flags=re.MULTILINE)
    assert "".join(f"{digest}  {name}\n" for digest, name in lines) == manifest
    for digest, name in lines:
        assert hashlib.sha256((checkpoint / name).read_bytes()).hexdigest() == digest
    if shutil.which("sha256sum"):
        subprocess.run(["sha256sum", "-c", "--strict", "SHA256SUMS"], cwd=checkpoint, check=True)
    listed = manifest.count("\n")
    assert listed == len(files_of(checkpoint)) - 1
    assert json.loads((checkpoint / "checkpoint.json").read_text())["step"] == 1


def test_a_relative_work_directory_will_do(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert saved(Path("run"), 1).restore(make_state()).step == 1
    assert (tmp_path / "run" / "checkpoints" / "last").is_dir()


def test_orbax_says_nothing_even_to_those_who_want_to_hear_all(tmp_path, caplog, capfd):
    verbosity = absl_logging.get_verbosity()
    absl_logging.set_verbosity(absl_logging.DEBUG)
    try:
        with caplog.at_level(logging.DEBUG):
            saved(tmp_path, 1).restore(make_state())
        assert absl_logging.get_verbosity() == absl_logging.DEBUG
    finally:
        absl_logging.set_verbosity(verbosity)
    assert not [record for record in caplog.records if "orbax" in record.pathname]
    assert tuple(capfd.readouterr()) == ("", "")


@pytest.mark.parametrize("implementation", ["threefry2x32", "rbg", "unsafe_rbg"])
def test_random_keys_come_back_to_the_bit(tmp_path, implementation):
    key = jax.random.key(7, impl=implementation)
    state = {"one": key, "many": jax.random.split(key, (2, 3)), "none": jax.random.split(key, 0)}
    kept = Checkpoints(tmp_path)
    kept.save(1, state, metrics={})
    for template in (jax.tree.map(lambda keys: keys, state), jax.eval_shape(lambda: state)):
        found = kept.restore(template).state
        for name, keys in state.items():
            assert (found[name].dtype, found[name].shape) == (keys.dtype, keys.shape)
            assert_same(jax.random.key_data(found[name]), jax.random.key_data(keys))
    np.testing.assert_array_equal(
        jax.random.normal(kept.restore(state).state["one"], (5,)), jax.random.normal(key, (5,))
    )


@pytest.mark.parametrize(
    "template",
    [jax.random.key(0, impl="rbg"), jnp.zeros(2, jnp.uint32), jax.random.split(jax.random.key(0))],
)
def test_random_keys_of_another_kind_are_refused(tmp_path, template):
    kept = Checkpoints(tmp_path)
    kept.save(1, {"key": jax.random.key(0)}, metrics={})
    with pytest.raises(InputError, match=r"\['key'\] is key<fry>\[\] there and"):
        kept.restore({"key": template})


@pytest.mark.parametrize(
    "leaf", ["text", b"bytes", object(), np.array(["a"]), np.datetime64("2020")]
)
def test_what_is_no_number_and_no_key_is_refused_and_leaves_nothing(tmp_path, leaf):
    with pytest.raises(InputError, match=r"the state's \['w'\] is of .*leave it out"):
        Checkpoints(tmp_path).save(1, {"w": leaf, "b": jnp.zeros(2)}, metrics={})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("state", [{}, None, {"a": jnp.zeros((0, 3))}])
def test_a_state_without_a_value_is_refused(tmp_path, state):
    with pytest.raises(InputError, match="without a single value"):
        Checkpoints(tmp_path).save(1, state, metrics={})


def test_metrics_that_are_not_finite_come_back_from_strict_json(tmp_path):
    metrics = {"best": np.inf, "low": -np.inf, "lost": jnp.float32(np.nan), "all": [1.5, np.inf]}
    kept = Checkpoints(tmp_path)
    kept.save(1, make_state(), metrics=metrics)
    text = (newest(kept) / "checkpoint.json").read_text()
    json.loads(text, parse_constant=pytest.fail)
    found = kept.restore(make_state()).metrics
    assert np.isnan(found.pop("lost"))
    assert found == {"best": np.inf, "low": -np.inf, "all": [1.5, np.inf]}


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("[]", "does not hold a JSON object"),
        ("{", "cannot be read as JSON"),
        ("[" * 100_000, "cannot be read as JSON"),
        ({}, "has format None"),
        ({"step": None}, "'None' for 'step', where a whole number"),
        ({"step": "1"}, "'1' for 'step'"),
        ({"step": True}, "'True' for 'step'"),
        ({"metrics": [1]}, "for 'metrics', where an object"),
        ({"arrays": ["w"]}, "for 'arrays', where an object"),
        ({"arrays": {"w": 3}}, "another network"),
    ],
)
def test_a_checkpoint_json_that_save_did_not_write_is_refused_in_a_sentence(
    tmp_path, content, named
):
    kept = saved(tmp_path, 1)
    path = newest(kept) / "checkpoint.json"
    if isinstance(content, dict) and content:
        content = json.dumps(json.loads(path.read_text()) | content)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    (newest(kept) / "SHA256SUMS").write_text(checkpoints._sums(newest(kept)))
    with pytest.raises(InputError, match=named) as refused:
        kept.restore(make_state())
    assert str(newest(kept)) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_where_there_is_no_room_nothing_is_begun_and_what_there_is_stays(tmp_path, capfd):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, {"x": jnp.ones(10)}, metrics={})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            checkpoints.save(2, {"x": jnp.ones((8, 10_000))}, metrics={})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.filename.endswith("000002-step-2")
    assert checkpoints.steps() == (1,)
    assert [path.name for path in (tmp_path / "checkpoints" / "last").iterdir()] == [
        "000001-step-1"
    ]
    assert capfd.readouterr().err == ""
