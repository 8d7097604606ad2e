"""The cost model: its arithmetic, and what it says when nothing was measured."""

import json
from pathlib import Path

import pytest

from bench.parts.cost import NEEDED, Prices, billed_ms, per_million, read_measured, to_table
from local.errors import LocalStackError

PRICES = Prices(
    invocation=0.2e-6, gb_second=0.00002, http_request=1e-6, rest_request=3.5e-6, sqs_request=0.4e-6, transfer_gb=0.0
)
MEASURED = {"refused_cpu_us": 100, "sold_out_cached_cpu_us": 20, "accepted_cpu_us": 500, "boto3_accepted_cpu_us": 2_000}


def test_lambda_bills_whole_milliseconds_at_its_share_of_a_core() -> None:
    assert billed_ms(cpu_us=10, waits_ms=0) == 1
    # 512 of 1,769 MB: 0.29 of a core, so 1 ms of CPU takes 3.46 ms.
    assert billed_ms(cpu_us=1_000, waits_ms=0) == 4
    assert billed_ms(cpu_us=1_000, waits_ms=8) == 12


def test_a_refusal_is_an_api_call_and_a_millisecond() -> None:
    dollars = per_million(MEASURED, PRICES)

    assert dollars["refused_from_memory"] == pytest.approx(1.00 + 0.20 + 0.001 * 0.5 * 0.00002 * 1e6)


def test_a_refusal_at_the_gate_costs_less_than_a_third_of_one_that_is_queued() -> None:
    dollars = per_million(MEASURED, Prices())

    assert dollars["rest_and_queue"] > 3 * dollars["refused_at_the_gate"]
    assert len(to_table(dollars).rows) == 3


def test_without_a_measurement_it_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(LocalStackError, match="PARTS=hot"):
        read_measured(tmp_path / "result.json")
    (tmp_path / "result.json").write_text(json.dumps({"figures": dict.fromkeys(NEEDED, 1.0)}), encoding="utf-8")
    assert read_measured(tmp_path / "result.json") == dict.fromkeys(NEEDED, 1.0)
