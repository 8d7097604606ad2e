"""What the issue says must be shown, each with its count: poison, kills, an outage of hours."""

import json
from collections import Counter

import pytest

from firstcome.domain.claim import Claim
from firstcome.domain.message import to_body
from firstcome.domain.times import to_rfc3339
from tests.factories import a_claim
from verify.fault_injection.client import APPLY, Client, to_answer
from verify.fault_injection.faults import Call, Kind
from verify.fault_injection.world import CAMPAIGN, GATE, MINUTE_MS, World

HOUR_MS = 60 * MINUTE_MS
UNREADABLE = {
    "not_json": "not a claim",
    "not_an_object": "[1]",
    "unknown_version": json.dumps({"v": 2}),
    "missing_campaign_id": json.dumps({"v": 1}),
    "invalid_sequence": to_body(a_claim(CAMPAIGN, 0)),
}


@pytest.fixture
def fast(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """The same, at the template's pace, so that a large rush does not take hours."""
    monkeypatch.setenv("DRAIN_ROWS_PER_SECOND", "500")
    return world


def queued(world: World, count: int) -> list[Claim]:
    """Put claims into the queue that the gate has accepted: with their users' answers long given."""
    Client(world).put(capacity=count)
    claims = [a_claim(CAMPAIGN, sequence) for sequence in range(1, count + 1)]
    pipeline = world.redis.pipeline()
    for claim in claims:
        text = f"{claim.sequence}:{claim.coupon_code}:{claim.accepted_at}"
        pipeline.hset(f"{GATE}claims", claim.user_id, text)
        answer = {"statusCode": 202, "body": json.dumps(_body(claim))}
        world.answers.append(to_answer(claim.user_id, "apply", answer, claim.accepted_at))
        world.queue.send(to_body(claim))
    pipeline.set(f"{GATE}accepted", count)
    pipeline.execute()
    return claims


def _body(claim: Claim) -> dict[str, object]:
    fields = {
        "sequence": claim.sequence,
        "coupon_code": claim.coupon_code,
        "accepted_at": to_rfc3339(claim.accepted_at),
    }
    return {"status": "accepted", **fields}


def issued(world: World) -> list[tuple[object, ...]]:
    return sorted(world.rows("SELECT sequence, user_id, coupon_code FROM coupon"))


def as_rows(claims: list[Claim]) -> list[tuple[object, ...]]:
    return [(claim.sequence, claim.user_id, claim.coupon_code) for claim in claims]


def test_of_ten_thousand_messages_exactly_the_unreadable_are_dead_lettered_each_with_its_reason(fast: World) -> None:
    claims = queued(fast, 9_900)
    expected: Counter[tuple[str, str]] = Counter()
    for _ in range(20):
        for reason, body in UNREADABLE.items():
            fast.queue.send(body)
            expected[(body, reason)] += 1
    fast.drain(10 * MINUTE_MS)
    assert expected.total() == 100
    assert Counter((letter.body, letter.attributes["reason"]) for letter in fast.dead_letters.all()) == expected
    assert issued(fast) == as_rows(claims)
    assert fast.violations() == {}


def test_a_hundred_kills_between_gate_and_queue_in_one_rush_leave_no_gap(fast: World) -> None:
    client = Client(fast)
    client.put(capacity=200)
    fast.wire.ambush = _Kills(100)
    for number in range(300):
        # One request each: whoever's was killed does not come back.
        client.ask_as(f"user-{number}", "apply", APPLY)
    assert Counter(kind for _, kind in fast.wire.fired) == {Kind.KILLED_BEFORE: 100}
    fast.pass_time(MINUTE_MS)
    for _ in range(2):
        fast.go_on()
    assert [row[0] for row in issued(fast)] == list(range(1, 201))
    assert fast.violations() == {}


def test_an_outage_of_mysql_for_hours_loses_nothing_and_dead_letters_nothing(
    fast: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    claims = queued(fast, 5_000)
    # Nobody listens there: real connections are really refused.
    monkeypatch.setenv("MYSQL_PORT", "1")
    fast.drain(10 * HOUR_MS)
    assert fast.mapping.errors > 100
    assert fast.dead_letters.exact_count() == 0
    assert fast.queue.exact_count() == 5_000
    monkeypatch.setenv("MYSQL_PORT", str(fast.servers.mysql.port))
    fast.drain(HOUR_MS)
    assert fast.dead_letters.exact_count() == 0
    assert fast.queue.exact_count() == 0
    assert issued(fast) == as_rows(claims)
    assert fast.violations() == {}


class _Kills:
    """Kills every second sender, a number of times."""

    def __init__(self, count: int) -> None:
        self._left = count
        self._seen = 0

    def __call__(self, call: Call) -> Kind | None:
        if call.name != "sqs SendMessage":
            return None
        self._seen += 1
        if self._seen % 2 or not self._left:
            return None
        self._left -= 1
        return Kind.KILLED_BEFORE
