"""The most memory that this process has had so far."""

import resource
import sys
from pathlib import Path


def peak_megabytes() -> float:
    # On Linux ru_maxrss counts what the process had before it became this program: its parent's.
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / 1e6
    except (OSError, StopIteration):
        unit = 1e6 if sys.platform == "darwin" else 1e6 / 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
