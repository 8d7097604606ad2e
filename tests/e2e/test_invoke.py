"""The built functions on AWS's own runtime, without Docker, against the deployed stack: what `make invoke` does."""

import json
import re
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from firstcome.domain.message import to_body
from local.commands.invoke import Ran, find_function, read_event, run_function
from local.deployment.lambda_emulator import built_functions, started
from local.deployment.sam_env_vars import deployed_variables
from local.deployment.workspace import Workspace
from local.services.processes import Processes
from tests import documented_events
from tests.e2e.conftest import Service
from tests.factories import a_campaign_id, a_claim
from tests.unit import documentation

type Invoke = Callable[[str, str], Ran]


@pytest.fixture
def invoke(service: Service, processes: Processes, workspace: Workspace, repository: Path) -> Invoke:
    """Run a function with the text of an event."""
    variables = deployed_variables(service.stack, Workspace(service.folder))

    def run(name: str, event: str) -> Ran:
        function = find_function(service.folder / "build", name)
        return run_function(processes, workspace, function, event, variables[name])

    return run


def test_the_events_are_answered_as_their_table_says(
    service: Service, processes: Processes, workspace: Workspace
) -> None:
    told = deployed_variables(service.stack, Workspace(service.folder))
    built = built_functions(service.folder / "build")
    # A campaign of its own: other tests send events too.
    campaign_id = a_campaign_id()
    with ExitStack() as running:
        environments = {
            name: running.enter_context(started(processes, workspace, built[name], told[name])) for name in told
        }
        for step in documented_events.steps():
            event = re.sub(r"\bdemo\b", campaign_id, step.text)
            invocation = environments[step.function].invoke(event)
            assert not invocation.failed, (step, invocation)
            _check(step, json.loads(event), invocation.answer)


def _check(step: documented_events.Step, event: dict[str, Any], answer: dict[str, Any]) -> None:
    assert answer.get("statusCode") == step.status, (step, answer)
    if step.status is not None:
        documentation.check(event["routeKey"], answer)
    found = answer if step.status is None else json.loads(answer["body"]) if step.fields else {}
    assert {name: found.get(name) for name in step.fields} == step.fields, (step, answer)


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
    assert [line["Quarantined"] for line in lines if "_aws" in line] == [[1]]
