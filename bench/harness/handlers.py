"""The functions themselves, called as Lambda calls them, in the process at hand."""

from __future__ import annotations

import json
import logging
import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import functions.admin.app
import functions.apply.app
import functions.drain.app
from bench.harness.servers import Site
from firstcome import bootstrap

BATCH = 1_000
UNPACED = 100_000
"""Rows a second: the most that DRAIN_ROWS_PER_SECOND takes."""

_APPLY = "POST /campaigns/{campaign_id}/coupons"


class Context:
    """The part of Lambda's context that the functions look at."""

    aws_request_id = "bench"
    function_name = "bench"

    def get_remaining_time_in_millis(self) -> int:
        """As at the start of the drain."""
        return 30_000


CONTEXT = Context()
CONFLICT = int(HTTPStatus.CONFLICT)


@dataclass(frozen=True)
class Drained:
    """What one run of the drain handler did."""

    messages: int
    batches: int


def become_environment(site: Site, rows_per_second: int = 500) -> None:
    """Turn this process into an environment of the functions on these servers; if it is one, it stays warm."""
    variables = site.environment(rows_per_second)
    if variables.items() <= os.environ.items():
        return
    os.environ.update(variables)
    for builder in vars(bootstrap).values():
        if hasattr(builder, "cache_clear"):
            builder.cache_clear()
    # The drain logs a line a batch; on AWS that goes to CloudWatch, here it must not go to the terminal.
    logging.disable(logging.WARNING)


def new_user() -> str:
    """A user whom nobody has seen before."""
    return str(uuid.uuid4())


def an_event(route: str, campaign_id: str, user_id: str, body: str | None = None) -> dict[str, Any]:
    """The event of a request whose token API Gateway has verified."""
    method, path = route.split(" ", 1)
    claims = {
        "iss": "https://issuer.example.com",
        "aud": "firstcome",
        "sub": user_id,
        "scope": "firstcome/operator",
        "iat": "1795424400",
        "exp": "1795428000",
    }
    return {
        "version": "2.0",
        "routeKey": route,
        "rawPath": path.replace("{campaign_id}", campaign_id),
        "rawQueryString": "",
        "headers": {"accept": "application/json", "host": "api.example.com", "user-agent": "bench"},
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "a1b2c3d4e5",
            "authorizer": {"jwt": {"claims": claims, "scopes": None}},
            "domainName": "api.example.com",
            "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.7"},
            "requestId": "Jx8eHgYqIAMEPzA=",
            "routeKey": route,
            "stage": "$default",
            "timeEpoch": 1795424400000,
        },
        "pathParameters": {"campaign_id": campaign_id},
        "body": body,
        "isBase64Encoded": False,
    }


def an_apply_event(campaign_id: str, user_id: str) -> dict[str, Any]:
    """The event of a user who applies."""
    return an_event(_APPLY, campaign_id, user_id)


def answer(event: Mapping[str, Any]) -> dict[str, Any]:
    """Send an event to the apply function; returns its answer."""
    return functions.apply.app.lambda_handler(event, CONTEXT)


def apply(event: Mapping[str, Any]) -> int:
    """Send an event to the apply function; returns the status."""
    status: int = functions.apply.app.lambda_handler(event, CONTEXT)["statusCode"]
    return status


def put_campaign(campaign_id: str, capacity: int) -> None:
    """Make an open campaign, or change its capacity, by the admin function."""
    body = {
        "name": "Bench",
        "capacity": capacity,
        "opens_at": "2020-01-01T00:00:00Z",
        "closes_at": "2099-01-01T00:00:00Z",
    }
    event = an_event("PUT /campaigns/{campaign_id}", campaign_id, "olga", json.dumps(body))
    answer = functions.admin.app.lambda_handler(event, CONTEXT)
    if answer["statusCode"] not in (HTTPStatus.CREATED, HTTPStatus.OK):
        raise RuntimeError(f"the campaign was not made: {answer['statusCode']} {answer['body']}")


def migrate() -> None:
    """Make the ledger's tables, by the admin function."""
    functions.admin.app.lambda_handler({"action": "migrate"}, CONTEXT)


def an_sqs_event(bodies: Sequence[str]) -> dict[str, Any]:
    """The event by which SQS hands messages to the drain."""
    return {
        "Records": [
            {
                "messageId": f"00000000-0000-0000-0000-{number:012}",
                "receiptHandle": "bench",
                "body": body,
                "attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": "1795424400130"},
                "messageAttributes": {},
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:eu-west-1:000000000000:claims",
                "awsRegion": "eu-west-1",
            }
            for number, body in enumerate(bodies)
        ]
    }


def drain(bodies: Sequence[str]) -> None:
    """Give one batch to the drain function, which must take all of it."""
    drain_event(an_sqs_event(bodies))


def drain_event(event: dict[str, Any]) -> None:
    """Send an event to the drain function, which must take all of it."""
    report = functions.drain.app.lambda_handler(event, CONTEXT)
    if report["batchItemFailures"]:
        raise RuntimeError(f"the drain left {len(report['batchItemFailures'])} messages")


def drain_queue(site: Site, batch: int = BATCH) -> Drained:
    """Empty the queue through the drain function."""
    messages = batches = 0
    while bodies := site.take_messages():
        for start in range(0, len(bodies), batch):
            drain(bodies[start : start + batch])
            batches += 1
        messages += len(bodies)
    return Drained(messages, batches)
