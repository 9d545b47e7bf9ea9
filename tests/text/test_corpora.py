import gzip
import os
import sysconfig
from pathlib import Path

import pytest

from jaxrnn.core.errors import InputError
from jaxrnn.text import corpora
from jaxrnn.text.corpora import open_corpus


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
    for name in "xy":
        (tmp_path / name).write_text(name + "\n")
    assert text_of(tmp_path / "y", tmp_path / "x", tmp_path / "y") == "y\nx\ny\n"
    assert open_corpus([str(tmp_path / "x"), "python"]).description == f"{tmp_path}/x + python"


def test_a_directory_is_its_txt_files_sorted_by_path_subdirectories_included(folder):
    assert text_of(folder) == "ABCD"


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


def test_a_fingerprint_changes_with_path_size_time_kind_and_encoding(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text("abc")
    os.utime(path, ns=(1, 1))

    def fingerprint(name=path, encoding="utf-8"):
        return open_corpus([str(name)], encoding=encoding).fingerprint()

    seen = [fingerprint(), fingerprint(encoding="latin-1")]
    os.utime(path, ns=(1, 2))
    seen.append(fingerprint())
    path.write_text("abcd")
    os.utime(path, ns=(1, 2))
    seen.append(fingerprint())
    path.rename(tmp_path / "y.txt")
    seen.append(fingerprint(tmp_path / "y.txt"))
    assert len(set(seen)) == len(seen)
    assert fingerprint(tmp_path / "y.txt") == seen[-1]


def test_a_fingerprint_does_not_depend_on_the_working_directory(tmp_path, monkeypatch):
    (tmp_path / "x.txt").write_text("abc")
    whole = open_corpus([str(tmp_path / "x.txt")]).fingerprint()
    monkeypatch.chdir(tmp_path)
    assert open_corpus(["x.txt"]).fingerprint() == whole


def test_names_that_are_no_corpus_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"no corpus nope: .* one of shakespeare, python, tiny_"):
        open_corpus(["nope"])
    with pytest.raises(InputError, match=r"no \.txt file"):
        open_corpus([str(tmp_path)])
    (tmp_path / "empty.txt").write_text("")
    with pytest.raises(InputError, match=r"empty\.txt is empty"):
        open_corpus([str(tmp_path)])
    with pytest.raises(InputError, match="no corpus was given"):
        open_corpus([])


def test_a_path_is_told_from_a_known_name_by_a_slash(tmp_path, monkeypatch):
    (tmp_path / "python").write_text("a snake")
    monkeypatch.chdir(tmp_path)
    assert text_of("./python") == "a snake"
