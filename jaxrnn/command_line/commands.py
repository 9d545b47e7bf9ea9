"""The command `jaxrnn`: it hands over to one of its commands, most of them modules of this room."""

import sys
from importlib import import_module
from typing import NoReturn

from jaxrnn import __version__
from jaxrnn.command_line.beginning import before_imports

COMMANDS = {
    "train": "reads a text, learns to predict the next character; again, it goes on",
    "sample": "writes with a trained model",
    "evaluate": "says how well a trained model predicts a text",
}
HELP = f"""Recurrent neural networks that read and write text.

usage: jaxrnn COMMAND [--flag=value ...]

commands:
{chr(10).join(f"  {name:12}{text}" for name, text in COMMANDS.items())}

jaxrnn COMMAND --help explains every flag; jaxrnn --version says which version this is;
jaxrnn completion prints what has bash complete all of this."""


def main() -> None:
    """Runs the command that the command line names, and exits."""
    before_imports()
    sys.argv[0] = "jaxrnn"
    first, *rest = sys.argv[1:] or [""]
    if first in COMMANDS:
        sys.argv = [f"jaxrnn {first}", *rest]
        import_module(f"jaxrnn.command_line.{first}").begin()
    elif first in ("--help", "-help", "-h", "help"):
        _end(0, HELP)
    elif first in ("--version", "-version", "-V", "version"):
        _end(0, f"jaxrnn {__version__}")
    elif first == "completion":
        from jaxrnn.command_line.completion import of_commands

        _end(0, of_commands([*COMMANDS]))
    else:
        _end(2, f"jaxrnn: {_refusal(first)}")


def _end(code: int, text: str) -> NoReturn:
    """Says a last word, on standard error if it is none that was asked for."""
    try:
        print(text, file=sys.stderr if code else sys.stdout, flush=True)
    except OSError as error:
        from jaxrnn.running.exits import explain  # takes a second to import

        code = explain(error)
    sys.exit(code)


def _refusal(word: str) -> str:
    """What there is instead."""
    import difflib  # not before Ctrl-C is seen to

    near = difflib.get_close_matches(word, COMMANDS, n=1)
    told = f"there is no command {word!r}" if word else "it takes a command"
    known = f"did you mean {near[0]}?" if near else f"give one of {', '.join(COMMANDS)}"
    return f"{told}; {known}"
