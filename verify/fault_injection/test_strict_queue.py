"""The strict queue keeps AWS's rules, the unkind ones included."""

import random
from dataclasses import replace

import pytest

from tests.fakes import FakeClock
from verify.fault_injection.strict_queue import DAY_MS, Message, QueueRules, StrictQueue

VISIBILITY_MS = 180_000


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def a_queue(clock: FakeClock, *, seed: int = 1, dead_letters: StrictQueue | None = None, **rules: float) -> StrictQueue:
    made = QueueRules(visibility_ms=VISIBILITY_MS)
    return StrictQueue("q", clock, random.Random(seed), replace(made, **rules), dead_letters)  # type: ignore[arg-type]


def filled(queue: StrictQueue, count: int) -> list[str]:
    return [queue.send(f"body {number}") for number in range(count)]


def ids(messages: list[Message]) -> list[str]:
    return [message.message_id for message in messages]


def test_every_message_is_delivered_but_not_in_order(clock: FakeClock) -> None:
    queue = a_queue(clock)
    sent = filled(queue, 100)
    received = ids(queue.receive(100))
    assert sorted(received) == sorted(sent)
    assert received != sent


def test_a_run_repeats_from_its_seed(clock: FakeClock) -> None:
    orders = []
    for seed in (1, 1, 2):
        queue = a_queue(clock, seed=seed)
        filled(queue, 50)
        orders.append(ids(queue.receive(50)))
    assert orders[0] == orders[1] != orders[2]


def test_a_received_message_is_hidden_until_its_visibility_timeout_ends(clock: FakeClock) -> None:
    queue = a_queue(clock)
    filled(queue, 1)
    assert [message.receive_count for message in queue.receive(10)] == [1]
    clock.sleep(VISIBILITY_MS - 1)
    assert queue.receive(10) == []
    clock.sleep(1)
    assert [message.receive_count for message in queue.receive(10)] == [2]


def test_a_deleted_message_does_not_come_back(clock: FakeClock) -> None:
    queue = a_queue(clock)
    filled(queue, 1)
    queue.delete(queue.receive(1)[0].receipt)
    clock.sleep(VISIBILITY_MS)
    assert queue.receive(1) == []
    assert queue.exact_count() == 0


def test_an_outdated_receipt_deletes_nothing(clock: FakeClock) -> None:
    queue = a_queue(clock)
    filled(queue, 1)
    outdated = queue.receive(1)[0].receipt
    clock.sleep(VISIBILITY_MS)
    latest = queue.receive(1)[0].receipt
    queue.delete(outdated)
    assert queue.exact_count() == 1
    queue.delete(latest)
    assert queue.exact_count() == 0


def test_a_message_received_too_often_moves_to_the_dead_letter_queue_unchanged(clock: FakeClock) -> None:
    dead = a_queue(clock)
    queue = a_queue(clock, dead_letters=dead, max_receives=2)
    queue.send("body", {"name": "value"})
    for _ in range(2):
        assert len(queue.receive(1)) == 1
        clock.sleep(VISIBILITY_MS)
    assert queue.receive(1) == []
    assert queue.exact_count() == 0
    assert [(message.body, message.attributes) for message in dead.all()] == [("body", {"name": "value"})]


def test_retention_counts_from_the_first_sending_in_the_dead_letter_queue_too(clock: FakeClock) -> None:
    dead = a_queue(clock)
    queue = a_queue(clock, dead_letters=dead, max_receives=1)
    filled(queue, 1)
    queue.receive(1)
    clock.sleep(10 * DAY_MS)
    queue.receive(1)
    assert dead.exact_count() == 1
    clock.sleep(5 * DAY_MS)
    assert dead.receive(1) == []


def test_duplicates_are_delivered_while_the_first_receiver_is_at_work_and_after_a_delete(clock: FakeClock) -> None:
    queue = a_queue(clock, duplicate_rate=0.3)
    sent = filled(queue, 200)
    received: list[str] = []
    for _ in range(20):
        batch = queue.receive(50)
        assert len(set(ids(batch))) == len(batch)
        received += ids(batch)
        for message in batch:
            queue.delete(message.receipt)
        clock.sleep(VISIBILITY_MS)
    assert set(received) == set(sent)
    assert len(received) > len(sent)
    assert queue.exact_count() == 0


def test_counts_may_be_old(clock: FakeClock) -> None:
    queue = a_queue(clock, count_lag_ms=60_000)
    filled(queue, 3)
    assert queue.counts() == (0, 0)
    clock.sleep(60_000)
    assert queue.counts() == (3, 0)
    queue.receive(1)
    assert queue.counts() == (3, 0)
    assert queue.exact_count() == 3
