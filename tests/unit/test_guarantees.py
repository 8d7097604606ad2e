"""The checker of G1 to G7: a sound run holds, and each way to break it is found under its guarantee."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from firstcome.domain.claim import Claim
from firstcome.domain.message import to_body
from verify.guarantees import GUARANTEES, DeadLetter, Evidence, Gate, Load, Row, Verdict, check, violations
from verify.rush.answers import Answer

CAPACITY = 3
ACCEPTED_AT = "2026-11-23T09:00:00.000Z"


def given(user: int, *, status: int = 202, code: str | None = None, sequence: int = 0, **changes: Any) -> Answer:
    """The answer that gives a user a coupon, by default the one with the user's own number."""
    number = sequence or user
    answer = Answer("apply", user, f"user-{user}", status, None, number, code or f"CODE{number}", ACCEPTED_AT, 0, 0)
    return replace(answer, **changes)


def refused(user: int, status: int = 409, code: str = "sold_out") -> Answer:
    return Answer("apply", user, f"user-{user}", status, code, None, None, None, 0, 0)


def rows(*numbers: int) -> list[Row]:
    return [Row(number, f"user-{number}", f"CODE{number}") for number in numbers]


def gate(*users: int, **changes: Any) -> Gate:
    return replace(Gate(len(users), {f"user-{user}": (user, f"CODE{user}") for user in users}), **changes)


def sound(**changes: Any) -> Evidence:
    """Five users for three coupons; the first asks again, the last asked in vain first."""
    unclear = refused(5, 503, "unavailable")
    answers = [given(1), given(1, status=200), given(2), given(3), refused(4), unclear, refused(5)]
    return replace(Evidence("sale", CAPACITY, answers, rows(1, 2, 3), gate(1, 2, 3)), **changes)


def with_answers(*more: Answer, without: int = 0) -> Evidence:
    kept = [answer for answer in sound().answers if answer.index != without]
    return sound(answers=[*kept, *more])


def broken(*campaigns: Evidence, **parts: Any) -> dict[str, list[str]]:
    found = violations(campaigns, **parts)
    assert tuple(found) == GUARANTEES
    return {name: problems for name, problems in found.items() if problems}


def test_a_sound_rush_holds() -> None:
    verdict = check(sound())
    assert verdict.holds
    assert broken(sound()) == {}
    assert [finding.guarantee for finding in verdict.findings] == ["G1", "G2", "G3", "G4", "G5"]
    assert counts(verdict) == (3, 3, 3, 1, 3, 0, 0, 0)


def counts(verdict: Verdict) -> tuple[object, ...]:
    spread = (verdict.min_sequence, verdict.max_sequence, verdict.gaps)
    return (
        verdict.rows,
        verdict.distinct_users,
        verdict.distinct_codes,
        *spread,
        verdict.answers_without_row,
        verdict.rows_without_answer,
    )


def test_the_counts_name_what_is_missing() -> None:
    verdict = check(sound(rows=[*rows(1), Row(5, "user-3", "CODE1")]))
    assert counts(verdict) == (2, 2, 1, 1, 5, 3, 2, 0)


def test_nothing_at_all_is_no_success() -> None:
    verdict = check(Evidence("sale", CAPACITY, [], (), gate(), applicants=5))
    assert [finding.problems for finding in verdict.findings if not finding.holds] == [("0 rows instead of 3",)]
    assert counts(verdict) == (0, 0, 0, None, None, 0, 0, 0)


@pytest.mark.parametrize(
    "evidence",
    [
        pytest.param(Evidence("sale", 50, [given(1), given(2)], rows(1, 2), gate(1, 2)), id="fewer users than coupons"),
        pytest.param(with_answers(refused(3, 503, "unavailable"), without=3), id="an answer was lost"),
        pytest.param(with_answers(refused(3, 0, ""), given(3, status=200), without=3), id="a 200 after no answer"),
        pytest.param(
            Evidence("sale", 50, [given(2)], rows(2), gate(2, accepted=2, free=1)), id="a seat that is still free"
        ),
    ],
)
def test_no_violation(evidence: Evidence) -> None:
    assert broken(evidence) == {}


