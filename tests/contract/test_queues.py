"""What any claim queue and dead-letter queue must do: the same tests on SQS (by moto) and on the fakes in memory."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import boto3
import pytest
from moto import mock_aws

from firstcome.adapters.sqs import SqsClaimQueue, SqsDeadLetters
from firstcome.domain.claim import Claim
from firstcome.domain.message import from_body
from firstcome.service.ports import ClaimQueue, DeadLetters
from tests.factories import a_claim
from tests.fakes import MemoryDeadLetters, MemoryQueue

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef


class MemoryWorld:
    """The fakes."""

    def __init__(self) -> None:
        self.queue: ClaimQueue = MemoryQueue()
        self.dead_letters: DeadLetters = MemoryDeadLetters()

    def queued(self) -> list[Claim]:
        assert isinstance(self.queue, MemoryQueue)
        return self.queue.sent

    def receipts(self) -> list[str]:
        return [str(number) for number in range(len(self.queued()))]

    def buried(self) -> dict[str, tuple[str, str]]:
        assert isinstance(self.dead_letters, MemoryDeadLetters)
        return self.dead_letters.buried


class SqsWorld:
    """The adapters on moto's SQS."""

    def __init__(self, client: "SQSClient") -> None:
        self.client = client
        self.queue_url = client.create_queue(QueueName="claims")["QueueUrl"]
        self.dead_letter_url = client.create_queue(QueueName="dead-letters")["QueueUrl"]
        self.queue: ClaimQueue = SqsClaimQueue(client, self.queue_url)
        self.dead_letters: DeadLetters = SqsDeadLetters(client, self.dead_letter_url)

    def queued(self) -> list[Claim]:
        return [from_body(message["Body"]) for message in self._receive_all(self.queue_url)]

    def receipts(self) -> list[str]:
        return [message["ReceiptHandle"] for message in self._receive_all(self.queue_url)]

    def buried(self) -> dict[str, tuple[str, str]]:
        found = {}
        for message in self._receive_all(self.dead_letter_url):
            attributes = message["MessageAttributes"]
            message_id = attributes["original_message_id"]["StringValue"]
            found[message_id] = (message["Body"], attributes["reason"]["StringValue"])
        return found

    def _receive_all(self, url: str) -> list["MessageTypeDef"]:
        found: list[MessageTypeDef] = []
        while True:
            reply = self.client.receive_message(QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"])
            if not reply.get("Messages"):
                return found
            found += reply["Messages"]


@pytest.fixture(params=["memory", "sqs"])
def world(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[MemoryWorld | SqsWorld]:
    """Both worlds, one after the other, with empty queues."""
    if request.param == "memory":
        yield MemoryWorld()
        return
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    with mock_aws():
        yield SqsWorld(boto3.client("sqs", region_name="us-east-1"))


def test_a_claim_arrives_as_it_was_sent(world: MemoryWorld | SqsWorld) -> None:
    claim = a_claim("demo", 1, "änn 💥 \\\"'")

    assert world.queue.send_all([claim]) == [claim]

    assert world.queued() == [claim]


@pytest.mark.parametrize("count", [0, 1, 10, 11, 35])
def test_any_number_of_claims_is_sent_and_confirmed(world: MemoryWorld | SqsWorld, count: int) -> None:
    claims = [a_claim("demo", sequence) for sequence in range(1, count + 1)]

    assert world.queue.send_all(claims) == claims

    assert sorted(world.queued(), key=lambda claim: claim.sequence) == claims


def test_a_delivery_that_is_delayed_comes_back_sooner_than_the_queue_would_bring_it(
    world: MemoryWorld | SqsWorld,
) -> None:
    """moto knows the new timeout only by what it hands out: with a delay of 0, at once."""
    claims = [a_claim("demo", sequence) for sequence in range(1, 12)]
    world.queue.send_all(claims)
    receipts = world.receipts()

    world.queue.delay(dict.fromkeys(receipts, 0))

    assert len(receipts) == len(world.queued()) == 11


@pytest.mark.parametrize("count", [1, 11])
def test_dead_letters_keep_their_body_and_gain_a_reason(world: MemoryWorld | SqsWorld, count: int) -> None:
    messages = {f"id-{number}": (f"rubbish {number}", "not_json") for number in range(count)}

    assert world.dead_letters.send(messages) == set(messages)

    assert world.dead_letters.count() == count
    assert world.buried() == messages


def test_a_dead_letter_as_large_as_a_message_may_be_does_not_come_back_for_ever(world: MemoryWorld | SqsWorld) -> None:
    body = "é" * (1_048_576 // 2)

    assert world.dead_letters.send({"id": (body, "not_json")}) == {"id"}

    (kept, reason) = world.buried()["id"]
    assert reason == "not_json"
    assert body.startswith(kept)
    assert len(kept) > 500_000


def test_large_dead_letters_are_sent_apart(world: MemoryWorld | SqsWorld) -> None:
    messages = {f"id-{number}": ("x" * 400_000, "not_json") for number in range(4)}

    assert world.dead_letters.send(messages) == set(messages)

    assert world.buried() == messages


def test_a_dead_letter_with_half_a_surrogate_pair_is_still_buried(world: MemoryWorld | SqsWorld) -> None:
    assert world.dead_letters.send({"id": ("half \ud800 a pair", "not_json")}) == {"id"}
