# ruff: noqa: RUF001 (texts in other scripts)
import codecs
import encodings
import pkgutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxrnn.core.errors import InputError
from jaxrnn.text.reading.decoding import NO_FILES, check_encoding, text_blocks

RUSSIAN = "Все счастливые семьи похожи друг на друга,\nкаждая несчастлива по-своему.\n" * 3
CHINESE = "道可道，非常道。名可名，非常名。\n無名天地之始；有名萬物之母。\n" * 3
HINDI = "सभी मनुष्य जन्म से स्वतन्त्र हैं,\nसमान हैं।\n" * 3
ENGLISH = "It was the best of times,\r\nit was the worst of times.\r\n" * 3
TEXTS = {"Russian": RUSSIAN, "Chinese": CHINESE, "Hindi": HINDI, "English": ENGLISH, "short": "Hi!"}
WIDE = ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")


@pytest.fixture
def read(tmp_path):
    def from_bytes(data: bytes, encoding: str = "utf-8", block: int = 1000) -> str:
        path = tmp_path / "text"
        path.write_bytes(data)
        return "".join(text_blocks(path, encoding, block))

    return from_bytes


@given(
    text=st.text(st.sampled_from("a\r\né\u20ac\U0001f600")),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]),
    block=st.integers(1, 9),
)
def test_text_comes_out_the_same_in_blocks_of_any_size(tmp_path_factory, text, encoding, block):
    path = tmp_path_factory.mktemp("files") / "text"
    path.write_bytes(text.encode(encoding))
    with path.open(encoding=encoding) as file:
        expected = file.read()
    assert "".join(text_blocks(path, encoding, block)) == expected
    assert "".join(text_blocks(path, "utf-8", block)) == expected  # a mark decides


def text_encodings() -> list[str]:
    """All the text encodings that come with Python, those of other systems left out."""
    found = {module.name for module in pkgutil.iter_modules(encodings.__path__)}
    return sorted(found - NO_FILES - {"aliases", "charmap", "mbcs", "oem"} - {
        name for name in found
        if (info := encodings.search_function(name)) and not getattr(info, "_is_text_encoding", 1)
    })  # fmt: skip


@pytest.mark.parametrize("encoding", text_encodings())
def test_every_text_encoding_of_pythons_reads_as_python_reads_it(read, encoding):
    for text in TEXTS.values():
        data = text.encode(encoding, "replace")
        expected = data.decode(encoding).replace("\r\n", "\n").replace("\r", "\n")
        for block in (3, 1000):
            assert read(data, encoding, block) == expected


@pytest.mark.parametrize(
    "name", ["klingon", "base64", "rot13", "", " ", "a\0", "\udcff", *sorted(NO_FILES)]
)
def test_what_is_no_encoding_of_files_is_refused(name):
    with pytest.raises(InputError, match="Python knows no text encoding"):
        check_encoding(name)


@pytest.mark.parametrize("encoding", WIDE)
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_what_has_no_byte_order_mark_is_refused_with_the_encoding_to_give(read, text, encoding):
    data = text.encode(encoding)
    expected = text.replace("\r\n", "\n")
    if text is not CHINESE or "32" in encoding:
        for given_encoding in ("latin-1", "utf-16", "utf-32"):
            with pytest.raises(InputError, match=f"give --encoding={encoding}$"):
                read(data, given_encoding)
    with pytest.raises(InputError, match=f"give --encoding={encoding}$"):
        read(data)
    assert read(data, encoding) == expected
    assert read("\ufeff".encode(encoding) + data, encoding) == expected


def test_a_mark_that_says_another_encoding_than_the_one_given_is_refused(read):
    with pytest.raises(InputError, match=r"mark of utf-16-be, but .* utf-16-le; give .*=utf-16-be"):
        read("\ufeffab".encode("utf-16-be"), "utf-16-le")
    with pytest.raises(InputError, match=r"mark of utf-8, but .* latin-1; give --encoding=utf-8"):
        read("\ufeffab".encode(), "latin-1")
    with pytest.raises(InputError, match="by the pattern of its bytes it is utf-8"):
        read(ENGLISH.encode(), "utf-16-le")
    with pytest.raises(InputError, match="by the pattern of its bytes it is utf-8"):
        read(ENGLISH.encode(), "utf-16")
    assert read("■\xa0".encode("cp866"), "cp866") == "■\xa0"  # its bytes are a mark of UTF-16


@pytest.mark.parametrize("block", [3, 4, 1000])
def test_a_byte_order_mark_is_no_part_of_the_text(read, block):
    data = b"\xef\xbb\xbfab\xef\xbb\xbfc"
    for encoding in ("UTF8", "utf-8-sig"):
        assert read(data, encoding, block) == "ab\ufeffc"


@pytest.mark.parametrize("block", [3, 4, 5, 1000])
@pytest.mark.parametrize(
    ("data", "offset"),
    [
        (b"abcdef\xffgh", 6),
        (b"abcd\xc3", 4),
        ("€uro".encode() + b"\xe2\x82x", 6),
        (b"\xef\xbb\xbfab\xff", 5),
        (b"abcde\xed\xa0\x80", 5),  # half of a surrogate pair
    ],
)
def test_bytes_that_are_not_text_are_named_with_their_offset_and_a_way_out(
    read, block, data, offset
):
    with pytest.raises(
        InputError, match=rf"text is not utf-8 text: .* at byte {offset}; .*latin-1.*--bytes"
    ):
        read(data, "utf-8", block)


def test_half_of_a_surrogate_pair_is_no_text(read):
    with pytest.raises(InputError, match="is not utf-7 text"):
        read(b"a+2AA-", "utf-7")


def database(path: Path) -> bytes:
    with closing(sqlite3.connect(path)) as base, base:  # the inner one commits
        base.execute("create table texts (text)")
        base.execute("insert into texts values ('To be, or not to be')")
    return path.read_bytes()


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "cp1251", "cp437"])
def test_a_file_that_is_no_text_is_not_read_as_one(read, encoding, tmp_path):
    picture = Path(__file__).parents[3] / "README.md"
    picture = next(picture.parent.rglob("*.png"))
    for data in (picture.read_bytes(), database(tmp_path / "base"), bytes(5000)):
        with pytest.raises(InputError, match=r"is no .* text: \d+% of its first characters"):
            read(data, encoding)
    with pytest.raises(InputError, match="is a PDF file"):
        read(b"%PDF-1.4\n", encoding)


@pytest.mark.parametrize(
    "text",
    [
        "one\0two\0" * 4 + "a text with a few NULs, " * 30,
        "1\t2\t3\t4\n" * 9,
        "1\n2\n3\n",
        "\x1b[1mbold\x1b[0m, and over\b_\b_" * 9,
        "the end of DOS\x1a",
        "\x0c\n\x0c\n",
        "a",
        "\n",
    ],
)
def test_a_text_of_odd_characters_is_a_text(read, text):
    for encoding in ("utf-8", "latin-1", "utf-16"):
        assert read(codecs.encode(text, encoding), encoding) == text
