"""Encodes generated texts of growing size: does peak memory stay bounded? What does it take?

Each size is encoded in a process of its own, whose peak resident memory the system reports.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import rich.console
import rich.table
from absl import flags

from jaxrnn.errors import InputError
from jaxrnn.runs.launch import group, launch, user_path

SIZES = flags.DEFINE_list("megabytes", ["20", "200", "2000"], "Sizes of the texts to encode.")
OUTPUT = flags.DEFINE_string("output", None, "Write the figures to this file, as JSON.")

group("The benchmark", SIZES, OUTPUT)

# In the child: the peak of a process that has imported everything but read nothing is its floor.
CHILD = """
import json, resource, sys
from pathlib import Path
from jaxrnn.text import encode_corpus, open_corpus
floor = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
text = encode_corpus(open_corpus([sys.argv[1]]), cache_dir=Path(sys.argv[2]))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"characters": text.length, "symbols": text.vocabulary.size,
                  "bytes_each": text.tokens.dtype.itemsize, "floor": floor, "peak": peak}))
"""


def main() -> int:
    sizes = SIZES.value or []
    for size in sizes:
        if not size.isdecimal() or not int(size):
            raise InputError(f"--megabytes has '{size}' where a whole number above 0 is expected")
    console, results = rich.console.Console(), []
    with tempfile.TemporaryDirectory(prefix="jaxrnn-") as folder:
        for size in sizes:
            with console.status(f"{size} MB ..."):
                results.append(measure(Path(folder), int(size)))
    table = rich.table.Table(
        "text, MB", "symbols", "peak memory, MB", "of which for encoding", "MB/s"
    )
    for row in results:
        values = (
            row["megabytes"],
            row["symbols"],
            row["peak_megabytes"],
            row["peak_megabytes"] - row["floor_megabytes"],
            row["megabytes_per_second"],
        )
        table.add_row(*(f"{value:,.0f}" for value in values))
    console.print(table)
    if OUTPUT.value:
        user_path(OUTPUT.value).write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    return 0


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
    unit = 1e6 if sys.platform == "darwin" else 1e6 / 1024  # what ru_maxrss is counted in
    return {
        "megabytes": megabytes,
        "symbols": facts["symbols"],
        "bytes_each": facts["bytes_each"],
        "floor_megabytes": round(facts["floor"] / unit, 1),
        "peak_megabytes": round(facts["peak"] / unit, 1),
        "megabytes_per_second": round(megabytes / seconds, 1),
    }


def write_text(path: Path, megabytes: int) -> None:
    """Random lines of Greek and ASCII letters; the same two million of them again and again."""
    random = np.random.default_rng(0)
    letters = np.array([*"abcdefghijklmnopqrstuvwxyz ,.\n", *"αβγδεζηθικλμνξοπρστυφχψω"])
    block = "".join(random.choice(letters, size=2_000_000)).encode()
    with path.open("wb") as file:
        for _ in range(-(-megabytes * 10**6 // len(block))):
            file.write(block)


if __name__ == "__main__":
    launch(main, __doc__ or "")
