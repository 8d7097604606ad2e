"""Percentiles, medians and sizes of the bench."""

from __future__ import annotations

import math

import pytest

from bench.harness.numbers import QUICK, median_ratio, percentile, rounded, shown, sized


def test_a_percentile_is_a_value_that_occurred() -> None:
    values = [float(number) for number in range(100, 0, -1)]

    assert percentile(values, 50) == 50
    assert percentile(values, 99) == 99
    assert percentile(values, 99.9) == 100
    assert percentile([7.0], 1) == 7
    assert math.isnan(percentile([], 50))


def test_a_ratio_of_medians_is_not_moved_by_one_outlier() -> None:
    assert median_ratio([10, 20, 9_000], [4, 5, 6]) == 4


@pytest.mark.parametrize(("value", "text"), [(0.12345, "0.123"), (12.345, "12.3"), (98_765.4, "98,765"), (0, "0")])
def test_numbers_are_shown_with_three_digits(value: float, text: str) -> None:
    assert shown(value) == text


def test_what_is_no_number_is_a_dash() -> None:
    assert shown(math.nan) == "-"


def test_figures_are_rounded_to_significant_digits() -> None:
    assert rounded(0.0012345) == 0.00123
    assert rounded(0) == 0


def test_a_quick_run_is_a_tenth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(QUICK, raising=False)
    assert sized(1_000) == 1_000
    monkeypatch.setenv(QUICK, "1")
    assert sized(1_000) == 100
    assert sized(5) == 1
    assert sized(100, least=50) == 50
