"""What a rush leaves behind: the numbers, the lines on the terminal, and the page with its charts."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from local.commands.run import read_plan
from local.errors import LocalStackError
from verify.guarantees import Evidence, Gate, Row, check
from verify.rush.answers import Answer, AnswerLog, Tally
from verify.rush.charts import Line, Mark, Series, log_histogram, stacked_bars, step_lines
from verify.rush.live import LiveLine
from verify.rush.report import render_report
from verify.rush.result import Outcome, Plan, Sample, describe, headline, percentile, summarise

START = 1_790_000_000.0


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
        answer("again", "cid", 409, 1.5, code="paused"),
        answer("mine", "cid", 404, 1.6, code="no_coupon"),
        answer("apply", "dan", 409, 1.7, code="sold_out"),
        *more,
    ]
    rows = [Row(1, "ann", "CODE1"), Row(2, "ben", "CODE2")]
    evidence = Evidence("rush", 2, answers, rows, Gate(2, {"ann": (1, "CODE1"), "ben": (2, "CODE2")}), applicants=users)
    samples = [Sample(START + at, number) for at, number in ((0.5, 0), (1.5, 1), (2.0, 2), (2.5, 2))]
    return Outcome(Plan(2, users, 8), answers, samples, check(evidence))


def test_every_answer_is_counted_once() -> None:
    result = summarise(outcome())

    assert result["requests"] == 9
    assert (result["accepted"], result["replayed"], result["read_back"], result["no_coupon"]) == (2, 1, 1, 1)
    assert result["refused"] == {"paused": 1, "sold_out": 2}
    assert (result["asked_again"], result["errors"], result["unanswered"]) == (1, 0, 0)
    assert (result["rows"], result["gaps"], result["holds"]) == (2, 0, True)


def test_the_result_has_the_promised_keys_and_is_json() -> None:
    result = summarise(outcome())

    promised = {
        *("users", "requests", "accepted", "replayed", "refused", "errors", "p50_ms", "p99_ms", "rows"),
        *("distinct_users", "distinct_codes", "min_sequence", "max_sequence", "gaps", "answers_without_row"),
        *("rows_without_answer", "seconds_to_drain", "holds"),
    }
    assert promised <= json.loads(json.dumps(result)).keys()


def test_latencies_are_over_all_requests() -> None:
    result = summarise(outcome())

    assert (result["p50_ms"], result["p99_ms"]) == (100.0, 150.0)


def test_the_drain_is_timed_from_the_last_acceptance_to_the_last_row() -> None:
    # Accepted until 1.15 s, the second row seen at 2.0 s.
    assert summarise(outcome())["seconds_to_drain"] == 0.85


@pytest.mark.parametrize(("percent", "expected"), [(50, 2.0), (51, 3.0), (99, 4.0), (100, 4.0), (1, 1.0)])
def test_percentiles_are_latencies_somebody_had(percent: int, expected: float) -> None:
    assert percentile([1.0, 2.0, 3.0, 4.0], percent) == expected


def test_an_unexpected_answer_does_not_hold_though_the_guarantees_do() -> None:
    failed = outcome(answer("again", "dan", 500, 1.9, fault="unexpected answer 500"))
    result = summarise(failed)

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
    gate = Gate(9, {f"user-{n}": (n, f"CODE{n}") for n in range(1, 10)})
    evidence = Evidence("rush", 9, answers, [], gate)
    lost = Outcome(Plan(9, 9, 1), evidence.answers, [Sample(START, 0)], check(evidence))
    text = describe(summarise(lost), lost.verdict)

    assert text.startswith("9 coupons, 9 users -> 0 issued, BROKEN: G3, G4\n")
    assert "G3 BROKEN" in text
    assert "user-1 was given CODE1 (sequence 1) and has no row" in text
    assert "and 6 more" in text


class Page(HTMLParser):
    """Collects what a browser would load or show."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.links: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href")]

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_the_page_needs_nothing_from_elsewhere() -> None:
    text = render_report(outcome(), summarise(outcome()))
    page = Page(text)

    assert page.links == []
    assert "script" not in [tag for tag, _ in page.elements]
    assert "url(" not in text
    assert "@import" not in text


def test_the_page_shows_verdict_numbers_and_labelled_charts() -> None:
    words = "\n".join(Page(render_report(outcome(), summarise(outcome()))).words)

    assert "2 coupons, 4 users → exactly 2 issued" in words
    assert "Every guarantee holds" in words
    for label in ("answers per second", "seconds since the first request", "milliseconds", "requests", "coupons"):
        assert label in words.splitlines()
    for name in ("refused: sold_out", "refused: paused", "p50: 100 ms", "p99: 150 ms", "capacity: 2"):
        assert name in words


