"""Training states on disk, so that a run killed at any moment goes on where it was.

In a work directory:

    checkpoints/last/000041-step-8200/    the newest
    checkpoints/last/000040-step-8000/    the one before it, in case the newest gets damaged
    checkpoints/best/000007-step-6400/    the best so far on the validation text

and in each of them:

    arrays/            what Orbax writes; no other file of jaxrnn knows Orbax
    checkpoint.json    step, metrics, and name, shape and dtype of every array
    SHA256SUMS         written last, so it marks a finished checkpoint; `sha256sum -c` reads it

Orbax's own manager is not used: it cannot see a flipped byte, and it goes by the step alone, so
that a run taken up from an earlier step would lose its new checkpoints to the old ones. Ours are
counted (000041), and the highest count is the newest. None of it is ever executed.
"""

import contextlib
import errno
import hashlib
import json
import math
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn.core.errors import InputError, installed
from jaxrnn.storage.files import writing

with installed():
    import orbax.checkpoint as ocp
    from absl import logging

_FORMAT = 1
_NAME = re.compile(r"(\d{6,})-step-(\d+)")
_UNFINISHED = ".unfinished"  # the ending of what is being written, or being deleted
_PLAIN = re.compile(r"[\w/ .,+=@~-]*")  # names that Orbax takes as they are
_NOT_FINITE = "not finite"
_KEEP = {"last": 2, "best": 1}
_WITHOUT = {  # what to do where none is intact
    "last": "start the run again in another work directory",
    "best": "take the last state instead, or train on until there is a better one",
}


class Restored(NamedTuple):
    """A training state read back from disk; from the best ones where no last one was left."""

    step: int
    state: Any
    metrics: dict[str, Any]
    skipped: tuple[str, ...]  # newer checkpoints that were no good: "name: what is wrong"
    which: str  # "last" or "best"


class Checkpoints:
    """The checkpoints of one run, in `checkpoints/` of its work directory.

    One process may save; others may restore meanwhile. Making this object touches no file.
    """

    def __init__(self, directory: Path | str):
        self.directory = Path(directory) / "checkpoints"

    def save(
        self, step: int, state: Any, *, metrics: Mapping[str, Any], best: bool = False
    ) -> None:
        """Writes `state` and returns when it is on the disk to stay.

        `state` is a pytree of arrays, random keys (`jax.random.key`) and Python numbers, with at
        least one value in it; `metrics` are numbers, finite or not, or whatever JSON holds. `best`
        keeps a second copy as the best one so far. Afterwards the checkpoints that are one too many
        are gone, damaged ones first.

        Raises:
            InputError: there is something else in the state, or no value.
            OSError: the checkpoint cannot be written, and names it; nothing of it is left.
        """
        named = _by_name(jax.device_get(state))
        leaves = {name: _stored(name, leaf) for name, leaf in named.items()}
        if not any(leaf.size for leaf in leaves.values()):
            raise InputError("a state without a single value cannot be saved; give it an array")
        facts = {
            "format": _FORMAT,
            "step": int(step),
            "metrics": _to_json(metrics),
            "arrays": {name: _kind(leaf) for name, leaf in named.items()},
        }
        text = json.dumps(facts, indent=1, allow_nan=False)
        # The best one first: a run killed in between goes on from before this step and saves both
        # again, while the other order would leave it believing that its best one is on disk.
        for which in ("best", "last") if best else ("last",):
            folder = self.directory / which
            folder.mkdir(parents=True, exist_ok=True)
            for left_over in folder.glob(f"*{_UNFINISHED}"):
                shutil.rmtree(left_over)
            count = max((count for count, _, _ in _all(folder)), default=0) + 1
            checkpoint = folder / f"{count:06d}-step-{step}"
            try:
                with writing(checkpoint):
                    _write(checkpoint, text, leaves)
            except BaseException:
                shutil.rmtree(_unfinished(checkpoint), ignore_errors=True)
                raise
            _delete_old(folder, _KEEP[which])

    def restore(
        self, template: Any, *, which: Literal["last", "best"] = "last", part: str = ""
    ) -> Restored:
        """Reads the newest checkpoint that is intact, to the bit.

        The state gets the structure of `template` (a state of the same network and optimiser; its
        values do not matter, and `jax.ShapeDtypeStruct`s will do). JAX arrays come back on the
        default device, NumPy arrays and Python numbers as what they were. With a `part`, as
        ".params" is one of a training state, `template` is that part alone, and what the rest
        holds, and is called, does not matter.

        Where no last one is intact, the best one takes its place: it is a whole state as well.

        Raises:
            InputError: there is no checkpoint, none is intact, or the newest intact one holds
                other arrays than `template`.
        """
        folder = self.directory / which
        while True:
            found = self._candidates(which)
            try:
                return self._restore(folder, found, template, part)
            except (InputError, OSError, ValueError):
                if self._candidates(which) == found:
                    raise
                # else a run that is training replaced some meanwhile

    def _candidates(self, which: str) -> list[Path]:
        """The checkpoints that will do, those to be preferred first."""
        folders = ("last", "best") if which == "last" else (which,)
        return [c for name in folders for _, _, c in reversed(_all(self.directory / name))]

    def _restore(self, folder: Path, candidates: list[Path], template: Any, part: str) -> Restored:
        skipped: list[str] = []
        for checkpoint in candidates:
            damage = _damage(checkpoint)
            if damage is None:
                return _read(checkpoint, template, part, tuple(skipped))
            skipped.append(f"{checkpoint.name}: {damage}")
        if skipped:
            raise InputError(
                f"none of the checkpoints in {folder} is intact ({'; '.join(skipped)}); "
                + _WITHOUT[folder.name]
            )
        raise InputError(f"there is no checkpoint in {folder}; train there first")

    @property
    def there(self) -> bool:
        """Whether there is one to go on from, damaged or not."""
        return bool(self._candidates("last"))

    def steps(self, which: Literal["last", "best"] = "last") -> tuple[int, ...]:
        """The steps of the checkpoints on disk, damaged or not, in the order they were saved."""
        return tuple(step for _, step, _ in _all(self.directory / which))


