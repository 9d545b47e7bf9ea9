import gzip
import os

import pytest

from jaxrnn.core.errors import InputError
from jaxrnn.text.reading.folders import text_files


def below(folder) -> list[str]:
    return [str(path.relative_to(folder)) for path in text_files(folder)]


def test_texts_are_named_txt_in_any_case_compressed_or_not(tmp_path):
    for name in (
        "a.txt",
        "B.TXT",
        "c.txt.gz",
        "d.txt.ZST",
        "notes.md",
        "txt",
        "e.txt.bak",
        ".f.txt",
    ):
        (tmp_path / name).write_bytes(gzip.compress(b"x"))
    (tmp_path / "empty.txt").touch()
    assert below(tmp_path) == ["B.TXT", "a.txt", "c.txt.gz", "d.txt.ZST"]


def test_links_are_followed_and_a_circle_is_left(tmp_path):
    inner = tmp_path / "folder" / "inner"
    inner.mkdir(parents=True)
    (inner / "a.txt").write_text("x")
    (inner / "circle").symlink_to(tmp_path / "folder")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "b.txt").write_text("x")
    (tmp_path / "folder" / "link").symlink_to(tmp_path / "elsewhere")
    assert below(tmp_path / "folder") == ["inner/a.txt", "link/b.txt"]


@pytest.mark.parametrize(
    ("prepare", "told"),
    [
        (lambda folder: None, r"no \.txt file in it; give one that has"),
        (lambda folder: (folder / "a.md").touch(), r"no \.txt file in it, but a\.md, which can be"),
        (lambda folder: [(folder / f"{n}.md").touch() for n in range(9)], r"but 0\.md, .* others"),
        (lambda folder: (folder / "a.txt").touch(), r"all \.txt files .* are empty"),
        (lambda folder: (folder / "a.txt").symlink_to("gone"), r"a\.txt is a link to gone"),
        (lambda folder: (folder / "below").symlink_to("gone"), r"below is a link to gone"),
        (lambda folder: os.mkfifo(folder / "a.txt"), r"a\.txt is neither a file"),
    ],
)
def test_what_hides_a_text_or_is_none_is_refused(tmp_path, prepare, told):
    prepare(tmp_path)
    with pytest.raises(InputError, match=told):
        text_files(tmp_path)


def test_a_directory_that_cannot_be_read_is_refused(tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "below").mkdir()
    scandir = os.scandir

    def denying(path):  # as root, chmod does not deny
        if str(path).endswith("below"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", denying)
    with pytest.raises(InputError, match="below cannot be read: Permission denied"):
        text_files(tmp_path)
