"""The endpoint that answers at once answers as SQS does, to the client that everybody uses."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import boto3
import pytest

from bench.campaigns import QUEUE_PATH
from bench.instant_sqs import answer, start_instant_sqs
from local.processes import Processes
from local.workspace import Workspace

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


@pytest.fixture
def address(processes: Processes, workspace: Workspace) -> Iterator[str]:
    """The running endpoint."""
    yield start_instant_sqs(processes, workspace)
    processes.forget("instant-sqs")


@pytest.fixture
def client(address: str) -> "SQSClient":
    """A client of it."""
    return boto3.client(
        "sqs",
        endpoint_url=address,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


def test_it_confirms_messages(client: "SQSClient", address: str) -> None:
    reply = client.send_message(QueueUrl=address + QUEUE_PATH, MessageBody="claim")
    assert reply["MD5OfMessageBody"] == "449002f8bf705eba132a38364982f6e7"
    batch = client.send_message_batch(
        QueueUrl=address + QUEUE_PATH, Entries=[{"Id": str(n), "MessageBody": "x" * 1_000} for n in range(10)]
    )
    assert [entry["Id"] for entry in batch["Successful"]] == [str(n) for n in range(10)]


def test_it_refuses_what_it_does_not_know() -> None:
    reply = answer(b"POST / HTTP/1.1\r\nX-Amz-Target: AmazonSQS.PurgeQueue\r\nContent-Length: 2\r\n\r\n{}")
    assert reply.startswith(b"HTTP/1.1 400 ")