def _unfinished(checkpoint: Path) -> Path:
    return checkpoint.with_name(checkpoint.name + _UNFINISHED)


def _write(checkpoint: Path, text: str, leaves: dict[str, np.ndarray]) -> None:
    """Builds a checkpoint under another name and gives it its own when it is whole."""
    unfinished = _unfinished(checkpoint)
    unfinished.mkdir()
    with _orbax(unfinished) as (orbax, arrays_folder):
        # A list, so that no name of ours has to be a name that Orbax can store. Orbax refuses
        # arrays without a value (what a network without delays remembers); their shape is enough.
        arrays = [leaf for leaf in leaves.values() if leaf.size]
        _check_room(unfinished / "room", sum(array.nbytes for array in arrays))
        orbax.save(arrays_folder, args=ocp.args.PyTreeSave(arrays))
    (unfinished / "checkpoint.json").write_text(text, encoding="utf-8")
    (unfinished / "SHA256SUMS").write_text(_sums(unfinished), encoding="utf-8")
    for path in (*unfinished.rglob("*"), unfinished):
        _flush(path)
    unfinished.rename(checkpoint)
    for folder in checkpoint.parents[:3]:  # as far up as this save may have made folders
        _flush(folder)


def _check_room(file: Path, size: int) -> None:
    """Raises `OSError` where so many bytes surely cannot be written.

    Orbax writes in several threads. Of those that fail after the first one nobody hears, but for
    tracebacks on standard error.
    """
    try:
        with file.open("wb") as opened:
            os.posix_fallocate(opened.fileno(), 0, size)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
    finally:
        file.unlink(missing_ok=True)


def _read(checkpoint: Path, template: Any, part: str, skipped: tuple[str, ...]) -> Restored:
    facts = _facts(checkpoint)
    wanted = {part + name: leaf for name, leaf in _by_name(template).items()}
    found = {
        name: kind for name, kind in facts["arrays"].items()
        if not part or name == part or name.startswith((f"{part}[", f"{part}."))
    }  # fmt: skip
    _check_fit(checkpoint, found, {name: _kind(leaf) for name, leaf in wanted.items()})
    stored = [name for name, kind in facts["arrays"].items() if 0 not in _shape(kind)]
    as_numpy = [ocp.RestoreArgs(restore_type=np.ndarray)] * len(stored)
    args = ocp.args.PyTreeRestore(restore_args=as_numpy)
    with _orbax(checkpoint) as (orbax, folder):
        arrays = orbax.restore(folder, args=args)
    values = dict(zip(stored, arrays, strict=True))
    leaves = [_like(leaf, values.get(name)) for name, leaf in wanted.items()]
    state = jax.tree.unflatten(jax.tree.structure(template), leaves)
    which = checkpoint.parent.name
    return Restored(facts["step"], state, facts["metrics"], skipped, which)


