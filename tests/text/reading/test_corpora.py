import gzip
import os
import sysconfig
from pathlib import Path

import pytest

from jaxrnn.core.errors import InputError
from jaxrnn.text.encoding import encode_corpus
from jaxrnn.text.reading import corpora
from jaxrnn.text.reading.corpora import open_corpus, resolved


def text_of(*names) -> str:
    return "".join(open_corpus([str(name) for name in names]).text_blocks())


@pytest.fixture
def folder(tmp_path) -> Path:
    files = {"b.txt": "B", "a.txt": "A", "sub/c.txt": "C", "notes.md": "no", "sub.txt/d.txt": "D"}
    for name, text in files.items():
        path = tmp_path / "folder" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "folder"


def test_corpora_are_joined_in_the_order_given(tmp_path):
    for name in "xyz":
        (tmp_path / name).write_text(name + "\n")
    assert text_of(tmp_path / "y", tmp_path / "x", tmp_path / "z") == "y\nx\nz\n"
    assert open_corpus([str(tmp_path / "x"), "python"]).description == f"{tmp_path}/x + python"


@pytest.mark.parametrize(
    ("files", "text", "data"),
    [
        ([b"a", b"b"], "a\nb", b"a\nb"),
        ([b"a\n", b"b\r\n", b"c\r", b"d"], "a\nb\nc\nd", b"a\nb\r\nc\rd"),
        ([b"a", gzip.compress(b""), b"b"], "a\nb", b"a\nb"),
        ([gzip.compress(b""), b"a"], "a", b"a"),
        ([b"a", b"\xef\xbb\xbfb"], "a\nb", b"a\n\xef\xbb\xbfb"),
        ([b"a", b"<mediawiki/>", b"b"], "a\nb", b"a\nb"),
        ([b"a\n\n", b"\n"], "a\n\n\n", b"a\n\n\n"),
    ],
)
def test_a_file_begins_a_line_and_nothing_else_is_added(tmp_path, files, text, data):
    for number, content in enumerate(files):
        (tmp_path / f"{number}.txt").write_bytes(content)
    for names in ([tmp_path], sorted(tmp_path.iterdir())):
        corpus = open_corpus([str(name) for name in names])
        assert "".join(corpus.text_blocks()) == text
        assert b"".join(corpus.byte_blocks()) == data


def test_a_directory_is_its_txt_files_sorted_by_path_subdirectories_included(folder):
    assert text_of(folder) == "A\nB\nC\nD"


def test_line_ends_are_kept_in_bytes_and_unified_in_text(tmp_path):
    path = tmp_path / "dos.txt"
    path.write_bytes(b"one\r\ntwo\rthree\n")
    assert text_of(path) == "one\ntwo\nthree\n"
    assert b"".join(open_corpus([str(path)]).byte_blocks()) == b"one\r\ntwo\rthree\n"


def test_blocks_are_of_a_size_that_memory_can_hold(tmp_path):
    path = tmp_path / "zeros.txt.gz"
    path.write_bytes(gzip.compress(b"0" * (5 * 2**20 + 7)))
    corpus = open_corpus([str(path)])
    for blocks in (list(corpus.text_blocks()), list(corpus.byte_blocks())):
        assert list(map(len, blocks)) == [2**20] * 5 + [7]


def test_another_encoding_can_be_named(tmp_path):
    path = tmp_path / "old.txt"
    path.write_bytes("café".encode("latin-1"))
    assert "".join(open_corpus([str(path)], encoding="latin-1").text_blocks()) == "café"
    with pytest.raises(InputError, match="not utf-8 text"):
        text_of(path)
    for name in ("klingon", "base64", ""):
        with pytest.raises(InputError, match=f"no text encoding '{name}'"):
            open_corpus([str(path)], encoding=name)
    for name in ("UTF8", "Latin-1", "cp1252", "utf_16"):
        open_corpus([str(path)], encoding=name)


def test_xml_is_read_as_a_dump_in_text_and_in_bytes(tmp_path):
    path = tmp_path / "wiki.xml.gz"
    page = "<page><ns>0</ns><revision><text>Café</text></revision></page>"
    path.write_bytes(gzip.compress(f"<mediawiki>{page}</mediawiki>".encode()))
    assert text_of(path) == "Café\n\n"
    assert b"".join(open_corpus([str(path)]).byte_blocks()) == "Café\n\n".encode()


