"""Suite corpus: does the memory for encoding a text stay bounded as it grows? What does it take?

Each size is encoded in a process of its own, whose peak resident memory the system reports. And how
fast does wikitext become prose (--markup=plain)?
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from experiments.benchmark.options import Options
from experiments.laboratory.plots import COLORS, figure, save
from experiments.laboratory.tables import Table
from jaxrnn.text.reading.markup import prose

ARTICLE = Path(__file__).with_name("article.wiki")  # laid out as one of Wikipedia's

# In the child: the peak of a process that has imported everything but read nothing is its floor.
CHILD = """
import json, sys
from pathlib import Path
from experiments.benchmark.memory import peak_megabytes
from jaxrnn.text import encode_corpus, open_corpus
floor = peak_megabytes()
text = encode_corpus(open_corpus([sys.argv[1]]), cache_dir=Path(sys.argv[2]))
print(json.dumps({"symbols": text.vocabulary.size, "bytes_each": text.tokens.dtype.itemsize,
                  "floor_megabytes": floor, "peak_megabytes": peak_megabytes()}))
"""


def run(options: Options) -> list[dict[str, Any]]:
    records = []
    with tempfile.TemporaryDirectory(prefix="jaxrnn-") as folder:
        for megabytes in (1,) if options.quick else options.megabytes:
            options.say(f"encoding {megabytes} MB")
            records.append(measure(Path(folder), megabytes) | {"wikitext": speed_of_prose()})
    return records


def speed_of_prose() -> float:
    """Megabytes of wikitext a second and core that become prose, the best of some rounds."""
    wikitext = ARTICLE.read_text(encoding="utf-8")
    best = float("inf")
    for _ in range(20):
        began = time.perf_counter()
        prose(wikitext)
        best = min(best, time.perf_counter() - began)
    return len(wikitext.encode()) / 1e6 / best


def measure(folder: Path, megabytes: int) -> dict[str, float]:
    """Writes a text of so many megabytes, encodes it, and removes both."""
    text, cache = folder / "text.txt", folder / "encodings"
    write_text(text, megabytes)
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(text), str(cache)], check=True, capture_output=True
    )
    seconds = time.monotonic() - began
    facts = json.loads(done.stdout)
    for path in (text, *cache.iterdir()):
        path.unlink()
    return {"megabytes": megabytes, **facts, "megabytes_per_second": megabytes / seconds}


def write_text(path: Path, megabytes: int) -> None:
    """Random lines of Greek and ASCII letters; the same two million of them again and again."""
    random = np.random.default_rng(0)
    letters = np.array([*"abcdefghijklmnopqrstuvwxyz ,.\n", *"αβγδεζηθικλμνξοπρστυφχψω"])
    block = "".join(random.choice(letters, size=2_000_000)).encode()
    with path.open("wb") as file:
        for _ in range(-(-megabytes * 10**6 // len(block))):
            file.write(block)


def tables(records: list[dict[str, Any]]) -> list[Table]:
    table = Table(
        "Encoding a text",
        [
            "text, MB",
            "symbols",
            "peak memory, MB",
            "of which for encoding",
            "MB/s",
            "wikitext, MB/s",
        ],
    )
    for row in records:
        values = (
            row["megabytes"],
            row["symbols"],
            row["peak_megabytes"],
            row["peak_megabytes"] - row["floor_megabytes"],
            row["megabytes_per_second"],
        )
        table.rows.append([*(f"{value:,.0f}" for value in values), f"{row['wikitext']:.1f}"])
    return [table]


def draw(records: list[dict[str, Any]], folder: Path) -> None:
    """Memory for encoding against the size of the text."""
    picture, axes = figure(6, 3.6)
    sizes = [record["megabytes"] for record in records]
    needed = [record["peak_megabytes"] - record["floor_megabytes"] for record in records]
    axes.plot(sizes, needed, "o-", color=COLORS[0])
    axes.set(xscale="log", xlabel="text, MB", ylabel="memory for encoding, MB")
    axes.set_ylim(bottom=0)
    save(picture, folder / "corpus.png")
