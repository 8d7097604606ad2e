"""Lambda's event source mapping of a strict queue: polls, invokes, and judges what a function answers.

The rules: docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html (partial batch responses, throttled
invocations), services-sqs-scaling.html (pollers), services-sqs-configure.html (batches). Time is virtual: an invocation
takes as long as it moved the clock, several run side by side, and nothing waits.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from firstcome.domain.times import Millis
from tests.fakes import FakeClock
from verify.fault_injection.strict_queue import Message, StrictQueue

type SqsEvent = dict[str, Any]

BATCH_MAX = 10_000
PAYLOAD_BYTES_MAX = 6 * 1024 * 1024
WINDOWLESS_BATCH_MAX = 10

FIRST_POLLERS = 5
POLLERS_A_MINUTE = 300
POLLERS_MAX = 1_250

INVOCATION_MS = 20
"""What an invocation takes that does not move the clock."""

THROTTLE_RETRY_MS = 1_000
BACK_OFF_MS = 1_000
BACK_OFF_MAX_MS = 60_000


class FunctionError(Exception):
    """An invocation that ended in an exception, a timeout or a killed process."""


@dataclass(frozen=True)
class MappingRules:
    """How a mapping is set up.

    Attributes:
        reserved: concurrent invocations that the function has; one more is throttled.
        max_concurrency: ScalingConfig.MaximumConcurrency, None when not given.
        reports_failures: FunctionResponseTypes: [ReportBatchItemFailures].
    """

    batch_size: int = 10
    window_ms: int = 0
    reserved: int = 2
    max_concurrency: int | None = 2
    reports_failures: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.batch_size <= BATCH_MAX:
            raise ValueError("BatchSize is 1 to 10,000")
        if self.batch_size > WINDOWLESS_BATCH_MAX and self.window_ms < 1_000:
            raise ValueError("a BatchSize above 10 needs MaximumBatchingWindowInSeconds of 1 at least")
        if self.max_concurrency is not None and self.max_concurrency < 2:
            raise ValueError("MaximumConcurrency is 2 at least")


@dataclass(order=True)
class _Held:
    """A batch that Lambda holds: `due` is when it ends, or when it is tried again."""

    due: Millis
    number: int
    messages: Sequence[Message] = field(compare=False)
    failed: set[str] | None = field(compare=False, default=None)
    gives_up_at: Millis = field(compare=False, default=0)


@dataclass
class StrictMapping:
    """One mapping. `invoke` runs the function on an event, or raises `FunctionError`; `delete` is what succeeded."""

    queue: StrictQueue
    clock: FakeClock
    invoke: Callable[[SqsEvent], object]
    rules: MappingRules = field(default_factory=MappingRules)
    delete: Callable[[Sequence[str]], None] | None = None
    invocations: int = 0
    errors: int = 0
    throttles: int = 0
    most_at_once: int = 0

    def __post_init__(self) -> None:
        self._running: list[_Held] = []
        self._throttled: list[_Held] = []
        self._numbers = 0
        self._back_off_ms = 0
        self._polls_from: Millis = 0
        self._busy_since: Millis | None = None

    def run(self, until: Millis) -> None:
        """Poll and invoke until then."""
        while True:
            self._finish()
            self._retry_throttled()
            self._poll()
            due = self._next_due()
            if due is None or due > until:
                break
            self.clock.time = max(self.clock.time, due)
        self.clock.time = max(self.clock.time, until)

    def _next_due(self) -> Millis | None:
        dues = [held.due for held in (*self._running, *self._throttled)]
        visible_at = self.queue.next_visible_at()
        if visible_at is not None and len(self._running) + len(self._throttled) < self._pollers():
            dues.append(max(visible_at, self._polls_from))
        return min((due for due in dues if due > self.clock.now()), default=None)

    def _pollers(self) -> int:
        """Batches the mapping asks for at a time: it knows nothing of what the function has reserved."""
        if self._back_off_ms:
            return 1
        minutes = 0 if self._busy_since is None else (self.clock.now() - self._busy_since) // 60_000
        pollers = min(POLLERS_MAX, FIRST_POLLERS + POLLERS_A_MINUTE * minutes)
        return pollers if self.rules.max_concurrency is None else min(pollers, self.rules.max_concurrency)

    def _poll(self) -> None:
        while self.clock.now() >= self._polls_from and len(self._running) + len(self._throttled) < self._pollers():
            batch = self.queue.receive(self.rules.batch_size)
            if not batch:
                self._busy_since = None
                return
            if self._busy_since is None:
                self._busy_since = self.clock.now()
            for some in _cut(batch):
                self._numbers += 1
                gives_up_at = min(message.visible_at for message in some)
                self._start(_Held(self.clock.now(), self._numbers, some, gives_up_at=gives_up_at))

    def _start(self, held: _Held) -> None:
        if len(self._running) >= self.rules.reserved:
            self.throttles += 1
            held.due = self.clock.now() + THROTTLE_RETRY_MS
            heapq.heappush(self._throttled, held)
            return
        self.invocations += 1
        began = self.clock.now()
        held.failed = self._judged(held.messages)
        held.due = max(self.clock.now(), began + INVOCATION_MS)
        # Others run in the same time.
        self.clock.time = began
        heapq.heappush(self._running, held)
        self.most_at_once = max(self.most_at_once, len(self._running))

    def _judged(self, messages: Sequence[Message]) -> set[str] | None:
        try:
            answer = self.invoke(to_event(messages))
        except FunctionError:
            return None
        if not self.rules.reports_failures:
            return set()
        return failed_ids(answer, {message.message_id for message in messages})

    def _finish(self) -> None:
        while self._running and self._running[0].due <= self.clock.now():
            held = heapq.heappop(self._running)
            if held.failed is None:
                self.errors += 1
                self._back_off_ms = min(BACK_OFF_MAX_MS, max(BACK_OFF_MS, self._back_off_ms * 2))
                self._polls_from = self.clock.now() + self._back_off_ms
                continue
            self._back_off_ms = 0
            receipts = [message.receipt for message in held.messages if message.message_id not in held.failed]
            if self.delete is not None:
                self.delete(receipts)
            else:
                for receipt in receipts:
                    self.queue.delete(receipt)

    def _retry_throttled(self) -> None:
        while self._throttled and self._throttled[0].due <= self.clock.now():
            held = heapq.heappop(self._throttled)
            if self.clock.now() >= held.gives_up_at:
                # Dropped: it has become visible again, one receive older, and nobody has seen it.
                continue
            self._start(held)


def failed_ids(answer: object, sent: set[str]) -> set[str] | None:
    """Judge an answer under ReportBatchItemFailures: the messages that failed, or None for the whole batch."""
    if answer is None or answer == {}:
        return set()
    if not isinstance(answer, dict):
        return None
    items = answer.get("batchItemFailures")
    if not items:
        # Null, empty, or under another name.
        return set()
    failed: set[str] = set()
    for item in items:
        name = item.get("itemIdentifier") if isinstance(item, dict) else None
        if not isinstance(name, str) or name not in sent:
            return None
        failed.add(name)
    return failed


def to_event(messages: Sequence[Message]) -> SqsEvent:
    """Write messages as the event of one invocation."""
    return {"Records": [_to_record(message) for message in messages]}


def _cut(batch: Sequence[Message]) -> list[list[Message]]:
    """Cut a batch into payloads that one invocation takes."""
    envelope = len(json.dumps(to_event([])))
    cut: list[list[Message]] = [[]]
    size = envelope
    for message in batch:
        bytes_more = len(json.dumps(_to_record(message))) + 2
        if cut[-1] and size + bytes_more > PAYLOAD_BYTES_MAX:
            cut.append([])
            size = envelope
        cut[-1].append(message)
        size += bytes_more
    return cut


def _to_record(message: Message) -> dict[str, Any]:
    return {
        "messageId": message.message_id,
        "receiptHandle": message.receipt,
        "body": message.body,
        "attributes": {
            "ApproximateReceiveCount": str(message.receive_count),
            "SentTimestamp": str(message.first_sent_at),
        },
        "messageAttributes": {
            name: {"stringValue": value, "dataType": "String"} for name, value in message.attributes.items()
        },
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:eu-west-1:000000000000:claims",
        "awsRegion": "eu-west-1",
    }
