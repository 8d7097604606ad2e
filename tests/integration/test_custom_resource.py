"""CloudFormation's question about the migration, and the answer that arrives where it waits."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest

from firstcome.adapters.cloudformation import answer, is_question
from firstcome.domain.errors import LedgerSchemaError


@dataclass
class _Answers:
    """Where CloudFormation waits: a server that keeps what is put there."""

    url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    content_types: list[str] = field(default_factory=list)


@pytest.fixture
def answers() -> Iterator[_Answers]:
    """A place for answers, on this machine."""
    found = _Answers()

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            found.content_types.append(self.headers.get("Content-Type", ""))
            found.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        found.url = f"http://127.0.0.1:{server.server_port}/signed?Signature=x"
        yield found
        server.shutdown()
        thread.join()


def _question(answers: _Answers, request: str, **more: str) -> dict[str, Any]:
    return {
        "RequestType": request,
        "ResponseURL": answers.url,
        "StackId": "stack",
        "RequestId": "request",
        "LogicalResourceId": "Migration",
        **more,
    }


def _nothing() -> None:
    """Succeed."""


def test_work_that_is_done_is_told(answers: _Answers) -> None:
    answer(_question(answers, "Create"), _nothing)
    assert answers.bodies == [
        {
            "Status": "SUCCESS",
            "Reason": "",
            "PhysicalResourceId": "Migration",
            "StackId": "stack",
            "RequestId": "request",
            "LogicalResourceId": "Migration",
        }
    ]
    # The address is signed for an answer without one.
    assert answers.content_types == [""]


def test_a_failure_is_told_with_its_sentence(answers: _Answers) -> None:
    def fail() -> None:
        raise LedgerSchemaError("the database shop has a table named coupon")

    answer(_question(answers, "Update", PhysicalResourceId="as before"), fail)
    (body,) = answers.bodies
    assert (body["Status"], body["PhysicalResourceId"]) == ("FAILED", "as before")
    assert body["Reason"] == "LedgerSchemaError: the database shop has a table named coupon"


def test_a_long_failure_fits_into_an_answer(answers: _Answers) -> None:
    def fail() -> None:
        raise ValueError("x" * 10_000)

    answer(_question(answers, "Create"), fail)
    assert len(json.dumps(answers.bodies[0])) < 4_096


def test_a_deletion_does_nothing_and_says_so(answers: _Answers) -> None:
    done: list[str] = []
    answer(_question(answers, "Delete", PhysicalResourceId="Migration"), lambda: done.append("work"))
    assert (done, answers.bodies[0]["Status"]) == ([], "SUCCESS")


def test_a_request_of_the_api_is_no_question() -> None:
    assert not is_question({"routeKey": "PUT /campaigns/{campaign_id}", "body": '{"RequestType":"Create"}'})
