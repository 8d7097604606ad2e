"""The outcome of a rush: the numbers of `result.json`, and a few lines of text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from verify.guarantees import Finding, Verdict
from verify.rush.answers import ACCEPTED, ASKED_AGAIN, ERROR, NO_COUPON, READ_BACK, REPLAYED, Answer, Tally

PROBLEMS_SHOWN = 3


@dataclass(frozen=True)
class Plan:
    """A rush: how many coupons, how many users want one, how many ask at a time."""

    capacity: int
    users: int
    concurrency: int


@dataclass(frozen=True)
class Outcome:
    """A rush that is over, drained and checked.

    Attributes:
        drained_at: when the last row was first seen, in seconds since 1970.
        fault: the fault that was injected, as in `result.json`.
    """

    plan: Plan
    answers: Sequence[Answer]
    drained_at: float | None
    verdict: Verdict
    fault: dict[str, Any] | None = None


def summarise(outcome: Outcome) -> dict[str, Any]:
    """The numbers of `result.json`.

    `requests` = `accepted` + `replayed` + the refusals + `read_back` + `no_coupon` + `asked_again` + `errors`.
    """
    plan, verdict, answers = outcome.plan, outcome.verdict, outcome.answers
    tally = Tally()
    accepted = [answer for answer in answers if tally.add(answer) == ACCEPTED]
    latencies = sorted(answer.latency_ms for answer in answers)
    errors, unanswered = tally.counts[ERROR], plan.users - len(tally.answered)
    ended = max((answer.ended for answer in answers), default=0.0)
    started = min((answer.started for answer in answers), default=0.0)
    to_drain = max(outcome.drained_at - accepted[-1].ended, 0.0) if accepted and outcome.drained_at else None
    return {
        "users": plan.users,
        "capacity": plan.capacity,
        "concurrency": plan.concurrency,
        "requests": len(answers),
        "accepted": len(accepted),
        "replayed": tally.counts[REPLAYED],
        "refused": tally.refused,
        "read_back": tally.counts[READ_BACK],
        "no_coupon": tally.counts[NO_COUPON],
        "asked_again": tally.counts[ASKED_AGAIN],
        "errors": errors,
        "unanswered": unanswered,
        "seconds": round(ended - started, 3),
        "p50_ms": percentile(latencies, 50),
        "p90_ms": percentile(latencies, 90),
        "p99_ms": percentile(latencies, 99),
        "rows": verdict.rows,
        "distinct_users": verdict.distinct_users,
        "distinct_codes": verdict.distinct_codes,
        "min_sequence": verdict.min_sequence,
        "max_sequence": verdict.max_sequence,
        "gaps": verdict.gaps,
        "answers_without_row": verdict.answers_without_row,
        "rows_without_answer": verdict.rows_without_answer,
        "seconds_to_drain": None if to_drain is None else round(to_drain, 3),
        "guarantees": {finding.guarantee: finding.holds for finding in verdict.findings},
        "holds": verdict.holds and errors == 0 and unanswered == 0,
        **({"fault": outcome.fault} if outcome.fault else {}),
    }


def percentile(ascending: Sequence[float], percent: int) -> float | None:
    """The nearest-rank percentile: a latency that occurred."""
    return ascending[max(math.ceil(len(ascending) * percent / 100), 1) - 1] if ascending else None


def headline(result: dict[str, Any]) -> str:
    """The outcome in one line."""
    asked = f"{count(result['capacity'], 'coupon')}, {count(result['users'], 'user')}"
    if result["holds"]:
        return f"{asked} -> exactly {result['rows']:,} issued"
    broken = [name for name, holds in result["guarantees"].items() if not holds]
    fault = f"BROKEN: {', '.join(broken)}" if broken else "but not every answer was right"
    return f"{asked} -> {result['rows']:,} issued, {fault}"


def describe(result: dict[str, Any], verdict: Verdict) -> str:
    """The outcome in about a dozen lines."""
    refused = ", ".join(f"{number:,} {code}" for code, number in result["refused"].items())
    return "\n".join(
        (
            headline(result),
            "",
            f"  requests   {result['requests']:,} in {result['seconds']:.1f} s, {result['concurrency']} at a time; "
            f"half within {result['p50_ms'] or 0:,.0f} ms, 99 % within {result['p99_ms'] or 0:,.0f} ms",
            f"  accepted   {result['accepted']:,}; the same answer again to {result['replayed']:,}, "
            f"read back by {result['read_back']:,}",
            f"  refused    {refused or 'nobody'}",
            f"  errors     {_errors(result)}",
            f"  MySQL      {_ledger(result)}",
            *([f"  fault      {_fault(result['fault'])}"] if "fault" in result else []),
            "",
            *(line for finding in verdict.findings for line in _finding_lines(finding)),
        )
    )


def _finding_lines(finding: Finding) -> list[str]:
    lines = [f"  {finding.guarantee} {'OK    ' if finding.holds else 'BROKEN'}  {finding.promise}"]
    lines += [f"             {problem}" for problem in finding.problems[:PROBLEMS_SHOWN]]
    more = len(finding.problems) - PROBLEMS_SHOWN
    return [*lines, f"             and {more:,} more"] if more > 0 else lines


def _errors(result: dict[str, Any]) -> str:
    parts = [f"{result['errors']:,}"]
    if result["unanswered"]:
        parts.append(f"{count(result['unanswered'], 'user')} without an answer")
    if result["asked_again"]:
        parts.append(f"no answer or unavailable, and asked again: {result['asked_again']:,}")
    return "; ".join(parts)


def _ledger(result: dict[str, Any]) -> str:
    if not result["rows"]:
        return "no rows"
    seconds = result["seconds_to_drain"]
    drained = "" if seconds is None else f"; the last one {seconds:.1f} s after the last acceptance"
    return (
        f"{count(result['rows'], 'row')}, sequences {result['min_sequence']:,} to {result['max_sequence']:,}{drained}"
    )


def _fault(fault: dict[str, Any]) -> str:
    return (
        f"Redis lost everything at {fault['accepted_before']:,} accepted; {fault['unavailable']:,} times unavailable; "
        f"rebuilt after {fault['rebuilt_after_s']:.1f} s; {count(fault['asked_again'], 'user')} asked again"
    )


def count(number: int, thing: str) -> str:
    """A number of things, in words: `1 coupon`, `2,000 users`."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"
