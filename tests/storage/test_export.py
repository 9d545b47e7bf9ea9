import hashlib
import json
import shutil
from pathlib import Path

import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jaxrnn.core.errors import InputError
from jaxrnn.storage.export import check_fit, load_model, save_model

NETWORK = {"layers": [{"name": "hidden", "size": 3}], "connections": []}
VOCABULARY = {"symbols": ["\n", "é", "\u2028", "𝄞", "\ud800"]}
FACTS = {"bits_per_character": 1.4371, "steps": 2000}


def make_params(value: float = 0.5) -> dict:
    return {
        "hidden": {"bias": jnp.full((3,), value), "input -> hidden": jnp.ones((2, 3))},
        "output": {"bias": jnp.zeros(2)},
    }


def write(directory: Path, params=None, facts=FACTS) -> Path:
    params = make_params() if params is None else params
    save_model(directory, params=params, network=NETWORK, vocabulary=VOCABULARY, facts=facts)
    return directory


def assert_same(found: dict, params: dict) -> None:
    assert list(found) == list(params)
    for layer, arrays in params.items():
        assert found[layer].keys() == arrays.keys()
        for name, value in arrays.items():
            value, read = np.asarray(value), found[layer][name]
            assert isinstance(read, np.ndarray)
            assert (read.dtype, read.shape) == (value.dtype, value.shape)
            assert read.tobytes() == value.tobytes()


def edit_json(directory: Path, **changes) -> None:
    path = directory / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def put_arrays(directory: Path, content: bytes) -> None:
    """Other arrays, with a checksum that fits: what someone else's program might write."""
    (directory / "model.safetensors").write_bytes(content)
    edit_json(directory, sha256=hashlib.sha256(content).hexdigest())


def test_a_model_comes_back_whole(tmp_path):
    model = load_model(write(tmp_path / "new" / "model"))
    assert_same(model.params, make_params())
    assert (model.network, model.vocabulary, model.facts) == (NETWORK, VOCABULARY, FACTS)
    files = {path.name for path in (tmp_path / "new" / "model").iterdir()}
    assert files == {"model.safetensors", "model.json"}


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("shape", [(), (0, 3), (2, 3)])
def test_every_dtype_and_shape_comes_back_to_the_bit(tmp_path, dtype, shape):
    values = np.random.default_rng(0).normal(size=shape).astype(dtype)
    params = {"hidden": {"w": values, "minus zero": np.array(-0.0, dtype), "view": values.T}}
    assert_same(load_model(write(tmp_path, params)).params, params)


names = st.text(max_size=6) | st.sampled_from(["../x", "/etc/passwd", "a/b", "%2F", "%", "", "."])


@given(layers=st.dictionaries(names, st.lists(names, max_size=3, unique=True), max_size=3))
@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_name_is_just_a_name(tmp_path, layers):
    params = {
        layer: {name: np.full(2, i, np.float32) for i, name in enumerate(sorted(inside))}
        for layer, inside in layers.items()
    }
    assert_same(load_model(write(tmp_path / "model", params)).params, params)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_other_programs_read_the_arrays_under_layer_and_name(tmp_path):
    write(tmp_path)
    arrays = safetensors.numpy.load_file(tmp_path / "model.safetensors")
    assert arrays.keys() == {"hidden/bias", "hidden/input -> hidden", "output/bias"}
    np.testing.assert_array_equal(arrays["hidden/bias"], [0.5, 0.5, 0.5])


def test_a_later_export_replaces_an_earlier_one(tmp_path):
    write(tmp_path)
    write(tmp_path, make_params(0.25), {"steps": 3})
    model = load_model(tmp_path)
    assert_same(model.params, make_params(0.25))
    assert model.facts == {"steps": 3}


def killed_export(directory: Path, monkeypatch, renames: int) -> None:
    """Another model's export, killed after so many of its two renames."""
    replace, done = Path.replace, []

    def die_after(self, target):
        if len(done) == renames:
            raise KeyboardInterrupt
        done.append(target)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", die_after)
    with pytest.raises(KeyboardInterrupt):
        write(directory, make_params(0.25))
    monkeypatch.undo()


@pytest.mark.parametrize("renames", [0, 1])
def test_a_first_export_that_was_killed_is_no_model_and_can_be_done_again(
    tmp_path, monkeypatch, renames
):
    killed_export(tmp_path, monkeypatch, renames)
    with pytest.raises(InputError, match=r"model\.json cannot be read"):
        load_model(tmp_path)
    assert_same(load_model(write(tmp_path)).params, make_params())


@pytest.mark.parametrize("renames", [0, 1])
def test_a_killed_export_leaves_the_earlier_model_or_one_that_is_refused(
    tmp_path, monkeypatch, renames
):
    write(tmp_path)
    killed_export(tmp_path, monkeypatch, renames)
    if renames:
        with pytest.raises(InputError, match=r"is not the file that model\.json beside it"):
            load_model(tmp_path)
    else:
        assert_same(load_model(tmp_path).params, make_params())
    assert_same(load_model(write(tmp_path, make_params(0.75))).params, make_params(0.75))
    assert len(list(tmp_path.iterdir())) == 2


