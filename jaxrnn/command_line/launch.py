"""How a program is launched: grouped help, its flags, and the exit code that it ends with."""

import os
import sys
import textwrap
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
from absl import flags

from jaxrnn.command_line.terminal import prepare
from jaxrnn.core.errors import InputError
from jaxrnn.running.exits import explain, program
from jaxrnn.text.download import cache_folder

HELP = {"--help", "-help", "-h", "--helpfull", "--helpshort"}

_groups: list[tuple[str, list[flags.FlagHolder]]] = []


def group(title: str, *holders: flags.FlagHolder) -> None:
    """Puts flags under a title in `--help`, in the order given."""
    _groups.append((title, list(holders)))


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
    prepare()
    try:
        if HELP & set(argv):
            print(_help(description, defaults or {}))
            code = 0
        else:
            rest = _parsed(argv)[1:]
            if rest:
                raise InputError(f"'{rest[0]}' is not a flag; flags look like --corpus=shakespeare")
            _keep_compiled_programs()
            code = main()
        sys.stdout.flush()  # here, where it is known what to do if nobody reads it
    except BaseException as error:
        code = explain(error)
    sys.exit(code)


def _parsed(argv: Sequence[str]) -> list[str]:
    try:
        return flags.FLAGS(argv)
    except flags.Error as mistake:
        raise InputError(str(mistake)) from None


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


def _help(description: str, defaults: Mapping[str, Any]) -> str:
    lines = [description.strip(), "", f"usage: python -m {program()} [--flag=value ...]"]
    for title, holders in _groups:
        lines += ["", f"{title}:"]
        for holder in holders:
            flag = flags.FLAGS[holder.name]
            names = f"--[no]{flag.name}" if flag.boolean else f"--{flag.name}=..."
            default = defaults.get(flag.name) if flag.default is None else flag.default
            shown = (
                ",".join(map(str, default)) if isinstance(default, list | tuple) else str(default)
            )
            text = flag.help if default in (None, "", [], ()) else f"{flag.help} [{shown}]"
            lines.append(f"  {names}")
            lines += textwrap.wrap(text, 90, initial_indent=" " * 6, subsequent_indent=" " * 6)
    return "\n".join(lines)
