"""How a program ends: its exit code, and one sentence for a user's mistake.

Exit codes: 0 done, 1 a bug (with its traceback), 2 a user's mistake, 3 training could not go on,
130 stopped by Ctrl-C, 143 by SIGTERM and 129 by SIGHUP, all with the work saved.
"""

import errno
import io
import os
import select
import sys
from typing import Any

from jaxrnn.core.errors import InputError
from jaxrnn.running.memory import refusal_of_memory

MISTAKE, DIVERGED = 2, 3

# Of what an operating system refuses, that which a user can mend, and how. The rest is a bug.
ADVICE = {
    errno.ENOENT: "check the name",
    errno.ENOTDIR: "a part of the name is a file where a folder is expected; check the name",
    errno.EISDIR: "a file is expected there; check the name",
    errno.EEXIST: "something else bears that name; move it away, or give another name",
    errno.ENAMETOOLONG: "give a shorter name",
    errno.ELOOP: "its links lead in a circle; mend them, or give another name",
    errno.EACCES: "change its permissions, or give another place",
    errno.EPERM: "change its permissions, or give another place",
    errno.EROFS: "give a place that can be written to",
    errno.ENOSPC: "make room on the disk, or give a place on another one",
    errno.EDQUOT: "make room within your quota, or give another place",
    errno.EFBIG: "raise the limit on the size of files (ulimit -f), or give another place",
}
LESS = (  # where it is not known what took it
    "take smaller layers, fewer lanes, streams or seeds, or shorter chunks or texts"
)
NAMELESS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # come while a file is written, without a name


def explain(error: BaseException) -> int:
    """Says in one sentence what ends a program, and returns its exit code; raises a bug anew."""
    if (refusal := refusal_of_memory(error)) is not None:
        tell(f"memory does not suffice ({refusal}); {LESS}")
        return MISTAKE
    try:
        raise error
    except InputError as mistake:
        tell(str(mistake))
        code = MISTAKE
    except OSError as error:
        if _is_unread(sys.stdout) and isinstance(error, BrokenPipeError):
            _silence(sys.stdout)  # whoever read the output has read enough
            code = 0
        elif _cannot_take(sys.stdout):
            _silence(sys.stdout)
            advice = ADVICE.get(error.errno or 0, "write to another place")
            tell(f"standard output: {error.strerror}; {advice}")
            code = MISTAKE
        elif (sentence := _sentence(error)) is not None:
            tell(sentence)
            code = MISTAKE
        else:
            raise
    except KeyboardInterrupt:
        tell("stopped", before="\n")
        code = 130
    return code


def tell(sentence: str, before: str = "") -> None:
    """Says something on standard error, on one line, whatever names it has in it."""
    if sys.stderr is None:  # for print that would be standard output
        return
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in sentence)
    try:
        print(f"{before}{program()}: {shown}", file=sys.stderr, flush=True)
    except OSError:  # there is nowhere to say it
        _silence(sys.stderr)


def forgo() -> None:
    """Lets go what standard output and standard error hold and cannot write."""
    for stream in (sys.stdout, sys.stderr):
        if _cannot_take(stream):
            _silence(stream)


def _silence(stream: Any) -> None:
    """Lets go what a stream could not write: Python would try once more, and exit with 120."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _cannot_take(stream: Any) -> bool:
    """Whether a stream fails at what was printed to it, or at nothing, if it keeps nothing back."""
    try:
        stream.flush()
        os.write(stream.fileno(), b"")
    except io.UnsupportedOperation:  # no stream of the system's
        return False
    except OSError:
        return True
    return False


def _sentence(error: OSError) -> str | None:
    """What a user can do about an error; None for a bug."""
    named = isinstance(error.filename, str | bytes | os.PathLike)  # else a descriptor, or nothing
    if error.errno not in ADVICE or not (named or error.errno in NAMELESS):
        return None
    name = os.fsdecode(error.filename) if named else "a file that is being written"
    return f"{name}: {error.strerror}; {ADVICE[error.errno]}"


def _is_unread(stream: Any) -> bool:
    """Whether the stream leads into a pipe whose other end is closed."""
    poll = select.poll()
    try:
        poll.register(stream, 0)
    except (OSError, ValueError):  # no stream of the system's
        return False
    return any(event & select.POLLERR for _, event in poll.poll(0))


def program() -> str:
    """What the program is called, in its messages: `jaxrnn train`, or `experiments.cells`."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    if spec is None or spec.name == "jaxrnn.__main__":
        return sys.argv[0]
    return spec.name.removesuffix(".__main__")
