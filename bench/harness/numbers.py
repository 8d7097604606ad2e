"""Percentiles, medians and the form of numbers."""

from __future__ import annotations

import math
import os
import statistics
from collections.abc import Sequence

QUICK = "QUICK"
_QUICK_SHARE = 10


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that at least `percent` of all values do not exceed."""
    if not values:
        return math.nan
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def median_ratio(above: Sequence[float], below: Sequence[float]) -> float:
    """The ratio of two medians."""
    return statistics.median(above) / statistics.median(below)


def is_quick() -> bool:
    """Whether QUICK=1 asks for a trial run: everything a tenth of the size, so the figures say nothing."""
    return os.environ.get(QUICK, "") not in ("", "0")


def sized(number: int, least: int = 1) -> int:
    """A size of the bench, a tenth of it in a quick run."""
    return max(least, number // _QUICK_SHARE) if is_quick() else number


def rounded(value: float, digits: int = 3) -> float:
    """To so many significant digits: no figure here is more exact."""
    if not value or not math.isfinite(value):
        return value
    return round(value, digits - 1 - math.floor(math.log10(abs(value))))


def shown(value: float, digits: int = 3) -> str:
    """A number as the tables print it."""
    if not math.isfinite(value):
        return "-"
    return f"{value:,.0f}" if abs(value) >= 10 ** (digits - 1) else f"{rounded(value, digits):g}"
