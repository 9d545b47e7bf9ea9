import bz2
import gzip
import lzma
import tracemalloc

import pytest

from jaxrnn.core.errors import InputError
from jaxrnn.text.reading.corpora import open_corpus
from jaxrnn.text.reading.wikipedia import articles

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


@pytest.mark.parametrize(
    ("name", "before", "encoding", "pack"),
    [
        ("enwiki-latest-pages-articles1.xml-p1p41242.bz2", "", "utf-8", bz2.compress),
        ("dump.txt", "<?xml version='1.0'?>\n<!-- <html> -->\n", "utf-8", bytes),
        ("dump", "\ufeff<?xml version='1.0'?>", "utf-8", lzma.compress),
        ("x.7z", "<?xml version='1.0' encoding='utf-16'?>", "utf-16", gzip.compress),
    ],
)
def test_a_dump_is_known_by_how_it_begins(tmp_path, name, before, encoding, pack):
    path = tmp_path / name
    path.write_bytes(pack((before + DUMP.format(page("Text é"))).encode(encoding)))
    assert "".join(open_corpus([str(path)]).text_blocks()) == "Text é\n\n"


def test_the_xml_of_a_dump_can_be_read_as_it_is(tmp_path):
    path = tmp_path / "enwik9"
    path.write_text(DUMP.format(page("x"))[:-30])
    for markup, told in (("wiki", None), ("xml", path.read_text())):
        corpus = open_corpus([str(path)], markup=markup)
        if told is None:
            with pytest.raises(InputError, match="--markup=xml"):
                list(corpus.text_blocks())
        else:
            assert "".join(corpus.text_blocks()) == told
            assert b"".join(corpus.byte_blocks()).decode() == told


@pytest.mark.parametrize(
    "text",
    [
        "Of <mediawiki> and its markup\n",
        "<html><mediawiki/></html>",
        "<mediawikis/>",
        "<?xml version='1.0'?>\n<feed><doc><title>Wikipedia: Anarchism</title></doc></feed>",
        "<!-- <mediawiki>",
        "<?a?>" * 5000 + "<html>",
    ],
)
def test_what_only_mentions_a_dump_is_a_text(tmp_path, text):
    path = tmp_path / "text.xml"
    path.write_text(text)
    assert "".join(open_corpus([str(path)]).text_blocks()) == text


def test_articles_are_written_in_wikitext_in_the_revisions_main_slot(tmp_path):
    item = page("{&quot;labels&quot;: {}}").replace("<text", "<model>wikibase-item</model><text", 1)
    slots = page("A picture").replace(
        "</revision>",
        "<content><role>mediainfo</role><model>wikibase-mediainfo</model><text>{}</text></content>"
        "</revision>",
    )
    assert read(tmp_path, DUMP.format(item + slots)) == ["A picture\n\n"]


def test_dumps_of_before_2010_say_the_namespace_in_the_title(tmp_path):
    namespaces = "<namespaces><namespace key='1'>Talk</namespace><namespace key='0'/></namespaces>"
    pages = "".join(
        f"<page><title>{title}</title><revision><text>{text}</text></revision></page>"
        for title, text in [
            ("A", "An article"), ("Talk:A", "talk"), ("B", "#redirect [[A]]"), ("2: B", "# One"),
            ("C", "#WEITERLEITUNG: [[A]]"),
        ]
    )  # fmt: skip
    xml = f"<mediawiki><siteinfo>{namespaces}</siteinfo>{pages}</mediawiki>"
    assert read(tmp_path, xml) == ["An article\n\n", "# One\n\n"]


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


@pytest.mark.parametrize("xml", [DUMP.format("<page>"), DUMP.format(page("x"))[:-30]])
def test_malformed_xml_is_named_with_its_place(tmp_path, xml):
    with pytest.raises(InputError, match=r"dump\.xml .* not well-formed XML \(.*line \d+, column"):
        read(tmp_path, xml)
    with pytest.raises(InputError, match=r"something after its end .* corpora of their own"):
        read(tmp_path, DUMP.format(page("x")) * 2)
    with pytest.raises(InputError, match="XML that cannot be read"):
        read(tmp_path, "<?xml version='1.0' encoding='klingon'?><mediawiki/>")


def test_prose_is_made_with_the_names_that_the_dump_gives_its_namespaces(tmp_path):
    spaces = '<namespace key="6">Fichier</namespace><namespace key="14">Catégorie</namespace>'
    article = "'''A'''[[Fichier:x|b]] {{c}}[[d|e]]\n[[Catégorie:f]]"
    path = tmp_path / "dump"
    xml = DUMP.replace('<namespace key="0"/>', spaces).format(page(article) + page("{{g}}"))
    path.write_text(xml, encoding="utf-8")
    corpora = {markup: open_corpus([str(path)], markup=markup) for markup in ("plain", "wiki")}
    assert "".join(corpora["plain"].text_blocks()) == "A e\n\n"
    assert b"".join(corpora["plain"].byte_blocks()) == b"A e\n\n"
    assert "".join(corpora["wiki"].text_blocks()) == f"{article}\n\n{{{{g}}}}\n\n"
    assert corpora["plain"].fingerprint() != corpora["wiki"].fingerprint()


def test_prose_is_made_of_dumps_alone(tmp_path):
    (tmp_path / "a.txt").write_text("[[a]]")
    (tmp_path / "b.xml").write_text(DUMP.format(page("[[b]]")), encoding="utf-8")
    names = [str(tmp_path / "a.txt"), str(tmp_path / "b.xml")]
    assert "".join(open_corpus(names, markup="plain").text_blocks()) == "[[a]]\nb\n\n"
    with pytest.raises(InputError, match=r"no MediaWiki dump is among .*a\.txt.*leave it out"):
        open_corpus(names[:1], markup="plain")
