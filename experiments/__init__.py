"""Programs. They need all that requirements.txt installs, and say so before they begin."""

import importlib.util
import sys

LIBRARIES = (
    "absl", "filelock", "jax", "jaxtyping", "matplotlib", "numpy", "optax", "orbax", "pooch",
    "requests", "rich", "safetensors", "scipy",
)  # fmt: skip
_missing = [library for library in LIBRARIES if importlib.util.find_spec(library) is None]
if _missing:
    print(
        f"{sys.executable} has no {', '.join(_missing)}, which the experiments need; use the Python"
        f" that has (after make run: .venv/bin/python), or install them: {sys.executable} -m pip"
        " install --requirement requirements.txt",
        file=sys.stderr,
    )
    sys.exit(2)
