"""The check of a rush: a sound one holds, and each way to break it is found under its guarantee."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from verify.guarantees import Evidence, Gate, Row, Verdict, check
from verify.rush.answers import Answer

CAPACITY = 3
ACCEPTED_AT = "2026-11-23T09:00:00.000Z"


def given(user: int, *, status: int = 202, kind: str = "apply", code: str | None = None, place: int = 0) -> Answer:
    """The answer with which a user gets the coupon at `place`, by default the user's own number."""
    sequence = place or user
    coupon_code = code or f"CODE{sequence}"
    return Answer(kind, user, f"user-{user}", status, None, sequence, coupon_code, ACCEPTED_AT, 100.0 + user, 50.0)


def refused(user: int, *, status: int = 409, kind: str = "apply", code: str = "sold_out") -> Answer:
    return Answer(kind, user, f"user-{user}", status, code, None, None, None, 100.0 + user, 50.0)


def rows(*numbers: int) -> tuple[Row, ...]:
    return tuple(Row(number, f"user-{number}", f"CODE{number}") for number in numbers)


def gate(*users: int) -> Gate:
    return Gate(len(users), frozenset(f"user-{user}" for user in users), frozenset())


def sound() -> Evidence:
    """Five users for three coupons; the first asks twice and reads back."""
    answers = [given(1), given(1, status=200, kind="again"), given(1, status=200, kind="mine"), given(2), given(3)]
    answers += [refused(4), refused(5), refused(5, status=404, kind="mine", code="no_coupon")]
    return Evidence(CAPACITY, 5, answers, rows(1, 2, 3), gate(1, 2, 3))


def broken(verdict: Verdict) -> dict[str, tuple[str, ...]]:
    return {finding.guarantee: finding.problems for finding in verdict.findings if finding.problems}


def test_a_sound_rush_holds() -> None:
    verdict = check(sound())

    assert verdict.holds
    assert broken(verdict) == {}
    assert [finding.guarantee for finding in verdict.findings] == ["G1", "G2", "G3", "G4", "G5"]
    assert (verdict.rows, verdict.distinct_users, verdict.distinct_codes) == (3, 3, 3)
    assert (verdict.min_sequence, verdict.max_sequence, verdict.gaps) == (1, 3, 0)
    assert (verdict.answers_without_row, verdict.rows_without_answer) == (0, 0)


def test_fewer_users_than_coupons_means_a_row_for_each() -> None:
    evidence = Evidence(50, 2, [given(1), given(2)], rows(1, 2), gate(1, 2))

    assert check(evidence).holds


def test_a_coupon_that_came_with_a_200_after_a_503_counts() -> None:
    unavailable = replace(refused(1, status=503, code="unavailable"), fault="unexpected answer 503", retried=True)
    evidence = Evidence(50, 1, [unavailable, given(1, status=200)], rows(1), gate(1))

    assert check(evidence).holds


def test_a_row_whose_answer_was_lost_is_counted_and_breaks_nothing() -> None:
    lost = replace(refused(3, status=0, code=""), code=None, fault="no answer")
    evidence = replace(sound(), answers=[*(a for a in sound().answers if a.user != "user-3"), lost])

    verdict = check(evidence)

    assert verdict.holds
    assert verdict.rows_without_answer == 1


def test_nothing_at_all_is_no_success() -> None:
    verdict = check(Evidence(CAPACITY, 5, [], (), gate()))

    assert broken(verdict) == {"G4": ("0 rows instead of 3",)}
    assert (verdict.min_sequence, verdict.max_sequence, verdict.gaps) == (None, None, 0)


@dataclass(frozen=True)
class Fault:
    """One thing broken, and what must be said about it."""

    guarantee: str
    problem: str
    apply: Callable[[Evidence], Evidence]


def without(evidence: Evidence, user: str) -> tuple[Answer, ...]:
    return tuple(answer for answer in evidence.answers if answer.user != user)


