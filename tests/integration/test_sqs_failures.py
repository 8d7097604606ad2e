"""SQS answers that are not a plain yes."""

from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import EndpointConnectionError
from botocore.stub import ANY, Stubber

from firstcome.adapters.sqs import SqsClaimQueue, SqsDeadLetters
from firstcome.domain.errors import QueueUnavailableError
from tests.factories import a_claim

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

URL = "http://127.0.0.1:9/000000000000/claims"


@pytest.fixture
def client() -> "SQSClient":
    """A client whose answers are given by hand; its address leads nowhere."""
    return boto3.client(
        "sqs",
        region_name="us-east-1",
        endpoint_url="http://127.0.0.1:9",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}),
    )


def test_claims_that_a_batch_fails_for_do_not_count_as_sent(client: "SQSClient") -> None:
    claims = [a_claim("demo", sequence) for sequence in (1, 2, 3)]
    with Stubber(client) as stub:
        stub.add_response(
            "send_message_batch",
            {
                "Successful": [
                    {"Id": index, "MessageId": "m", "MD5OfMessageBody": "d41d8cd98f00b204e9800998ecf8427e"}
                    for index in ("0", "2")
                ],
                "Failed": [{"Id": "1", "SenderFault": False, "Code": "InternalError"}],
            },
            {"QueueUrl": URL, "Entries": ANY},
        )

        assert SqsClaimQueue(client, URL).send_all(claims) == [claims[0], claims[2]]


def test_what_was_sent_before_a_failing_batch_counts_as_sent(client: "SQSClient") -> None:
    claims = [a_claim("demo", sequence) for sequence in range(1, 21)]
    taken = [{"Id": str(index), "MessageId": "m", "MD5OfMessageBody": "d" * 32} for index in range(10)]
    with Stubber(client) as stub:
        stub.add_response("send_message_batch", {"Successful": taken, "Failed": []})
        stub.add_client_error("send_message_batch", service_error_code="RequestThrottled")

        assert SqsClaimQueue(client, URL).send_all(claims) == claims[:10]


def test_letters_buried_before_a_failing_batch_count_as_buried(client: "SQSClient") -> None:
    letters = {f"id-{number:02}": ("rubbish", "not_json") for number in range(20)}
    taken = [{"Id": str(index), "MessageId": "m", "MD5OfMessageBody": "d" * 32} for index in range(10)]
    with Stubber(client) as stub:
        stub.add_response("send_message_batch", {"Successful": taken, "Failed": []})
        stub.add_client_error("send_message_batch", service_error_code="RequestThrottled")

        assert SqsDeadLetters(client, URL).send(letters) == set(list(letters)[:10])


def test_a_first_batch_that_fails_is_unavailable(client: "SQSClient") -> None:
    with Stubber(client) as stub:
        stub.add_client_error("send_message_batch", service_error_code="RequestThrottled")

        with pytest.raises(QueueUnavailableError):
            SqsClaimQueue(client, URL).send_all([a_claim("demo", 1)])


def test_a_batch_of_which_all_fail_sends_nothing(client: "SQSClient") -> None:
    with Stubber(client) as stub:
        stub.add_response(
            "send_message_batch",
            {"Successful": [], "Failed": [{"Id": "0", "SenderFault": True, "Code": "InvalidMessageContents"}]},
            {"QueueUrl": URL, "Entries": ANY},
        )

        assert SqsDeadLetters(client, URL).send({"id": ("body", "not_json")}) == set()


@pytest.mark.parametrize("code", ["RequestThrottled", "AccessDenied", "AWS.SimpleQueueService.NonExistentQueue"])
def test_an_error_answer_is_unavailable(client: "SQSClient", code: str) -> None:
    with Stubber(client) as stub:
        stub.add_client_error("send_message_batch", service_error_code=code)

        with pytest.raises(QueueUnavailableError):
            SqsClaimQueue(client, URL).send_all([a_claim("demo", 1)])


def test_no_answer_is_unavailable_and_its_message_names_no_host(client: "SQSClient") -> None:
    with pytest.raises(QueueUnavailableError) as caught:
        SqsClaimQueue(client, URL).send_all([a_claim("demo", 1)])

    assert isinstance(caught.value.__cause__, EndpointConnectionError)
    assert "127.0.0.1" not in str(caught.value)
