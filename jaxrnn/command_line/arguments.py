"""The words of a command line, put in order for absl, or refused in one sentence.

absl takes `--name=value`, `--name value`, `--name` and `--noname` (one dash does as well), and
would stop at a word that is none of these. Here such a word joins the list that it follows.
"""

import difflib
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from absl import flags

from jaxrnn.command_line.lists import ListFlag
from jaxrnn.core.errors import InputError

_OTHER_DASHES = "\N{EN DASH}\N{EM DASH}\N{MINUS SIGN}"  # what word processors make of hyphens


def parse(argv: Sequence[str], names: Iterable[str]) -> None:
    """Sets the flags of these names from a command line, whose first word is the program's.

    Raises:
      InputError: a word is not such a flag, or a value is not what it may be.
      OSError: what `--flagfile` names cannot be read.
    """
    known = {name: flags.FLAGS[name] for name in names}
    flags.FLAGS([argv[0], *_spelled_out(_with_files(argv[1:]), known)])


def _with_files(words: Sequence[str]) -> list[str]:
    """Puts in what stands in the files that `--flagfile` names."""
    try:
        return flags.FLAGS.read_flags_from_files(words)
    except flags.CantOpenFlagFileError as error:
        raise (error.__context__ or error) from None
    except flags.Error:
        raise InputError("--flagfile has no value; write --flagfile=FILE") from None
    except UnicodeDecodeError:
        raise InputError("what --flagfile names is no text in UTF-8; give one that is") from None


def _spelled_out(words: Sequence[str], known: Mapping[str, flags.Flag]) -> list[str]:
    """All as `--name=value`, `--name` or `--noname`."""
    left, found = list(words), []
    last: flags.Flag | None = None  # the flag before
    once: set[str] = set()
    are_flags = True
    while left:
        word = left.pop(0)
        if word == "--" and are_flags:
            are_flags = False
            continue
        if not are_flags or word == "-" or not word.startswith("-"):
            if not isinstance(last, ListFlag) or _named(word.lstrip(_OTHER_DASHES), known, word):
                raise InputError(_stray(word, last, known))
            found.append(_checked(last, word))
            continue
        name, equals, value = word[1 + word.startswith("--") :].partition("=")
        last = known.get(name)
        if last is None and name[:2] == "no" and name[2:] in known and known[name[2:]].boolean:
            if equals:
                raise InputError(f"--{name} takes no value; write --{name} or --{name[2:]}")
            last = known[name[2:]]
            found.append(f"--{name}")
            continue
        if last is None:
            raise InputError(_unknown(name, known))
        if isinstance(last, ListFlag) and last.is_once:
            if name in once:
                raise InputError(f"--{name} is given twice; give all its numbers at once: "
                                 f"--{name}=1,2")  # fmt: skip
            once.add(name)
        if last.boolean and not equals:
            found.append(f"--{name}")
            continue
        if not equals:
            if not left:
                raise InputError(f"--{name} has no value; write --{name}=...")
            value = left.pop(0)
            if value.startswith("-") and _named(value.lstrip("-"), known, value):
                raise InputError(f"--{name} has no value, but another flag, {value}, after it; "
                                 f"write --{name}=...")  # fmt: skip
        found.append(_checked(last, value))
    return found


def _named(text: str, known: Mapping[str, flags.Flag], word: str) -> bool:
    """Whether a word without its dashes is the name of a flag."""
    name = text.partition("=")[0]
    return text != word and (name in known or name.removeprefix("no") in known)


def _checked(flag: flags.Flag, value: str) -> str:
    """A flag and its value in one word; refuses what the flag cannot have."""
    given = f"--{flag.name}={value}"
    try:
        parsed = flag.parser.parse(value)
    except (ValueError, TypeError, OverflowError) as error:
        raise InputError(f"{given} {_expected(flag.parser) or error}") from None
    if isinstance(parsed, float) and not math.isfinite(parsed):
        raise InputError(f"{given} must be a finite number")
    if parsed == "" and flag.default != "":
        raise InputError(f"{given} is empty; give what it needs, or leave it out")
    return given


def _expected(parser: Any) -> str | None:
    """What a value would have to be, for parsers of absl's."""
    kind = parser.flag_type()
    if kind == "bool":
        return "must be true or false"
    if kind == "string enum":
        return f"must be one of {', '.join(parser.enum_values)}"
    if kind not in ("int", "float"):
        return None
    bounds = [("at least", parser.lower_bound), ("at most", parser.upper_bound)]
    told = " and ".join(f"{word} {bound}" for word, bound in bounds if bound is not None)
    return f"must be a {'whole ' * (kind == 'int')}number{', ' * bool(told)}{told}"


def _unknown(name: str, known: Mapping[str, flags.Flag]) -> str:
    names = [*known, *(f"no{name}" for name, flag in known.items() if flag.boolean)]
    near = difflib.get_close_matches(name.replace("-", "_"), names, n=1)
    return f"there is no flag --{name}; " + (
        f"did you mean --{near[0]}?" if near else "--help shows those that there are"
    )


def _stray(word: str, last: flags.Flag | None, known: Mapping[str, flags.Flag]) -> str:
    """What to do about a word that is no flag, after the last one that was."""
    told = f"'{word}' is not a flag"
    if _named(word.lstrip(_OTHER_DASHES), known, word):
        return f"{told}; write --{word.lstrip(_OTHER_DASHES)}, with the hyphens of a keyboard"
    if last is None:
        example = "corpus" if "corpus" in known else next(iter(known))
        return f"{told}; flags look like --{example}=..., and --help shows them"
    if last.boolean:
        return f"{told}; --{last.name} takes no value: write --{last.name} or --no{last.name}"
    return f"{told}; --{last.name} takes one value, in quotes if there is a space in it"
