"""CanaryFunction: it applies through the real handlers, and lets CodeDeploy go on only with a version that answers."""

import io
import json
from dataclasses import dataclass, field
from typing import Any

import boto3
import pytest
from botocore.response import StreamingBody

from functions.admin.app import lambda_handler as admin
from functions.apply.app import lambda_handler as apply
from functions.canary.app import CAMPAIGN_ID, lambda_handler
from tests.unit.conftest import World

_FUNCTIONS = {"admin": admin, "apply:7": apply}


@dataclass
class _Aws:
    """Lambda, which has this stack's functions, and CodeDeploy, which notes what it is told."""

    told: list[dict[str, str]] = field(default_factory=list)

    def invoke(self, **given: Any) -> dict[str, Any]:
        try:
            answer, error = _FUNCTIONS[given["FunctionName"]](json.loads(given["Payload"]), None), {}
        except Exception as exc:  # noqa: BLE001 - as Lambda does
            answer, error = {"errorMessage": str(exc)}, {"FunctionError": "Unhandled"}
        body = json.dumps(answer).encode()
        return {"Payload": StreamingBody(io.BytesIO(body), len(body)), **error}

    def put_lifecycle_event_hook_execution_status(self, **given: str) -> None:
        self.told.append(given)


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> _Aws:
    """AWS, where boto3 would call it."""
    made = _Aws()
    monkeypatch.setattr(boto3, "client", lambda _: made)
    monkeypatch.setenv("ADMIN_FUNCTION", "admin")
    monkeypatch.setenv("APPLY_VERSION", "apply:7")
    return made


def _deploy(deployment: str) -> None:
    lambda_handler({"DeploymentId": deployment, "LifecycleEventHookExecutionId": f"hook-of-{deployment}"}, None)


def test_a_version_that_answers_may_take_applications(aws: _Aws, world: World) -> None:
    for deployment in ("d-1", "d-2"):
        _deploy(deployment)
    assert [told["status"] for told in aws.told] == ["Succeeded", "Succeeded"]
    assert aws.told[0] == {
        "deploymentId": "d-1",
        "lifecycleEventHookExecutionId": "hook-of-d-1",
        "status": "Succeeded",
    }
    assert sorted(claim.user_id for claim in world.gate.states[CAMPAIGN_ID].claims.values()) == ["d-1", "d-2"]


def test_a_version_that_answers_503_may_not(aws: _Aws, world: World) -> None:
    _deploy("d-1")
    world.gate.is_down = True
    _deploy("d-2")
    assert [told["status"] for told in aws.told] == ["Succeeded", "Failed"]


def test_a_version_that_fails_may_not(aws: _Aws, monkeypatch: pytest.MonkeyPatch, world: World) -> None:
    def fail(*_: object) -> None:
        raise ImportError("no module named firstcome")

    monkeypatch.setitem(_FUNCTIONS, "apply:7", fail)
    _deploy("d-1")
    assert [told["status"] for told in aws.told] == ["Failed"]


def test_a_version_that_gives_a_second_coupon_may_not(aws: _Aws, monkeypatch: pytest.MonkeyPatch, world: World) -> None:
    def forget(event: Any, context: Any) -> Any:
        world.gate.states[CAMPAIGN_ID].claims.clear()
        return apply(event, context)

    monkeypatch.setitem(_FUNCTIONS, "apply:7", forget)
    _deploy("d-1")
    assert [told["status"] for told in aws.told] == ["Failed"]
