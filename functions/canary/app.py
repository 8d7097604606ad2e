"""CanaryFunction: CodeDeploy runs it before a new version of ApplyFunction takes the first application.

A canary without applications proves nothing, so one is made: in a campaign of its own, by the new version itself, and
twice, because the same user must get the same coupon again.
"""

import json
import os
from typing import Any

from firstcome.adapters.logs import logger

CAMPAIGN_ID = "firstcome-canary"
_CAMPAIGN = {
    "name": "Canary: applications of new versions",
    # One is taken by each deployment.
    "capacity": 1_000_000,
    "opens_at": "2020-01-01T00:00:00Z",
    "closes_at": "2099-12-31T00:00:00Z",
}


def lambda_handler(event: dict[str, Any], context: Any) -> None:  # noqa: ARG001 - Lambda's signature
    """Apply with the new version, and tell CodeDeploy whether it may go on."""
    try:
        _apply(event["DeploymentId"])
        status = "Succeeded"
    except Exception:  # noqa: BLE001 - CodeDeploy would wait an hour for an answer
        logger().exception("the new version failed")
        status = "Failed"
    _client("codedeploy").put_lifecycle_event_hook_execution_status(
        deploymentId=event["DeploymentId"],
        lifecycleEventHookExecutionId=event["LifecycleEventHookExecutionId"],
        status=status,
    )


def _apply(deployment_id: str) -> None:
    # The same again changes nothing.
    _call(os.environ["ADMIN_FUNCTION"], f"PUT /campaigns/{CAMPAIGN_ID}", deployment_id, _CAMPAIGN)
    version = os.environ["APPLY_VERSION"]
    first, again = (_call(version, f"POST /campaigns/{CAMPAIGN_ID}/coupons", deployment_id) for _ in range(2))
    if (first["sequence"], first["coupon_code"]) != (again["sequence"], again["coupon_code"]):
        raise RuntimeError("the same user got two coupons")


def _call(function: str, request: str, user: str, body: object = None) -> dict[str, Any]:
    """Send a function what the HTTP API would. Raises `RuntimeError` unless it is answered 2xx."""
    reply = _client("lambda").invoke(FunctionName=function, Payload=json.dumps(_event(request, user, body)))
    answer = json.loads(reply["Payload"].read())
    if "FunctionError" in reply or not 200 <= answer.get("statusCode", 0) < 300:  # noqa: PLR2004 - HTTP's success
        # Of an answer its status and problem only: a success has a coupon code in it.
        raise RuntimeError(f"{request}: {answer.get('statusCode')} {answer.get('errorMessage') or answer.get('body')}")
    found: dict[str, Any] = json.loads(answer["body"])
    return found


def _client(service: str) -> Any:
    # Importing it opens a socket, as some of its own libraries do.
    import boto3  # noqa: PLC0415

    return boto3.client(service)  # type: ignore[call-overload]


def _event(request: str, user: str, body: object) -> dict[str, Any]:
    """Make an event of the HTTP API, version 2.0, as this function's rights let it: no gateway has seen a token."""
    method, path = request.split()
    claims = {"sub": user, "scope": "firstcome/operator" if body else ""}
    return {
        "version": "2.0",
        "routeKey": request.replace(CAMPAIGN_ID, "{campaign_id}"),
        "rawPath": path,
        "headers": {"content-type": "application/json"},
        "pathParameters": {"campaign_id": CAMPAIGN_ID},
        "requestContext": {
            "authorizer": {"jwt": {"claims": claims, "scopes": claims["scope"].split()}},
            "http": {"method": method, "path": path},
        },
        "body": json.dumps(body) if body else None,
        "isBase64Encoded": False,
    }
