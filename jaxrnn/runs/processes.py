"""Several processes, on one machine or many, that train one model together.

Every process runs the same program on the same settings and feeds lanes of its own. Process 0 is
the writer: work directory, checkpoints, evaluation and terminal are its own, and what it reads or
decides the others are told. With a single process all of this does nothing.
"""

import contextlib
import hashlib
import importlib.util
import json
import os
import pickle
import sys
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

from jaxrnn.errors import InputError
from jaxrnn.runs.launch import MISTAKE

T = TypeVar("T")

SHUTDOWN_TIMEOUT = 60  # seconds that a process which ends waits for the others to end


def join(coordinator: str | None, processes: int | None, process_id: int | None) -> None:
    """Meets the other processes: those that the flags tell of, or a cluster's launcher started.

    Does nothing without either, or with `processes` of 1. Comes before anything is computed.
    """
    given = (coordinator, processes, process_id)
    told = given != (None, None, None)
    if processes == 1 or not (told or _launched() or _on_tpu()):
        return
    if told and (coordinator is None or processes is None or process_id is None):
        raise InputError("--coordinator, --processes and --process_id go together; give all three")
    if told and process_id not in range(processes or 0):
        raise InputError(f"--process_id={process_id} must be from 0 to {(processes or 1) - 1}")
    # It would take SIGTERM for itself; the training loop handles that.
    jax.config.update("jax_enable_preemption_service", False)
    try:
        jax.distributed.initialize(*given, shutdown_timeout_seconds=SHUTDOWN_TIMEOUT)
    except (ValueError, RuntimeError) as error:
        if not told and not _launched():  # a machine with TPUs, by itself
            return
        raise InputError(
            f"the processes cannot meet ({str(error).splitlines()[0]}); give each of them "
            "--coordinator=HOST:PORT of process 0, --processes and --process_id"
        ) from None
    if not is_writer():
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def is_writer() -> bool:
    """Whether this is the process that writes and speaks."""
    return jax.process_index() == 0


@contextlib.contextmanager
def together() -> Iterator[None]:
    """What fails in one process ends them all, and only the first that failed says why."""
    if jax.process_count() == 1:
        yield
        return
    failure = None
    try:
        yield
    except BaseException as error:
        failure = error
    failed = multihost_utils.process_allgather(np.array(failure is not None))
    if failed.any() and failed.argmax() != jax.process_index():
        raise SystemExit(MISTAKE)
    if failure is not None:
        raise failure


def check_alike(config: Any) -> None:
    """Refuses processes that were started with other flags, or that read another text."""
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode()).digest()
    theirs = from_writer(lambda: digest)
    with together():
        if theirs != digest:
            raise InputError(
                f"process {jax.process_index()} trains something else than process 0; give all "
                "processes the same flags and the same texts"
            )


def from_writer(function: Callable[[], T]) -> T:
    """What the function returns in the writer, the only process that calls it."""
    if jax.process_count() == 1:
        return function()
    with together():
        told = pickle.dumps(function()) if is_writer() else b""
    size = int(multihost_utils.broadcast_one_to_all(np.int32(len(told))))
    return pickle.loads(_broadcast(told.ljust(size)))


def agreed_time(seconds: float) -> float:
    """The writer's clock."""
    if jax.process_count() == 1:
        return seconds
    return float(np.frombuffer(_broadcast(np.float64(seconds).tobytes())))


def any_of(number: int) -> int:
    """The largest of the processes' numbers: of a signal, say, that only one has heard."""
    if jax.process_count() == 1:
        return number
    return int(multihost_utils.process_allgather(np.int32(number)).max())


def _broadcast(told: bytes) -> bytes:
    """The writer's bytes; all must be of the same length."""
    return multihost_utils.broadcast_one_to_all(np.frombuffer(told, np.uint8)).tobytes()


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