FAULTS: Mapping[str, tuple[Evidence, str, str]] = {
    "a row too many": (sound(rows=rows(1, 2, 3, 4)), "G1", "4 rows in MySQL"),
    "a sequence outside": (sound(rows=rows(0, 1, 2)), "G1", "sequence 0 is outside 1 to 3"),
    "the gate counted too far": (sound(gate=gate(1, 2, 3, accepted=4)), "G1", "4 seats given by the gate"),
    "a claim too many": (sound(gate=gate(1, 2, 3, 4)), "G1", "4 claims in the gate"),
    "a user too many": (with_answers(given(4), without=4), "G1", "4 users given a coupon"),
    "two rows of a user": (sound(rows=[*rows(1, 2), Row(3, "user-1", "CODE3")]), "G2", "user-1 has 2 rows"),
    "a code twice": (sound(rows=[*rows(1, 2), Row(3, "user-3", "CODE1")]), "G2", "code CODE1 was issued 2 times"),
    "no row": (sound(rows=rows(1, 2)), "G3", "user-3 was given CODE3 (sequence 3) and has no row"),
    "another code": (
        sound(rows=[*rows(1, 2), Row(3, "user-3", "OTHER")]),
        "G3",
        "user-3 was given CODE3 (sequence 3) and has OTHER (sequence 3) in MySQL",
    ),
    "another sequence": (
        sound(rows=[*rows(1, 2), Row(4, "user-3", "CODE3")]),
        "G3",
        "user-3 was given CODE3 (sequence 3) and has CODE3 (sequence 4) in MySQL",
    ),
    "the same row twice": (
        sound(rows=rows(1, 1, 2, 3)),
        "G3",
        "user-1 was given CODE1 (sequence 1) and has CODE1 (sequence 1) and CODE1 (sequence 1) in MySQL",
    ),
    "a claim without a row": (
        sound(gate=gate(1, 2, 3, 4)),
        "G3",
        "user-4 has in the gate CODE4 (sequence 4) and has no row",
    ),
    "a row without a claim": (sound(gate=gate(1, 2)), "G3", "user-3 has a row and no claim in the gate"),
    "a row nobody applied for": (with_answers(without=3), "G3", "user-3 has a row and never applied"),
    "a claim in the outbox": (
        sound(gate=gate(1, 2, 3, outbox=frozenset({"user-2"}))),
        "G3",
        "the claim of user-2 is still in the outbox",
    ),
    "overflow": (sound(overflow=[Row(3, "user-9", "CODE9")]), "G3", "1 claims found no seat"),
    "overflow that the API hides": (
        sound(overflow=[Row(3, "user-9", "CODE9")], overflow_reported=0, lost_writes=True),
        "G3",
        "1 claims found no seat, and the API reports 0",
    ),
    "a row too few": (sound(rows=rows(1, 2)), "G4", "2 rows instead of 3"),
    "too few rows for few users": (sound(capacity=50, applicants=5), "G4", "3 rows instead of 5"),
    "a gap": (sound(rows=rows(1, 3)), "G4", "no row with sequence 2"),
    "a sequence twice": (sound(rows=[*rows(1, 2), Row(2, "user-3", "CODE3")]), "G4", "2 rows with sequence 2"),
    "a slot burnt in the gate": (
        sound(gate=gate(1, 2, accepted=3)),
        "G4",
        "the gate has given 3 seats and holds 2 claims",
    ),
    "a closed gate": (sound(gate=gate(1, 2, 3, is_open=False)), "G4", "the gate admits nobody"),
    "another code when asked again": (
        with_answers(given(2, status=200, code="OTHER")),
        "G5",
        f"user-2 was given (2, 'CODE2', '{ACCEPTED_AT}') and later (2, 'OTHER', '{ACCEPTED_AT}')",
    ),
    "another time when asked again": (
        with_answers(given(2, accepted_at="later")),
        "G5",
        f"user-2 was given (2, 'CODE2', '{ACCEPTED_AT}') and later (2, 'CODE2', 'later')",
    ),
    "accepted after issued": (
        with_answers(given(2, coupon_status="issued"), given(2, coupon_status="accepted")),
        "G5",
        "user-2 was answered issued and later accepted",
    ),
    "refused after accepted": (
        with_answers(refused(2, 404, "no_coupon")),
        "G5",
        "user-2 was given a coupon and later refused: no_coupon",
    ),
    "refused and issued": (
        with_answers(refused(3), without=3),
        "G5",
        "user-3 was answered sold_out last and has a row",
    ),
    "the gate has changed its mind": (
        sound(gate=gate(1, 2, claims={**gate(1, 2).claims, "user-3": (3, "OTHER")})),
        "G5",
        "user-3 was given CODE3 (sequence 3) and would now be given OTHER (sequence 3)",
    ),
}


