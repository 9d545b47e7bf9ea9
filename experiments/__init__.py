"""Programs."""

import sys
from types import TracebackType


def _explain(kind: type, error: BaseException, traceback: TracebackType | None) -> None:
    """What ends a program before it is launched: of a library that is missing, a sentence."""
    if not isinstance(error, ModuleNotFoundError):
        sys.__excepthook__(kind, error, traceback)
        return
    print(
        f"{sys.executable} has no library {error.name}; use the Python that has it (after make run:"
        f" .venv/bin/python), or install all that is needed: {sys.executable} -m pip install"
        " --requirement requirements.txt",
        file=sys.stderr,
    )
    sys.exit(2)


sys.excepthook = _explain
