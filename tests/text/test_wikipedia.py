import bz2
import tracemalloc

import pytest

from jaxrnn.core.errors import InputError
from jaxrnn.text.wikipedia import articles

DUMP = """<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/" xml:lang="en">
  <siteinfo><sitename>Wiki</sitename><namespaces><namespace key="0"/></namespaces></siteinfo>
  {}
</mediawiki>"""


def page(*texts: str, ns: int = 0, redirect: bool = False) -> str:
    revisions = "".join(
        f"<revision><id>1</id><text bytes='1' xml:space='preserve'>{text}</text></revision>"
        for text in texts
    )
    mark = "<redirect title='Other'/>" if redirect else ""
    return f"<page><title>T</title><ns>{ns}</ns><id>1</id>{mark}{revisions}</page>"


def read(tmp_path, xml: str) -> list[str]:
    path = tmp_path / "dump.xml"
    path.write_text(xml, encoding="utf-8")
    return list(articles(path))


def test_articles_are_the_pages_of_namespace_0_that_are_no_redirects(tmp_path):
    pages = [
        page("First &amp; ''best''\n== Café =="),
        page("#REDIRECT [[Other]]", redirect=True),
        page("Talk", ns=1),
        page(""),
        page("Second"),
    ]
    expected = ["First & ''best''\n== Café ==\n\n", "Second\n\n"]
    assert read(tmp_path, DUMP.format("\n".join(pages))) == expected


def test_of_several_revisions_the_last_one_counts(tmp_path):
    assert read(tmp_path, DUMP.format(page("old", "new"))) == ["new\n\n"]


def test_a_compressed_dump_reads_like_a_plain_one(tmp_path):
    path = tmp_path / "dump.xml.bz2"
    path.write_bytes(bz2.compress(DUMP.format(page("Text")).encode()))
    assert list(articles(path)) == ["Text\n\n"]


def test_memory_is_bounded_however_many_pages_there_are(tmp_path):
    path = tmp_path / "dump.xml"

    def peak(pages: int) -> int:
        path.write_text(DUMP.format(page("word " * 500) * pages))
        tracemalloc.start()
        assert sum(map(len, articles(path))) == pages * 2502
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    assert peak(2000) < peak(200) + 200_000  # the text alone grows by 4.5 million characters


@pytest.mark.parametrize("xml", [DUMP.format("<page>"), DUMP.format(page("x"))[:-30], "no xml"])
def test_malformed_xml_is_named_with_its_place(tmp_path, xml):
    with pytest.raises(InputError, match=r"dump\.xml is not well-formed XML \(line \d+, column"):
        read(tmp_path, xml)


def test_xml_of_another_kind_is_refused(tmp_path):
    with pytest.raises(InputError, match="outermost element is <html> where <mediawiki>"):
        read(tmp_path, "<html><page/></html>")
