"""A finished model as files that anyone can read and that execute nothing.

    model.safetensors    every array of the params, under the name "layer/array"
    model.json           the network, the vocabulary, facts about the training, and the checksum
                         of model.safetensors, so that files of two exports are not taken together

A "/" inside a name is written "%2F" and a "%" as "%25"; the names never become paths. The module
knows neither networks nor vocabularies: they come and go as JSON objects.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import jax.numpy as jnp
import numpy as np

from jaxrnn.core.errors import InputError, installed
from jaxrnn.storage.files import writing

with installed():
    import safetensors
    from safetensors.numpy import save

_ARRAYS = "model.safetensors"
_JSON = "model.json"
_PARTIAL = ".partial"  # the ending of a file that is being written
_FORMAT = "jaxrnn model"
_VERSION = 1
_DTYPES = {
    "F64": np.dtype(np.float64),
    "F32": np.dtype(np.float32),
    "F16": np.dtype(np.float16),
    "BF16": np.dtype(jnp.bfloat16),
}
_KEYS = {"sha256": str, "network": dict, "vocabulary": dict, "facts": dict, "layers": list}
_JSON_NAMES = {str: "string", dict: "object", list: "array"}

Arrays = Mapping[str, Mapping[str, Any]]  # layer -> name -> array


class Model(NamedTuple):
    """What `load_model` finds; params are NumPy arrays, layer -> array name -> array."""

    params: dict[str, dict[str, np.ndarray]]
    network: dict[str, Any]
    vocabulary: dict[str, Any]
    facts: dict[str, Any]


def save_model(
    directory: Path | str,
    *,
    params: Arrays,
    network: Mapping[str, Any],
    vocabulary: Mapping[str, Any],
    facts: Mapping[str, Any],
) -> None:
    """Writes a model into `directory`, which is made, or holds an earlier model that is replaced.

    Killed half-way, it leaves the earlier model as it was, or, in the moment between two renames,
    one that `load_model` refuses.

    Raises:
        InputError: `directory` holds something other than a model, or an array is not of
            floating-point numbers or not finite.
        OSError: a file cannot be written, and names it; nothing of it is left.
    """
    directory = Path(directory)
    _check_replaceable(directory)
    content = save(_flatten(params))
    description = {
        "format": _FORMAT,
        "version": _VERSION,
        "sha256": hashlib.sha256(content).hexdigest(),
        "network": dict(network),
        "vocabulary": dict(vocabulary),
        "facts": dict(facts),
        "layers": list(params),  # their order, and those without arrays
    }
    text = json.dumps(description, indent=1, allow_nan=False)
    made = [folder for folder in (directory, *directory.parents) if not folder.exists()]
    directory.mkdir(parents=True, exist_ok=True)
    files = {_ARRAYS: content, _JSON: text.encode()}
    try:
        for name, data in files.items():
            with writing(directory / name), (directory / (name + _PARTIAL)).open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
    except BaseException:
        with contextlib.suppress(OSError):  # what went wrong before is what is told
            for name in files:
                (directory / (name + _PARTIAL)).unlink(missing_ok=True)
            for folder in made:
                folder.rmdir()
        raise
    for name in files:
        (directory / (name + _PARTIAL)).replace(directory / name)


def load_model(directory: Path | str) -> Model:
    """Reads what `save_model` wrote, to the bit.

    Raises:
        InputError: there is no model in `directory`, or it is damaged or of an unknown version.
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise InputError(f"there is no directory {directory}; name one that holds {_JSON}")
    description = _parse_description(directory / _JSON)
    content = _read(directory / _ARRAYS)
    arrays = _parse_arrays(directory / _ARRAYS, content)
    if hashlib.sha256(content).hexdigest() != description["sha256"]:
        raise InputError(
            f"{directory / _ARRAYS} is not the file that {_JSON} beside it was written for (by its "
            "SHA-256); export the model again"
        )
    params: dict[str, dict[str, np.ndarray]] = {str(layer): {} for layer in description["layers"]}
    for flat, array in arrays.items():
        layer, _, name = flat.partition("/")
        params.setdefault(_unescape(layer), {})[_unescape(name)] = array
    return Model(params, description["network"], description["vocabulary"], description["facts"])


