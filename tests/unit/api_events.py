"""Events as API Gateway's HTTP API sends them (payload 2.0), and its answers read back."""

import json
from collections.abc import Mapping
from typing import Any

from firstcome.http_api import Answer, Event

OPERATOR = "firstcome/operator"


def an_event(
    route: str,
    *,
    campaign_id: str | None = "demo",
    sub: object = "alice",
    scope: str | None = None,
    body: str | None = None,
    query: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Make the event of a request with a verified token."""
    method, path = route.split(" ", 1)
    claims: dict[str, object] = {"iss": "https://issuer.example", "aud": "firstcome", "sub": sub}
    if scope is not None:
        claims["scope"] = scope
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": route,
        "rawPath": path.replace("{campaign_id}", str(campaign_id)),
        "rawQueryString": "",
        "headers": {"host": "api.example", "authorization": "Bearer e30.e30.c2lnbmF0dXJl", **(headers or {})},
        "requestContext": {
            "authorizer": {"jwt": {"claims": claims, "scopes": None}},
            "http": {"method": method, "path": path, "sourceIp": "192.0.2.7"},
            "routeKey": route,
        },
        "isBase64Encoded": False,
    }
    if "{campaign_id}" in path and campaign_id is not None:
        event["pathParameters"] = {"campaign_id": campaign_id}
    if query is not None:
        event["queryStringParameters"] = dict(query)
    if body is not None:
        event["body"] = body
    return event


def an_operators_event(route: str, **parts: Any) -> dict[str, Any]:
    """Make the event of a request whose token has the operator's scope."""
    return an_event(route, **{"sub": "olga", "scope": OPERATOR, **parts})


def without_token(event: Event) -> dict[str, Any]:
    """Make the same event as it comes through a public route: without an authorizer."""
    context = {name: part for name, part in event["requestContext"].items() if name != "authorizer"}
    return {**event, "requestContext": context}


def body_of(answer: Answer) -> dict[str, Any]:
    """Read an answer's body, having made sure that Lambda could send the answer at all."""
    json.dumps(answer, ensure_ascii=False, allow_nan=False).encode("utf-8")
    body: dict[str, Any] = json.loads(answer["body"])
    return body


def code_of(answer: Answer) -> str:
    """Read the code of a problem, having made sure that it has the form of one."""
    assert answer["headers"]["Content-Type"] == "application/problem+json"
    assert answer["headers"]["Cache-Control"] == "no-store"
    body = body_of(answer)
    assert body["status"] == answer["statusCode"]
    assert body["type"] == f"urn:firstcome:problem:{body['code']}"
    assert body["title"]
    assert body["detail"]
    return str(body["code"])