@pytest.mark.parametrize(("evidence", "guarantee", "problem"), FAULTS.values(), ids=FAULTS.keys())
def test_each_fault_is_found_under_its_guarantee(evidence: Evidence, guarantee: str, problem: str) -> None:
    assert f"sale: {problem}" in broken(evidence)[guarantee]
    assert broken(sound(), evidence)[guarantee] == broken(evidence)[guarantee]


def reseated() -> Evidence:
    """Redis forgot the claim of user 3, gave the seat to user 4, and the late claim got the last seat."""
    found = [*rows(1, 2), Row(3, "user-4", "CODE4"), Row(4, "user-3", "CODE3")]
    claims = {row.user: row.seat for row in found}
    answers = [*sound().answers[:4], given(4, sequence=3, code="CODE4"), refused(5)]
    return sound(capacity=4, answers=answers, rows=found, gate=Gate(4, claims))


def in_overflow() -> Evidence:
    """The same, and there was no other seat."""
    found = [*rows(1, 2), Row(3, "user-4", "CODE4")]
    claims = {row.user: row.seat for row in [*found, *rows(3)]}
    return replace(reseated(), capacity=3, rows=found, gate=Gate(3, claims), overflow=rows(3), overflow_reported=1)


@pytest.mark.parametrize("excused", [reseated, in_overflow])
def test_a_claim_may_lose_its_seat_only_when_redis_lost_writes(excused: Callable[[], Evidence]) -> None:
    assert "G3" in broken(excused())
    assert broken(replace(excused(), lost_writes=True)) == {}


def test_a_claim_that_is_nowhere_is_never_excused() -> None:
    assert "G3" in broken(replace(in_overflow(), overflow=(), overflow_reported=0, lost_writes=True))


LOAD = Load(rows=[(0, 20), (999, 4), (1_000, 20)], rows_per_second=20, workers=2, connections={"drain": (2, 2)})


@pytest.mark.parametrize(
    ("load", "problems"),
    [
        (replace(LOAD, rows=[(0, 20), (999, 2), (1_000, 20)]), []),
        (LOAD, ["24 rows within 1 s, 22 allowed"]),
        (replace(LOAD, early_chunks=2), []),
        (replace(LOAD, window_ms=10_000), []),
        (replace(LOAD, rows=[], connections={"drain": (3, 2)}), ["3 connections of drain at a time, 2 allowed"]),
    ],
)
def test_mysql_is_spared(load: Load, problems: list[str]) -> None:
    assert broken(sound(), load=load) == ({"G6": problems} if problems else {})


def test_only_unreadable_messages_are_dead_letters_each_with_its_reason() -> None:
    readable = to_body(Claim("sale", "alice", 1, "A" * 16, 0))
    assert broken(sound(), dead_letters=[DeadLetter("nonsense", "not_json")]) == {}
    assert broken(dead_letters=[DeadLetter("nonsense")])["G7"] == [
        "a dead letter has the reason '' instead of 'not_json'"
    ]
    assert broken(dead_letters=[DeadLetter(readable)])["G7"] == [f"a readable message is a dead letter: {readable}"]


def test_messages_left_in_the_queue_are_not_issued() -> None:
    assert broken(sound(), queued=2) == {"G3": ["2 messages are still queued"]}
