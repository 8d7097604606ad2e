"""The functions themselves, called as Lambda calls them, in the process at hand."""

from __future__ import annotations

import json
import logging
import os
import uuid
from collections.abc import Mapping, Sequence
from functools import cache
from http import HTTPStatus
from typing import Any

import functions.admin.app
import functions.apply.app
import functions.drain.app
from bench.harness.servers import Servers
from firstcome import bootstrap
from local.services.processes import ROOT

BATCH = 1_000
UNLIMITED = 100_000
"""Rows per second: the most that DRAIN_ROWS_PER_SECOND takes."""


class Context:
    """The part of Lambda's context that the functions use."""

    aws_request_id = "4a139212-e867-487c-8235-eae586eba0be"
    function_name = "bench"

    def get_remaining_time_in_millis(self) -> int:
        """As at the start of the drain."""
        return 30_000


CONTEXT = Context()


def become_environment(servers: Servers, rows_per_second: int = 500) -> None:
    """Turn this process into an environment of the functions on these servers; if it is one, it stays warm."""
    variables = servers.environment(rows_per_second)
    if variables.items() <= os.environ.items():
        return
    os.environ.update(variables)
    for builder in vars(bootstrap).values():
        if hasattr(builder, "cache_clear"):
            builder.cache_clear()
    # The drain logs one line per batch, which must not go to the terminal.
    logging.disable(logging.WARNING)


def new_user() -> str:
    """A user who is new to every campaign."""
    return str(uuid.uuid4())


@cache
def _template(name: str, campaign_id: str) -> dict[str, Any]:
    text = (ROOT / "events" / f"{name}.json").read_text(encoding="utf-8")
    event: dict[str, Any] = json.loads(text.replace("demo", campaign_id))
    return event


def an_apply_event(campaign_id: str, user_id: str) -> dict[str, Any]:
    """The event of a user who applies, as API Gateway sends it."""
    event = _template("apply", campaign_id)
    context = event["requestContext"]
    claims = {**context["authorizer"]["jwt"]["claims"], "sub": user_id}
    return {**event, "requestContext": {**context, "authorizer": {"jwt": {"claims": claims, "scopes": None}}}}


def answer(event: Mapping[str, Any]) -> dict[str, Any]:
    """Send an event to the apply function; returns its answer."""
    return functions.apply.app.lambda_handler(event, CONTEXT)


def apply(event: Mapping[str, Any]) -> int:
    """Send an event to the apply function; returns the status."""
    status: int = functions.apply.app.lambda_handler(event, CONTEXT)["statusCode"]
    return status


def put_campaign(campaign_id: str, capacity: int, closes_at: str = "2099-01-01T00:00:00Z") -> None:
    """Make a campaign that opened long ago, or change its capacity, by the admin function."""
    body = {"name": "Bench", "capacity": capacity, "opens_at": "2020-01-01T00:00:00Z", "closes_at": closes_at}
    event = _template("put-campaign", campaign_id) | {"body": json.dumps(body)}
    answer = functions.admin.app.lambda_handler(event, CONTEXT)
    if answer["statusCode"] not in (HTTPStatus.CREATED, HTTPStatus.OK):
        raise RuntimeError(f"the campaign was not made: {answer['statusCode']} {answer['body']}")


def migrate() -> None:
    """Make the ledger's tables, by the admin function."""
    functions.admin.app.lambda_handler({"action": "migrate"}, CONTEXT)


def an_sqs_event(bodies: Sequence[str]) -> dict[str, Any]:
    """The event by which SQS gives messages to the drain."""
    (record,) = _template("drain", "")["Records"]
    return {"Records": [record | {"messageId": str(number), "body": body} for number, body in enumerate(bodies)]}


def drain(event: dict[str, Any]) -> None:
    """Send an event to the drain function, which must take all of it."""
    report = functions.drain.app.lambda_handler(event, CONTEXT)
    if report["batchItemFailures"]:
        raise RuntimeError(f"the drain left {len(report['batchItemFailures'])} messages")


def drain_queue(servers: Servers) -> None:
    """Empty the queue through the drain function."""
    while bodies := servers.take_messages():
        for start in range(0, len(bodies), BATCH):
            drain(an_sqs_event(bodies[start : start + BATCH]))
