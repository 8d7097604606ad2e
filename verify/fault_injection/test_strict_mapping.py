"""The strict mapping polls, throttles and judges answers as Lambda's does."""

import json
import random
from collections.abc import Callable
from typing import Any

import pytest

from tests.fakes import FakeClock
from tests.template.cloudformation import properties
from verify.fault_injection.strict_mapping import (
    PAYLOAD_BYTES_MAX,
    FunctionError,
    MappingRules,
    StrictMapping,
    failed_ids,
)
from verify.fault_injection.strict_queue import QueueRules, StrictQueue

HOUR_MS = 3_600_000
SENT = {"m1", "m2"}


def failures(*items: object) -> dict[str, object]:
    return {"batchItemFailures": list(items)}


@pytest.mark.parametrize("answer", [None, {}, failures(), {"batchItemFailures": None}, {"failures": ["m1"]}])
def test_an_answer_without_failures_means_that_all_succeeded(answer: object) -> None:
    assert failed_ids(answer, SENT) == set()


@pytest.mark.parametrize(
    "answer",
    [
        failures({"itemIdentifier": ""}),
        failures({"itemIdentifier": None}),
        failures({"itemIdentifier": "other"}),
        failures({"messageId": "m1"}),
        failures({"itemIdentifier": "m1"}, {"itemIdentifier": ""}),
        failures("m1"),
        "an answer that is no object",
    ],
)
def test_an_item_that_names_no_message_of_the_batch_fails_the_whole_batch(answer: object) -> None:
    assert failed_ids(answer, SENT) is None


def test_only_the_named_messages_fail() -> None:
    assert failed_ids(failures({"itemIdentifier": "m1"}), SENT) == {"m1"}


class World:
    """A queue and a mapping, on a clock that nobody waits for."""

    def __init__(
        self, function: Callable[[Any, FakeClock], object], *, max_receives: int = 1_000, **rules: Any
    ) -> None:
        self.clock = FakeClock()
        chance = random.Random(7)
        self.dead = StrictQueue("dead", self.clock, chance)
        queue_rules = QueueRules(visibility_ms=180_000, max_receives=max_receives)
        self.queue = StrictQueue("claims", self.clock, chance, queue_rules, self.dead)
        self.seen: list[str] = []
        self.batches: list[int] = []

        def invoke(event: Any) -> object:
            self.batches.append(len(event["Records"]))
            self.seen += [record["messageId"] for record in event["Records"]]
            return function(event, self.clock)

        self.mapping = StrictMapping(self.queue, self.clock, invoke, MappingRules(**rules))

    def run(self, milliseconds: int) -> None:
        self.mapping.run(self.clock.now() + milliseconds)


def takes(milliseconds: int) -> Callable[[Any, FakeClock], object]:
    def function(_: Any, clock: FakeClock) -> object:
        clock.sleep(milliseconds)
        return {}

    return function


def raises(_: Any, __: FakeClock) -> object:
    raise FunctionError


def fails_all(event: Any, _: FakeClock) -> object:
    return failures(*({"itemIdentifier": record["messageId"]} for record in event["Records"]))


def test_what_succeeds_is_deleted_and_what_fails_comes_again_after_the_visibility_timeout() -> None:
    world = World(lambda event, _: failures({"itemIdentifier": event["Records"][0]["messageId"]}), batch_size=10)
    for number in range(10):
        world.queue.send(f"{number}")
    world.run(179_000)
    assert len(world.seen) == 10
    assert world.queue.exact_count() == 1
    world.run(2_000)
    assert world.batches == [10, 1]


def test_without_function_response_types_failures_are_ignored_and_the_messages_are_gone() -> None:
    world = World(fails_all, reports_failures=False)
    world.queue.send("body")
    world.run(1_000)
    assert world.queue.exact_count() == 0


def test_an_exception_fails_the_whole_batch_and_makes_polling_back_off() -> None:
    def invocations(function: Callable[[Any, FakeClock], object]) -> int:
        world = World(function, batch_size=1)
        for number in range(1_000):
            world.queue.send(f"{number}")
        world.run(60_000)
        assert world.queue.exact_count() == 1_000
        return world.mapping.invocations

    # Item failures do not: polling goes on at full speed.
    assert invocations(raises) < 10
    assert invocations(fails_all) == 1_000


def test_a_batch_has_ten_thousand_messages_and_six_megabytes_at_most() -> None:
    sizes: list[int] = []
    world = World(lambda event, _: sizes.append(len(json.dumps(event))), batch_size=10_000, window_ms=1_000)
    for _ in range(12_000):
        world.queue.send("x" * 10)
    for _ in range(40):
        world.queue.send("x" * 1_000_000)
    world.run(60_000)
    assert sum(world.batches) == 12_040
    assert max(world.batches) <= 10_000
    assert PAYLOAD_BYTES_MAX / 2 < max(sizes) <= PAYLOAD_BYTES_MAX


@pytest.mark.parametrize(
    "rules", [{"batch_size": 10_001, "window_ms": 1_000}, {"batch_size": 11}, {"max_concurrency": 1}]
)
def test_rules_that_lambda_refuses(rules: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="is|needs"):
        MappingRules(**rules)  # type: ignore[arg-type]


def test_a_function_slower_than_the_visibility_timeout_meets_its_message_again() -> None:
    world = World(takes(200_000), batch_size=1)
    world.queue.send("body")
    world.run(190_000)
    assert world.seen == ["claims-1", "claims-1"]


def a_rush_on_reserved_concurrency_of_two(max_concurrency: int | None) -> World:
    """10,000 messages, 20 s a batch of 10, `maxReceiveCount` 5: the defaults of many a template."""
    world = World(takes(20_000), max_receives=5, batch_size=10, reserved=2, max_concurrency=max_concurrency)
    for number in range(10_000):
        world.queue.send(f"{number}")
    world.run(4 * HOUR_MS)
    return world


def test_reserved_concurrency_alone_dead_letters_messages_nobody_read() -> None:
    world = a_rush_on_reserved_concurrency_of_two(max_concurrency=None)
    assert world.mapping.throttles > 0
    unread = {message.message_id for message in world.dead.all()} - set(world.seen)
    assert len(unread) > 1_000


def test_with_maximum_concurrency_none_is() -> None:
    world = a_rush_on_reserved_concurrency_of_two(max_concurrency=2)
    assert world.mapping.throttles == 0
    assert world.mapping.most_at_once == 2
    assert world.dead.exact_count() == 0


def test_the_template_is_not_of_that_kind() -> None:
    drain = properties("DrainFunction")
    mapping = drain["Events"]["Claims"]["Properties"]
    assert mapping["ScalingConfig"]["MaximumConcurrency"] == drain["ReservedConcurrentExecutions"]
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
