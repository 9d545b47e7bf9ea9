"""Several processes, on one machine or many, that train one model together.

Every process runs the same program on the same settings and feeds lanes of its own. Process 0 is
the writer: work directory, checkpoints, evaluation and terminal are its own, and what it reads or
decides the others are told. With a single process all of this does nothing.
"""

import contextlib
import importlib.util
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib import metadata
from typing import Any, TypeVar

import jax
import numpy as np

from jaxrnn.core.errors import InputError
from jaxrnn.learning import parallel
from jaxrnn.running.peers import HEARTBEAT_TIMEOUT, current, ending_together, gathered, meet, told
from jaxrnn.running.signals import ending_at, stop

T = TypeVar("T")

SHUTDOWN_TIMEOUT = 60  # seconds that a process which is done waits for the others to be done

_PACKAGES = ("jax", "jaxlib", "numpy", "optax")
# Settings of JAX that decide what is computed; programs of different ones never meet.
_SETTINGS = (
    "jax_enable_x64", "jax_default_prng_impl", "jax_threefry_partitionable",
    "jax_default_matmul_precision", "jax_numpy_dtype_promotion", "jax_numpy_rank_promotion",
)  # fmt: skip


@contextlib.contextmanager
def joined(
    coordinator: str | None, processes: int | None, process_id: int | None
) -> Iterator[None]:
    """Meets the other processes: those that the flags tell of, or a cluster's launcher started.

    Does nothing without either, or with `processes` of 1. Comes before anything is computed. What
    ends one of the processes in the meantime (a mistake, a bug, a signal, a full disk) ends them
    all, with one exit code, and only the first that failed says why: see `jaxrnn.running.peers`.
    """
    given = (coordinator, processes, process_id)
    told_of = given != (None, None, None)
    if processes == 1 or not (told_of or _launched() or _on_tpu()):
        yield
        return
    if told_of and (coordinator is None or processes is None or process_id is None):
        raise InputError("--coordinator, --processes and --process_id go together; give all three")
    if told_of and process_id not in range(processes or 0):
        raise InputError(f"--process_id={process_id} must be from 0 to {(processes or 1) - 1}")
    with _ending_at_a_signal():
        _connect(*given)
        with ending_together():
            check_alike({package: metadata.version(package) for package in _PACKAGES})
            yield


def is_writer() -> bool:
    """Whether this is the process that writes and speaks."""
    group = current()
    return group is None or group.index == 0


def check_alike(config: Mapping[str, Any]) -> None:
    """Refuses processes that were started with other flags, or that read another text.

    None goes on before all are found to be alike.
    """
    group = current()
    if group is None:
        return
    here = json.loads(json.dumps(config))  # tuples as lists, as the writer's arrive
    there = from_writer(lambda: here)
    differences = [
        f"{name} is {_short(here.get(name))} there and {_short(there.get(name))} in process 0"
        for name in sorted(here.keys() | there.keys())
        if here.get(name) != there.get(name)
    ]
    if differences:
        raise InputError(
            f"process {group.index} trains something else than process 0 "
            f"({'; '.join(differences)}); give all processes the same flags, texts and versions"
        )
    gathered(group, "alike")


def jax_settings() -> dict[str, Any]:
    """What else decides the programs that processes run together; JAX begins here."""
    settings = {name: str(getattr(jax.config, name, None)) for name in _SETTINGS}
    return {"platform": jax.default_backend()} | settings


def least(number: int) -> int:
    """The smallest of the processes' numbers; JAX does not have to have begun."""
    group = current()
    return number if group is None else min(map(int, gathered(group, str(number))))


def from_writer(function: Callable[[], T]) -> T:
    """What the function returns in the writer, the only process that calls it: what JSON holds.

    The others wait, however long that takes, and hear of signals meanwhile.
    """
    group = current()
    if group is None:
        return function()
    return json.loads(told(group, lambda: json.dumps(function())))


def agreed_time(seconds: float) -> float:
    """The writer's clock."""
    if current() is None:
        return seconds
    return float(parallel.array_from_first(np.array(seconds, np.float64)))


def any_of(number: int) -> int:
    """The largest of the processes' numbers: of a signal, say, that only one has heard."""
    return number if current() is None else int(parallel.largest(np.array(number, np.int32)))


def _connect(coordinator: str | None, processes: int | None, process_id: int | None) -> None:
    # It would take SIGTERM for itself; the training loop handles that.
    jax.config.update("jax_enable_preemption_service", False)
    try:
        jax.distributed.initialize(
            coordinator, processes, process_id,
            heartbeat_timeout_seconds=HEARTBEAT_TIMEOUT, shutdown_timeout_seconds=SHUTDOWN_TIMEOUT,
        )  # fmt: skip
    except (ValueError, RuntimeError) as error:
        if coordinator is None and not _launched():  # a machine with TPUs, by itself
            return
        raise InputError(
            f"the processes cannot meet ({str(error).splitlines()[0]}); give each of them "
            "--coordinator=HOST:PORT of process 0, --processes and --process_id"
        ) from None
    meet()
    if not is_writer():
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextlib.contextmanager
def _ending_at_a_signal() -> Iterator[None]:
    """SIGTERM ends the program as Ctrl-C does: by an error, of which the other processes hear."""

    def end(number: int, _: object) -> None:
        raise stop(number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        with ending_at(1):
            yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _launched() -> bool:
    """Whether a launcher that JAX knows started several processes."""
    known = os.environ
    return (
        ("SLURM_STEP_NODELIST" in known and known.get("SLURM_NTASKS", "1") != "1")
        or known.get("OMPI_COMM_WORLD_SIZE", "1") != "1"
        or "JOB_COMPLETION_INDEX" in known  # an indexed job of Kubernetes
        or "," in known.get("TPU_WORKER_HOSTNAMES", "")  # TPUs in Kubernetes
    )


def _on_tpu() -> bool:
    """Whether this machine has TPUs, so that it may be one of several: JAX asks the cloud."""
    # JAX sets the variable where it finds none.
    return importlib.util.find_spec("libtpu") is not None and "TPU_SKIP_MDS_QUERY" not in os.environ
