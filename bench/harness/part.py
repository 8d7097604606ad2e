"""What each part of the bench returns: figures for result.json, tables for the terminal, charts for the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Table:
    """A table to print.

    Attributes:
        note: what the reader must know to read it: what was compared with what, how often, and what it leaves out.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


@dataclass(frozen=True)
class Part:
    """The outcome of one part of the bench.

    Attributes:
        figures: name -> value, under the names that README.md and docs/scaling.md quote.
        rivals: one entry a rival and size, for `rivals` of result.json.
        charts: SVG texts made with `verify.rush.charts`.
    """

    figures: Mapping[str, float]
    tables: Sequence[Table]
    rivals: Sequence[Mapping[str, Any]] = field(default=())
    charts: Sequence[str] = field(default=())
