"""What a program does before anything else, and for as long as its libraries are being imported.

It is for those who start a program, not for those who import a module: it changes how the process
answers Ctrl-C, and errors. It imports next to nothing: until it is there, Python answers.
"""

import os
import signal
import sys
from types import TracebackType

_begun = False  # whether Ctrl-C was made to end the process at once


def before_imports() -> None:
    """Has Ctrl-C end the process without a traceback, and makes up for closed streams.

    A standard stream that is closed leaves its number to the next file that is opened, and what is
    printed, by whatever library, would go into that. A library that is missing gets a sentence.
    """
    global _begun
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # a shell may have it ignored
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        _begun = True
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # it gets the lowest number that is free
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "w" if number else "r", closefd=False))
    sys.excepthook = _explain


def answer_ctrl_c() -> None:
    """From now on Ctrl-C raises KeyboardInterrupt."""
    if _begun:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def die_of_ctrl_c() -> None:
    """From now on Ctrl-C ends the process at once again: all is done, or lost."""
    if _begun:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def _explain(kind: type, error: BaseException, traceback: TracebackType | None) -> None:
    if not isinstance(error, ModuleNotFoundError):
        sys.__excepthook__(kind, error, traceback)
        return
    from jaxrnn.core.errors import MissingLibrary, missing

    told = isinstance(error, MissingLibrary)
    print(error if told else missing(f"the library {error.name}"), file=sys.stderr)
    sys.exit(2)
