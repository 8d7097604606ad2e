"""The claim queue and the dead-letter queue on SQS, in batches; single claims go by `sqs_sender`."""

from collections.abc import Mapping, Sequence
from itertools import batched
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from firstcome.domain.claim import Claim
from firstcome.domain.errors import QueueUnavailableError
from firstcome.domain.message import to_body

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import (
        ChangeMessageVisibilityBatchRequestEntryTypeDef,
        SendMessageBatchRequestEntryTypeDef,
    )

_BATCH_AT_MOST = 10
"""Messages SQS takes in one SendMessageBatch."""

_BODY_BYTES = 1_048_576 - 1_024
"""Bytes of a dead letter's body: SQS takes 1 MiB for a message, and as much for a batch, the attributes included."""

_LETTER_BYTES = 512
"""Bytes counted for a dead letter's attributes."""


class SqsClaimQueue:
    """Implements `ports.ClaimQueue`."""

    def __init__(self, client: "SQSClient", queue_url: str) -> None:
        self._client = client
        self._queue_url = queue_url

    def send_all(self, claims: Sequence[Claim]) -> list[Claim]:
        """Implement `ClaimQueue.send_all`. Ends at the first batch that fails as a whole; raises if it is the first."""
        sent: list[Claim] = []
        for batch in batched(claims, _BATCH_AT_MOST, strict=False):
            entries: list[SendMessageBatchRequestEntryTypeDef] = [
                {"Id": str(index), "MessageBody": to_body(claim)} for index, claim in enumerate(batch)
            ]
            try:
                confirmed = _send_batch(self._client, self._queue_url, entries)
            except QueueUnavailableError:
                if not sent:
                    raise
                break
            sent.extend(claim for index, claim in enumerate(batch) if str(index) in confirmed)
        return sent

    def count(self) -> int:
        """Implement `ClaimQueue.count`."""
        return _count(self._client, self._queue_url)

    def delay(self, seconds: Mapping[str, int]) -> None:
        """Implement `ClaimQueue.delay`. A receipt that is no longer the message's newest changes nothing."""
        for batch in batched(seconds.items(), _BATCH_AT_MOST, strict=False):
            entries: list[ChangeMessageVisibilityBatchRequestEntryTypeDef] = [
                {"Id": str(index), "ReceiptHandle": receipt, "VisibilityTimeout": hidden}
                for index, (receipt, hidden) in enumerate(batch)
            ]
            try:
                self._client.change_message_visibility_batch(QueueUrl=self._queue_url, Entries=entries)
            except (BotoCoreError, ClientError) as exc:
                raise QueueUnavailableError("the queue did not take a delay") from exc


class SqsDeadLetters:
    """Implements `ports.DeadLetters`."""

    def __init__(self, client: "SQSClient", queue_url: str) -> None:
        self._client = client
        self._queue_url = queue_url

    def send(self, messages: Mapping[str, tuple[str, str]]) -> set[str]:
        """Implement `DeadLetters.bury`. The message keeps its body and gains `reason` and `original_message_id`.

        A body that would leave no room for those is cut: it is unreadable either way, and must not come back for ever.
        Ends at the first batch that fails as a whole; raises if that is the first.
        """
        buried: set[str] = set()
        for batch in _by_size(messages):
            entries: list[SendMessageBatchRequestEntryTypeDef] = [
                {
                    "Id": str(index),
                    "MessageBody": body,
                    "MessageAttributes": {
                        "reason": {"DataType": "String", "StringValue": reason},
                        "original_message_id": {"DataType": "String", "StringValue": message_id},
                    },
                }
                for index, (message_id, body, reason) in enumerate(batch)
            ]
            try:
                confirmed = _send_batch(self._client, self._queue_url, entries)
            except QueueUnavailableError:
                if not buried:
                    raise
                break
            buried.update(message_id for index, (message_id, _, _) in enumerate(batch) if str(index) in confirmed)
        return buried

    def count(self) -> int:
        """Implement `DeadLetters.count`."""
        return _count(self._client, self._queue_url)


def _send_batch(
    client: "SQSClient", queue_url: str, entries: Sequence["SendMessageBatchRequestEntryTypeDef"]
) -> set[str]:
    """Send one batch; returns the ids SQS confirmed. HTTP 200 says nothing: each entry has its own outcome."""
    try:
        reply = client.send_message_batch(QueueUrl=queue_url, Entries=entries)
    except (BotoCoreError, ClientError) as exc:
        raise QueueUnavailableError("the queue did not confirm a batch") from exc
    return {entry["Id"] for entry in reply.get("Successful", [])}


def _by_size(messages: Mapping[str, tuple[str, str]]) -> list[list[tuple[str, str, str]]]:
    """Cut messages into batches that SQS takes, by number and by bytes."""
    batches: list[list[tuple[str, str, str]]] = []
    size = 0
    for message_id, (body, reason) in messages.items():
        kept = body.encode(errors="replace")[:_BODY_BYTES].decode(errors="ignore")
        bytes_more = len(kept.encode()) + _LETTER_BYTES
        if not batches or len(batches[-1]) == _BATCH_AT_MOST or size + bytes_more > _BODY_BYTES + _LETTER_BYTES:
            batches.append([])
            size = 0
        batches[-1].append((message_id, kept, reason))
        size += bytes_more
    return batches


def _count(client: "SQSClient", queue_url: str) -> int:
    try:
        reply = client.get_queue_attributes(
            QueueUrl=queue_url,
            AttributeNames=[
                "ApproximateNumberOfMessages",
                "ApproximateNumberOfMessagesNotVisible",
                "ApproximateNumberOfMessagesDelayed",
            ],
        )
    except (BotoCoreError, ClientError) as exc:
        raise QueueUnavailableError("the queue did not tell its depth") from exc
    return sum(int(number) for number in reply["Attributes"].values())
