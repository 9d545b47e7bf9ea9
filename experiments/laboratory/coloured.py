"""Coloured text: each character on the colour of a number, in a picture or a page of HTML.

Numbers are in standard deviations: blue below 0, white at 0, red above, at their strongest from
`STRONGEST` on. Line ends, which have a number as well, are shown as arrows.
"""

import html
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

SHADES, STRONGEST = 17, 2.0
ARROW = "\u21b5"

Values = Float[np.ndarray, " characters"]


def draw_text(axes: Any, text: str, values: Values, *, lines: int, width: int) -> None:
    """Fills axes with the first lines of a text; a line of more than `width` is broken."""
    from matplotlib.patches import Rectangle

    colors = shades()
    places = layout(text, lines, width)
    for (line, column, character), number in zip(places, shade(values), strict=False):
        axes.add_patch(Rectangle((column, line), 1, 1, facecolor=colors[number], edgecolor="none"))
        axes.text(
            column + 0.5, line + 0.5, ARROW if character == "\n" else character,
            family="monospace", ha="center", va="center_baseline", parse_math=False,
            alpha=0.35 if character == "\n" else 1,
        )  # fmt: skip
    axes.set(xlim=(0, width), ylim=(lines, 0))
    axes.axis("off")


def draw_scale(picture: Any, panels: Sequence[Any], label: str) -> None:
    """Below the panels: which colour stands for what."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap, Normalize

    scale = ScalarMappable(Normalize(-STRONGEST, STRONGEST), ListedColormap(shades()))
    picture.colorbar(
        scale, ax=panels, location="bottom", shrink=0.5, aspect=40, pad=0.01, label=label
    )


def page(title: str, text: str, sections: Sequence[tuple[str, str, Values]]) -> str:
    """A self-contained page of HTML.

    Args:
      title: of the page.
      text: above the sections.
      sections: each a heading, a text and a number for each of its characters.
    """
    styles = "\n".join(f".s{i} {{ background: {color} }}" for i, color in enumerate(shades()))
    scale = "".join(f'<span class="s{i}">&nbsp;&nbsp;</span>' for i in range(SHADES))
    return _PAGE.format(
        title=html.escape(title), styles=styles, text=html.escape(text), scale=scale,
        strongest=f"{STRONGEST:g}",
        sections="\n".join(
            f"<h2>{html.escape(heading)}</h2>\n<pre>{_coloured(passage, values)}</pre>"
            for heading, passage, values in sections
        ),
    )  # fmt: skip


def layout(text: str, lines: int, width: int) -> list[tuple[int, int, str]]:
    """Line, column and character of as much of a text as there is room for."""
    line, column, places = 0, 0, []
    for character in text:
        if line == lines:
            break
        places.append((line, column, character))
        column += 1
        if character == "\n" or column == width:
            line, column = line + 1, 0
    return places


def shade(values: Values) -> Int[np.ndarray, " characters"]:
    """The number of each value's colour among `shades()`."""
    shares = (np.clip(values / STRONGEST, -1, 1) + 1) / 2
    return np.rint(shares * (SHADES - 1)).astype(int)


def shades() -> list[str]:
    """From blue to red, pale enough for black letters."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    return [to_hex(color) for color in colormaps["RdBu_r"](np.linspace(0.15, 0.85, SHADES))]


def _coloured(text: str, values: Values) -> str:
    # A run of characters of one colour is one element: a third of the size.
    pairs = zip(text, shade(values), strict=True)
    runs = itertools.groupby(pairs, key=lambda pair: pair[1])
    return "".join(
        f'<span class="s{number}">{_escaped("".join(c for c, _ in run))}</span>'
        for number, run in runs
    )


def _escaped(text: str) -> str:
    return html.escape(text).replace("\n", f"{ARROW}\n")


_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
body {{ max-width: 46em; margin: 2em auto; padding: 0 1em; font: 16px/1.5 sans-serif }}
body {{ color: black; background: white }}
pre {{ font: 15px/1.5 monospace; white-space: pre-wrap }}
{styles}
</style>
</head>
<body>
<h1>{title}</h1>
<p>{text}</p>
<p>-{strongest} standard deviations or less {scale} {strongest} or more</p>
{sections}
</body>
</html>
"""