def check_fit(
    params: Arrays,
    expected_shapes: Mapping[str, Mapping[str, tuple[int, ...]]],
    *,
    file: Path | str = _ARRAYS,
) -> None:
    """Checks that loaded params are those of a network: its arrays, shapes, one dtype for all.

    Raises:
        InputError: names the first array that is missing, of another shape, of another dtype than
            the arrays before it, or one too many, and `file`, where the params are from.
    """
    dtype = None
    for layer, shapes in expected_shapes.items():
        for name, shape in shapes.items():
            array = params.get(layer, {}).get(name)
            if array is None:
                _refuse(file, f"lacks the array {layer}/{name} of shape {tuple(shape)}")
            elif array.shape != tuple(shape):
                _refuse(file, f"has {layer}/{name} of shape {array.shape}, not {tuple(shape)}")
            elif array.dtype != (dtype := dtype or array.dtype):
                _refuse(file, f"has {layer}/{name} of {array.dtype} among arrays of {dtype}")
    for layer, arrays in params.items():
        for name in arrays:
            if name not in expected_shapes.get(layer, {}):
                _refuse(file, f"has an array {layer}/{name} that the network does not know")


def _refuse(file: Path | str, why: str) -> NoReturn:
    raise InputError(f"{file} {why}; take the model that this network was exported with")


def _check_replaceable(directory: Path) -> None:
    if directory.exists() and not directory.is_dir():
        raise InputError(f"{directory} is a file; name a directory to export the model to")
    ours = {_ARRAYS, _JSON, _ARRAYS + _PARTIAL, _JSON + _PARTIAL}
    found = {path.name for path in directory.iterdir()} if directory.exists() else set()
    if others := found - ours:
        raise InputError(
            f"{directory} holds {min(others)}, which is no part of a model; "
            "export to an empty or a new directory"
        )
    if _JSON in found:
        _parse_description(directory / _JSON)
    elif _ARRAYS in found and _JSON + _PARTIAL not in found:  # both: an export that was killed
        raise InputError(
            f"{directory} holds {_ARRAYS} without {_JSON}; export to an empty or a new directory"
        )


def _flatten(params: Arrays) -> dict[str, np.ndarray]:
    flat = {}
    for layer, arrays in params.items():
        for name, value in arrays.items():
            # Row by row: safetensors would write a transposed view as it lies in memory.
            array = np.asarray(value, order="C")
            if array.dtype not in _DTYPES.values():
                raise InputError(
                    f"{layer}/{name} is of {array.dtype}; a model's arrays are of floating-point "
                    "numbers, so give the params alone"
                )
            if not np.isfinite(array).all():
                raise InputError(
                    f"{layer}/{name} holds values that are not finite, as after a training that "
                    "diverged; export an earlier checkpoint"
                )
            flat[f"{_escape(layer)}/{_escape(name)}"] = array
    return flat


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}); name a directory that holds an exported "
            "model"
        ) from error


def _parse_description(path: Path) -> dict[str, Any]:
    content = _read(path)  # what this raises is a ValueError too
    try:
        description = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON ({error}); export the model again.") from error
    if not isinstance(description, dict) or description.get("format") != _FORMAT:
        raise InputError(
            f'{path} does not say "format": "{_FORMAT}", so it is not ours; name a directory that '
            "holds an exported model"
        )
    if description.get("version") != _VERSION:
        raise InputError(
            f"{path} has version {description.get('version')!r} where this jaxrnn reads "
            f"{_VERSION}; load it with the jaxrnn that wrote it"
        )
    for key, kind in _KEYS.items():
        if not isinstance(description.get(key), kind):
            raise InputError(
                f"{path} should have {key!r}, a JSON {_JSON_NAMES[kind]}; export the model again"
            )
    return description


def _parse_arrays(path: Path, content: bytes) -> dict[str, np.ndarray]:
    # Not safetensors.numpy.load, which knows no bfloat16.
    try:
        tensors = safetensors.deserialize(content)
    except safetensors.SafetensorError as error:
        raise InputError(
            f"{path} is not a whole safetensors file ({error}); export the model again"
        ) from error
    arrays = {}
    for name, tensor in tensors:
        if tensor["dtype"] not in _DTYPES:
            raise InputError(
                f"{path} has {name} of {tensor['dtype']} where one of {', '.join(_DTYPES)} was "
                "expected; export the model again"
            )
        array = np.frombuffer(tensor["data"], _DTYPES[tensor["dtype"]])
        arrays[name] = array.reshape(tensor["shape"])
    return arrays


def _escape(name: str) -> str:
    return name.replace("%", "%25").replace("/", "%2F")


def _unescape(name: str) -> str:
    return name.replace("%2F", "/").replace("%25", "%")
