"""The report of a rush: one HTML page that needs nothing else, with the verdict, the numbers and three charts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from verify.guarantees import Finding
from verify.rush.answers import ACCEPTED, ASKED_AGAIN, ERROR, NO_COUPON, READ_BACK, REFUSED, REPLAYED, Answer, Tally
from verify.rush.charts import Line, Mark, Series, log_histogram, stacked_bars, step_lines
from verify.rush.result import Outcome, Sample, headline, rush_seconds

TEMPLATE = Path(__file__).with_name("report.html")
PROBLEMS_SHOWN = 20
BARS = 60
REFUSAL_STYLES = 4
STYLES = {
    ACCEPTED: "accepted",
    REPLAYED: "replayed",
    READ_BACK: "read-back",
    NO_COUPON: "no-coupon",
    ASKED_AGAIN: "again",
    ERROR: "error",
}
LEGENDS = {
    REPLAYED: "the same answer again",
    READ_BACK: "read back",
    NO_COUPON: "read back: no coupon",
    ASKED_AGAIN: "no answer or unavailable: asked again",
    ERROR: "errors",
}


def render_report(outcome: Outcome, result: dict[str, Any]) -> str:
    """The page for a rush and its `summarise`d numbers."""
    answers = outcome.answers
    started = min((answer.started for answer in answers), default=0.0)
    meanings = _meanings(answers)
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        headline=escape(headline(result).replace("->", "→")),
        when=f"{datetime.fromtimestamp(started, UTC):%d %B %Y, %H:%M:%S}",
        badge=_badge(result),
        guarantees="\n".join(_finding(finding) for finding in outcome.verdict.findings),
        numbers="\n".join(_table(rows) for rows in _numbers(result)),
        answers_chart=_answers_chart(answers, meanings, started),
        latency_chart=_latency_chart(answers, result),
        rows_chart=_rows_chart(outcome, meanings, started),
    )


def _meanings(answers: Sequence[Answer]) -> list[str]:
    tally = Tally()
    return [tally.add(answer) for answer in answers]


def _badge(result: dict[str, Any]) -> str:
    if result["holds"]:
        return '<span class="badge good">Every guarantee holds</span>'
    broken = [name for name, holds in result["guarantees"].items() if not holds]
    return f'<span class="badge bad">{f"Broken: {', '.join(broken)}" if broken else "Unexpected answers"}</span>'


def _finding(finding: Finding) -> str:
    style, word = ("good", "OK") if finding.holds else ("bad", "BROKEN")
    problems = [*finding.problems[:PROBLEMS_SHOWN]]
    if len(finding.problems) > PROBLEMS_SHOWN:
        problems.append(f"and {len(finding.problems) - PROBLEMS_SHOWN:,} more")
    listed = "".join(f"<li>{escape(problem)}</li>" for problem in problems)
    return (
        f'<li><span class="name">{finding.guarantee}</span> <b class="{style}">{word}</b>'
        f" <span>{escape(finding.promise)}</span>{f'<ul>{listed}</ul>' if listed else ''}</li>"
    )


def _numbers(result: dict[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
    asked = {
        "Coupons": f"{result['capacity']:,}",
        "Users": f"{result['users']:,}",
        "Asking at a time": f"{result['concurrency']:,}",
        "Requests": f"{result['requests']:,}",
        "Accepted": f"{result['accepted']:,}",
        "The same answer again": f"{result['replayed']:,}",
        "Read back, with a coupon": f"{result['read_back']:,}",
        "Read back, without": f"{result['no_coupon']:,}",
        **{f"Refused: {code}": f"{number:,}" for code, number in result["refused"].items()},
        "Asked again: no answer or unavailable": f"{result['asked_again']:,}",
        "Errors": f"{result['errors']:,}",
    }
    kept = {
        "Rows in MySQL": f"{result['rows']:,}",
        "Different users": f"{result['distinct_users']:,}",
        "Different codes": f"{result['distinct_codes']:,}",
        "Sequences": f"{result['min_sequence'] or '-'} to {result['max_sequence'] or '-'}",
        "Gaps": f"{result['gaps']:,}",
        "Answers without their row": f"{result['answers_without_row']:,}",
        "Rows without an answer": f"{result['rows_without_answer']:,}",
        "Rush": _unit(result["seconds"], "s"),
        "Last row after the last acceptance": _unit(result["seconds_to_drain"], "s"),
        "Half of the answers within": _unit(result["p50_ms"], "ms"),
        "99 % of the answers within": _unit(result["p99_ms"], "ms"),
    }
    return asked, kept


def _unit(value: float | None, unit: str) -> str:
    return "-" if value is None else f"{value:,.1f} {unit}"


def _table(rows: dict[str, str]) -> str:
    lines = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in rows.items())
    return f"<table>{lines}</table>"


def _answers_chart(answers: Sequence[Answer], meanings: Sequence[str], started: float) -> str:
    seconds = rush_seconds(answers) or 1.0
    counts: Counter[tuple[str, int]] = Counter()
    for answer, meaning in zip(answers, meanings, strict=True):
        counts[meaning, min(int((answer.ended - started) / seconds * BARS), BARS - 1)] += 1
    series = [
        Series(LEGENDS.get(meaning, meaning), style, [counts[meaning, bar] * BARS / seconds for bar in range(BARS)])
        for meaning, style in _styles(meanings).items()
    ]
    legend = _legend([(row.name, row.style) for row in series])
    return legend + stacked_bars(
        "Answers over time", seconds, series, "seconds since the first request", "answers per second"
    )


def _styles(meanings: Sequence[str]) -> dict[str, str]:
    """What occurred, each with its colour: the coupons at the bottom, the errors on top."""
    occurred = set(meanings)
    refusals = sorted(meaning for meaning in occurred if meaning.startswith(REFUSED))
    order = [ACCEPTED, REPLAYED, READ_BACK, NO_COUPON, *refusals, ASKED_AGAIN, ERROR]
    colours = {code: f"refused-{number % REFUSAL_STYLES}" for number, code in enumerate(refusals)}
    return {meaning: (STYLES | colours)[meaning] for meaning in order if meaning in occurred}


def _latency_chart(answers: Sequence[Answer], result: dict[str, Any]) -> str:
    latencies = [answer.latency_ms for answer in answers]
    marks = [
        Mark(result[f"p{percent}_ms"], f"p{percent}: {result[f'p{percent}_ms']:,.0f} ms")
        for percent in (50, 90, 99)
        if result[f"p{percent}_ms"]
    ]
    return log_histogram("Latency of all requests", latencies, marks, "milliseconds", "requests")


def _rows_chart(outcome: Outcome, meanings: Sequence[str], started: float) -> str:
    accepted = [
        answer.ended - started for answer, meaning in zip(outcome.answers, meanings, strict=True) if meaning == ACCEPTED
    ]
    counted = [(at, float(number)) for number, at in enumerate(sorted(accepted), start=1)]
    rows = _growth(outcome.samples, started)
    # Where nothing moves any more there is nothing to see.
    end = max((at for at, _ in (*counted, *rows)), default=1.0) * 1.15
    lines = [
        Line("accepted answers", "accepted", _from_zero_to(end, counted)),
        Line("rows in MySQL", "rows", _from_zero_to(end, rows)),
    ]
    capacity = Mark(outcome.plan.capacity, f"capacity: {outcome.plan.capacity:,}")
    legend = _legend([(line.name, line.style) for line in lines])
    return legend + step_lines(
        "Rows in MySQL against accepted", lines, capacity, "seconds since the first request", "coupons"
    )


def _growth(samples: Sequence[Sample], started: float) -> list[tuple[float, float]]:
    """The samples at which the number of rows had changed."""
    pairs = zip([0, *(sample.rows for sample in samples)], samples, strict=False)
    return [(max(sample.at - started, 0.0), float(sample.rows)) for before, sample in pairs if sample.rows != before]


def _from_zero_to(end: float, points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    last = points[-1][1] if points else 0.0
    return [(0.0, 0.0), *points, (end, last)]


def _legend(entries: Sequence[tuple[str, str]]) -> str:
    swatch = '<svg viewBox="0 0 10 10" aria-hidden="true"><rect class="{}" width="10" height="10" rx="2"/></svg>'
    items = "".join(f"<li>{swatch.format(escape(style))}{escape(name)}</li>" for name, style in entries)
    return f'<ul class="legend">{items}</ul>'
