"""A standard SQS queue that keeps only the promises AWS makes, on a clock of its own, and the API of such queues.

It delivers at least once, in no order, counts receives, hides what was received for the visibility timeout, and moves
what was received too often to its dead-letter queue. The rules: docs.aws.amazon.com/AWSSimpleQueueService, "Standard
queues", "Visibility timeout", "Dead-letter queues". What chance decides comes from one generator, so a run repeats from
its seed.
"""

from __future__ import annotations

import hashlib
import heapq
import itertools
import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from firstcome.domain.times import Millis
from firstcome.service.ports import Clock

BATCH_MAX = 10
BYTES_MAX = 1_048_576
"""Of a message, and of a batch, attributes included."""


@dataclass
class Message:
    """A message in a queue.

    Attributes:
        receipt: what the latest receive gave out; only that one deletes.
    """

    message_id: str
    body: str
    attributes: Mapping[str, str]
    visible_at: Millis = 0
    receive_count: int = 0
    receipt: str = ""
    is_waiting: bool = False
    is_deleted: bool = False
    has_returned: bool = False


@dataclass(frozen=True)
class QueueRules:
    """How a queue is set up, and how unkind it is within what AWS allows.

    Attributes:
        max_receives: receives after which a message goes to the dead-letter queue instead; None for never.
        duplicate_rate: how often a message is handed out twice, or comes back once although it was deleted.
    """

    visibility_ms: int = 180_000
    max_receives: int | None = None
    duplicate_rate: float = 0.0


@dataclass
class StandardQueue:
    """One standard queue."""

    name: str
    clock: Clock
    random: random.Random
    rules: QueueRules = field(default_factory=QueueRules)
    dead_letters: StandardQueue | None = None

    def __post_init__(self) -> None:
        self._waiting: list[Message] = []
        self._hidden: list[tuple[Millis, int, Message]] = []
        self._by_receipt: dict[str, Message] = {}
        self._numbers = itertools.count(1)

    def send(self, body: str, attributes: Mapping[str, str] | None = None) -> str:
        """Take a message; returns its id."""
        message = Message(f"{self.name}-{next(self._numbers)}", body, dict(attributes or {}))
        self._put(message)
        return message.message_id

    def receive(self, at_most: int) -> list[Message]:
        """Hand out messages in no order, each with a fresh receipt; a message is never twice in one answer."""
        self._wake()
        found: list[Message] = []
        twice: list[Message] = []
        while self._waiting and len(found) < at_most:
            message = self._take_any()
            if message.is_deleted:
                continue
            if self.rules.max_receives is not None and message.receive_count >= self.rules.max_receives:
                if self.dead_letters is not None:
                    self.dead_letters._put(replace(message, receive_count=0, receipt="", visible_at=0))
                continue
            found.append(self._hand_out(message))
            if self._is_unlucky():
                twice.append(message)
        for message in twice:
            self._put(message)
        return found

    def delete(self, receipt: str) -> None:
        """Delete by receipt. An outdated receipt is answered with success and deletes nothing."""
        message = self._by_receipt.pop(receipt, None)
        if message is None or message.receipt != receipt:
            return
        if not message.has_returned and self._is_unlucky():
            # The server that was away when the message was deleted still has it: it comes back, once.
            message.has_returned = True
            return
        message.is_deleted = True

    def hide(self, receipt: str, milliseconds: int) -> bool:
        """Hide a delivery until so long from now; False when it is no longer hidden."""
        self._wake()
        message = self._by_receipt.get(receipt)
        if message is None or message.receipt != receipt or message.is_waiting or message.is_deleted:
            return False
        self._hide(message, milliseconds)
        return True

    def purge(self) -> None:
        """Lose every message."""
        self._waiting, self._hidden, self._by_receipt = [], [], {}

    def counts(self) -> tuple[int, int]:
        """Return how many messages are waiting, and received but not deleted."""
        self._wake()
        waiting = {id(message) for message in self._waiting if not message.is_deleted}
        hidden = {id(message) for _, _, message in self._hidden if not message.is_deleted} - waiting
        return len(waiting), len(hidden)

    def all(self) -> list[Message]:
        """Return all messages, which AWS would not."""
        living = [*self._waiting, *(message for _, _, message in self._hidden)]
        return list({id(message): message for message in living if not message.is_deleted}.values())

    def next_visible_at(self) -> Millis | None:
        """Return when there may be something to receive: now, or when the next visibility timeout ends."""
        self._wake()
        if self._waiting:
            return self.clock.now()
        return self._hidden[0][0] if self._hidden else None

    def _hand_out(self, message: Message) -> Message:
        message.receive_count += 1
        message.receipt = f"{message.message_id}:{message.receive_count}:{next(self._numbers)}"
        self._by_receipt[message.receipt] = message
        self._hide(message, self.rules.visibility_ms)
        # A copy: what the receiver holds does not change with the next receive.
        return replace(message)

    def _hide(self, message: Message, milliseconds: int) -> None:
        message.visible_at = self.clock.now() + milliseconds
        heapq.heappush(self._hidden, (message.visible_at, next(self._numbers), message))

    def _wake(self) -> None:
        """Make what was not deleted in time visible again."""
        while self._hidden and self._hidden[0][0] <= self.clock.now():
            visible_at, _, message = heapq.heappop(self._hidden)
            # Of a message that was hidden more than once, the latest time counts.
            if message.visible_at == visible_at and not message.is_deleted:
                self._put(message)

    def _put(self, message: Message) -> None:
        if not message.is_waiting:
            message.is_waiting = True
            self._waiting.append(message)

    def _take_any(self) -> Message:
        index = self.random.randrange(len(self._waiting))
        self._waiting[index], self._waiting[-1] = self._waiting[-1], self._waiting[index]
        message = self._waiting.pop()
        message.is_waiting = False
        return message

    def _is_unlucky(self) -> bool:
        return self.rules.duplicate_rate > 0 and self.random.random() < self.rules.duplicate_rate


