"""Lambda's event source mapping of a queue: polls, invokes, and judges what a function answers.

The rules: docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html (partial batch responses),
services-sqs-configure.html (batches). Time is virtual: an invocation takes as long as it moved the clock, several run
side by side, and nothing waits. The concurrency that the function reserves is the mapping's maximum, as in the
template, so nothing is ever throttled.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from firstcome.domain.times import Millis
from tests.fakes import FakeClock
from verify.fault_injection.sqs import Message, StandardQueue

INVOCATION_MS = 20
"""What an invocation takes that does not move the clock."""

BACK_OFF_MS = 1_000
BACK_OFF_MAX_MS = 60_000


class FunctionError(Exception):
    """An invocation that ended in an exception, a timeout or a killed process."""


@dataclass(order=True)
class _Running:
    """A batch that is being worked on; `failed` is known already, and counts at `due`."""

    due: Millis
    number: int
    messages: Sequence[Message] = field(compare=False)
    failed: set[str] | None = field(compare=False)


@dataclass
class Mapping:
    """One mapping with ReportBatchItemFailures.

    Attributes:
        invoke: runs the function on an event, or raises `FunctionError`.
        delete: deletes what succeeded, by receipts.
        concurrency: invocations at a time.
    """

    queue: StandardQueue
    clock: FakeClock
    invoke: Callable[[dict[str, Any]], object]
    delete: Callable[[Sequence[str]], None]
    batch_size: int = 100
    concurrency: int = 2
    errors: int = 0

    def __post_init__(self) -> None:
        self._running: list[_Running] = []
        self._numbers = 0
        self._back_off_ms = 0
        self._polls_from: Millis = 0

    def run(self, until: Millis) -> None:
        """Poll and invoke until then."""
        while True:
            self._finish()
            self._poll()
            due = self._next_due()
            if due is None or due > until:
                break
            self.clock.time = max(self.clock.time, due)
        self.clock.time = max(self.clock.time, until)

    def _next_due(self) -> Millis | None:
        dues = [running.due for running in self._running]
        visible_at = self.queue.next_visible_at()
        if visible_at is not None and self._may_poll():
            dues.append(max(visible_at, self._polls_from))
        return min((due for due in dues if due > self.clock.now()), default=None)

    def _may_poll(self) -> bool:
        # After an exception there is one poller until an invocation succeeds.
        return len(self._running) < (1 if self._back_off_ms else self.concurrency)

    def _poll(self) -> None:
        while self.clock.now() >= self._polls_from and self._may_poll():
            messages = self.queue.receive(self.batch_size)
            if not messages:
                return
            began = self.clock.now()
            failed = self._failed(messages)
            self._numbers += 1
            due = max(self.clock.now(), began + INVOCATION_MS)
            heapq.heappush(self._running, _Running(due, self._numbers, messages, failed))
            # Others run in the same time.
            self.clock.time = began

    def _failed(self, messages: Sequence[Message]) -> set[str] | None:
        try:
            answer = self.invoke({"Records": [_to_record(message) for message in messages]})
        except FunctionError:
            return None
        return failed_ids(answer, {message.message_id for message in messages})

    def _finish(self) -> None:
        while self._running and self._running[0].due <= self.clock.now():
            done = heapq.heappop(self._running)
            if done.failed is None:
                self.errors += 1
                self._back_off_ms = min(BACK_OFF_MAX_MS, max(BACK_OFF_MS, self._back_off_ms * 2))
                self._polls_from = self.clock.now() + self._back_off_ms
                continue
            self._back_off_ms = 0
            self.delete([message.receipt for message in done.messages if message.message_id not in done.failed])


def failed_ids(answer: object, sent: set[str]) -> set[str] | None:
    """Judge an answer under ReportBatchItemFailures: the messages that failed, or None for the whole batch."""
    items = answer.get("batchItemFailures") if isinstance(answer, dict) else answer
    if not items:
        # Null, empty, or under another name.
        return set()
    if not isinstance(items, list):
        return None
    failed = [item.get("itemIdentifier") if isinstance(item, dict) else None for item in items]
    return {str(name) for name in failed} if sent.issuperset(failed) else None


def _to_record(message: Message) -> dict[str, Any]:
    return {
        "messageId": message.message_id,
        "receiptHandle": message.receipt,
        "body": message.body,
        "attributes": {"ApproximateReceiveCount": str(message.receive_count)},
        "messageAttributes": {},
        "eventSource": "aws:sqs",
    }
