"""`make mutate`: puts one error at a time into the Lua scripts and into what moves claims; the tests must notice it.

`python -m verify.mutation [FILE ...]` tries only the files named. Ends with 1 if fewer than 95 % are noticed. Some that
are not noticed behave as the original does: a limit one higher, an early return that only saves a query.
"""

import json
import multiprocessing
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor

from verify.mutation.plan import ROOT, TARGETS, mutants
from verify.mutation.worker import Job, start, try_out

GOAL = 0.95
WORKERS = 2
FOLDER = ROOT / ".local" / "mutate"


def main(names: Sequence[str]) -> int:
    """Try the files named, or all; returns the exit status."""
    targets = [target for target in TARGETS if not names or target.file in names]
    began = time.monotonic()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(WORKERS, context, start, (FOLDER,)) as pool:
        unchanged = [Job(target) for target in {target.tests: target for target in targets}.values()]
        _must_pass(unchanged, list(pool.map(try_out, unchanged)))
        jobs = [Job(target, mutant) for target in targets for mutant in mutants(target)]
        survived = []
        for number, (job, log) in enumerate(zip(jobs, pool.map(try_out, jobs), strict=True)):
            if log is None and job.mutant:
                survived.append(job.mutant)
                _say(f"not noticed  {job.mutant.file}:{job.mutant.line}\n  - {job.mutant.old}\n  + {job.mutant.new}")
            if number % 100 == 0:
                _say(f"{number} of {len(jobs)} tried")
        # What broke the tests meanwhile would count as having noticed the errors.
        _must_pass(unchanged, list(pool.map(try_out, unchanged)))
    killed = len(jobs) - len(survived)
    result = {
        "mutants": len(jobs),
        "killed": killed,
        "score": round(killed / max(1, len(jobs)), 4),
        "seconds": round(time.monotonic() - began, 1),
        "survivors": [{"file": one.file, "line": one.line, "old": one.old, "new": one.new} for one in survived],
    }
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "result.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    _say(f"{killed} of {len(jobs)} killed, {result['score']:.1%}, in {result['seconds']:.0f} s")
    return 0 if killed >= GOAL * len(jobs) else 1


def _must_pass(unchanged: Sequence[Job], logs: Sequence[str | None]) -> None:
    for job, log in zip(unchanged, logs, strict=True):
        if log is not None:
            raise SystemExit(f"The tests of {job.target.file} fail without an error put in:\n{log}")


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
