"""What computes a run. Sums of floating-point numbers depend on it, in their last bits."""

import os
import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import jax

from jaxrnn.running.devices import cores

_COUNTED = (
    ("devices", "device", "devices"), ("processes", "process", "processes"),
    ("cores", "core", "cores"),
)  # fmt: skip
# What a user may tell JAX that changes numbers; the number of a CPU's devices is counted.
OPTIONS = (
    "jax_default_matmul_precision", "jax_default_prng_impl", "jax_disable_most_optimizations",
    "jax_enable_x64", "jax_threefry_partitionable",
)  # fmt: skip
_DEVICES = "xla_force_host_platform_device_count"
PACKAGES = ("jax", "jaxlib", "optax", "numpy")


def surroundings(devices: int = 1) -> dict[str, Any]:
    """What computes now, for JSON; `devices` are those used, of all processes together."""
    return {
        "devices": devices,
        "devices_there": jax.device_count(),
        "processes": jax.process_count(),
        "cores": cores(),
        "platform": jax.default_backend(),
        "device": jax.devices()[0].device_kind,
        "processor": processor(),
        "options": {name: jax.config.values[name] for name in OPTIONS}
        | {"XLA_FLAGS": _xla_flags()},
        "versions": {"python": platform.python_version()}
        | {package: metadata.version(package) for package in PACKAGES},
    }


def change(before: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """One sentence on what computes now where something else did; None if that is the same."""
    was, comes = _described(before), _described(now)
    changed = [name for name in comes if name in was and was[name] != comes[name]]
    if not changed:
        return None
    return (
        f"Going on with {', '.join(comes[name] for name in changed)} where so far it was "
        f"{', '.join(was[name] for name in changed)}: sums differ in the last bits, so the run is "
        "no longer equal, to the bit, to one that was not interrupted."
    )


def processor() -> str:
    """The name of this machine's processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _xla_flags() -> str:
    return " ".join(
        flag for flag in os.environ.get("XLA_FLAGS", "").split() if _DEVICES not in flag
    )


def _described(facts: Mapping[str, Any]) -> dict[str, str]:
    """Each fact that decides sums, in words."""
    on_cpu = facts.get("platform") == "cpu"
    words = {name: str(facts[name]) for name in ("platform", "device") if name in facts}
    words |= {name: f"{name} {version}" for name, version in facts.get("versions", {}).items()}
    words |= {name: f"{name}={value}" for name, value in facts.get("options", {}).items()}
    if "processor" in facts and on_cpu:
        words["processor"] = facts["processor"]
    for name, one, many in _COUNTED:
        if name in facts and (on_cpu or name != "cores"):
            words[name] = f"{facts[name]} {one if facts[name] == 1 else many}"
    # A CPU's devices share its threads, the unused ones too.
    if on_cpu and facts.get("devices_there", facts.get("devices")) != facts.get("devices"):
        words["devices"] = f"{facts['devices']} of {facts['devices_there']} devices"
    return words