def test_a_directory_with_anything_else_in_it_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(InputError, match=r"holds thesis\.tex, which is no part of a model"):
        write(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("model.json", "so it is not ours"),
        ("model.safetensors", r"holds model\.safetensors without model\.json"),
    ],
)
def test_a_model_of_another_program_is_left_alone(tmp_path, file, message):
    (tmp_path / file).write_text('{"format": "another"}')
    with pytest.raises(InputError, match=message):
        write(tmp_path)
    assert (tmp_path / file).read_text() == '{"format": "another"}'


def test_a_file_is_no_directory_to_export_to(tmp_path):
    (tmp_path / "model").write_text("")
    with pytest.raises(InputError, match="is a file; name a directory"):
        write(tmp_path / "model")


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array([1.0, np.nan], np.float32), "hidden/w holds values that are not finite"),
        (np.array([np.inf], ml_dtypes.bfloat16), "hidden/w holds values that are not finite"),
        (np.array([1]), "hidden/w is of int64; a model's arrays are of floating-point"),
    ],
)
def test_params_that_are_no_finished_model_are_refused(tmp_path, array, message):
    with pytest.raises(InputError, match=message):
        write(tmp_path / "model", {"hidden": {"b": np.zeros(2), "w": array}})
    assert list(tmp_path.iterdir()) == []


def test_a_missing_directory_is_named(tmp_path):
    with pytest.raises(InputError, match=r"there is no directory .*nowhere"):
        load_model(tmp_path / "nowhere")


@pytest.mark.parametrize("file", ["model.json", "model.safetensors"])
def test_a_missing_file_is_named(tmp_path, file):
    (write(tmp_path) / file).unlink()
    with pytest.raises(InputError, match=rf"{file} cannot be read \(No such file or directory\)"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"format": "jaxrnn model"']
)
def test_broken_json_is_named(tmp_path, content):
    (write(tmp_path) / "model.json").write_bytes(content)
    with pytest.raises(InputError, match=r"model\.json is not JSON"):
        load_model(tmp_path)


@pytest.mark.parametrize("content", [b"[]", b"3", b"{}", b'{"format": "pt"}'])
def test_json_of_something_else_is_named(tmp_path, content):
    (write(tmp_path) / "model.json").write_bytes(content)
    with pytest.raises(InputError, match=r'model\.json does not say "format": "jaxrnn model"'):
        load_model(tmp_path)


@pytest.mark.parametrize("version", [2, None, "1"])
def test_an_unknown_version_is_named(tmp_path, version):
    edit_json(write(tmp_path), version=version)
    with pytest.raises(InputError, match=f"has version {version!r} where this jaxrnn reads 1"):
        load_model(tmp_path)


@pytest.mark.parametrize("key", ["network", "vocabulary", "facts", "sha256", "layers"])
def test_a_missing_part_of_the_json_is_named(tmp_path, key):
    edit_json(write(tmp_path), **{key: None})
    with pytest.raises(InputError, match=f"model.json should have '{key}', a JSON (obj|str|arr)"):
        load_model(tmp_path)


def test_a_file_cut_short_anywhere_is_refused(tmp_path):
    path = write(tmp_path) / "model.safetensors"
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(InputError, match="is not a whole safetensors file"):
            load_model(tmp_path)


def test_a_flipped_byte_anywhere_is_refused(tmp_path):
    path = write(tmp_path) / "model.safetensors"
    content = path.read_bytes()
    for position in range(len(content)):
        path.write_bytes(
            content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :]
        )
        with pytest.raises(InputError):
            load_model(tmp_path)


def test_arrays_of_another_export_are_refused(tmp_path):
    write(tmp_path / "a", make_params(1.0))
    write(tmp_path / "b", make_params(2.0))
    shutil.copy(tmp_path / "a" / "model.safetensors", tmp_path / "b" / "model.safetensors")
    with pytest.raises(InputError, match=r"is not the file that model\.json beside it"):
        load_model(tmp_path / "b")


def test_a_dtype_that_no_model_has_is_named(tmp_path):
    put_arrays(write(tmp_path), safetensors.numpy.save({"hidden/bias": np.arange(3)}))
    with pytest.raises(InputError, match=r"has hidden/bias of I64 where one of F64, F32"):
        load_model(tmp_path)


SHAPES = {"hidden": {"bias": (3,), "input -> hidden": (2, 3)}, "output": {"bias": (2,)}}


def test_params_fit_the_network_that_they_are_of(tmp_path):
    check_fit(load_model(write(tmp_path)).params, SHAPES)
    check_fit(make_params() | {"input": {}}, SHAPES)
    check_fit(make_params(), SHAPES | {"input": {}})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden": {}}, r"lacks the array hidden/bias of shape \(3,\)"),
        ({"output": {"bias": np.zeros((2, 1))}}, r"has output/bias of shape \(2, 1\), not \(2,\)"),
        ({"output": {"bias": np.zeros(2)}}, "has output/bias of float64 among arrays of float32"),
        ({"extra": {"w": np.zeros(1)}}, "an array extra/w that the network does not know"),
    ],
)
def test_the_first_array_that_does_not_fit_is_named_with_its_file(change, message):
    with pytest.raises(InputError, match="^run/model .*" + message):
        check_fit(make_params() | change, SHAPES, file="run/model")
