"""What `make faults` rests on, and what takes a rush of its own: poison, a hundred kills, an outage of hours."""

import json
from collections import Counter

import pymysql
import pytest

from firstcome.domain.claim import Claim
from firstcome.domain.message import to_body
from tests.factories import a_claim
from verify.fault_injection import naive, scenarios
from verify.fault_injection.client import APPLY, Client, given, to_answer
from verify.fault_injection.faults import Call, Kind
from verify.fault_injection.run import Share, run_naive
from verify.fault_injection.servers import Servers
from verify.fault_injection.sqs import QueueRules
from verify.fault_injection.suite import run_with
from verify.fault_injection.world import CAMPAIGN, GATE, MINUTE_MS, QUEUE, World

HOUR_MS = 60 * MINUTE_MS
UNKIND = QueueRules(QUEUE.visibility_ms, QUEUE.max_receives, duplicate_rate=0.5)
UNREADABLE = {
    "not_json": "not a claim",
    "not_an_object": "[1]",
    "unknown_version": json.dumps({"v": 2}),
    "missing_campaign_id": json.dumps({"v": 1}),
    "invalid_sequence": to_body(a_claim(CAMPAIGN, 0)),
}


def test_every_external_call_of_the_path_is_on_the_wire(world: World) -> None:
    run = run_with(world, scenarios.RUSH, {})
    assert {call.function for call in run.calls} == {"client", "apply", "drain", "mapping", "relay"}
    assert {call.name.split()[0] for call in run.calls} == {"http", "redis", "sqs", "mysql", "secretsmanager"}
    assert {kind for call in run.calls for kind in call.kinds} == set(Kind) - {Kind.LOCK_LOST}


@pytest.mark.parametrize("scenario", scenarios.ALL, ids=lambda it: it.name)
def test_every_scenario_ends_well_without_faults_on_an_unkind_queue(world: World, scenario: scenarios.Scenario) -> None:
    for seed in range(3):
        assert run_with(world, scenario, {}, seed, UNKIND).violations == {}


@pytest.mark.parametrize(
    ("name", "expected"),
    [("count, then insert", {"G1", "G2", "G4", "G6"}), ("INCR, send, insert", {"G1", "G2", "G3", "G4"})],
)
def test_the_naive_rivals_fail_the_same_suite(servers: Servers, name: str, expected: set[str]) -> None:
    tally = run_naive(servers, name, Share(0, 1, 0))
    assert {guarantee for guarantee, count in tally.by_guarantee().items() if count} >= expected
    assert naive.RIVALS.keys() == {"count, then insert", "INCR, send, insert"}


def test_a_killed_process_does_nothing_any_more(world: World) -> None:
    client = Client(world)
    scenarios.two_coupons(world, client)
    begun = len(world.wire.calls)
    world.wire.choose = lambda call: Kind.KILLED_BEFORE if call.name == "sqs SendMessage" else None
    assert client.ask_as("alice", "apply", APPLY).status == 0
    assert world.wire.calls[begun:][-1].name == "sqs SendMessage"
    assert world.environments.count("apply") == 0
    world.wire.choose = lambda _: None
    world.settle()
    assert [row.user for row in world.issued()] == ["alice"]
    assert world.violations() == {}


@pytest.fixture
def fast(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """The same, at the template's rate, so that a large rush does not take hours."""
    monkeypatch.setenv("DRAIN_ROWS_PER_SECOND", "500")
    return world


def queued(world: World, count: int) -> list[Claim]:
    """Put claims into the queue that the gate has accepted and their users were given."""
    Client(world).put(capacity=count)
    claims = [a_claim(CAMPAIGN, sequence) for sequence in range(1, count + 1)]
    pipeline = world.redis.pipeline()
    for claim in claims:
        text = f"{claim.sequence}:{claim.coupon_code}:{claim.accepted_at}"
        pipeline.hset(f"{GATE}claims", claim.user_id, text)
        world.answers.append(to_answer(claim.user_id, "apply", given(claim), 0))
        world.queue.send(to_body(claim))
    pipeline.set(f"{GATE}accepted", count)
    pipeline.execute()
    return claims


def rows(world: World) -> list[tuple[int, str, str]]:
    return sorted((row.sequence, row.user, row.coupon_code) for row in world.issued())


def as_rows(claims: list[Claim]) -> list[tuple[int, str, str]]:
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
    assert rows(fast) == as_rows(claims)
    assert fast.violations() == {}


def test_a_hundred_kills_between_gate_and_queue_in_one_rush_leave_no_gap(fast: World) -> None:
    client = Client(fast)
    client.put(capacity=200)
    fast.wire.choose = _Kills(100)
    for number in range(300):
        # One request each: a user whose request was killed does not come back.
        client.ask_as(f"user-{number}", "apply", APPLY)
    assert Counter(kind for _, kind in fast.wire.fired) == {Kind.KILLED_BEFORE: 100}
    fast.pass_time(MINUTE_MS)
    for _ in range(2):
        fast.go_on()
    assert [row[0] for row in rows(fast)] == list(range(1, 201))
    assert fast.violations() == {}


def test_an_outage_of_mysql_for_hours_loses_nothing_and_dead_letters_nothing(
    fast: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    claims = queued(fast, 5_000)
    # Nothing listens there: real connections are really refused.
    monkeypatch.setenv("MYSQL_PORT", "1")
    fast.drain(10 * HOUR_MS)
    assert fast.mapping.errors > 100
    assert fast.dead_letters.all() == []
    assert len(fast.queue.all()) == 5_000
    monkeypatch.setenv("MYSQL_PORT", str(fast.servers.mysql.port))
    fast.drain(HOUR_MS)
    assert fast.queue.all() == fast.dead_letters.all() == []
    assert rows(fast) == as_rows(claims)
    assert fast.violations() == {}


@pytest.mark.parametrize("kind", [Kind.FAILED_AFTER, Kind.REFUSED])
def test_a_connection_whose_session_could_not_be_set_up_is_closed(world: World, kind: Kind) -> None:
    """Left open, it would stay one of the few that MySQL has for the drain."""
    world.wire.choose = lambda call: kind if call.name == "mysql SET SESSION" else None
    for _ in range(3):
        with pytest.raises(pymysql.OperationalError), world.wire.made_by("drain"):
            _connect()
    assert [connection.open for connection in world.mysql_connections["drain"]] == [False]


def _connect() -> object:
    from firstcome.adapters.mysql.connect import connect  # noqa: PLC0415
    from firstcome.settings import MysqlSettings  # noqa: PLC0415

    return connect(MysqlSettings.from_env())


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
