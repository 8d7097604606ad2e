"""The strict client takes and refuses what SQS does; the product's adapters run on it."""

import random
from typing import TYPE_CHECKING, Any, cast

import pytest
from botocore.exceptions import ClientError, ParamValidationError

from firstcome.adapters.sqs import SqsClaimQueue, SqsDeadLetters
from firstcome.domain.errors import QueueUnavailableError
from tests.factories import a_claim
from tests.fakes import FakeClock
from verify.fault_injection.strict_queue import StrictQueue
from verify.fault_injection.strict_sqs import BATCH_BYTES_MAX, MESSAGE_BYTES_MAX, StrictSqs

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

URL = "https://sqs.test/q"


@pytest.fixture
def queue() -> StrictQueue:
    return StrictQueue("q", FakeClock(), random.Random(1))


@pytest.fixture
def sqs(queue: StrictQueue) -> StrictSqs:
    return StrictSqs({URL: queue})


def code_of(error: pytest.ExceptionInfo[ClientError]) -> str:
    return error.value.response["Error"]["Code"].rsplit(".", 1)[-1]


def entries(count: int, body: str = "body") -> list[dict[str, Any]]:
    return [{"Id": str(number), "MessageBody": body} for number in range(count)]


def test_a_message_of_exactly_one_mebibyte_is_taken_and_one_byte_more_is_not(
    sqs: StrictSqs, queue: StrictQueue
) -> None:
    sqs.send_message(QueueUrl=URL, MessageBody="x" * MESSAGE_BYTES_MAX)
    with pytest.raises(ClientError) as caught:
        sqs.send_message(QueueUrl=URL, MessageBody="x" * (MESSAGE_BYTES_MAX + 1))
    assert code_of(caught) == "InvalidParameterValue"
    assert queue.exact_count() == 1


def test_attributes_count_as_bytes(sqs: StrictSqs) -> None:
    attributes = {"reason": {"DataType": "String", "StringValue": "not_json"}}
    with pytest.raises(ClientError):
        sqs.send_message(QueueUrl=URL, MessageBody="x" * MESSAGE_BYTES_MAX, MessageAttributes=attributes)


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ([], "EmptyBatchRequest"),
        (entries(11), "TooManyEntriesInBatchRequest"),
        ([*entries(1), *entries(1)], "BatchEntryIdsNotDistinct"),
        ([{"Id": "a b", "MessageBody": "x"}], "InvalidBatchEntryId"),
        (entries(2, "x" * (BATCH_BYTES_MAX // 2 + 1)), "BatchRequestTooLong"),
    ],
)
def test_a_batch_that_breaks_a_rule_is_refused_as_a_whole(
    sqs: StrictSqs, queue: StrictQueue, given: list[dict[str, Any]], code: str
) -> None:
    with pytest.raises(ClientError) as caught:
        sqs.send_message_batch(QueueUrl=URL, Entries=given)
    assert code_of(caught) == code
    assert queue.exact_count() == 0


def test_each_entry_of_a_batch_has_its_own_outcome(sqs: StrictSqs, queue: StrictQueue) -> None:
    sqs.refuses = lambda body: body == "bad"
    reply = sqs.send_message_batch(
        QueueUrl=URL, Entries=[*entries(2), {"Id": "x", "MessageBody": "bad"}, {"Id": "y", "MessageBody": "\0"}]
    )
    assert [entry["Id"] for entry in reply["Successful"]] == ["0", "1"]
    assert [(entry["Id"], entry["Code"]) for entry in reply["Failed"]] == [
        ("x", "InternalError"),
        ("y", "InvalidMessageContents"),
    ]
    assert queue.exact_count() == 2


def test_unknown_parameters_and_unknown_queues_are_errors(sqs: StrictSqs) -> None:
    with pytest.raises(ParamValidationError):
        sqs.send_message(QueueUrl=URL, Body="body")
    with pytest.raises(ClientError) as caught:
        sqs.send_message(QueueUrl="https://sqs.test/other", MessageBody="body")
    assert code_of(caught) == "NonExistentQueue"


class TestAdapters:
    def test_claims_are_sent_in_batches_that_sqs_takes(self, sqs: StrictSqs, queue: StrictQueue) -> None:
        claims = [a_claim("demo", sequence) for sequence in range(1, 26)]
        adapter = SqsClaimQueue(cast("SQSClient", sqs), URL)
        assert adapter.send_all(claims) == claims
        assert adapter.count() == queue.exact_count() == 25

    def test_large_unreadable_messages_are_buried_in_batches_that_sqs_takes(
        self, sqs: StrictSqs, queue: StrictQueue
    ) -> None:
        adapter = SqsDeadLetters(cast("SQSClient", sqs), URL)
        messages = {str(number): ("x" * 300_000, "not_json") for number in range(12)}
        assert adapter.send(messages) == set(messages)
        assert {message.attributes["reason"] for message in queue.all()} == {"not_json"}
        assert adapter.count() == 12

    def test_a_refusal_is_unavailable(self, sqs: StrictSqs) -> None:
        with pytest.raises(QueueUnavailableError):
            SqsClaimQueue(cast("SQSClient", sqs), "https://sqs.test/other").count()
