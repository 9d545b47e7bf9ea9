"""The articles of a MediaWiki XML dump, one after the other, in memory for one article."""

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from jaxrnn.core.errors import InputError
from jaxrnn.text.files import open_bytes


def articles(path: Path) -> Iterator[str]:
    """The wikitext of every article, each followed by a blank line.

    An article is a page in namespace 0 that is not a redirect; of several revisions in the dump
    the last one counts. The dump may be compressed, as `files.open_bytes` knows it. Raises
    `InputError` if it is damaged, malformed, or XML of another kind.
    """
    with open_bytes(path) as file:
        events = ElementTree.iterparse(file, events=("start", "end"))
        try:
            yield from _articles(path, events)
        except ElementTree.ParseError as error:
            line, column = error.position
            raise InputError(
                f"{path} is not well-formed XML (line {line}, column {column}: {error});"
                " fetch the dump again, or rename the file to .txt to read it as it is"
            ) from error


def _articles(path: Path, events: Iterator[tuple[str, ElementTree.Element]]) -> Iterator[str]:
    _, root = next(events)
    if _name(root) != "mediawiki":
        raise InputError(
            f"{path} is XML, but its outermost element is <{_name(root)}> where <mediawiki> was"
            " expected; rename it to .txt to read it as it is"
        )
    namespace, text, redirect = "", "", False
    for event, element in events:
        if event == "start":
            continue
        match _name(element):
            case "ns":
                namespace = (element.text or "").strip()
            case "redirect":
                redirect = True
            case "text":
                text = element.text or ""
            case "revision":
                element.clear()  # a page's history may be far larger than its last text
            case "page":
                if namespace == "0" and not redirect and text:
                    yield text + "\n\n"
                namespace, text, redirect = "", "", False
                root.clear()  # or the parser would keep every page that it has seen


def _name(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]
