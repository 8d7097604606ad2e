"""The bench's report: the tables as the terminal shows them, and charts drawn by matplotlib, in one HTML file."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from rich.console import Console

from bench.harness.numbers import shown
from bench.harness.part import Bars, Histogram

WIDTH_INCHES = 8.0


def write_report(path: Path, recorded: Console, charts: Iterable[Bars | Histogram]) -> None:
    """Write what was printed on a recording console, and the charts, to `path`."""
    page = recorded.export_html(inline_styles=True)
    drawn = "\n".join(f"<figure>{draw(chart)}</figure>" for chart in charts)
    path.write_text(page.replace("</body>", f"{drawn}</body>"), encoding="utf-8")


def draw(chart: Bars | Histogram) -> str:
    """A chart as SVG."""
    height = 0.8 + 0.32 * len(chart.values) if isinstance(chart, Bars) else 3.0
    figure = Figure(figsize=(WIDTH_INCHES, height), layout="constrained")
    axes = figure.add_subplot(title=chart.title, xlabel=chart.label)
    axes.spines[["top", "right"]].set_visible(False)
    if isinstance(chart, Bars):
        drawn = axes.barh(list(chart.values), list(chart.values.values()))
        axes.bar_label(drawn, [shown(value) for value in chart.values.values()], padding=3)
        axes.invert_yaxis()
        axes.margins(x=0.12)
    else:
        # Logarithmic, so that the few slow ones are visible too.
        axes.hist(chart.values, bins=list(np.geomspace(min(chart.values), max(chart.values) * 1.001, 60)))
        axes.set_xscale("log")
        for number, (name, at) in enumerate(chart.marks.items()):
            axes.axvline(at, color=f"C{number + 1}", label=f"{name}: {shown(at)}")
        axes.legend()
    target = io.StringIO()
    figure.savefig(target, format="svg")
    text = target.getvalue()
    return text[text.index("<svg") :]
