"""The pure parts of the long run: which faults come in which order, what an answer is, and what the result says."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import islice

import pytest

from local.errors import LocalStackError
from verify.chaos.__main__ import read_plan
from verify.chaos.clients import Request, to_answer
from verify.chaos.faults import FAULTS, HOLDING_CLAIMS_UP, steps
from verify.chaos.outcome import LongOutcome, LongPlan, Struck, describe, summarise

COUPON: dict[str, object] = {"status": "accepted", "sequence": 1, "coupon_code": "CODE", "accepted_at": "2026-11-23"}
SOLD_OUT: dict[str, object] = {"code": "sold_out"}
NO_COUPON: dict[str, object] = {"code": "no_coupon"}


@pytest.mark.parametrize("minutes", [3, 15])
def test_every_kind_of_fault_is_made_in_a_round_and_a_seed_repeats_it(minutes: int) -> None:
    one, other = (list(islice(steps(random.Random(5), minutes * 60), 2 * len(FAULTS))) for _ in range(2))
    assert one == other
    assert {step.kind for step in one[: len(FAULTS)]} == set(FAULTS)
    assert [step.kind for step in one[len(FAULTS) - 2 : len(FAULTS)]] == list(HOLDING_CLAIMS_UP)
    by_hand = [step.by_operator for step in one if step.needs_rest]
    assert set(by_hand) == ({True} if minutes == 3 else {True, False})


@pytest.mark.parametrize(
    ("kind", "status", "body", "fault"),
    [
        ("apply", 202, COUPON, None),
        ("apply", 200, {**COUPON, "sequence": None}, "unexpected answer 200"),
        ("apply", 409, SOLD_OUT, None),
        ("apply", 409, {"code": "paused"}, "unexpected answer 409 paused"),
        ("apply", 404, NO_COUPON, "unexpected answer 404 no_coupon"),
        ("mine", 404, NO_COUPON, None),
        ("mine", 409, SOLD_OUT, "unexpected answer 409 sold_out"),
        ("apply", 503, {"code": "unavailable"}, None),
        ("apply", 0, {}, None),
    ],
)
def test_an_answer_that_is_not_among_the_expected_is_a_fault(
    kind: str, status: int, body: dict[str, object], fault: str | None
) -> None:
    answer = to_answer(Request("user-1", "sale", kind), status, body, 10.0, 500.0)
    assert (answer.fault, answer.retried, answer.ended) == (fault, status in (0, 503), 10.5)


FAULT = Struck("sqs-cut", "5.0 s", 10.0, 5.0, 0.46, 3)


def outcome(*faults: Struck, problems: dict[str, list[str]] | None = None, unclear: int = 0) -> LongOutcome:
    plan = LongPlan(minutes=3, concurrency=16, capacity=100, replica_acks=1, seed=7)
    return LongOutcome(plan, faults, {"G1": [], **(problems or {})}, 50, 20, 5, unclear, 1, 20, 0, 0, 12.3, 3, 200)


def test_the_result_has_the_faults_and_the_violations() -> None:
    result = summarise(outcome(FAULT, problems={"G2": ["a", "b"]}))
    assert result["faults"][0]["kind"] == "sqs-cut"
    assert (result["violations"], result["problems"]) == ({"G1": 0, "G2": 2}, {"G2": ["a", "b"]})
    assert not result["holds"]
    assert "G2 BROKEN" in describe(outcome(problems={"G2": ["a"]}))


def test_it_holds_only_if_every_fault_was_recovered_from_and_everybody_answered() -> None:
    assert outcome(FAULT).holds
    assert not outcome(FAULT, unclear=1).holds
    assert not outcome(replace(FAULT, recovery_s=None)).holds


def test_the_environment_sets_the_plan() -> None:
    plan = read_plan({"MINUTES": "3", "ACKS": "0", "SEED": "9", "CONCURRENCY": "50"})
    assert plan == LongPlan(minutes=3, concurrency=50, capacity=2_000, replica_acks=0, seed=9)
    assert (read_plan({}).minutes, read_plan({}).replica_acks) == (15, 1)
    with pytest.raises(LocalStackError, match="ACKS=2"):
        read_plan({"ACKS": "2"})
