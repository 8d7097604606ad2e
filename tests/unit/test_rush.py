"""The rush: what is wrong with an answer, what each answer counts as, and the result."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from local.commands.run import read_plan
from local.errors import LocalStackError
from verify.guarantees import Evidence, Gate, Row, check
from verify.rush.answers import Answer, AnswerLog, Coupon, Tally, coupon_in, find_fault
from verify.rush.flushed_rush import merge, users_to_ask_again
from verify.rush.result import Outcome, Plan, describe, headline, percentile, summarise

START = 1_790_000_000.0
HELD: Coupon = (7, "CODE7", "2026-11-23T09:00:00.000Z")
BODY = {
    "status": "accepted",
    "campaign_id": "spring",
    "sequence": HELD[0],
    "coupon_code": HELD[1],
    "accepted_at": HELD[2],
}


@pytest.mark.parametrize(
    ("kind", "status", "body", "known", "fault"),
    [
        ("apply", 202, BODY, None, None),
        ("apply", 200, BODY, None, None),
        ("again", 200, BODY | {"status": "issued"}, HELD, None),
        ("mine", 200, BODY, HELD, None),
        ("apply", 409, {"code": "sold_out"}, None, None),
        ("mine", 404, {"code": "no_coupon"}, None, None),
        ("apply", 0, {}, None, "no answer"),
        ("apply", 500, {"message": "Internal Server Error"}, None, "unexpected answer 500"),
        ("apply", 409, {"code": "other"}, None, "unexpected answer 409 other"),
        ("mine", 409, {"code": "sold_out"}, None, "unexpected answer 409 sold_out"),
        ("apply", 202, BODY | {"coupon_code": ""}, None, "202 without a complete coupon of this campaign"),
        ("apply", 202, BODY | {"campaign_id": "other"}, None, "202 without a complete coupon of this campaign"),
        ("again", 200, BODY | {"coupon_code": "OTHER"}, HELD, "another coupon than before"),
        ("again", 202, BODY, HELD, "202 to a user who holds the coupon already"),
        ("mine", 202, BODY, None, "202 to a user who holds the coupon already"),
        ("again", 409, {"code": "sold_out"}, HELD, "sold_out to a user who holds a coupon"),
        ("mine", 404, {"code": "no_coupon"}, HELD, "no_coupon to a user who holds a coupon"),
    ],
)
def test_a_wrong_answer_is_named(
    kind: str, status: int, body: dict[str, Any], known: Coupon | None, fault: str | None
) -> None:
    assert find_fault(kind, status, body, "spring", known) == fault


@pytest.mark.parametrize("change", [{"sequence": 0}, {"sequence": "1"}, {"coupon_code": ""}, {"accepted_at": None}])
def test_half_a_coupon_is_none(change: dict[str, object]) -> None:
    assert coupon_in(BODY) == HELD
    assert coupon_in(BODY | change) is None


def answer(kind: str, user: str, status: int, at: float, **fields: object) -> Answer:
    blank = Answer(kind, 0, user, status, None, None, None, None, START + at, 100.0)
    return replace(blank, **fields)  # type: ignore[arg-type]


def coupon(sequence: int) -> dict[str, object]:
    return {"sequence": sequence, "coupon_code": f"CODE{sequence}", "accepted_at": "2026-11-23T09:00:00.000Z"}


def outcome(*more: Answer, users: int = 4) -> Outcome:
    """Two coupons for four users: every kind of answer once, and `more`."""
    answers = [
        answer("apply", "ann", 503, 0.0, code="unavailable", fault="unexpected answer 503", retried=True),
        answer("apply", "ann", 200, 1.0, latency_ms=50.0, **coupon(1)),
        answer("apply", "ben", 202, 1.0, latency_ms=150.0, **coupon(2)),
        answer("again", "ben", 200, 1.2, **coupon(2)),
        answer("mine", "ben", 200, 1.3, **coupon(2)),
        answer("apply", "cid", 409, 1.4, code="sold_out"),
        answer("again", "cid", 409, 1.5, code="sold_out"),
        answer("mine", "cid", 404, 1.6, code="no_coupon"),
        answer("apply", "dan", 409, 1.7, code="sold_out"),
        *more,
    ]
    rows = [Row(1, "ann", "CODE1"), Row(2, "ben", "CODE2")]
    gate = Gate(2, {row.user: row.seat for row in rows})
    verdict = check(Evidence("spring", 2, answers, rows, gate, applicants=users))
    # Accepted until 1.15 s.
    return Outcome(Plan(2, users, 8), answers, START + 2.0, verdict)


def test_every_answer_is_counted_once() -> None:
    result = json.loads(json.dumps(summarise(outcome())))

    assert result["requests"] == 9
    assert (result["accepted"], result["replayed"], result["read_back"], result["no_coupon"]) == (2, 1, 1, 1)
    assert result["refused"] == {"sold_out": 3}
    assert (result["asked_again"], result["errors"], result["unanswered"]) == (1, 0, 0)
    assert (result["p50_ms"], result["p99_ms"], result["seconds_to_drain"]) == (100.0, 150.0, 0.85)
    assert (result["rows"], result["gaps"], result["holds"]) == (2, 0, True)
    # As DESIGN promises them.
    assert result.keys() >= {"users", "distinct_users", "distinct_codes", "answers_without_row", "rows_without_answer"}


@pytest.mark.parametrize(("percent", "expected"), [(50, 2.0), (51, 3.0), (99, 4.0), (100, 4.0), (1, 1.0)])
def test_percentiles_are_latencies_that_occurred(percent: int, expected: float) -> None:
    assert percentile([1.0, 2.0, 3.0, 4.0], percent) == expected


def test_a_wrong_answer_does_not_hold_though_the_guarantees_do() -> None:
    result = summarise(outcome(answer("again", "dan", 500, 1.9, fault="unexpected answer 500")))

    assert all(result["guarantees"].values())
    assert (result["errors"], result["holds"]) == (1, False)
    assert headline(result) == "2 coupons, 4 users -> 2 issued, but not every answer was right"


def test_a_user_without_an_answer_does_not_hold() -> None:
    result = summarise(outcome(users=5))

    assert (result["unanswered"], result["holds"]) == (1, False)


def test_the_description_is_short_and_names_every_guarantee() -> None:
    text = describe(summarise(outcome()), outcome().verdict)

    assert text.startswith("2 coupons, 4 users -> exactly 2 issued\n")
    assert [line.split()[:2] for line in text.splitlines() if line.startswith("  G")] == [
        [f"G{number}", "OK"] for number in range(1, 6)
    ]
    assert len(text.splitlines()) < 16


def test_the_description_shows_the_first_problems_of_many() -> None:
    answers = [answer("apply", f"user-{n}", 202, 0, **coupon(n)) for n in range(1, 10)]
    lost = Outcome(Plan(9, 9, 1), answers, None, check(Evidence("spring", 9, answers, [], Gate(0, {}))))
    text = describe(summarise(lost), lost.verdict)

    assert text.startswith("9 coupons, 9 users -> 0 issued, BROKEN: G3, G4")
    assert "user-1 was given CODE1 (sequence 1) and has no row" in text
    assert "and 6 more" in text
    assert "no rows" in text


def test_the_log_leaves_an_unfinished_line_for_later(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    log = AnswerLog(path)
    line = json.dumps(answer("apply", "ann", 202, 0.0, **coupon(1)).__dict__)

    with path.open("a") as file:
        file.write(f"{line}\n{line[:40]}")
    assert len(log.read_new()) == 1
    with path.open("a") as file:
        file.write(f"{line[40:]}\n")
    assert [found.user for found in log.read_new()] == ["ann"]
    assert log.read_new() == []


def test_a_user_is_answered_once_nothing_is_asked_again() -> None:
    first, second = outcome().answers[:2]
    assert Tally([first]).answered == set()
    assert Tally([first, second]).answered == {"ann"}


def test_after_a_wipe_users_apply_again_who_hold_a_coupon_or_had_no_answer() -> None:
    first = [
        answer("apply", "ann", 202, 0.0, **coupon(1)),
        answer("apply", "ben", 503, 0.1, code="unavailable"),
        # The gate is back, and has no coupon for an application that it never saw.
        answer("mine", "ben", 404, 0.2, code="no_coupon"),
        answer("apply", "cid", 409, 0.3, code="sold_out"),
    ]

    assert users_to_ask_again(first) == ["ann", "ben"]
    merged = merge(
        first, [answer("apply", "ann", 200, 1.0, **coupon(1)), answer("apply", "ben", 202, 1.1, **coupon(2))]
    )
    assert [one.retried for one in merged] == [False, True, False, False, False, False]


def test_the_plan_has_defaults_for_what_is_unset_or_empty() -> None:
    plan = read_plan({"USERS": "", "CONCURRENCY": " 3 "})

    assert (plan.capacity, plan.users, plan.concurrency) == (100, 2000, 3)


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "many", "1e3", "٣", "9" * 5000, "100001"])
def test_a_setting_that_makes_no_sense_is_refused_by_name(text: str) -> None:
    with pytest.raises(LocalStackError, match=r"^USERS=.*: give a whole number from 1 to 100,000\.$"):
        read_plan({"USERS": text})
