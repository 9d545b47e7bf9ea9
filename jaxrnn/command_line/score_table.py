"""Scored texts as they are shown: a table for people, JSON lines for programs."""

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.console import Console

from jaxrnn.storage.files import to_json
from jaxrnn.text.scoring import Tally
from jaxrnn.text.unknown import NOTABLE, quoted, told
from jaxrnn.text.vocabulary import Text

MOST = 20  # unknown symbols that are named in a table
TEXT = 10  # columns at least for a text
SPOKEN = {
    "training": "the training split", "validation": "the validation split",
    "test": "the test split", "whole text": "the text", "all": "all lines",
}  # fmt: skip


class Scored(NamedTuple):
    """A text, or a part of one, and how well it was predicted.

    Attributes:
      part: what it is called; of a line, its number.
      tally: its sums.
      text: itself, where it is short enough to be shown.
      unknown: how often each symbol is in it that the model does not know, if that was asked for.
    """

    part: str | int
    tally: Tally
    text: str | None = None
    unknown: Counter[Text] | None = None

    def plus(self, other: "Scored") -> "Scored":
        """Both together, called as this one."""
        unknown = None
        if self.unknown is not None and other.unknown is not None:
            unknown = self.unknown
            unknown.update(other.unknown)
        return Scored(self.part, self.tally.plus(other.tally), None, unknown)


def json_lines(rows: Iterable[Scored], mode: str, total: Scored | None = None) -> Iterator[str]:
    """An object for each row and for the total, in ASCII; what is not a finite number is null.

    Arguments are those of `table`, and what the figures are called.
    """
    for row in _with_total(rows, total):
        tally = row.tally
        record: dict[str, Any] = {"line" if isinstance(row.part, int) else "part": row.part}
        if row.text is not None:
            record["text"] = row.text
        record |= {
            "mode": mode,
            "characters": tally.symbols,
            "log2_probability": tally.log2_probability,
            "bits_per_character": tally.bits,
            "perplexity": tally.perplexity,
            "unknown": tally.unknown,
        }
        if row.unknown is not None:
            record |= {
                "bits_per_unknown": tally.bits_per_unknown,
                "bits_per_known": tally.known.bits,
                "unknown_symbols": {_name(name): n for name, n in row.unknown.most_common()},
            }
        yield to_json(record)


def table(rows: Iterable[Scored], unit: str, total: Scored | None = None) -> Iterator[str]:
    """The lines of a table, each as soon as its row has come; then what is unknown, in words.

    Args:
      rows: few, or else with a total.
      unit: what symbols are called.
      total: an empty one, to which rows are added up, to be shown as the last.
    """
    width, reported, has_text = Console().width, [], False
    for i, row in enumerate(_with_total(rows, total)):
        if i == 0:
            has_text = row.text is not None
            yield _header(unit, has_text)
        yield _row(row, has_text, width)
        reported = [row] if total is not None else [*reported, row]
    for row in reported:
        if row.unknown or row.tally.unknown_share >= NOTABLE:
            tally, where = row.tally, SPOKEN.get(str(row.part), str(row.part))
            yield told(
                tally.unknown_share, unit, where,
                cost=tally.bits_per_unknown, others=tally.known.bits,
            )  # fmt: skip
        if row.unknown:
            yield _named(row.unknown)
    if not any(row.unknown or row.unknown is None for row in reported):
        yield f"The model knows every {unit}."


def _with_total(rows: Iterable[Scored], total: Scored | None) -> Iterator[Scored]:
    for row in rows:
        total = None if total is None else total.plus(row)
        yield row
    if total is not None:
        yield total


def _header(unit: str, has_text: bool) -> str:
    titles = "", f"{unit}s", "log2 p", f"bits/{unit[:4]}", "perplexity", "unknown"
    return _line(titles, has_text) + "  text" * has_text


def _row(row: Scored, has_text: bool, width: int) -> str:
    tally = row.tally
    cells = (
        f"{row.part:,}" if isinstance(row.part, int) else row.part,
        f"{tally.symbols:,}",
        f"{tally.log2_probability:,.2f}",
        "-" if tally.bits is None else f"{tally.bits:.4f}",
        "-" if tally.perplexity is None else f"{tally.perplexity:#.4g}",
        f"{tally.unknown:,}",
    )
    line = _line(cells, has_text)
    if not row.text:
        return line
    return f"{line}  {shortened(row.text, max(TEXT, width - len(line) - 2))}".rstrip()


def _line(cells: tuple[str, ...], has_text: bool) -> str:
    part, symbols, log2, bits, perplexity, unknown = cells
    if has_text:  # as narrow as leaves it some room
        return f"{part:>8} {symbols:>10} {log2:>10} {bits:>9} {perplexity:>10} {unknown:>7}"
    return f"  {part:12} {symbols:>16} {log2:>20} {bits:>10} {perplexity:>11} {unknown:>12}"


def shortened(text: str, width: int) -> str:
    """A text on one line of a terminal, cut where it is wider."""
    # A character takes at most two columns, and at least one but for marks that join another.
    shown = text[: 4 * width]
    if not shown.isprintable():
        shown = "".join(map(_visible, shown))
    if len(text) <= 4 * width and cell_len(shown) <= width:
        return shown
    more = "…" if "utf" in (getattr(sys.stdout, "encoding", None) or "utf").lower() else "..."
    return set_cell_size(shown, width - len(more)).rstrip() + more


def _visible(character: str) -> str:
    """As in Python's string literals, if it has no shape of its own."""
    return character if character.isprintable() else ascii(character)[1:-1]


def _named(unknown: Counter[Text]) -> str:
    names = [f"{quoted(symbol)} {n:,}" for symbol, n in unknown.most_common(MOST)]
    others = len(unknown) - len(names)
    return f"  {', '.join(names)}" + (f" and {others:,} others" if others else "")


def _name(symbol: Text) -> str:
    return symbol if isinstance(symbol, str) else f"0x{symbol.hex()}"
