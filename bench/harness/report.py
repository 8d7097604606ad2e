"""The bench's report: the tables as the terminal shows them, and charts drawn by matplotlib, in one HTML file."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path

from matplotlib.figure import Figure
from rich.console import Console

from bench.harness.numbers import shown
from bench.harness.part import Bars

WIDTH_INCHES = 8.0


def write_report(path: Path, recorded: Console, charts: Iterable[Bars]) -> None:
    """Write what was printed on a recording console, and the charts, to `path`."""
    page = recorded.export_html(inline_styles=True)
    drawn = "\n".join(f"<figure>{draw(chart)}</figure>" for chart in charts)
    path.write_text(page.replace("</body>", f"{drawn}</body>"), encoding="utf-8")


def draw(chart: Bars) -> str:
    """A chart as SVG."""
    figure = Figure(figsize=(WIDTH_INCHES, 0.8 + 0.32 * len(chart.values)), layout="constrained")
    axes = figure.add_subplot(title=chart.title, xlabel=chart.label)
    axes.spines[["top", "right"]].set_visible(False)
    drawn = axes.barh(list(chart.values), list(chart.values.values()))
    axes.bar_label(drawn, [shown(value) for value in chart.values.values()], padding=3)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    target = io.StringIO()
    figure.savefig(target, format="svg")
    text = target.getvalue()
    return text[text.index("<svg") :]
