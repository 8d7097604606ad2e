"""What each part of the bench returns: figures for result.json, tables for the terminal, charts for the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        note: how to read it: what was compared with what, how often, and what is left out.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


@dataclass(frozen=True)
class Bars:
    """A chart with one bar per name."""

    title: str
    values: Mapping[str, float]
    label: str


@dataclass(frozen=True)
class Part:
    """The outcome of one part of the bench.

    Attributes:
        figures: name -> value, under the names that the documentation quotes.
        rivals: one entry per rival and size, for `rivals` of result.json.
    """

    figures: Mapping[str, float]
    tables: Sequence[Table]
    rivals: Sequence[Mapping[str, Any]] = field(default=())
    charts: Sequence[Bars] = field(default=())
