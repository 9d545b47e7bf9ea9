"""Tables: on the terminal, and as Markdown."""

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import rich.box
import rich.console
import rich.table

Column = str | Callable[[Any], object]  # what a cell says of a row


@dataclass
class Table:
    """Cells as text, numbers to the right; notes below it."""

    title: str
    columns: list[str]
    rows: list[list[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @staticmethod
    def of(
        title: str,
        rows: Iterable[Any],
        columns: Mapping[str, Column],
        notes: Sequence[str] = (),
    ) -> "Table":
        """A line for each row, and a column for each of the functions or templates.

        A template, such as "{rate:g}", is filled with the fields of the row.
        """
        says = [say.format_map if isinstance(say, str) else say for say in columns.values()]
        cells = [[str(say(row)) for say in says] for row in rows]
        return Table(title, list(columns), cells, list(notes))

    def show(self, console: rich.console.Console) -> None:
        table = self._made(rich.box.SIMPLE_HEAD)
        table.title, table.title_justify = self.title, "left"
        console.print(table)
        for note in self.notes:
            console.print(note, highlight=False)

    def markdown(self) -> str:
        """The table and its notes, without the title."""
        console = rich.console.Console(file=io.StringIO(), width=1000, color_system=None)
        with console.capture() as capture:
            console.print(self._made(rich.box.MARKDOWN))
        lines = [line.rstrip() for line in capture.get().splitlines()]
        return "\n".join([line for line in lines if line] + [f"\n{note}" for note in self.notes])

    def _made(self, box: rich.box.Box) -> rich.table.Table:
        table = rich.table.Table(box=box)
        for i, column in enumerate(self.columns):
            numeric = all(row[i][:1] in "-0123456789" for row in self.rows)
            table.add_column(column, justify="right" if numeric else "left", no_wrap=True)
        for row in self.rows:
            table.add_row(*row)
        return table


def make_console() -> rich.console.Console:
    """For the terminal; where output goes elsewhere, as wide as a table needs."""
    console = rich.console.Console(highlight=False)
    return console if console.is_terminal else rich.console.Console(highlight=False, width=160)
