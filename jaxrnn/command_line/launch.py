"""How a program is launched: grouped help, its flags, and the exit code that it ends with."""

import os
import sys
import textwrap
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
from absl import flags

from jaxrnn.command_line.arguments import parse
from jaxrnn.command_line.beginning import answer_ctrl_c, die_of_ctrl_c
from jaxrnn.command_line.lists import ABOUT, ListFlag
from jaxrnn.command_line.terminal import prepare
from jaxrnn.core.errors import InputError
from jaxrnn.running.exits import explain, program
from jaxrnn.text.reading.download import cache_folder

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
    try:
        answer_ctrl_c()
        prepare()
        if HELP & set(argv):
            print(_help(description, defaults or {}))
            code = 0
        else:
            parse(argv, (holder.name for _, holders in _groups for holder in holders))
            _check_current_directory()
            _keep_compiled_programs()
            code = main()
        sys.stdout.flush()  # here, where it is known what to do if nobody reads it
        die_of_ctrl_c()
    except BaseException as error:
        die_of_ctrl_c()
        code = explain(error)
    sys.exit(code)


def _check_current_directory() -> None:
    try:
        Path.cwd()
    except OSError as error:
        raise InputError(
            f"the current directory cannot be used ({error.strerror}); change to another one"
        ) from None


def _keep_compiled_programs() -> None:
    """Has JAX compile a program once for all runs, where the user has not told it what to keep."""
    if jax.config.values["jax_compilation_cache_dir"] is not None:
        return
    try:
        folder = cache_folder() / "programs"
        str(folder).encode()  # JAX takes no name that is not UTF-8
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError, UnicodeEncodeError):  # RuntimeError: there is no home folder
        return  # it only saves time
    if not os.access(folder, os.W_OK | os.X_OK):
        return
    warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache")
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_compilation_cache_max_size", 2**30)  # bytes
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)  # small ones add up


def _help(description: str, defaults: Mapping[str, Any]) -> str:
    lines = [description.strip(), "", f"usage: {_usage()} [--flag=value ...]"]
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
    lists = [name for _, held in _groups for h in held
             if isinstance(flags.FLAGS[name := h.name], ListFlag)]  # fmt: skip
    if lists:
        lines += ["", *textwrap.wrap(ABOUT.format(name=lists[0]), 96)]
    lines += ["", "--flagfile=FILE reads flags from a file, one in each line."]
    return "\n".join(lines)


def _usage() -> str:
    name = program()
    return name if " " in name else f"python -m {name}"
