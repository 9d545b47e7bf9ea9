"""Wikitext made ready for a parser: every mark that opens something is closed, none else closes.

A parser that meets an open mark tries what it may mean, and tries again without it; thousands of
them, as vandals and broken edits leave, take it hours. After mending there is nothing to try. What
is taken out for that is marks, never words. On the way goes what no page shows in its running text:
it is half of an article, and need not be parsed.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

GONE = "\x02"  # stands where something was left out; not NUL, at which the parser stops
DEEPEST = 30  # open marks within each other; what would go deeper is taken out

# What stands between these is no wikitext; it is shown between the first of them.
SHOWN_RAW = {"nowiki", "pre", "source", "syntaxhighlight"}
RAW = SHOWN_RAW | {
    "math", "chem", "ce", "gallery", "timeline", "score", "graph", "mapframe", "maplink", "hiero",
    "imagemap", "templatedata", "inputbox", "categorytree", "templatestyles", "style", "script",
}  # fmt: skip
LEFT_OUT = {"ref", "references", "table", "includeonly", "indicator", "rt", "rp"}
SINGLE = {"br", "hr", "wbr"}  # are closed as they stand
_HIDES = re.compile(r"display\s*:\s*none|\bhidden\b|\bnoprint\b", re.IGNORECASE)

_MARK = re.compile(
    r"""
    (?P<comment><!--)
    | <(?P<close>/?)\s?(?P<tag>[a-zA-Z][a-zA-Z0-9]*)(?P<rest>
        (?:[\s/](?:[^<>"]++|"[^"<\n]{0,200}")*+(?=>) | [\s/][^<>]*+)?)>
    | (?P<less><)
    | (?P<table>^[ \t:]*\{\|(?!\}))
    | (?P<endtable>^[ \t]*\|\}(?!\}(?!\})))
    | (?P<list>^[*\#:;]+[ \t]*)
    | (?P<braces>\{\{+)
    | (?P<endbraces>\}\}+)
    | (?P<link>\[\[+)
    | (?P<endlink>\]\]+)
    | (?P<outside>\[(?=(?:https?:|ftps?:|news:|ircs?:|gopher:|git:|svn:|sftp:)?//|mailto:))
    | (?P<endoutside>\])
    | (?P<line>\n)
    """,
    re.VERBOSE | re.MULTILINE,
)
# What a mark that closes may leave unclosed within: those of a lower rank, or of its own.
_RANKS = {"outside": 0, "link": 1, "tag": 1, "table": 2, "{{": 3, "{{{": 3}


def mended(text: str, is_kept: Callable[[str], bool]) -> str:
    """The wikitext, well-formed, without comments, tables, references and most templates.

    It takes time in proportion to the text. `GONE` stands where something was left out.

    Args:
      text: of one page.
      is_kept: of a template's name, in lower case: whether the template stays.
    """
    mending = _Mending(is_kept)
    endless: set[str] = set()  # raw tags that nothing closes from here on
    at = 0
    while match := _MARK.search(text, at):
        mending.pieces.append(text[at : match.start()])
        at = match.end()
        if match["comment"]:
            end = text.find("-->", at)
            at = len(text) if end < 0 else end + 3
        elif match["tag"]:
            name, closes = match["tag"].lower(), bool(match["close"])
            if name in RAW and not closes and not match["rest"].endswith("/"):
                end = None if name in endless else _end_of(name).search(text, at)
                if end is None:
                    endless.add(name)
                else:
                    mending.add_raw(name, text[at : end.start()])
                    at = end.end()
            else:
                mending.add_tag(name, closes, match["rest"])
        else:
            mending.add_mark(str(match.lastgroup), match[0])
    mending.pieces.append(text[at:])
    for lost in mending.open:
        mending.pieces[lost.place] = ""
    return "".join(mending.pieces)


class _Open(NamedTuple):
    kind: str
    name: str  # of a tag
    place: int  # among the pieces


class _Mending:
    """What has been read so far, in pieces, and which of them are marks that are still open."""

    def __init__(self, is_kept: Callable[[str], bool]) -> None:
        self.is_kept = is_kept
        self.pieces: list[str] = []
        self.open: list[_Open] = []
        self.count: dict[tuple[str, str], int] = {}  # of what is open

    def add_raw(self, name: str, raw: str) -> None:
        if name in SHOWN_RAW:
            raw = raw.replace("<", "&lt;").replace(">", "&gt;")
            self.pieces.append(f"<{name}>{raw}</{name}>")
        else:
            self.pieces.append(GONE)

    def add_tag(self, name: str, closes: bool, rest: str) -> None:
        if name in SINGLE:
            self.pieces.append(f"<{name}/>")
        elif rest.endswith("/"):
            self.pieces.append(GONE if name in LEFT_OUT | RAW else "")
        elif closes:
            self._close("tag", f"</{name}>", name)
        else:
            self._begin("tag", f"<{name} hidden>" if _HIDES.search(rest) else f"<{name}>", name)

    def add_mark(self, kind: str, mark: str) -> None:
        match kind:
            case "less":
                self.pieces.append("&lt;")
            case "table":
                self._begin("table", "")
            case "list":
                self.pieces.append("- " if {"*", "#"} & set(mark) else "")
            case "endtable":
                self._close("table", "")
            case "braces" if len(mark) == 3:
                self._begin("{{{", mark)
            case "braces":
                for _ in range(min(len(mark) // 2, DEEPEST)):
                    self._begin("{{", "{{")
            case "endbraces":
                self._close_braces(len(mark))
            case "link":
                for _ in range(min(len(mark) // 2, DEEPEST)):
                    self._begin("link", "[[")
            case "endlink":
                for _ in range(min(len(mark) // 2, len(self.open))):
                    self._close("link", "]]")
                if len(mark) % 2:
                    self._close("outside", "]")
            case "outside":
                self._begin("outside", "[")
            case "endoutside":
                if not self._close("outside", "]"):
                    self.pieces.append("]")
            case "line":
                while self.open and self.open[-1].kind == "outside":  # they end with their line
                    self._lose(self.open.pop())
                self.pieces.append("\n")

    def _begin(self, kind: str, mark: str, name: str = "") -> None:
        if len(self.open) < DEEPEST:
            self.open.append(_Open(kind, name, len(self.pieces)))
            self.count[kind, name] = self.count.get((kind, name), 0) + 1
            self.pieces.append(mark)

    def _close(self, kind: str, mark: str, name: str = "") -> bool:
        """Closes the nearest mark of a kind; what was opened since, and is not closed, goes."""
        if not self.count.get((kind, name)):
            return False
        depth = len(self.open) - 1
        while (self.open[depth].kind, self.open[depth].name) != (kind, name):
            if _RANKS[self.open[depth].kind] > _RANKS[kind]:
                return False
            depth -= 1
        for lost in self.open[depth + 1 :]:
            self._lose(lost)
        found = self.open[depth]
        self.count[kind, name] -= 1
        del self.open[depth:]
        if self._is_left_out(found):
            del self.pieces[found.place :]
            self.pieces.append(GONE)
        else:
            self.pieces.append(mark)
        return True

    def _close_braces(self, left: int) -> None:
        while left >= 2:
            inner = next((o.kind for o in reversed(self.open) if o.kind[0] == "{"), None)
            if inner is None or (inner == "{{{" and left < 3):
                break
            self._close(inner, "}" * len(inner))
            left -= len(inner)

    def _is_left_out(self, closed: _Open) -> bool:
        match closed.kind:
            case "tag":
                hidden = self.pieces[closed.place].endswith(" hidden>")
                return closed.name in LEFT_OUT or hidden
            case "{{":
                name = "".join(self.pieces[closed.place + 1 : closed.place + 2]).partition("|")[0]
                return not self.is_kept(name.strip().lower().replace("_", " "))
        return closed.kind == "table"

    def _lose(self, lost: _Open) -> None:
        self.count[lost.kind, lost.name] -= 1
        self.pieces[lost.place] = ""


def _end_of(name: str) -> re.Pattern[str]:
    return re.compile(rf"</\s?{name}\s*>", re.IGNORECASE)
