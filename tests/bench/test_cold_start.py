"""The arithmetic of the cold starts, and the sizes of what is shipped."""

from pathlib import Path

import pytest

from bench.parts.cold_start import AS_BUILT, BARE, COMPILED, FIRSTCOME, Size, Start, figures, size, table
from local.deployment.lambda_emulator import BuiltFunction

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
    sizes = dict.fromkeys(_STARTS, Size(2_500_000, 10_000_000, 504))
    made = table(_STARTS, sizes, {FIRSTCOME: 40 * 1024 * 1024})
    assert [row[0] for row in made.rows] == list(_STARTS)
    assert {len(row) for row in made.rows} == {len(made.columns)}
    assert made.rows[1][1:4] == ["60 (50-70)", "20", "80 (60-90)"]
    assert [row[4] for row in made.rows] == ["", "40.0", "", ""]


def test_the_size_counts_the_function_and_its_layers(tmp_path: Path) -> None:
    task, layer = tmp_path / "task", tmp_path / "layer"
    (layer / "python" / "__pycache__").mkdir(parents=True)
    task.mkdir()
    (task / "app.py").write_bytes(b"x" * 1_000)
    (layer / "python" / "a.py").write_bytes(b"y" * 2_000)
    (layer / "python" / "__pycache__" / "a.cpython-313.pyc").write_bytes(b"z" * 3_000)
    found = size(BuiltFunction("F", task, "app.lambda_handler", [layer], 6, 512))
    assert (found.unpacked, found.compiled_files) == (6_000, 1)
    assert 0 < found.zipped < 6_000