def _facts(checkpoint: Path) -> dict[str, Any]:
    """What checkpoint.json says; refused where it is not as `save` writes it."""
    path = checkpoint / "checkpoint.json"
    try:
        facts = json.loads(path.read_text(encoding="utf-8"), object_hook=_from_json)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read as JSON ({error}); remove {checkpoint}") from None
    if not isinstance(facts, dict):
        raise InputError(f"{path} does not hold a JSON object; remove {checkpoint}")
    if facts.get("format") != _FORMAT:
        raise InputError(
            f"{checkpoint} has format {facts.get('format')!r} where this jaxrnn reads {_FORMAT}; "
            "restore it with the jaxrnn that saved it"
        )
    for name, kind in (("step", int), ("metrics", dict), ("arrays", dict)):
        if type(facts.get(name)) is not kind:
            expected = "a whole number" if kind is int else "an object"
            raise InputError(
                f"{path} has {str(facts.get(name))[:40]!r} for '{name}', where {expected} is "
                f"expected; remove {checkpoint}"
            )
    return facts


def _check_fit(checkpoint: Path, found: dict[str, Any], wanted: dict[str, Any]) -> None:
    for name in wanted | found:
        inside, here = found.get(name, "nothing"), wanted.get(name, "nothing")
        if inside != here:
            raise InputError(
                f"{checkpoint} is of another network or optimiser: {name} is {inside} there and "
                f"{here} here; give the flags that it was trained with"
            )


def _like(leaf: Any, value: np.ndarray | None) -> Any:
    """`value` as the kind of thing that `leaf` is; None stands for an array without a value."""
    if _is_key(leaf):
        data = np.zeros(_stored_shape(leaf), np.uint32) if value is None else value
        return jax.random.wrap_key_data(jnp.array(data), impl=_implementation(leaf))
    array = np.zeros(leaf.shape, leaf.dtype) if value is None else value
    if isinstance(leaf, bool | int | float | complex):
        return type(leaf)(array.item())
    # A copy: NumPy's memory is not lent to a state that a training step will be given to reuse.
    return array if isinstance(leaf, np.ndarray | np.generic) else jnp.array(array)


def _is_key(leaf: Any) -> bool:
    return hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _implementation(keys: Any) -> Any:
    """How keys, or what has only their shape, make random numbers."""
    found = []
    jax.eval_shape(lambda traced: found.append(jax.random.key_impl(traced)), keys)
    return found[0]


def _stored_shape(leaf: Any) -> tuple[int, ...]:
    return jax.eval_shape(jax.random.key_data, leaf).shape if _is_key(leaf) else np.shape(leaf)


def _stored(name: str, leaf: Any) -> np.ndarray:
    """The array that stands for a leaf on disk; of random keys, their data."""
    array = np.asarray(jax.random.key_data(leaf) if _is_key(leaf) else leaf)
    if array.dtype.kind in "OSUMm" or array.dtype.names:
        raise InputError(
            f"the state's {name} is of {array.dtype}; a checkpoint holds arrays of numbers, random "
            "keys and Python numbers, so leave it out"
        )
    return array


def _to_json(value: Any) -> Any:
    """For JSON, which has no word for what is not finite: `{"not finite": "inf"}`."""
    if isinstance(value, Mapping):
        return {str(name): _to_json(inside) for name, inside in value.items()}
    if isinstance(value, list | tuple):
        return [_to_json(inside) for inside in value]
    if value is None or isinstance(value, str | bool | int):
        return value
    number = float(value)
    return number if math.isfinite(number) else {_NOT_FINITE: str(number)}


def _from_json(found: dict[str, Any]) -> Any:
    is_number = found.keys() == {_NOT_FINITE} and found[_NOT_FINITE] in ("inf", "-inf", "nan")
    return float(found[_NOT_FINITE]) if is_number else found


def _by_name(tree: Any) -> dict[str, Any]:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path): leaf for path, leaf in leaves}


