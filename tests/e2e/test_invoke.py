"""The built functions on AWS's own runtime, without Docker, against the deployed stack: what `make invoke` does."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from firstcome.message import to_body
from local.function_variables import deployed_variables
from local.invoke import Ran, find_function, read_event, run_function
from local.processes import Processes
from local.workspace import Workspace
from tests.e2e.conftest import Service, eventually
from tests.factories import a_claim

type Invoke = Callable[[str, str], Ran]


@pytest.fixture
def invoke(service: Service, processes: Processes, workspace: Workspace, repository: Path) -> Invoke:
    """Run a function with the text of an event."""
    variables = deployed_variables(service.stack, Workspace(service.folder))

    def run(name: str, event: str) -> Ran:
        function = find_function(service.folder / "build", name)
        return run_function(processes, workspace, function, event, variables[name])

    return run


@pytest.fixture
def send(invoke: Invoke, repository: Path) -> Callable[[str, str], Any]:
    """Run a function with an event of events/; returns its answer, a body in it read."""

    def run(name: str, event: str) -> Any:
        ran = invoke(name, read_event(repository / "events" / f"{event}.json"))
        assert not ran.invocation.failed, (ran.answer, ran.log)
        answer = json.loads(ran.answer)
        return json.loads(answer["body"]) if "body" in answer else answer

    return run


def test_the_events_of_the_repository_tell_the_story_of_a_campaign(
    service: Service, send: Callable[[str, str], Any]
) -> None:
    service.forget_demo()
    assert send("AdminFunction", "migrate") == {"migrated": True}
    assert send("AdminFunction", "put-campaign-invalid")["code"] == "invalid_campaign"
    assert send("AdminFunction", "put-campaign-later")["state"] == "not_open"
    assert send("ApplyFunction", "apply")["code"] == "not_open"
    assert send("AdminFunction", "put-campaign")["remaining"] == 100
    assert "demo" in [one["campaign_id"] for one in send("AdminFunction", "list")["campaigns"]]

    assert send("AdminFunction", "pause")["state"] == "paused"
    assert send("ApplyFunction", "apply")["code"] == "paused"
    assert send("AdminFunction", "resume")["state"] == "open"

    assert send("ApplyFunction", "apply-without-subject")["code"] == "invalid_subject"
    coupon = send("ApplyFunction", "apply")
    assert (coupon["status"], coupon["sequence"]) == ("accepted", 1)
    assert send("ApplyFunction", "mine")["coupon_code"] == coupon["coupon_code"]
    assert send("ApplyFunction", "show")["remaining"] == 99
    assert send("AdminFunction", "rebuild")["rebuilt"] is False
    assert send("RelayFunction", "relay")["refused"] == 0

    # The queue's own mapping drains it, by the deployed function.
    eventually(lambda: send("AdminFunction", "stats")["issued"], lambda issued: issued == 1)
    # A claim that the gate never gave: it becomes a row, and the gate closes itself. So this comes last.
    assert send("DrainFunction", "drain") == {"batchItemFailures": []}
    assert [one["sequence"] for one in send("AdminFunction", "coupons")["coupons"]] == [1, 100]


def test_what_a_function_raises_is_a_failure_with_its_log(invoke: Invoke) -> None:
    ran = invoke("DrainFunction", "{}")
    assert ran.invocation.failed
    assert json.loads(ran.answer)["errorType"] == "KeyError"
    assert "[ERROR] KeyError: 'Records'" in ran.log


def test_what_a_function_raises_tells_nothing_of_its_event(invoke: Invoke) -> None:
    claim = a_claim("demo", 1)
    for part in ({"body": [to_body(claim)]}, {"content": to_body(claim)}, {"body": {claim.user_id: claim.coupon_code}}):
        ran = invoke("DrainFunction", json.dumps({"Records": [{"messageId": claim.user_id, **part}]}))
        assert ran.invocation.failed
        assert "[ERROR]" in ran.log
        assert claim.user_id not in ran.log
        assert claim.coupon_code not in ran.log


def test_what_a_function_logs_is_told_apart_from_its_answer(invoke: Invoke, repository: Path) -> None:
    ran = invoke("DrainFunction", read_event(repository / "events" / "drain-unreadable.json"))
    assert json.loads(ran.answer) == {"batchItemFailures": []}
    lines = [json.loads(line) for line in ran.log.splitlines()]
    assert [line["message"] for line in lines if "message" in line] == ["drained", "unreadable message"]
    assert [line["Quarantined"] for line in lines if "_aws" in line] == [1]
