"""The arithmetic of the cold starts."""

import pytest

from bench.parts.cold_start import AS_BUILT, BARE, COMPILED, FIRSTCOME, Start, figures, table

_STARTS = {
    BARE: [Start(40, 1)] * 3,
    FIRSTCOME: [Start(50, 10), Start(70, 10), Start(60, 30)],
    COMPILED: [Start(400, 20), Start(9_000, 20), Start(340, 20)],
    AS_BUILT: [Start(1_200, 20)] * 3,
}


def test_the_figures_are_ratios_of_medians() -> None:
    assert figures(_STARTS, 40 * 1024 * 1024) == pytest.approx(
        {
            "cold_init_ratio": 60 / 1_200,
            "cold_init_ratio_compiled": 60 / 400,
            "cold_init_ratio_beyond_runtime": 20 / 360,
            "cold_answer_ratio": 80 / 420,
            "apply_peak_mb": 40,
        }
    )


def test_the_table_has_a_row_for_each_that_took_part_and_a_cell_for_each_column() -> None:
    made = table(_STARTS, {FIRSTCOME: 40 * 1024 * 1024})
    assert [row[0] for row in made.rows] == list(_STARTS)
    assert {len(row) for row in made.rows} == {len(made.columns)}
    assert made.rows[1][1:4] == ["60 (50-70)", "20", "80 (60-90)"]
    assert [row[4] for row in made.rows] == ["", "40.0", "", ""]
