"""What the bench writes: result.json and the tables."""

from __future__ import annotations

import io
import json
from array import array

import pytest

from bench.__main__ import parse
from bench.harness.crowd import a_crowd_of_users
from bench.harness.mysql_counters import Counters
from bench.harness.other_service import KINDS, Waits
from bench.harness.part import Part, Table
from bench.harness.result import a_console, figures_table, shown_table, to_result
from bench.harness.targets import TARGETS
from bench.parts import PARTS, bystander, drain, race, redis_costs
from bench.rivals import ALL

MACHINE = {"cpu": "a <fast> one", "cores": 2, "load_at_start": [0.1, 0.2, 0.3], "date": "2026-11-23T09:00:00+00:00"}
RIVAL_FIELDS = {
    "name",
    "capacity",
    "users",
    "requests_per_s",
    "p50_ms",
    "p99_ms",
    "rows",
    "over_issued",
    "statements_per_request",
}


def a_run(per_second: float, rows: int = 100) -> race.Run:
    return race.Run(
        capacity=100,
        requests=1_000,
        asked_all=True,
        seconds=1_000 / per_second,
        latencies_ms=[1.0] * 990 + [50.0] * 10,
        accepted=100,
        rows=rows,
        client_cpu_seconds=0.5,
        database=Counters(statements=2_000, commits=100, cpu_seconds=0.2),
    )


def races() -> list[race.Race]:
    return [race.SMALL, race.MEDIUM, race.LARGE, race.MANY_COUPONS]


def a_race_part() -> Part:
    speeds = {race.OURS: 6_000.0, race.FOR_UPDATE: 2_000.0}
    runs = {
        (one, key): [a_run(speeds.get(key, 1_000.0), rows=103 if key == "a" else 100)] for one in races() for key in ALL
    }
    return race.to_part(runs, races())


def test_the_race_gives_ratios_and_one_entry_a_rival_and_size() -> None:
    part = a_race_part()

    assert part.figures["throughput_vs_for_update"] == 3
    assert part.figures["over_issued"] == 0
    assert len(part.rivals) == len(races()) * len(ALL)
    assert all(set(entry) >= RIVAL_FIELDS for entry in part.rivals)
    counting = next(entry for entry in part.rivals if entry["name"].startswith("(a)"))
    assert counting["over_issued"] == 3
    assert counting["statements_per_request"] == 2
    assert (counting["p50_ms"], counting["p99_ms"]) == (1, 1)


def test_an_over_issue_of_ours_is_a_figure() -> None:
    runs = {(one, key): [a_run(1_000, rows=101 if key == race.OURS else 100)] for one in races() for key in ALL}

    assert race.to_part(runs, races()).figures["over_issued"] == 1


def test_rounds_go_back_and_forth_and_compare_the_two_in_each() -> None:
    rounds = list(race.Race(100, 1_000, 1, rounds_of_two=3, rounds_of_others=1).rounds())

    assert rounds == [list(ALL), ["g", "b"], ["b", "g"]]


def test_one_request_in_ten_repeats_a_user() -> None:
    users = a_crowd_of_users(900, seed=1)

    assert len(users) == 1_000
    assert len(set(users)) == 900


def test_the_drain_is_compared_at_batches_of_a_thousand() -> None:
    def measured(seconds: float) -> list[drain.Measured]:
        return [drain.Measured(1_000, seconds, Counters(statements=4, commits=1, cpu_seconds=0.01))]

    some = [drain.Compared(batch, measured(0.1), measured(0.2), measured(0.1)) for batch in (10, 1_000)]
    part = drain.to_part(some)

    assert part.figures == {"drain_ratio": 1.0, "drain_ratio_one_worker": 0.5, "statements_per_coupon": 0.004}


def test_the_worst_kind_of_call_decides_the_growth() -> None:
    costs = {
        (kind, is_large): [redis_costs.Cost(1.0, 16.5 if (kind, is_large) == ("replay", True) else 10.0 + is_large)]
        for kind in redis_costs.KINDS
        for is_large in (False, True)
    }
    part = redis_costs.to_part(costs, 280, 137, 1_000_000)

    assert part.figures["cost_growth_ratio"] == 1.65
    assert part.figures["redis_bytes_per_claim"] == 137


def test_the_bystanders_ratio_is_taken_round_by_round() -> None:
    felt = {}
    for condition in bystander.CONDITIONS:
        waits = Waits({kind: array("d", [0.001, 0.002]) for kind in KINDS})
        base = 1.0 if condition is bystander.IDLE else 3.0
        # The last round is one that not all conditions take part in.
        rounds = {0: base, 1: base * 10, **({2: base * 2} if condition in bystander.COMPARED else {})}
        felt[condition.name] = bystander.Felt(waits, p99_of_rounds=rounds, seconds=3)
    part = bystander.to_part(felt)

    assert part.figures["bystander_p99_ratio"] == 3
    assert len(part.tables[0].rows) == len(bystander.CONDITIONS)


def test_the_result_holds_what_this_run_measured_and_nothing_else() -> None:
    result = json.loads(json.dumps(to_result({"rivals": a_race_part()}, MACHINE)))

    assert set(result) == {"figures", "rivals", "machine"}
    assert "drain_ratio" not in result["figures"]
    assert result["machine"]["parts"] == ["rivals"]


def test_figures_are_judged() -> None:
    table = figures_table({"drain_ratio": 0.9, "over_issued": 1.0, "something_else": 4.0})

    assert [(row[0], row[3]) for row in table.rows] == [
        ("over_issued", "missed"),
        ("drain_ratio", "reached"),
        ("something_else", ""),
    ]


def test_a_table_is_printed_with_its_note() -> None:
    console = a_console(file=io.StringIO())
    console.print(shown_table(Table("A table", ["name", "number"], [["a", "1"], ["long [name]", "1,000"]], "A note.")))

    assert isinstance(console.file, io.StringIO)
    lines = [line.split() for line in console.file.getvalue().splitlines() if line.strip("─ ")]
    assert lines == [["A", "table"], ["name", "number"], ["a", "1"], ["long", "[name]", "1,000"], ["A", "note."]]


def test_parts_are_run_in_their_own_order_and_all_when_none_is_named() -> None:
    assert parse([]) == list(PARTS)
    assert parse(["drain", "rivals"]) == [name for name in PARTS if name in {"drain", "rivals"}]


def test_an_unknown_part_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["drian"])
    assert "no such part: drian" in capsys.readouterr().err


def test_every_figure_of_ours_with_a_goal_is_known() -> None:
    assert TARGETS["over_issued"].is_reached(0)
    assert not TARGETS["over_issued"].is_reached(1)
    assert TARGETS["throughput_vs_for_update"].is_reached(10)
    assert not TARGETS["throughput_vs_for_update"].is_reached(9.99)
