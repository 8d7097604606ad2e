"""Charts as SVG text, drawn by hand so that the report needs no library and no network. Colours are CSS classes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 760, 270
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 18, 46
NAME_WIDTH = 150
TICKS = 5
# Of a chart of named bars: room for the names and for the values behind the bars, and the height of one bar's row.
BAR_NAMES, BAR_VALUES, BAR_ROW = 260, 70, 24
STEPS = (1, 2, 5)
# A limit higher than this many times the lines would press them flat.
NEAR = 4


@dataclass(frozen=True)
class Series:
    """A named row of values, one for each bar."""

    name: str
    style: str
    values: Sequence[float]


@dataclass(frozen=True)
class Bar:
    """A named value."""

    name: str
    style: str
    value: float


@dataclass(frozen=True)
class Line:
    """A named line through points."""

    name: str
    style: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Mark:
    """A named place on an axis."""

    at: float
    label: str


@dataclass(frozen=True)
class Scale:
    """Maps values of an axis to positions on the page."""

    low: float
    high: float
    start: float
    end: float

    def place(self, value: float) -> float:
        """Where `value` is drawn."""
        share = (value - self.low) / ((self.high - self.low) or 1)
        return round(self.start + share * (self.end - self.start), 2)


def stacked_bars(title: str, seconds: float, series: Sequence[Series], x_label: str, y_label: str) -> str:
    """Bars over the time from 0 to `seconds`, each series standing on the one before."""
    count = len(series[0].values) if series else 0
    tops = [sum(row.values[place] for row in series) for place in range(count)]
    x, y, frame = _linear_frame(seconds, max(tops, default=0), x_label, y_label)
    bars = []
    for place in range(count):
        left, right = x.place(seconds * place / count), x.place(seconds * (place + 1) / count)
        below = 0.0
        for row in series:
            value = row.values[place]
            if value:
                low, high = y.place(below), y.place(below + value)
                bars.append(_rectangle(left, high, right - left, low - high, row.style))
            below += value
    return _picture(title, frame + bars)


def step_lines(title: str, lines: Sequence[Line], limit: Mark, x_label: str, y_label: str) -> str:
    """Lines that keep each value until the next, and a dashed line at `limit` if that is anywhere near."""
    points = [point for line in lines for point in line.points]
    longest = max((at for at, _ in points), default=0)
    highest = max((value for _, value in points), default=0)
    near = limit.at <= highest * NEAR
    x, y, frame = _linear_frame(longest, max(highest, limit.at) if near else highest, x_label, y_label)
    if near:
        height = y.place(limit.at)
        frame.append(f'<line class="limit" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{height}" y2="{height}"/>')
        frame.append(_text(WIDTH - RIGHT, height - 5, limit.label, "end"))
    return _picture(title, frame + [_step_path(line, x, y) for line in lines])


def log_histogram(title: str, values: Sequence[float], marks: Sequence[Mark], x_label: str, y_label: str) -> str:
    """How often values occur, on a logarithmic axis, so that the slow few are as visible as the fast many."""
    low, high = _decades(values)
    bars = 48
    counts = [0] * bars
    for value in values:
        share = (math.log10(max(value, low)) - math.log10(low)) / (math.log10(high) - math.log10(low))
        counts[min(int(share * bars), bars - 1)] += 1
    x = Scale(math.log10(low), math.log10(high), LEFT, WIDTH - RIGHT)
    y, parts = _y_axis(max(counts, default=0), y_label)
    parts += _x_axis([Mark(x.place(math.log10(tick)), _number(tick)) for tick in _log_ticks(low, high)], x_label)
    width = (WIDTH - LEFT - RIGHT) / bars
    for place, count in enumerate(counts):
        if count:
            top = y.place(count)
            parts.append(_rectangle(round(LEFT + place * width, 2), top, width - 1, y.place(0) - top, "latency"))
    places = [Mark(x.place(math.log10(mark.at)), mark.label) for mark in marks]
    parts += [_upright(mark) for mark in places]
    # After all lines, so that none crosses a name.
    parts += [_upright_name(mark, number) for number, mark in enumerate(places)]
    return _picture(title, parts)


def named_bars(title: str, bars: Sequence[Bar], label: str) -> str:
    """One bar below the other, each with its name before it and its value behind it."""
    x = Scale(0, max((bar.value for bar in bars), default=0) or 1, BAR_NAMES, WIDTH - BAR_VALUES)
    parts = []
    for number, bar in enumerate(bars):
        top = number * BAR_ROW
        end = x.place(bar.value)
        parts.append(_text(BAR_NAMES - 8, top + 16, bar.name, "end"))
        parts.append(_rectangle(BAR_NAMES, top + 3, end - BAR_NAMES, BAR_ROW - 6, bar.style))
        parts.append(_text(end + 6, top + 16, _number(float(f"{bar.value:.3g}")), "start"))
    height = len(bars) * BAR_ROW + 18
    parts.append(_text(BAR_NAMES, height - 4, label, "start"))
    return _picture(title, parts, height)


def _linear_frame(x_high: float, y_high: float, x_label: str, y_label: str) -> tuple[Scale, Scale, list[str]]:
    x = Scale(0, x_high or 1, LEFT, WIDTH - RIGHT)
    y, parts = _y_axis(y_high, y_label)
    ticks = [tick for tick in _ticks(x.high) if tick <= x.high]
    return x, y, parts + _x_axis([Mark(x.place(tick), _number(tick)) for tick in ticks], x_label)


def _y_axis(highest: float, label: str) -> tuple[Scale, list[str]]:
    ticks = _ticks(highest or 1)
    scale = Scale(0, ticks[-1], HEIGHT - BOTTOM, TOP)
    parts = []
    for tick in ticks:
        height = scale.place(tick)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{height}" y2="{height}"/>')
        parts.append(_text(LEFT - 8, height + 4, _number(tick), "end"))
    middle = (TOP + HEIGHT - BOTTOM) / 2
    turned = f'transform="rotate(-90 14 {middle})"'
    parts.append(f'<text class="label" x="14" y="{middle}" text-anchor="middle" {turned}>{escape(label)}</text>')
    return scale, parts


def _x_axis(marks: Sequence[Mark], label: str) -> list[str]:
    bottom = HEIGHT - BOTTOM
    parts = [f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{bottom}" y2="{bottom}"/>']
    parts += [_text(mark.at, bottom + 17, mark.label, "middle") for mark in marks]
    middle = (LEFT + WIDTH - RIGHT) / 2
    return [*parts, f'<text class="label" x="{middle}" y="{HEIGHT - 6}" text-anchor="middle">{escape(label)}</text>']


def _upright(mark: Mark) -> str:
    return f'<line class="mark" x1="{mark.at}" x2="{mark.at}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>'


def _upright_name(mark: Mark, number: int) -> str:
    # One below the other: close marks must not cover each other's names.
    height = TOP + 10 + 17 * number
    # Near the right edge the name stands on the other side.
    at, anchor = (mark.at - 6, "end") if mark.at > WIDTH - NAME_WIDTH else (mark.at + 6, "start")
    return f'<text class="marked" x="{at}" y="{height}" text-anchor="{anchor}">{escape(mark.label)}</text>'


def _step_path(line: Line, x: Scale, y: Scale) -> str:
    if not line.points:
        return ""
    first, *rest = [(x.place(at), y.place(value)) for at, value in line.points]
    path = f"M{first[0]} {first[1]}" + "".join(f"H{at}V{height}" for at, height in rest)
    return f'<path class="line {escape(line.style)}" d="{path}"/>'


def _rectangle(left: float, top: float, width: float, height: float, style: str) -> str:
    return f'<rect class="{escape(style)}" x="{left}" y="{top}" width="{width:.2f}" height="{height:.2f}"/>'


def _text(at: float, height: float, text: str, anchor: str) -> str:
    return f'<text x="{at}" y="{height}" text-anchor="{anchor}">{escape(text)}</text>'


def _picture(title: str, parts: Sequence[str], height: int = HEIGHT) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img"><title>{escape(title)}</title>{"".join(parts)}</svg>'


def _ticks(highest: float) -> list[float]:
    """Round numbers from 0 to the first at or above `highest`."""
    rough = highest / TICKS
    power = 10 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (*STEPS, 10) if factor * power >= rough * 0.999)
    return [step * number for number in range(math.ceil(highest / step * 0.999) + 1)]


def _decades(values: Sequence[float]) -> tuple[float, float]:
    """1, 2 or 5 times a power of ten, just below and just above all of `values`."""
    low = max(min(values, default=1), 0.1)
    high = max(max(values, default=10), low * 1.01)
    steps = [factor * 10.0**power for power in range(-1, 8) for factor in STEPS]
    return max(step for step in steps if step <= low), next(step for step in steps if step >= high)


def _log_ticks(low: float, high: float) -> list[float]:
    steps = [factor * 10.0**power for power in range(-1, 8) for factor in STEPS]
    return [step for step in steps if low <= step <= high]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1 and math.isclose(value, round(value)) else f"{value:g}"
