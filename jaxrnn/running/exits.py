"""How a program ends: its exit code, and one sentence for a user's mistake.

Exit codes: 0 done, 1 a bug (with its traceback), 2 a user's mistake, 3 training could not go on,
130 stopped by Ctrl-C and 143 by SIGTERM, both with the work saved.
"""

import errno
import os
import select
import sys
from typing import Any

from jaxrnn.core.errors import InputError

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
NAMELESS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # come while a file is written, without a name


def explain(error: BaseException) -> int:
    """Says in one sentence what ends a program, and returns its exit code; raises a bug anew."""
    try:
        raise error
    except InputError as mistake:
        print(f"{program()}: {mistake}", file=sys.stderr)
        code = MISTAKE
    except OSError as error:
        if isinstance(error, BrokenPipeError) and _is_unread(sys.stdout):
            # Whoever read the output has read enough. Python flushes what is left when it ends; it
            # would complain, and exit with 120.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = 0
        elif (sentence := _sentence(error)) is not None:
            print(f"{program()}: {sentence}", file=sys.stderr)
            code = MISTAKE
        else:
            raise
    except KeyboardInterrupt:
        print(f"\n{program()}: stopped", file=sys.stderr)
        code = 130
    return code


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
    """What the program is called, in its messages."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return spec.name if spec else sys.argv[0]
