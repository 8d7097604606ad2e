"""The lines that CloudWatch reads metrics from, and how few of them there are."""

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from firstcome.adapters.metrics import EVERY_MS, Metric, Metrics
from firstcome.domain.claim import new_coupon_code
from firstcome.domain.message import to_body
from firstcome.service.sold_out import REMEMBER_MS
from functions.apply.app import lambda_handler as apply
from functions.drain.app import lambda_handler as drain
from functions.relay.app import lambda_handler as relay
from tests.factories import a_claim
from tests.fakes import FakeClock
from tests.unit.api_events import an_event
from tests.unit.conftest import World

APPLY = "POST /campaigns/{campaign_id}/coupons"


@dataclass
class Written:
    """Metrics on a clock that stands still, and what they have written since the last look."""

    stdout: pytest.CaptureFixture[str]
    clock: FakeClock = field(default_factory=FakeClock)

    def __post_init__(self) -> None:
        self.metrics = Metrics(self.clock, "Firstcome/trial")

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stdout.readouterr().out.splitlines()]


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Written:
    """Metrics of a function, where Powertools takes a service's name from the environment."""
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "firstcome")
    return Written(capsys)


def test_a_line_is_what_cloudwatch_reads(written: Written) -> None:
    written.metrics.count(Metric.REFUSED, 3, campaign_id="demo", code="sold_out")
    written.metrics.write()

    (line,) = written.lines()
    # By its dimensions, and over everything.
    assert line.pop("_aws")["CloudWatchMetrics"] == [
        {
            "Namespace": "Firstcome/trial",
            "Dimensions": [[], ["campaign_id", "code"]],
            "Metrics": [{"Name": "Refused", "Unit": "Count"}],
        }
    ]
    assert line == {"campaign_id": "demo", "code": "sold_out", "Refused": [3]}


def test_what_has_no_campaign_is_counted_over_everything_only(written: Written) -> None:
    written.metrics.count(Metric.UNAVAILABLE)
    written.metrics.write()

    (line,) = written.lines()
    assert line.pop("_aws")["CloudWatchMetrics"][0]["Dimensions"] == [[]]
    assert line == {"Unavailable": [1]}


def test_it_is_written_once_a_second_however_much_is_counted(written: Written) -> None:
    for _ in range(10):
        for _ in range(1_000):
            written.metrics.count(Metric.REFUSED, campaign_id="demo", code="sold_out")
            written.metrics.write_if_due()
        written.clock.sleep(EVERY_MS // 10)
    assert written.lines() == []

    written.metrics.write_if_due()

    assert [line["Refused"] for line in written.lines()] == [[10_000]]
    written.clock.sleep(EVERY_MS)
    written.metrics.write_if_due()
    assert written.lines() == []


def test_nothing_is_not_written(written: Written) -> None:
    written.metrics.count(Metric.OVERFLOW, 0, campaign_id="demo")
    written.metrics.write()
    assert written.lines() == []


def test_many_campaigns_do_not_gather_without_end(written: Written) -> None:
    for number in range(120):
        written.metrics.count(Metric.ACCEPTED, campaign_id=f"demo-{number}")
    assert len(written.lines()) >= 100


def test_of_a_batch_the_slowest_claim_is_told(written: Written) -> None:
    for milliseconds in (30, 250, 90):
        written.metrics.longest(milliseconds, campaign_id="demo")
    written.metrics.write()

    (line,) = written.lines()
    assert line["AcceptToIssue"] == [250]
    assert line["_aws"]["CloudWatchMetrics"][0]["Metrics"] == [{"Name": "AcceptToIssue", "Unit": "Milliseconds"}]


class TestFunctions:
    def test_an_application_counts_as_what_it_was_answered(self, world: World) -> None:
        world.open(capacity=1)
        for user in ("alice", "alice", "bob", "carl"):
            apply(an_event(APPLY, sub=user), None)
        apply(an_event(APPLY, sub="dora", campaign_id="unknown"), None)
        world.clock.sleep(REMEMBER_MS)
        world.gate.is_down = True
        apply(an_event(APPLY, sub="eve", campaign_id="invented"), None)
        world.clock.sleep(EVERY_MS)
        apply(an_event(APPLY, sub="eve"), None)

        assert world.counted() == [
            {"campaign_id": "demo", "Accepted": 1, "Replayed": 1, "Unavailable": 1},
            {"campaign_id": "demo", "code": "sold_out", "Refused": 2},
            {"Unavailable": 1},
        ]

    def test_the_drain_counts_what_became_of_a_batch(self, world: World, drain_context: Any) -> None:
        world.open(capacity=1)
        bodies = [json.dumps({"v": 1}), "junk"]
        records = [{"messageId": str(number), "body": body} for number, body in enumerate(bodies)]
        for number, user in enumerate(("alice", "bob")):
            claim = a_claim("demo", 1, user)
            records.append({"messageId": f"claim-{number}", "body": to_body(claim)})
        drain({"Records": records}, drain_context)

        counted = {name: value for line in world.counted() for name, value in line.items() if name != "campaign_id"}
        assert counted.pop("AcceptToIssue") >= 0
        assert counted == {"Issued": 1, "Overflow": 1, "Quarantined": 2}

    def test_the_relay_counts_what_it_sent(self, world: World, drain_context: Any) -> None:
        world.open()
        world.gate.apply("demo", "alice", "A" * 16)
        world.clock.sleep(60_000)
        relay({}, drain_context)
        assert world.counted() == [{"campaign_id": "demo", "Outbox": 1, "Relayed": 1}]

    def test_the_relay_counts_what_the_queue_did_not_take_as_unsent_too(self, world: World, drain_context: Any) -> None:
        world.open()
        for user in ("alice", "bob"):
            world.gate.apply("demo", user, new_coupon_code())
        world.clock.sleep(60_000)
        world.queue.refuses = {"alice"}
        relay({}, drain_context)
        assert world.counted() == [{"campaign_id": "demo", "Outbox": 2, "Relayed": 1, "RelayRefused": 1}]


@pytest.fixture
def drain_context() -> Any:
    """A context with time enough."""

    class Context:
        def get_remaining_time_in_millis(self) -> int:
            return 30_000

    return Context()
