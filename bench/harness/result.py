"""What the parts found, as result.json and as text for the terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from bench.harness.part import Part, Table
from bench.harness.targets import TARGETS

NOTE_WIDTH = 120


def to_result(parts: Mapping[str, Part], machine: Mapping[str, Any]) -> dict[str, Any]:
    """The content of result.json. It holds what this run measured, and nothing of an earlier one."""
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
    return Table("Figures", ["figure", "value", "goal", "", "what it says"], rows)


def verdict(name: str, value: float) -> str:
    """Whether a figure reaches its goal, in a word."""
    return "reached" if TARGETS[name].is_reached(value) else "missed"


def to_text(table: Table) -> str:
    """A table for the terminal."""
    lines = [list(table.columns), *(list(row) for row in table.rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(table.columns))]
    numeric = [_is_numeric([row[place] for row in table.rows]) for place in range(len(table.columns))]
    text = [f"\n{table.title}"]
    for line in lines:
        cells = [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, widths, numeric, strict=True)
        ]
        text.append(f"  {'  '.join(cells)}".rstrip())
    if table.note:
        text += ["", textwrap.fill(table.note, NOTE_WIDTH, initial_indent="  ", subsequent_indent="  ")]
    return "\n".join(text)


def _is_numeric(cells: Sequence[str]) -> bool:
    return any(cells) and all(not cell or cell[0].isdigit() or cell[0] == "-" for cell in cells)