def test_the_page_escapes_what_came_from_outside() -> None:
    hostile = "<script>alert(1)</script>"
    spoilt = outcome(
        answer("apply", hostile, 409, 1.8, code=hostile),
        answer("apply", hostile, 202, 1.9, **{**coupon(3), "coupon_code": hostile}),
    )

    text = render_report(spoilt, summarise(spoilt))

    assert "<script" not in text
    assert "&lt;script&gt;" in text


def test_a_rush_without_any_answer_still_has_a_page() -> None:
    evidence = Evidence("rush", 1, [], [], Gate(0, {}), applicants=1)
    empty = Outcome(Plan(1, 1, 1), [], [], check(evidence))
    result = summarise(empty)

    assert "Broken: G4" in render_report(empty, result)
    assert result["seconds_to_drain"] is None
    assert "no rows" in describe(result, empty.verdict)


def bars(svg: str) -> list[dict[str, str]]:
    return [attributes for tag, attributes in Page(svg).elements if tag == "rect"]


def test_bars_stand_on_each_other() -> None:
    svg = stacked_bars("t", 2.0, [Series("a", "a", [1, 0]), Series("b", "b", [3, 4])], "s", "n")

    first, second, third = bars(svg)
    assert [bar["class"] for bar in (first, second, third)] == ["a", "b", "b"]
    assert float(first["y"]) == pytest.approx(float(second["y"]) + float(second["height"]))
    # The two bars are equally high: 1 + 3 and 4.
    assert second["y"] == third["y"]


def test_the_limit_is_drawn_unless_it_would_press_the_lines_flat() -> None:
    lines = [Line("rows", "rows", [(0, 0), (1, 20)])]

    assert "capacity: 50" in step_lines("t", lines, Mark(50, "capacity: 50"), "s", "n")
    assert "capacity: 9999" not in step_lines("t", lines, Mark(9999, "capacity: 9999"), "s", "n")


def test_a_histogram_counts_every_value_once() -> None:
    svg = log_histogram("t", [1, 10, 10, 100, 99_999], [Mark(10, "p50")], "ms", "n")

    assert len(bars(svg)) == 4
    assert "p50" in svg


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_one_line_that_changes() -> None:
    out = Terminal()
    with LiveLine(out) as line:
        line.show("1 of 2")
        line.show("2 of 2")

    assert out.getvalue().count("\n") == 1
    assert out.getvalue().endswith("\r\x1b[2K2 of 2\n")


def test_elsewhere_lines_are_plain_few_and_end_with_the_last() -> None:
    out = io.StringIO()
    with LiveLine(out) as line:
        for number in range(100):
            line.show(f"{number} of 99")

    assert out.getvalue() == "0 of 99\n99 of 99\n"


def test_the_log_leaves_an_unfinished_line_for_later(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    log = AnswerLog(path)
    fields = answer("apply", "ann", 202, 0.0, **coupon(1)).__dict__
    line = json.dumps(fields)

    with path.open("a") as file:
        file.write(f"{line}\n{line[:40]}")
    assert len(log.read_new()) == 1
    with path.open("a") as file:
        file.write(f"{line[40:]}\n")
    assert [found.user for found in log.read_new()] == ["ann"]
    assert log.read_new() == []


def test_a_user_is_answered_when_nothing_is_asked_again() -> None:
    tally = Tally()
    first, second = outcome().answers[:2]
    tally.add(first)
    assert tally.answered == set()
    tally.add(second)
    assert tally.answered == {"ann"}


def test_the_plan_has_defaults_for_what_is_unset_or_empty() -> None:
    plan = read_plan({"USERS": "", "CONCURRENCY": " 3 "})

    assert (plan.capacity, plan.users, plan.concurrency) == (100, 2000, 3)


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "many", "1e3", "٣", "9" * 5000, "100001"])
def test_a_setting_that_makes_no_sense_is_refused_by_name(text: str) -> None:
    with pytest.raises(LocalStackError, match=r"^USERS=.*: give a whole number from 1 to 100,000\.$"):
        read_plan({"USERS": text})


type Chart = Callable[[], str]


@pytest.mark.parametrize(
    "draw",
    [
        lambda: stacked_bars("t", 1.0, [], "s", "n"),
        lambda: step_lines("t", [Line("rows", "rows", [])], Mark(1, "capacity"), "s", "n"),
        lambda: log_histogram("t", [], [], "ms", "n"),
        lambda: log_histogram("t", [0.0, 0.0], [], "ms", "n"),
    ],
)
def test_a_chart_of_nothing_is_still_a_picture(draw: Chart) -> None:
    assert Page(draw()).elements[0][0] == "svg"
