"""What the parts found, as result.json and as tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.constrain import Constrain
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from bench.harness.part import Part, Table
from bench.harness.targets import TARGETS

NOTE_WIDTH = 120
PLAIN_WIDTH = 240
"""Of a file or a pipe, so that no table is wrapped there."""


def to_result(parts: Mapping[str, Part], machine: Mapping[str, Any]) -> dict[str, Any]:
    """The content of result.json: what this run measured, and nothing of an earlier one."""
    return {
        "figures": {name: value for part in parts.values() for name, value in part.figures.items()},
        "rivals": [dict(entry) for part in parts.values() for entry in part.rivals],
        "machine": {**machine, "parts": list(parts)},
    }


def figures_table(figures: Mapping[str, float]) -> Table:
    """All figures, those with a goal first."""
    with_goal = [name for name in TARGETS if name in figures]
    rows = [
        [name, f"{figures[name]:g}", TARGETS[name].goal, verdict(name, figures[name]), TARGETS[name].says]
        for name in with_goal
    ]
    rows += [[name, f"{value:g}", "", "", ""] for name, value in figures.items() if name not in TARGETS]
    return Table("Figures", ["figure", "value", "goal", "", "meaning"], rows)


def verdict(name: str, value: float) -> str:
    """Whether a figure reaches its goal, in a word."""
    return "reached" if TARGETS[name].is_reached(value) else "missed"


def a_console(**options: Any) -> Console:
    """A console on standard output, wide where it is no terminal."""
    console = Console(highlight=False, markup=False, **options)
    if not console.is_terminal:
        console.width = PLAIN_WIDTH
    return console


def shown_table(table: Table) -> RenderableType:
    """A table for a console."""
    made = RichTable(title=table.title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for place, column in enumerate(table.columns):
        cells = [row[place] for row in table.rows if row[place]]
        numeric = cells and all(cell[0].isdigit() or cell[0] == "-" for cell in cells)
        made.add_column(column, justify="right" if numeric else "left")
    for row in table.rows:
        made.add_row(*map(Text, row))
    note = [Constrain(Padding(Text(" ".join(table.note.split())), (0, 2)), NOTE_WIDTH)] if table.note else []
    return Group(made, *note)
