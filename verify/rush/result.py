"""The outcome of a rush: the numbers of `result.json` and the few lines a person reads."""

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
    """What a rush is: how many coupons, how many users want one, how many ask at a time."""

    capacity: int
    users: int
    concurrency: int


@dataclass(frozen=True)
class Sample:
    """How many rows MySQL held at an instant, in seconds since 1970."""

    at: float
    rows: int


@dataclass(frozen=True)
class Outcome:
    """A rush that is over, drained and judged."""

    plan: Plan
    answers: Sequence[Answer]
    samples: Sequence[Sample]
    verdict: Verdict
    fault: dict[str, Any] | None = None


def summarise(outcome: Outcome) -> dict[str, Any]:
    """The numbers of `result.json`.

    `requests` = `accepted` + `replayed` + the refusals + `read_back` + `no_coupon` + `asked_again` + `errors`.
    """
    plan, verdict = outcome.plan, outcome.verdict
    tally = Tally()
    accepted = [answer for answer in outcome.answers if tally.add(answer) == ACCEPTED]
    latencies = sorted(answer.latency_ms for answer in outcome.answers)
    errors, unanswered = tally.counts[ERROR], plan.users - len(tally.answered)
    return {
        "users": plan.users,
        "capacity": plan.capacity,
        "concurrency": plan.concurrency,
        "requests": len(outcome.answers),
        "accepted": len(accepted),
        "replayed": tally.counts[REPLAYED],
        "refused": tally.refused,
        "read_back": tally.counts[READ_BACK],
        "no_coupon": tally.counts[NO_COUPON],
        "asked_again": tally.counts[ASKED_AGAIN],
        "errors": errors,
        "unanswered": unanswered,
        "seconds": round(rush_seconds(outcome.answers), 3),
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
        "seconds_to_drain": _seconds_to_drain(accepted, outcome.samples),
        "guarantees": {finding.guarantee: finding.holds for finding in verdict.findings},
        "holds": verdict.holds and errors == 0 and unanswered == 0,
        **({"fault": outcome.fault} if outcome.fault else {}),
    }


def percentile(ascending: Sequence[float], percent: int) -> float | None:
    """The nearest-rank percentile: a latency that somebody really had."""
    if not ascending:
        return None
    return ascending[max(math.ceil(len(ascending) * percent / 100), 1) - 1]


def rush_seconds(answers: Sequence[Answer]) -> float:
    """From the first request to the last answer."""
    if not answers:
        return 0.0
    return max(answer.ended for answer in answers) - min(answer.started for answer in answers)


def _seconds_to_drain(accepted: Sequence[Answer], samples: Sequence[Sample]) -> float | None:
    if not accepted or not samples:
        return None
    last_row_seen = next(sample.at for sample in samples if sample.rows == samples[-1].rows)
    return round(max(last_row_seen - max(answer.ended for answer in accepted), 0.0), 3)


def headline(result: dict[str, Any]) -> str:
    """The outcome in one line."""
    asked = f"{count(result['capacity'], 'coupon')}, {count(result['users'], 'user')}"
    if result["holds"]:
        return f"{asked} -> exactly {result['rows']:,} issued"
    broken = [name for name, holds in result["guarantees"].items() if not holds]
    fault = f"BROKEN: {', '.join(broken)}" if broken else "but not every answer was right"
    return f"{asked} -> {result['rows']:,} issued, {fault}"


def describe(result: dict[str, Any], verdict: Verdict) -> str:
    """What a person wants to know, in about a dozen lines."""
    refused = ", ".join(f"{number:,} {code}" for code, number in result["refused"].items())
    return "\n".join(
        (
            headline(result),
            "",
            f"  requests   {result['requests']:,} in {result['seconds']:.1f} s, {result['concurrency']} at a time; "
            f"half within {_ms(result['p50_ms'])}, 99 % within {_ms(result['p99_ms'])}",
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


def _ms(latency: float | None) -> str:
    return "-" if latency is None else f"{latency:,.0f} ms"


def count(number: int, thing: str) -> str:
    """A number of things, in words: `1 coupon`, `2,000 users`."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"
