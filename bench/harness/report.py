"""The bench's report: one HTML page that needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from bench.harness.part import Part, Table
from bench.harness.result import figures_table
from bench.harness.targets import TARGETS

TEMPLATE = Path(__file__).with_name("report.html")
_WORDS = {"reached": "good", "missed": "bad"}


def render_report(parts: Mapping[str, Part], result: Mapping[str, Any]) -> str:
    """The page for what the parts found, and for what `result.json` holds of it."""
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        when=escape(str(result["machine"].get("date", ""))),
        badge=_badge(result["figures"]),
        figures=_table(figures_table(result["figures"])),
        sections="\n".join(_section(name, part) for name, part in parts.items()),
        machine=_machine(result["machine"]),
    )


def _badge(figures: Mapping[str, float]) -> str:
    judged = [name for name in figures if name in TARGETS]
    reached = sum(TARGETS[name].is_reached(figures[name]) for name in judged)
    style = "good" if reached == len(judged) else "bad"
    return f'<span class="badge {style}">{reached} of {len(judged)} goals reached</span>'


def _section(name: str, part: Part) -> str:
    tables = "\n".join(f"<h3>{escape(table.title)}</h3>{_table(table)}" for table in part.tables)
    charts = "\n".join(f"<figure>{chart}</figure>" for chart in part.charts)
    return f"<section>\n<h2>{escape(name)}</h2>\n{charts}\n{tables}\n</section>"


def _table(table: Table) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in table.columns)
    rows = "\n".join(f"<tr>{''.join(_cell(cell) for cell in row)}</tr>" for row in table.rows)
    note = f'<p class="soft">{escape(table.note)}</p>' if table.note else ""
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>{note}'


def _cell(text: str) -> str:
    style = _WORDS.get(text)
    return f'<td class="{style}">{escape(text)}</td>' if style else f"<td>{escape(text)}</td>"


def _machine(machine: Mapping[str, Any]) -> str:
    rows = [
        [name, ", ".join(map(str, value)) if isinstance(value, list) else str(value)] for name, value in machine.items()
    ]
    return _table(Table("Machine", ["machine", ""], rows))