def test_shakespeare_is_all_plays_in_their_order():
    text = text_of("shakespeare")
    assert text.startswith("A Midsummer Night's Dream\n\nACT I\n\n")
    assert text.index("\nMacbeth\n\nACT I") < text.index("\nA Winter's Tale\n\nACT I")
    assert b"".join(open_corpus(["shakespeare"]).byte_blocks()) == text.encode()


def test_python_is_the_standard_library_without_tests_and_packages():
    library = Path(sysconfig.get_path("stdlib")).resolve()
    paths = [source.path for source in open_corpus(["python"]).sources]
    assert library / "json" / "decoder.py" in paths
    assert paths == sorted(paths)
    parts = {part for path in paths for part in path.relative_to(library).parts}
    assert not parts & {"test", "tests", "site-packages"}


def test_a_python_without_sources_is_reported(monkeypatch, tmp_path):
    monkeypatch.setattr(corpora.sysconfig, "get_path", lambda name: str(tmp_path))
    with pytest.raises(InputError, match="standard library's sources"):
        open_corpus(["python"])


def test_a_fingerprint_stands_for_content_kind_and_encoding_and_for_no_name(tmp_path):
    def fingerprint(content: str, name: str = "x.txt", **options) -> str:
        (tmp_path / name).write_text(content)
        return open_corpus([str(tmp_path / name)], **options).fingerprint(tmp_path / "memory")

    seen = [fingerprint("abc"), fingerprint("abd"), fingerprint("abc", encoding="latin-1")]
    assert len(set(seen)) == len(seen)
    assert fingerprint("abc") == fingerprint("abc", "y.gz", encoding="UTF8") == seen[0]


def test_a_fingerprint_does_not_depend_on_the_working_directory(tmp_path, monkeypatch):
    (tmp_path / "x.txt").write_text("abc")
    whole = open_corpus([str(tmp_path / "x.txt")]).fingerprint()
    monkeypatch.chdir(tmp_path)
    assert open_corpus(["x.txt"]).fingerprint() == whole


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ([], "no corpus was given"),
        (["nope"], r"no corpus .*nope: .* one of shakespeare, python, tiny_"),
        (["x.txt", ""], "has the name ''; leave it out"),
        (["x.txt", " \n"], r"has the name ' \\n'"),
        (["x.txt "], r"no corpus '.*x\.txt ': .*; there is a .*/x\.txt"),
        (["x" * 5000], "no corpus"),
        (["a\0b"], r"no corpus .*a\\x00b"),
        (["x.txt", "./x.txt"], r"x\.txt would be read twice"),
        (["x.txt", "link"], r"x\.txt would be read twice, the second time as .*link"),
        (["shakespeare", "shakespeare"], "would be read twice"),
        (["broken"], "broken is a link to nowhere"),
        (["/dev/zero"], "terminal or another device"),
    ],
)
def test_names_that_are_no_corpus_are_refused(tmp_path, monkeypatch, names, told):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.txt").write_text("x")
    (tmp_path / "link").symlink_to("x.txt")
    (tmp_path / "broken").symlink_to("nowhere")
    with pytest.raises(InputError, match=told):
        open_corpus(names)


@pytest.mark.parametrize(
    "name",
    [b"\xff\xfe.txt", b"two\nlines", b"--flag=1", b"x" * 255, b" ", b"a,b", "\u202e".encode()],
)
def test_a_file_may_have_any_name(tmp_path, monkeypatch, cache, name):
    monkeypatch.chdir(tmp_path)
    Path(os.fsdecode(name)).write_text("abcabc")
    given = os.fsdecode(name) if name.strip() else "./ "
    text = encode_corpus(open_corpus([given]), split=(0.5, 0.5, 0.0))
    assert text.vocabulary.decode(text.tokens) == "abcabc"
    assert text_of(*resolved([given])) == "abcabc"


def test_resolved_names_mean_the_same_from_any_directory(tmp_path, monkeypatch):
    (tmp_path / "python").write_text("a snake")
    monkeypatch.chdir(tmp_path)
    names = resolved(["./python", "python"])
    assert names == (str(tmp_path / "python"), "python")
    monkeypatch.chdir("/")
    assert resolved(names) == names
    assert text_of(names[0]) == "a snake"
