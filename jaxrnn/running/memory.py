"""Whether memory suffices: what would be needed at least, what there is, and a sentence on both.

Where memory is short a system may first grant it and later kill whoever uses it, without a word. So
it is counted before anything is made, from shapes alone. What is refused is surely too much: the
count leaves out whatever may not be needed.
"""

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import jax

from jaxrnn.core.errors import InputError

SYSTEM = Path("/")  # where /proc and /sys lie
UNLIMITED = 2**60  # bytes; version 1 of cgroups has a number for it, near 2**63

REFUSALS = (  # how those who refuse memory begin or go on
    "RESOURCE_EXHAUSTED", "Out of memory", "out of memory", "bad_alloc", "Unable to allocate",
    "Maximum allowed dimension exceeded", "array is too big",
)  # fmt: skip


class Part(NamedTuple):
    """Of what is needed: what for, how many bytes at least, and what makes it smaller."""

    what: str
    size: int
    advice: str


def check_memory(doing: str, parts: Sequence[Part], there: int | None = None) -> None:
    """Refuses what surely needs more memory than there is.

    Args:
      doing: what needs it: how a sentence begins.
      parts: of what it needs, all at the same time.
      there: how many bytes there are; None: what `free_memory` finds.

    Raises:
      InputError: it is too much.
    """
    there = free_memory() if there is None else there
    needed = sum(part.size for part in parts)
    if there is None or needed <= there:
        return
    parts = sorted(parts, key=lambda part: -part.size)
    large = [part for part in parts if part.size >= parts[0].size / 10]
    each = large if len(large) > 1 else [large[0]._replace(size=needed)]
    needs = " and ".join(f"{in_words(part.size)} for {part.what}" for part in each)
    advice = "; ".join(dict.fromkeys(part.advice for part in large))
    raise InputError(
        f"{doing} needs at least {needs}, but {in_words(there)} of memory are free here; {advice}"
    )


@contextmanager
def within_memory(doing: str, advice: str) -> Iterator[None]:
    """Makes one sentence of a refusal of memory, whoever refuses it.

    Raises:
      InputError: in the place of that refusal.
    """
    try:
        yield
    except Exception as error:
        if (refusal := refusal_of_memory(error)) is None:
            raise
        raise InputError(f"memory does not suffice for {doing} ({refusal}); {advice}") from error


def refusal_of_memory(error: BaseException) -> str | None:
    """What whoever refused memory says, in one line; None for any other error."""
    if isinstance(error, InputError) or not isinstance(error, Exception):
        return None
    lines = [line.strip() for line in str(error).splitlines()]
    # By their words: XLA has no type of its own for it, and raises a ValueError at times.
    told = next((line for line in lines if any(word in line for word in REFUSALS)), None)
    if isinstance(error, MemoryError):
        told = told or next(iter(lines), "no more was granted")
    elif isinstance(error, OSError):
        told = error.strerror if error.errno == errno.ENOMEM else None
    elif not isinstance(error, RuntimeError | ValueError):
        told = None
    if told is None:
        return None
    try:
        free = free_memory()
    except RuntimeError:  # there was not enough for JAX to begin
        free = host_memory()
    told = told.removeprefix("RESOURCE_EXHAUSTED: ")[:200].rstrip(".")
    return told + ("" if free is None else f"; {in_words(free)} are free")


def free_memory() -> int | None:
    """Bytes that a device has left: an accelerator's own, a CPU's system's; None: not known.

    Of the system, what is free or can be freed, swap included, within what the user or a container
    may have.
    """
    device = jax.local_devices()[0]
    if device.platform != "cpu":
        stats = device.memory_stats() or {}
        limit = stats.get("bytes_limit")
        return None if limit is None else max(0, limit - stats.get("bytes_in_use", 0))
    return host_memory()


def host_memory() -> int | None:
    """The same of the system alone; JAX need not have begun."""
    found = [*_of_system(), *_of_limits(), *_of_cgroups()]
    return max(0, min(found)) if found else None


def in_words(size: int) -> str:
    """Bytes in binary units, with three digits or more."""
    for power, unit in enumerate(("bytes", "KiB", "MiB", "GiB")):
        if size < 1024 ** (power + 1) or unit == "GiB":
            break
    count = size / 1024**power
    return f"{count:,.0f} {unit}" if count >= 100 or unit == "bytes" else f"{count:.1f} {unit}"


def _of_system() -> Iterator[int]:
    facts = _facts("proc/meminfo")
    if "MemAvailable" in facts:
        yield 1024 * (facts["MemAvailable"] + facts.get("SwapFree", 0))
    elif hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:  # not Linux
        yield os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _of_limits() -> Iterator[int]:
    """What `ulimit -v` and `ulimit -d` leave."""
    try:
        import resource
    except ModuleNotFoundError:  # not Unix
        return
    used = _facts("proc/self/status")
    for limit, name in ((resource.RLIMIT_AS, "VmSize"), (resource.RLIMIT_DATA, "VmData")):
        most, _ = resource.getrlimit(limit)
        if most != resource.RLIM_INFINITY:
            yield most - 1024 * used.get(name, 0)


def _of_cgroups() -> Iterator[int]:
    """What the limits of the process's control groups leave, of both versions and of all levels."""
    for line in _text("proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            root, limit, usage, cached = (
                "sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"
            )  # fmt: skip
        elif "memory" in controllers.split(","):
            root, limit, usage, cached = (
                "sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes",
                "total_inactive_file",
            )  # fmt: skip
        else:
            continue
        # In a container the path may be the host's: there its own group is the root.
        steps = [step for step in path.split("/") if step not in ("", "..")]
        for depth in range(len(steps) + 1):
            folder = "/".join([root, *steps[:depth]])
            most, used = _text(f"{folder}/{limit}").strip(), _text(f"{folder}/{usage}").strip()
            if most.isdigit() and used.isdigit() and int(most) < UNLIMITED:
                yield int(most) - int(used) + _facts(f"{folder}/memory.stat").get(cached, 0)


def _facts(file: str) -> dict[str, int]:
    """The numbers in a file of lines such as `MemFree: 12 kB`."""
    rows = (line.replace(":", " ").split() for line in _text(file).splitlines())
    return {row[0]: int(row[1]) for row in rows if len(row) > 1 and row[1].isdigit()}


def _text(file: str) -> str:
    try:
        return (SYSTEM / file).read_text()
    except OSError:  # not Linux, or not to be read
        return ""
