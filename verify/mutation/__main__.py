"""Tries every mutant of the Lua scripts and of the drain: `make mutate`, or `python -m verify.mutation [FILE ...]`."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Empty, SimpleQueue

from verify.mutation.mutants import Mutant
from verify.mutation.plan import PACKAGE, ROOT, TARGETS, Target, mutants
from verify.mutation.report import make_report

WORKERS = 2
FOLDER = ROOT / ".local" / "mutate"
_SECONDS_AT_FIRST = 240.0
_LEAST_SECONDS = 45.0


class WorkerProcess:
    """A worker, see `worker`."""

    def __init__(self, folder: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "verify.mutation.worker", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            # So that a survivor of today is one of tomorrow: sets have one order.
            env={**os.environ, "PYTHONHASHSEED": "1"},
        )

    def run(self, file: str, source: str, tests: Sequence[str], seconds: float) -> dict[str, str]:
        """Run tests on a changed file."""
        assert self._process.stdin
        assert self._process.stdout
        job = {"file": file, "source": source, "tests": list(tests), "seconds": seconds}
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("A worker has ended; what it said is above.")
        answer: dict[str, str] = json.loads(line)
        return answer

    def stop(self) -> None:
        """Let it stop its servers."""
        self._process.communicate()


def survivors_of(targets: Sequence[Target], folder: Path) -> tuple[list[Mutant], list[Mutant]]:
    """Try all mutants; returns them, and those that survived."""
    workers = [WorkerProcess(folder / f"worker-{number}") for number in range(WORKERS)]
    try:
        jobs: SimpleQueue[tuple[Target, Mutant, float]] = SimpleQueue()
        tried: list[Mutant] = []
        for target in targets:
            seconds = _seconds_unchanged(workers[0], target)
            for mutant in mutants(target):
                tried.append(mutant)
                jobs.put((target, mutant, max(_LEAST_SECONDS, 4 * seconds)))
        with ThreadPoolExecutor(WORKERS) as pool:
            found = pool.map(lambda worker: _work(worker, jobs, len(tried)), workers)
            survivors = [mutant for some in found for mutant in some]
        # What broke the tests meanwhile would count as having noticed the mutants.
        for target in {target.tests: target for target in targets}.values():
            _seconds_unchanged(workers[0], target)
    finally:
        for worker in workers:
            worker.stop()
    return tried, sorted(survivors, key=lambda mutant: (mutant.file, mutant.line))


def _seconds_unchanged(worker: WorkerProcess, target: Target) -> float:
    """Time the tests on the file as it is: they must pass, or every mutant would count as killed."""
    source = (PACKAGE / target.file).read_text(encoding="utf-8")
    began = time.monotonic()
    answer = worker.run(target.file, source, _tests(target), _SECONDS_AT_FIRST)
    if answer["outcome"] != "survived":
        raise SystemExit(f"The tests of {target.file} fail without a mutant:\n{answer['log']}")
    return time.monotonic() - began


def _work(worker: WorkerProcess, jobs: "SimpleQueue[tuple[Target, Mutant, float]]", total: int) -> list[Mutant]:
    survivors: list[Mutant] = []
    while True:
        try:
            target, mutant, seconds = jobs.get_nowait()
        except Empty:
            return survivors
        answer = worker.run(mutant.file, mutant.source, _tests(target), seconds)
        if answer["outcome"] == "survived":
            survivors.append(mutant)
            _say(f"survived  {mutant.file}:{mutant.line}\n  - {mutant.old}\n  + {mutant.new}")
        left = jobs.qsize()
        if left % 50 == 0:
            _say(f"{total - left} of {total} tried")


def _tests(target: Target) -> list[str]:
    return [test for test in target.tests if (ROOT / test).exists()]


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main(names: Sequence[str]) -> int:
    """Try the files named, or all; returns the exit status."""
    targets = [target for target in TARGETS if not names or target.file in names]
    began = time.monotonic()
    tried, survivors = survivors_of(targets, FOLDER)
    report = make_report(tried, survivors, time.monotonic() - began)
    report.write(FOLDER / "result.json")
    _say("\n" + "\n".join(report.lines()))
    return 0 if report.is_good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