FAULTS = {
    "a row too many": Fault(
        "G1",
        "4 rows in MySQL",
        lambda e: replace(e, rows=rows(1, 2, 3, 4), gate=gate(1, 2, 3, 4), answers=[*without(e, "user-4"), given(4)]),
    ),
    "the gate counted too far": Fault(
        "G1", "4 accepted by the gate", lambda e: replace(e, gate=replace(e.gate, accepted=4))
    ),
    "a claim too many": Fault("G1", "4 claims in the gate", lambda e: replace(e, gate=gate(1, 2, 3, 4))),
    "a user too many told": Fault(
        "G1", "4 users told of a coupon", lambda e: replace(e, answers=[*without(e, "user-4"), given(4)])
    ),
    "two rows of one user": Fault(
        "G2", "user-1 has 2 rows", lambda e: replace(e, rows=[*rows(1, 2), Row(3, "user-1", "CODE3")])
    ),
    "one code issued twice": Fault(
        "G2", "code CODE1 was issued 2 times", lambda e: replace(e, rows=[*rows(1, 2), Row(3, "user-3", "CODE1")])
    ),
    "an accepted answer without a row": Fault(
        "G3", "user-3 was told CODE3 (sequence 3) and has no row", lambda e: replace(e, rows=rows(1, 2))
    ),
    "a row with another code": Fault(
        "G3",
        "user-3 was told CODE3 (sequence 3) and has OTHER (sequence 3) in MySQL",
        lambda e: replace(e, rows=[*rows(1, 2), Row(3, "user-3", "OTHER")]),
    ),
    "a row with another sequence": Fault(
        "G3",
        "user-3 was told CODE3 (sequence 3) and has CODE3 (sequence 4) in MySQL",
        lambda e: replace(e, rows=[*rows(1, 2), Row(4, "user-3", "CODE3")]),
    ),
    "the same row twice": Fault(
        "G3",
        "user-1 was told CODE1 (sequence 1) and has CODE1 (sequence 1) and CODE1 (sequence 1) in MySQL",
        lambda e: replace(e, rows=rows(1, 1, 2, 3)),
    ),
    "a claim without a row": Fault(
        "G3", "user-4 has a claim in the gate and no row", lambda e: replace(e, gate=gate(1, 2, 3, 4))
    ),
    "a row without a claim": Fault(
        "G3", "user-3 has a row and no claim in the gate", lambda e: replace(e, gate=gate(1, 2))
    ),
    "a row nobody asked for": Fault(
        "G3", "user-3 has a row and never asked", lambda e: replace(e, answers=without(e, "user-3"))
    ),
    "a claim still outbox": Fault(
        "G3",
        "the claim of user-2 is still outbox",
        lambda e: replace(e, gate=replace(e.gate, outbox=frozenset({"user-2"}))),
    ),
    "a row too few": Fault("G4", "2 rows instead of 3", lambda e: replace(e, rows=rows(1, 2))),
    "a gap": Fault("G4", "no row with sequence 2", lambda e: replace(e, rows=rows(1, 3))),
    "a sequence twice": Fault(
        "G4", "2 rows with sequence 2", lambda e: replace(e, rows=[*rows(1, 2), Row(2, "user-3", "CODE3")])
    ),
    "a sequence outside": Fault("G4", "sequence 0 is outside 1 to 3", lambda e: replace(e, rows=rows(0, 1, 2))),
    "a slot burnt in the gate": Fault(
        "G4",
        "the gate has counted to 3 and holds 2 claims",
        lambda e: replace(e, gate=replace(gate(1, 2), accepted=3)),
    ),
    "too few rows for few users": Fault("G4", "3 rows instead of 5", lambda e: replace(e, capacity=50)),
    "another code when asked again": Fault(
        "G5",
        "user-2 was told of 2 different coupons",
        lambda e: replace(e, answers=[*e.answers, given(2, status=200, kind="again", code="OTHER")]),
    ),
    "another sequence when read back": Fault(
        "G5",
        "user-2 was told of 2 different coupons",
        lambda e: replace(e, answers=[*e.answers, given(2, status=200, kind="mine", place=9, code="CODE2")]),
    ),
    "another acceptance time": Fault(
        "G5",
        "user-2 was told of 2 different coupons",
        lambda e: replace(
            e, answers=[*e.answers, replace(given(2, status=200), accepted_at="2026-11-23T09:00:00.001Z")]
        ),
    ),
    "refused after having been accepted": Fault(
        "G5",
        "user-2 was given a coupon, then told sold_out",
        lambda e: replace(e, answers=[*e.answers, refused(2, kind="again")]),
    ),
    "no coupon after having been accepted": Fault(
        "G5",
        "user-2 was given a coupon, then told no_coupon",
        lambda e: replace(e, answers=[*e.answers, refused(2, status=404, kind="mine", code="no_coupon")]),
    ),
    "refused and issued": Fault(
        "G5",
        "user-3 was told sold_out and has a row",
        lambda e: replace(e, answers=[*without(e, "user-3"), refused(3)]),
    ),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_each_fault_is_found_under_its_guarantee(fault: Fault) -> None:
    verdict = check(fault.apply(sound()))

    assert not verdict.holds
    assert fault.problem in broken(verdict)[fault.guarantee]


def test_the_counts_name_what_is_missing() -> None:
    verdict = check(replace(sound(), rows=[*rows(1), Row(5, "user-3", "CODE1")]))

    assert (verdict.rows, verdict.distinct_users, verdict.distinct_codes) == (2, 2, 1)
    assert (verdict.min_sequence, verdict.max_sequence, verdict.gaps) == (1, 5, 3)
    assert verdict.answers_without_row == 2
