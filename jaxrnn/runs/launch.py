"""How an experiment is launched: grouped help, and one sentence for a user's mistake.

Exit codes: 0 done, 1 a bug (with its traceback), 2 a user's mistake, 3 training could not go on,
130 stopped by Ctrl-C and 143 by SIGTERM, both with the work saved.
"""

import errno
import os
import select
import sys
import textwrap
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
from absl import flags

from jaxrnn.errors import InputError
from jaxrnn.text.download import cache_folder

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

_groups: list[tuple[str, list[flags.FlagHolder]]] = []


def group(title: str, *holders: flags.FlagHolder) -> None:
    """Puts flags under a title in `--help`, in the order given."""
    _groups.append((title, list(holders)))


def user_path(text: str) -> Path:
    """The path that a person wrote, `~` expanded."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise InputError(f"there is no home folder for {text}; write the path out") from None


def launch(
    main: Callable[[], int],
    description: str,
    argv: Sequence[str] | None = None,
    *,
    defaults: Mapping[str, Any] | None = None,
) -> None:
    """Parses the flags, runs `main`, and exits with the code that it returns.

    `defaults` are shown in `--help` for flags whose own default is None.
    """
    argv = list(sys.argv if argv is None else argv)
    if {"--help", "-help", "-h", "--helpfull", "--helpshort"} & set(argv):
        print(_help(description, defaults or {}))
        sys.exit(0)
    try:
        rest = flags.FLAGS(argv)[1:]
        if rest:
            raise InputError(f"'{rest[0]}' is not a flag; flags look like --corpus=shakespeare")
        _keep_compiled_programs()
        code = main()
        sys.stdout.flush()  # here, where it is known what to do if nobody reads it
    except BaseException as error:
        code = explain(error)
    sys.exit(code)


def explain(error: BaseException) -> int:
    """Says in one sentence what ends a program, and returns its exit code; raises a bug anew."""
    try:
        raise error
    except (InputError, flags.Error) as mistake:
        print(f"{_program()}: {mistake}", file=sys.stderr)
        code = MISTAKE
    except OSError as error:
        if isinstance(error, BrokenPipeError) and _is_unread(sys.stdout):
            # Whoever read the output has read enough. Python flushes what is left when it ends; it
            # would complain, and exit with 120.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = 0
        elif (sentence := _sentence(error)) is not None:
            print(f"{_program()}: {sentence}", file=sys.stderr)
            code = MISTAKE
        else:
            raise
    except KeyboardInterrupt:
        print(f"\n{_program()}: stopped", file=sys.stderr)
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


def _keep_compiled_programs() -> None:
    """Has JAX compile a program once for all runs, where the user has not told it what to keep."""
    if jax.config.values["jax_compilation_cache_dir"] is not None:
        return
    try:
        folder = cache_folder() / "programs"
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # RuntimeError: there is no home folder
        return  # it only saves time
    if not os.access(folder, os.W_OK | os.X_OK):
        return
    warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache")
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_compilation_cache_max_size", 2**30)  # bytes
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)  # small ones add up


def _program() -> str:
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return spec.name if spec else sys.argv[0]


def _help(description: str, defaults: Mapping[str, Any]) -> str:
    lines = [description.strip(), "", f"usage: python -m {_program()} [--flag=value ...]"]
    for title, holders in _groups:
        lines += ["", f"{title}:"]
        for holder in holders:
            flag = flags.FLAGS[holder.name]
            names = f"--[no]{flag.name}" if flag.boolean else f"--{flag.name}=..."
            default = defaults.get(flag.name) if flag.default is None else flag.default
            shown = ",".join(map(str, default)) if isinstance(default, list) else str(default)
            text = flag.help if default in (None, "", []) else f"{flag.help} [{shown}]"
            lines.append(f"  {names}")
            lines += textwrap.wrap(text, 90, initial_indent=" " * 6, subsequent_indent=" " * 6)
    return "\n".join(lines)
