"""The checker catches each violation: a sound run, broken in one place, fails by that guarantee and no other."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from firstcome.domain.claim import Claim
from firstcome.domain.message import to_body
from verify.fault_injection.checker import DeadLetter, Limits, Load, Outcome, Row, check, most_in_a_second
from verify.fault_injection.history import History

CODES = {"alice": "A" * 16, "bob": "B" * 16}


def told(user: str, sequence: int, code: int = 202, **changes: Any) -> tuple[str, str, Mapping[str, Any]]:
    body = {"status": "accepted", "sequence": sequence, "coupon_code": CODES[user], "accepted_at": "t"} | changes
    return user, "apply", {"statusCode": code, "body": body}


def refused(user: str, code: str = "sold_out") -> tuple[str, str, Mapping[str, Any]]:
    return user, "apply", {"statusCode": 409, "body": {"code": code}}


def a_history(*requests: tuple[str, str, Mapping[str, Any] | None]) -> History:
    history = History()
    for user, kind, answer in requests:
        history.note(user, kind, answer and {**answer, "body": json.dumps(answer["body"])})
    return history


SOUND = Outcome(
    history=a_history(
        told("alice", 1), told("alice", 1, 200), told("bob", 2), refused("carol"), ("dave", "apply", None)
    ),
    rows=[Row(1, "alice", CODES["alice"]), Row(2, "bob", CODES["bob"])],
    limits=Limits(capacity=2, rows_per_second=4),
    claims=[Row(1, "alice", CODES["alice"]), Row(2, "bob", CODES["bob"])],
    dead_letters=[DeadLetter("nonsense", "not_json")],
    load=Load(2, 0, [(0, 4), (1_000, 4)]),
)


def with_rows(*rows: Row) -> Outcome:
    return replace(SOUND, rows=list(rows))


def with_history(*requests: tuple[str, str, Mapping[str, Any] | None]) -> Outcome:
    return replace(SOUND, history=a_history(*requests))


def broken(outcome: Outcome) -> set[str]:
    return {violation.guarantee for violation in check(outcome)}


def test_a_sound_run_is_sound() -> None:
    assert check(SOUND) == []


ALICE, BOB = SOUND.rows


@pytest.mark.parametrize(
    ("outcome", "guarantees"),
    [
        pytest.param(with_rows(ALICE, BOB, Row(3, "carol", "C" * 16)), {"G1", "G4"}, id="a row too many"),
        pytest.param(with_rows(ALICE, Row(3, "bob", CODES["bob"])), {"G1", "G3", "G4"}, id="beyond the capacity"),
        pytest.param(with_rows(ALICE, BOB, Row(2, "bob", "C" * 16)), {"G1", "G2", "G4"}, id="two of a user"),
        pytest.param(with_rows(ALICE, BOB, ALICE), {"G1", "G2", "G3", "G4"}, id="a row twice"),
        pytest.param(with_rows(ALICE), {"G3", "G4"}, id="an accepted claim has no row"),
        pytest.param(with_rows(ALICE, Row(2, "bob", "C" * 16)), {"G3"}, id="another code than was told"),
        pytest.param(
            with_rows(Row(2, "alice", CODES["alice"]), Row(1, "bob", CODES["bob"])), {"G3"}, id="another sequence"
        ),
        pytest.param(replace(SOUND, outbox=1), {"G3"}, id="outbox at the end"),
        pytest.param(replace(SOUND, queued=1), {"G3"}, id="queued at the end"),
        pytest.param(
            replace(SOUND, claims=[*SOUND.claims, Row(3, "erin", "E" * 16)]), {"G3"}, id="a claim nobody was told of"
        ),
        pytest.param(
            replace(with_history(told("alice", 1), refused("carol")), rows=[ALICE], claims=[]), {"G4"}, id="a slot lost"
        ),
        pytest.param(
            with_history(told("alice", 1), told("alice", 1, 200, accepted_at="later"), told("bob", 2)),
            {"G5"},
            id="another answer",
        ),
        pytest.param(with_history(told("alice", 1), told("bob", 2), refused("bob")), {"G5"}, id="taken back"),
        pytest.param(
            with_history(told("alice", 1, status="issued"), told("alice", 1, status="accepted"), told("bob", 2)),
            {"G5"},
            id="issued, then accepted",
        ),
        pytest.param(replace(SOUND, load=Load(3)), {"G6"}, id="a connection too many"),
        pytest.param(replace(SOUND, load=Load(2, 1)), {"G6"}, id="a connection from the apply path"),
        pytest.param(replace(SOUND, load=Load(2, 0, [(0, 4), (999, 1)])), {"G6"}, id="a row too fast"),
        pytest.param(
            replace(SOUND, dead_letters=[DeadLetter(to_body(Claim("demo", "alice", 1, CODES["alice"], 0)))]),
            {"G7"},
            id="readable, and dead",
        ),
        pytest.param(replace(SOUND, dead_letters=[DeadLetter("nonsense")]), {"G7"}, id="dead without a reason"),
    ],
)
def test_each_violation_is_caught(outcome: Outcome, guarantees: set[str]) -> None:
    assert broken(outcome) == guarantees


@pytest.mark.parametrize(
    "excused",
    [
        pytest.param(lambda: replace(with_rows(ALICE, Row(1, "x", "X" * 16)), overflow=[BOB]), id="in overflow"),
        pytest.param(lambda: with_rows(Row(1, "bob", CODES["bob"]), Row(2, "alice", CODES["alice"])), id="reseated"),
    ],
)
def test_only_after_a_rollback_may_a_claim_lose_its_seat(excused: Callable[[], Outcome]) -> None:
    outcome = excused()
    rolled_back = replace(outcome, limits=replace(outcome.limits, is_rolled_back=True))
    assert "G3" in broken(outcome)
    assert "G3" not in broken(rolled_back)


def test_a_claim_that_vanished_is_excused_by_nothing() -> None:
    outcome = with_rows(ALICE)
    assert "G3" in broken(replace(outcome, limits=replace(outcome.limits, is_rolled_back=True)))


def test_who_knows_no_outcome_makes_no_demand() -> None:
    assert broken(replace(with_history(told("alice", 1), ("bob", "apply", None)), rows=[ALICE], claims=[])) == set()


def test_a_chunk_a_worker_may_come_early_and_not_more() -> None:
    limits = replace(SOUND.limits, burst_rows=2)
    early = replace(SOUND, limits=limits, load=Load(2, 0, [(0, 4), (999, 2)]))
    assert broken(early) == set()
    assert broken(replace(early, load=Load(2, 0, [(0, 4), (999, 3)]))) == {"G6"}


def test_a_second_is_any_second() -> None:
    assert most_in_a_second([(0, 2), (600, 2), (1_000, 3), (1_599, 1), (2_600, 9)]) == 9
    assert most_in_a_second([(0, 2), (999, 2), (1_000, 3)]) == 5
    assert most_in_a_second([]) == 0
