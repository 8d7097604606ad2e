"""The protocol as a model: Spin goes through all its states, with every guard and without each of them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

MODEL = Path(__file__).parent


def check(*arguments: str, path: str | None = None) -> "subprocess.CompletedProcess[str]":
    environment = os.environ if path is None else {**os.environ, "PATH": path}
    command = [sys.executable, str(MODEL / "check"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


RUNS = check("--list").stdout.split()

# These two go through the states of whole_2_faults again, with one thing more; verify/model/check does them too.
TOO_LONG_HERE = {"whole_2_rebuilds", "whole_with_wait"}


def test_runs_are_listed() -> None:
    assert {"whole_1_fault", "whole_2_faults", "without_replay", "without_fence"} <= set(RUNS)


@pytest.mark.parametrize("run", [run for run in RUNS if run not in TOO_LONG_HERE])
def test_model_holds_or_breaks_as_it_must(run: str) -> None:
    done = check(run)

    assert done.returncode == 0, done.stdout + done.stderr
    assert ("| BROKEN: G" in done.stdout) == (not run.startswith("whole"))


def test_missing_spin_is_named_with_its_remedy(tmp_path: Path) -> None:
    done = check("whole_1_fault", path=str(tmp_path))

    assert done.returncode == 2
    assert "apt-get install spin" in done.stderr


def test_unknown_run_is_refused() -> None:
    assert check("without_everything").returncode == 2
