"""Processes of the bench."""

from __future__ import annotations

import os
import time

import pytest

from bench.harness.workers import call_all, workers


def test_workers_run_calls_of_their_own_and_end() -> None:
    with workers(2) as crowd:
        assert call_all(crowd, divmod, [(7, 2), (9, 4)]) == [(3, 1), (2, 1)]
        pids = call_all(crowd, os.getpid, [(), ()])
        assert len({*pids, os.getpid()}) == 3
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_failed_call_does_not_end_the_worker() -> None:
    with workers(1) as (worker,):
        with pytest.raises(ValueError, match="invalid literal"):
            worker.call(int, "x")
        assert worker.call(int, "7") == 7


def test_a_worker_in_a_long_call_is_ended() -> None:
    began = time.monotonic()
    with workers(1) as (worker,):
        worker.begin(time.sleep, 60)
    assert time.monotonic() - began < 30
