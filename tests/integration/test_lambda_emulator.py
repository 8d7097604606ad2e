"""A function on AWS's own emulator and runtime client: it sees what Lambda shows it, and is measured from outside."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from local.deployment.lambda_emulator import BuiltFunction, started
from local.deployment.workspace import Workspace
from local.services.processes import Processes

_LOOK_AROUND = """
import importlib.util, os, sys, boto3, in_layer
print("a line of the log")
print("another", file=sys.stderr)

def lambda_handler(event, context):
    return {
        "event": event,
        "name": context.function_name,
        "millis": context.get_remaining_time_in_millis(),
        "given": os.environ["GIVEN"],
        "task": os.environ["LAMBDA_TASK_ROOT"] == os.getcwd(),
        "foreign": [name for name in ("pytest", "redis", "mypy") if importlib.util.find_spec(name)],
        "layer": in_layer.VALUE,
    }
"""

PATIENT_SECONDS = 60
"""Timeout of a function: a busy machine must not end it. One that is to time out has less."""

type Make = Callable[..., BuiltFunction]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Make a function of this source, with a layer."""

    def built(source: str, timeout_seconds: int = PATIENT_SECONDS) -> BuiltFunction:
        layer, task = tmp_path / "layer", tmp_path / "task"
        (layer / "python").mkdir(parents=True)
        (layer / "python" / "in_layer.py").write_text("VALUE = 7\n", encoding="utf-8")
        task.mkdir()
        (task / "app.py").write_text(source, encoding="utf-8")
        return BuiltFunction("Tried", task, "app.lambda_handler", [layer], timeout_seconds, 512)

    return built


def _run(processes: Processes, workspace: Workspace, function: BuiltFunction, *events: Any) -> list[Any]:
    with started(processes, workspace, function, {"GIVEN": "value"}) as environment:
        return [environment.invoke(json.dumps(event)) for event in events]


def test_a_function_sees_its_layers_the_runtime_and_nothing_else(
    make: Make, processes: Processes, workspace: Workspace
) -> None:
    (done,) = _run(processes, workspace, make(_LOOK_AROUND), {"n": 1})
    assert not done.failed
    millis = done.answer.pop("millis")
    assert 0 < millis <= PATIENT_SECONDS * 1_000
    assert done.answer == {
        "event": {"n": 1},
        "name": "Tried",
        "given": "value",
        "task": True,
        "foreign": [],
        "layer": 7,
    }


def test_it_is_measured_from_outside_and_leaves_its_artefacts_alone(
    make: Make, processes: Processes, workspace: Workspace
) -> None:
    function = make(_LOOK_AROUND)
    with started(processes, workspace, function, {"GIVEN": "value"}) as environment:
        for number in range(3):
            environment.invoke(json.dumps(number))
        assert environment.init_ms > environment.invoke_ms(2) > 0
        assert environment.peak_bytes > 5_000_000
        assert environment.function_log.splitlines() == ["a line of the log", "another"]
        pids = [child.pid for child in psutil.Process(processes.pid("emulator-Tried")).children()]
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert not list(function.folder.rglob("*.pyc"))


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import nothing_here", "No module named 'nothing_here'"),
        ("def lambda_handler(event, context):\n    raise ValueError('on purpose')", "on purpose"),
        ("import os\ndef lambda_handler(event, context):\n    os._exit(3)", "exit"),
        ("import time\ndef lambda_handler(event, context):\n    time.sleep(9)", "Task timed out after 2.00 seconds"),
    ],
    ids=["import", "exception", "exit", "timeout"],
)
def test_a_function_that_fails_is_told_so(
    make: Make, processes: Processes, workspace: Workspace, source: str, words: str
) -> None:
    function = make(source, 2 if "timed out" in words else PATIENT_SECONDS)
    (done,) = _run(processes, workspace, function, {})
    assert done.failed
    assert words in done.payload
