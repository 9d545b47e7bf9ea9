"""XLA's flags in tests, and in the processes that they start."""

import os
import subprocess
import sys

# Older emitters and no threads of its own: XLA compiles in a fifth of the time. Newer versions have
# these emitters no more.
FAST_COMPILING = "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"


def with_flags(more: str = "") -> dict[str, str]:
    """The environment of a process on a CPU that has these flags as well."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} {more}".strip()
    return os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}


def are_known(flags: str) -> bool:
    """Whether this XLA, which ends a process that has others, has such flags."""
    begin = [sys.executable, "-c", "import jax; jax.devices()"]
    return subprocess.run(begin, env=with_flags(flags), capture_output=True).returncode == 0
