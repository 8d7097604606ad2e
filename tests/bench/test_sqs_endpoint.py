"""The bench's SQS endpoint: boto3 accepts its answers, and what was sent can be taken."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError

from bench.harness.sqs_endpoint import COUNTS, SECRET_VARIABLE, TAKE
from local.services.ports import HOST, free_port, is_free
from local.services.processes import ROOT

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

SECRET = '{"username": "ann", "password": "x"}'


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """An endpoint of the test run."""
    port = free_port()
    environment = {**os.environ, SECRET_VARIABLE: SECRET}
    with subprocess.Popen(
        [sys.executable, "-m", "bench.harness.sqs_endpoint", str(port)], env=environment, cwd=ROOT
    ) as endpoint:
        while is_free(port):
            time.sleep(0.02)
        yield port
        endpoint.kill()


@pytest.fixture
def sqs(port: int) -> Iterator[SQSClient]:
    take(port)
    client: SQSClient = boto3.client("sqs", **options(port))
    yield client
    client.close()


def options(port: int) -> dict[str, Any]:
    return {
        "endpoint_url": f"http://{HOST}:{port}",
        "region_name": "eu-west-1",
        "aws_access_key_id": "local",
        "aws_secret_access_key": "local",
    }


def ask(port: int, path: str) -> dict[str, object]:
    connection = http.client.HTTPConnection(HOST, port)
    connection.request("GET", path)
    reply: dict[str, object] = json.loads(connection.getresponse().read())
    connection.close()
    return reply


def take(port: int) -> object:
    return ask(port, TAKE)["bodies"]


def test_boto3_accepts_the_answer_to_a_send(sqs: SQSClient, port: int) -> None:
    reply = sqs.send_message(QueueUrl=f"http://{HOST}:{port}/0/claims", MessageBody='{"a":"ü"}')

    # boto3 compares the digest itself, and raises when it differs.
    assert reply["MD5OfMessageBody"]
    assert reply["MessageId"]
    assert take(port) == ['{"a":"ü"}']


def test_boto3_accepts_the_answer_to_a_batch(sqs: SQSClient, port: int) -> None:
    entries = [{"Id": str(number), "MessageBody": f"body {number}"} for number in range(10)]
    reply = sqs.send_message_batch(QueueUrl=f"http://{HOST}:{port}/0/claims", Entries=entries)  # type: ignore[arg-type]

    assert [entry["Id"] for entry in reply["Successful"]] == [str(number) for number in range(10)]
    assert "Failed" not in reply
    assert take(port) == [f"body {number}" for number in range(10)]


def test_what_was_taken_is_gone(sqs: SQSClient, port: int) -> None:
    sqs.send_message(QueueUrl=f"http://{HOST}:{port}/0/claims", MessageBody="once")

    assert take(port) == ["once"]
    assert take(port) == []


def test_it_keeps_a_connection_and_counts_calls(sqs: SQSClient, port: int) -> None:
    before = ask(port, COUNTS).get("SendMessage", 0)
    for _ in range(3):
        sqs.send_message(QueueUrl=f"http://{HOST}:{port}/0/claims", MessageBody="x" * 10_000)

    assert isinstance(before, int)
    assert ask(port, COUNTS)["SendMessage"] == before + 3


def test_requests_that_come_in_pieces_or_together_are_answered(port: int) -> None:
    request = b"GET " + COUNTS.encode() + b" HTTP/1.1\r\nHost: x\r\n\r\n"

    with socket.create_connection((HOST, port), timeout=5) as connection:
        for part in (request[:7], request[7:] + request + request[:9], request[9:]):
            connection.sendall(part)
            time.sleep(0.02)
        received = b""
        while received.count(b"HTTP/1.1 200 OK") < 3:
            received += connection.recv(65_536)


def test_it_tells_the_one_secret(port: int) -> None:
    client = boto3.client("secretsmanager", **options(port))

    assert client.get_secret_value(SecretId="mysql")["SecretString"] == SECRET
    client.close()


def test_it_refuses_what_it_does_not_know(sqs: SQSClient, port: int) -> None:
    with pytest.raises(ClientError, match="UnsupportedOperation"):
        sqs.purge_queue(QueueUrl=f"http://{HOST}:{port}/0/claims")
