"""Several processes, started as a user or a cluster's launcher would, on this machine."""

import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from tests.experiments.launching import ROOT
from tests.xla_flags import with_flags

CHAR_LM = ("-m", "experiments.char_lm")

# Runs char_lm, and does something when a function is called for the n-th time.
ACTING = """
import functools, importlib, itertools, os, runpy, signal, sys, time
module, path, count = sys.argv.pop(1).split(":")
act = compile(sys.argv.pop(1), "<what is done>", "exec")
*owners, function = path.split(".")
owner = functools.reduce(getattr, owners, importlib.import_module(module))
original, calls = getattr(owner, function), itertools.count(1)
def wrapped(*args, **kwargs):
    if next(calls) == int(count):
        exec(act)
    return original(*args, **kwargs)
setattr(owner, function, wrapped)
runpy.run_module("experiments.char_lm", run_name="__main__", alter_sys=True)
"""


def acting(moment: str, what: str) -> tuple[str, ...]:
    """char_lm that does something of its own, at `module:function:n`, the n-th call of it."""
    return ("-c", ACTING, moment, what)


def signalled(moment: str, name: str) -> tuple[str, ...]:
    """char_lm that sends itself a signal then."""
    return acting(moment, f"os.kill(os.getpid(), signal.{name})")


def on_devices(count: int | None, *command: str) -> subprocess.Popen:
    """Starts a process of its own that sees so many devices; None: as JAX finds them."""
    forced = f"--xla_force_host_platform_device_count={count}" if count else ""
    return subprocess.Popen(
        [sys.executable, *command], cwd=ROOT, text=True, env=with_flags(forced),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def two_of(
    first: Sequence[str], second: Sequence[str], *flags: str, devices: int | None = 2
) -> list[subprocess.Popen]:
    """Starts two processes of one run, each by a command of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    together = (*flags, f"--coordinator=127.0.0.1:{port}", "--processes=2")
    return [
        on_devices(devices, *command, *together, f"--process_id={index}")
        for index, command in enumerate((first, second))
    ]


class Ended(NamedTuple):
    """What a process leaves on the terminal, and when it was gone, in seconds of one clock."""

    code: int
    out: str
    err: str
    at: float


def ended(started: Sequence[subprocess.Popen]) -> list[Ended]:
    """Waits for processes, and kills those that do not end."""

    def wait(process: subprocess.Popen) -> Ended:
        try:
            out, err = process.communicate(timeout=100)
        finally:
            process.kill()
        return Ended(process.returncode, out, err, time.monotonic())

    with ThreadPoolExecutor(len(started)) as threads:
        return list(threads.map(wait, started))
