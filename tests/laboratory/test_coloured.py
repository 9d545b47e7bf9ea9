"""Coloured text, in pictures and HTML."""

from html.parser import HTMLParser

import numpy as np
from matplotlib.colors import to_rgb

from experiments.laboratory.coloured import (
    SHADES,
    draw_scale,
    draw_text,
    layout,
    page,
    shade,
    shades,
)
from experiments.laboratory.plots import figures, save

TEXT = 'a <b> & "c"\n$x$ \\d'


class Reader(HTMLParser):
    """The text in each <pre>, and the class of each of its characters."""

    def __init__(self) -> None:
        super().__init__()
        self.open, self.passages, self.classes = [], [], []

    def handle_starttag(self, tag, attributes):
        if tag == "meta":
            return
        self.open.append((tag, dict(attributes).get("class")))
        if tag == "pre":
            self.passages.append("")
            self.classes.append([])

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        if self.passages and any(tag == "pre" for tag, _ in self.open):
            self.passages[-1] += data
            self.classes[-1] += [self.open[-1][1]] * len(data)


def test_a_page_shows_the_text_as_it_is_each_character_in_its_colour():
    values = np.linspace(-3, 3, len(TEXT))
    reader = Reader()
    reader.feed(page("<T>", "1 < 2", [("a & b", TEXT, values), ("c", TEXT, np.zeros(len(TEXT)))]))
    assert not reader.open
    assert [passage.replace("\u21b5\n", "\n") for passage in reader.passages] == [TEXT, TEXT]
    classes = [
        name for name, character in zip(reader.classes[0], reader.passages[0], strict=True)
        if character != "\u21b5"
    ]  # fmt: skip
    assert classes == [f"s{number}" for number in shade(values)]


def test_a_page_stands_alone():
    text = page("T", "", [("h", TEXT, np.zeros(len(TEXT)))])
    for outside in ("http", "src=", "<script", "<link", "@import"):
        assert outside not in text


def test_shades_go_from_blue_through_white_to_red_and_stop_at_the_strongest():
    last = SHADES - 1
    found = shade(np.array([-9.0, -2.0, 0.0, 2.0, 9.0]))
    assert found.tolist() == [0, 0, SHADES // 2, last, last]
    low, middle, high = (to_rgb(shades()[i]) for i in (0, SHADES // 2, -1))
    assert low[2] > low[0]
    assert high[0] > high[2]
    assert min(middle) > 0.9


def test_lines_are_broken_and_end_where_there_is_no_more_room():
    assert layout("ab\ncdefg\nh", lines=3, width=3) == [
        (0, 0, "a"), (0, 1, "b"), (0, 2, "\n"),
        (1, 0, "c"), (1, 1, "d"), (1, 2, "e"), (2, 0, "f"), (2, 1, "g"), (2, 2, "\n"),
    ]  # fmt: skip


def test_a_picture_has_each_character_on_its_colour(tmp_path):
    picture, (axes,) = figures(4, 2, 1)
    values = np.linspace(-3, 3, len(TEXT))
    draw_text(axes, TEXT, values, lines=3, width=12)
    draw_scale(picture, [axes], "deviations")
    assert "".join(text.get_text() for text in axes.texts) == TEXT.replace("\n", "\u21b5")
    colors = [to_rgb(shades()[number]) for number in shade(values)]
    assert [patch.get_facecolor()[:3] for patch in axes.patches] == colors
    save(picture, tmp_path / "picture.png")  # dollars and backslashes are no formulas