class AwsError(Exception):
    """AWS refuses a call: HTTP status and code."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(f"{status} {code}")
        self.status, self.code = status, code


@dataclass
class SqsApi:
    """Answers the operations of SQS that the product uses, as the JSON protocol has them. Raises `AwsError`."""

    queues: Mapping[str, StandardQueue]

    def answer(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Answer one request."""
        queue = self.queues.get(parameters["QueueUrl"])
        if queue is None:
            raise AwsError(400, "AWS.SimpleQueueService.NonExistentQueue")
        entries = parameters.get("Entries", [parameters])
        size = sum(_bytes_of(entry) for entry in entries)
        if len(entries) > BATCH_MAX or size > BYTES_MAX or len({entry.get("Id") for entry in entries}) < len(entries):
            raise AwsError(400, "AWS.SimpleQueueService.BatchRequestTooLong")
        if operation == "SendMessage":
            return _sent(queue, parameters)
        if operation == "SendMessageBatch":
            return {"Successful": [{"Id": entry["Id"], **_sent(queue, entry)} for entry in entries]}
        if operation == "ChangeMessageVisibilityBatch":
            return _hidden(queue, entries)
        if operation == "GetQueueAttributes":
            counts = zip(("", "NotVisible", "Delayed"), (*queue.counts(), 0), strict=True)
            return {"Attributes": {f"ApproximateNumberOfMessages{name}": str(count) for name, count in counts}}
        raise AwsError(400, "UnknownOperation")


def _sent(queue: StandardQueue, parameters: Mapping[str, Any]) -> dict[str, Any]:
    body = parameters["MessageBody"]
    attributes = {name: part["StringValue"] for name, part in parameters.get("MessageAttributes", {}).items()}
    digest = hashlib.md5(body.encode(), usedforsecurity=False).hexdigest()
    return {"MessageId": queue.send(body, attributes), "MD5OfMessageBody": digest}


def _hidden(queue: StandardQueue, entries: list[Mapping[str, Any]]) -> dict[str, Any]:
    reply: dict[str, list[dict[str, Any]]] = {"Successful": [], "Failed": []}
    for entry in entries:
        is_done = queue.hide(entry["ReceiptHandle"], entry["VisibilityTimeout"] * 1_000)
        reply["Successful" if is_done else "Failed"].append({"Id": entry["Id"], "Code": "", "SenderFault": True})
    return reply


def _bytes_of(entry: Mapping[str, Any]) -> int:
    """Count a message's bytes: its attributes count as well, with name, type and value."""
    size = len(entry.get("MessageBody", "").encode())
    for name, part in entry.get("MessageAttributes", {}).items():
        size += len(f"{name}{part['DataType']}{part['StringValue']}".encode())
    return size
