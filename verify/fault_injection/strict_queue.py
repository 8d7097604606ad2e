"""A standard SQS queue that keeps only the promises AWS makes, on a clock of its own.

It delivers at least once, in no order, counts receives, hides what was received for the visibility timeout, and moves
what was received too often to its dead-letter queue. The rules: docs.aws.amazon.com/AWSSimpleQueueService,
"Standard queues", "Visibility timeout", "Dead-letter queues". The Lambda side is `strict_mapping`, the boto3 side
`strict_sqs`. Everything that chance decides comes from the one generator given, so a run repeats from its seed.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from firstcome.domain.times import Millis
from firstcome.service.ports import Clock

DAY_MS = 86_400_000


@dataclass
class Message:
    """A message in a queue.

    Attributes:
        first_sent_at: keeps its value in the dead-letter queue, where retention goes on counting from it.
        receipt: what the latest receive gave out; only that one deletes.
    """

    message_id: str
    body: str
    attributes: Mapping[str, str]
    first_sent_at: Millis
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
        count_lag_ms: how old the approximate counts are.
    """

    visibility_ms: int = 180_000
    retention_ms: int = 14 * DAY_MS
    max_receives: int | None = None
    duplicate_rate: float = 0.0
    count_lag_ms: int = 0


@dataclass
class StrictQueue:
    """One standard queue."""

    name: str
    clock: Clock
    random: random.Random
    rules: QueueRules = field(default_factory=QueueRules)
    dead_letters: StrictQueue | None = None
    received: int = 0
    duplicates: int = 0

    def __post_init__(self) -> None:
        self._waiting: list[Message] = []
        self._hidden: list[tuple[Millis, int, Message]] = []
        self._by_receipt: dict[str, Message] = {}
        self._numbers = 0
        self._counts: list[tuple[Millis, int, int]] = []

    def send(self, body: str, attributes: Mapping[str, str] | None = None) -> str:
        """Take a message; returns its id."""
        message_id = f"{self.name}-{self._next_number()}"
        self._put(Message(message_id, body, dict(attributes or {}), self.clock.now()))
        self._note_counts()
        return message_id

    def receive(self, at_most: int) -> list[Message]:
        """Hand out messages in no order, each with a fresh receipt; a message is never twice in one answer."""
        self._wake()
        found: list[Message] = []
        twice: list[Message] = []
        while self._waiting and len(found) < at_most:
            message = self._take_any()
            if message.is_deleted or self._is_expired(message):
                continue
            if self.rules.max_receives is not None and message.receive_count >= self.rules.max_receives:
                self._send_to_dead_letters(message)
                continue
            found.append(self._hand_out(message))
            if self._is_unlucky():
                self.duplicates += 1
                twice.append(message)
        for message in twice:
            self._put(message)
        self._note_counts()
        return found

    def delete(self, receipt: str) -> None:
        """Delete by receipt. An outdated receipt is answered with success and deletes nothing."""
        message = self._by_receipt.pop(receipt, None)
        if message is None or message.receipt != receipt:
            return
        if not message.has_returned and self._is_unlucky():
            # The server that was away when the message was deleted still has it: it comes back, once.
            message.has_returned = True
            self.duplicates += 1
            return
        message.is_deleted = True
        self._note_counts()

    def hide(self, receipt: str, hidden_ms: int) -> None:
        """Change how long a delivery stays hidden, from now on; an outdated receipt changes nothing."""
        message = self._by_receipt.get(receipt)
        if message is None or message.receipt != receipt:
            return
        message.visible_at = self.clock.now() + hidden_ms
        heapq.heappush(self._hidden, (message.visible_at, self._next_number(), message))

    def counts(self) -> tuple[int, int]:
        """Return about how many messages are waiting, and received but not deleted: as they were some time ago."""
        if not self.rules.count_lag_ms:
            return self._exact_counts()
        self._note_counts()
        told = (0, 0)
        for noted_at, waiting, hidden in self._counts:
            if noted_at <= self.clock.now() - self.rules.count_lag_ms:
                told = (waiting, hidden)
        return told

    def exact_count(self) -> int:
        """Return how many messages there really are. For tests: AWS does not tell."""
        return sum(self._exact_counts())

    def all(self) -> list[Message]:
        """Return all messages. For tests: AWS does not tell."""
        living = [*self._waiting, *(message for _, _, message in self._hidden)]
        return list({id(message): message for message in living if not message.is_deleted}.values())

    def next_visible_at(self) -> Millis | None:
        """Return when there may be something to receive: now, or when the next visibility timeout ends."""
        self._wake()
        if self._waiting:
            return self.clock.now()
        return self._hidden[0][0] if self._hidden else None

    def _hand_out(self, message: Message) -> Message:
        self.received += 1
        message.receive_count += 1
        message.receipt = f"{message.message_id}:{message.receive_count}:{self._next_number()}"
        message.visible_at = self.clock.now() + self.rules.visibility_ms
        self._by_receipt[message.receipt] = message
        heapq.heappush(self._hidden, (message.visible_at, self._numbers, message))
        # A copy: what the receiver holds does not change with the next receive.
        return replace(message)

    def _wake(self) -> None:
        """Make what nobody deleted in time visible again."""
        while self._hidden and self._hidden[0][0] <= self.clock.now():
            visible_at, _, message = heapq.heappop(self._hidden)
            # Of a message that was handed out twice, the latest receive counts.
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

    def _is_expired(self, message: Message) -> bool:
        return self.clock.now() - message.first_sent_at > self.rules.retention_ms

    def _send_to_dead_letters(self, message: Message) -> None:
        if self.dead_letters is not None:
            self.dead_letters._put(replace(message, receive_count=0, receipt="", visible_at=0))

    def _is_unlucky(self) -> bool:
        return self.rules.duplicate_rate > 0 and self.random.random() < self.rules.duplicate_rate

    def _next_number(self) -> int:
        self._numbers += 1
        return self._numbers

    def _exact_counts(self) -> tuple[int, int]:
        self._wake()
        waiting = {id(message) for message in self._waiting if not message.is_deleted}
        hidden = {id(message) for _, _, message in self._hidden if not message.is_deleted} - waiting
        return len(waiting), len(hidden)

    def _note_counts(self) -> None:
        if self.rules.count_lag_ms:
            self._counts.append((self.clock.now(), *self._exact_counts()))
