"""`make invoke`: what it says when it cannot run, and how it prints what came."""

import json
from pathlib import Path

import pytest

from local.commands import invoke
from local.deployment import state_files
from local.deployment.lambda_emulator import Invocation, read_reply
from local.errors import LocalStackError


@pytest.fixture
def event(tmp_path: Path) -> Path:
    """A file with an event."""
    path = tmp_path / "event.json"
    path.write_text('{"n": 1}', encoding="utf-8")
    return path


@pytest.mark.parametrize(("given", "missing"), [("EVENT", "FUNCTION"), ("FUNCTION", "EVENT")])
def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, event: Path, given: str, missing: str) -> None:
    monkeypatch.delenv(missing, raising=False)
    monkeypatch.setenv(given, str(event))
    with pytest.raises(LocalStackError, match=f"^{missing}, ") as caught:
        invoke.main()
    assert "make invoke FUNCTION=" in caught.value.advice


def test_without_a_stack_it_says_how_to_start_one(monkeypatch: pytest.MonkeyPatch, event: Path, tmp_path: Path) -> None:
    monkeypatch.setenv("FUNCTION", "ApplyFunction")
    monkeypatch.setenv("EVENT", str(event))
    monkeypatch.setattr(state_files, "ADDRESSES", tmp_path / "stack.json")
    with pytest.raises(LocalStackError, match="not up") as caught:
        invoke.main()
    assert "make up" in caught.value.advice


def test_an_event_is_read_as_it_is(event: Path) -> None:
    assert invoke.read_event(event) == '{"n": 1}'


def test_an_event_that_is_not_there_or_no_json_is_named(tmp_path: Path) -> None:
    with pytest.raises(LocalStackError, match=r"none\.json: No such file"):
        invoke.read_event(tmp_path / "none.json")
    (tmp_path / "bad.json").write_text("{", encoding="utf-8")
    with pytest.raises(LocalStackError, match=r"holds no JSON: .*bad\.json"):
        invoke.read_event(tmp_path / "bad.json")


def test_an_unknown_function_is_answered_with_those_there_are(tmp_path: Path) -> None:
    (tmp_path / "template.yaml").write_text("Resources: {Queue: {Type: AWS::SQS::Queue}}", encoding="utf-8")
    with pytest.raises(LocalStackError, match="no function Nope"):
        invoke.find_function(tmp_path, "Nope")


def test_the_answer_is_json_in_every_case() -> None:
    assert invoke.Ran(Invocation('{"a": 1}', {"a": 1}, failed=False), "").answer == '{"a": 1}'
    timed_out = invoke.Ran(read_reply(200, "Task timed out after 2.00 seconds"), "")
    assert json.loads(timed_out.answer) == {"errorMessage": "Task timed out after 2.00 seconds"}
    assert invoke.Ran(read_reply(200, "null"), "").answer == "null"