def _kind(leaf: Any) -> str:
    """Dtype and shape, such as float32[128, 256]."""
    dtype = leaf.dtype if hasattr(leaf, "dtype") else np.asarray(leaf).dtype
    return f"{dtype}{list(np.shape(leaf))}"


def _shape(kind: str) -> list[int]:
    return json.loads(kind[kind.index("[") :])


def _damage(checkpoint: Path) -> str | None:
    """What is wrong with a checkpoint; None if it is intact."""
    try:
        written = (checkpoint / "SHA256SUMS").read_bytes()
        found = _sums(checkpoint).encode()
    except FileNotFoundError:
        return "it was never finished (no SHA256SUMS)"
    except OSError as error:
        return f"it cannot be read ({error})"
    if found == written:
        return None
    different = set(found.split(b"\n")) ^ set(written.split(b"\n"))
    file = min((line[66:] for line in different), default=b"").decode(errors="replace")
    return f"{file or 'SHA256SUMS'} is not what was written (by its SHA-256)"


def _sums(checkpoint: Path) -> str:
    """Text of the manifest: `sha256sum`'s format, one line per file but the manifest itself."""
    lines = []
    for path in sorted(checkpoint.rglob("*")):
        if path.is_file() and path != checkpoint / "SHA256SUMS":
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            lines.append(f"{digest}  {path.relative_to(checkpoint).as_posix()}\n")
    return "".join(lines)


def _delete_old(folder: Path, keep: int) -> None:
    """Keeps the `keep` newest checkpoints that are intact, and nothing else."""
    intact = 0
    for _, _, checkpoint in reversed(_all(folder)):
        if intact < keep and _damage(checkpoint) is None:
            intact += 1
        else:
            # Renamed first: half a deletion must not look like a damaged checkpoint.
            shutil.rmtree(checkpoint.rename(checkpoint.with_name(checkpoint.name + _UNFINISHED)))


def _all(folder: Path) -> list[tuple[int, int, Path]]:
    """Count, step and path of the checkpoints in `folder`, the oldest first."""
    names = ((_NAME.fullmatch(path.name), path) for path in folder.glob("*"))
    return sorted((int(name[1]), int(name[2]), path) for name, path in names if name)


def _flush(path: Path) -> None:
    """Sends a file, or the names in a folder, from the system's memory to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


@contextlib.contextmanager
def _orbax(checkpoint: Path) -> Iterator[tuple[ocp.Checkpointer, Path]]:
    """The synchronous checkpointer, and what it is to call a checkpoint's folder of arrays.

    An asynchronous save could fail after it has returned. Orbax is kept from telling every step it
    takes, and every error that it raises besides, to absl's log, which is the experiments' own.
    """
    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.FATAL)
    try:
        # Of several processes this one alone: Orbax would wait for the others to save their parts.
        alone = ocp.options.MultiprocessingOptions(
            primary_host=jax.process_index(), active_processes={jax.process_index()}
        )
        handler = ocp.PyTreeCheckpointHandler(multiprocessing_options=alone)
        with _plainly_named(checkpoint.absolute()) as folder, _system_errors():
            yield ocp.Checkpointer(handler, multiprocessing_options=alone), folder / "arrays"
    finally:
        logging.set_verbosity(verbosity)


@contextlib.contextmanager
def _plainly_named(folder: Path) -> Iterator[Path]:
    """A name for a folder that Orbax can take.

    It reads patterns and addresses into some ([, {, a backslash, gs:), and knows none that is not
    UTF-8.
    """
    if _PLAIN.fullmatch(str(folder)):
        yield folder
        return
    base = tempfile.gettempdir()
    with tempfile.TemporaryDirectory(dir=base if _PLAIN.fullmatch(base) else "/tmp") as temporary:
        link = Path(temporary, "checkpoint")
        link.symlink_to(folder, target_is_directory=True)
        yield link


@contextlib.contextmanager
def _system_errors() -> Iterator[None]:
    """Raises what the system refused as `OSError`: tensorstore says it in words of its own."""
    try:
        yield
    except Exception as error:
        code = re.search(r"os_error_code='(\d+)'", str(error))
        if code is None or isinstance(error, OSError):
            raise
        number = int(code[1])
        raise OSError(number, os.strerror(number)) from error
