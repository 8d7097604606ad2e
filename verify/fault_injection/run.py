"""`make faults`: every single fault at every external call, pairs of faults, and the naive rivals in the same suite.

Writes the figures to `.local/faults/result.json`. Exits with 1 if one of our runs
violates a guarantee, or if the rivals do not violate G1 to G4 between them: then the suite would be blind.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from verify.fault_injection import naive, scenarios
from verify.fault_injection.servers import FOLDER, Servers, started_servers
from verify.fault_injection.suite import STUCK, Plan, Run, Tally, pairs_after, run_with, sampled, singles
from verify.fault_injection.world import World
from verify.guarantees import GUARANTEES

PAIRS_AT_MOST = 2_000
SEED = 20_261_123
MUST_FAIL = ("G1", "G2", "G3", "G4")
EXAMPLES = 10


@dataclass
class Found:
    """What one worker counted."""

    singles: Tally = field(default_factory=Tally)
    pairs: Tally = field(default_factory=Tally)
    pairs_possible: int = 0
    naive: dict[str, Tally] = field(default_factory=dict)


@dataclass(frozen=True)
class Share:
    """One worker's part of the work: every `of`-th of it, from `number` on."""

    number: int
    of: int
    pairs_at_most: int

    def cut[T](self, things: Sequence[T]) -> Sequence[T]:
        """Return this worker's things."""
        return things[self.number :: self.of]


def main(arguments: Sequence[str]) -> int:
    """Run all, report, and judge."""
    parser = argparse.ArgumentParser(prog="python -m verify.fault_injection.run", description=__doc__)
    parser.add_argument("--pairs", type=int, default=PAIRS_AT_MOST, help="pairs of faults at most")
    parser.add_argument("--workers", type=int, default=2, help="processes, each with servers of its own")
    options = parser.parse_args(arguments)
    began = time.monotonic()
    shares = [Share(number, options.workers, options.pairs) for number in range(options.workers)]
    with ProcessPoolExecutor(options.workers, multiprocessing.get_context("spawn")) as workers:
        found = _merged(list(workers.map(work, shares)))
    result = to_result(found, time.monotonic() - began)
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "result.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(report(found, result))
    return 0 if is_good(result) else 1


def work(share: Share) -> Found:
    """Do one worker's part."""
    found = Found()
    with started_servers(FOLDER / f"worker-{share.number}") as servers:
        with World(servers).running() as world:
            for scenario in scenarios.ALL:
                for run in singles(world, scenario, share.cut):
                    found.singles.add(run)
            plans = list(_pair_plans(world))
            found.pairs_possible = len(plans)
            for plan in share.cut(sampled(plans, share.pairs_at_most, SEED)):
                found.pairs.add(run_with(world, scenarios.PAIRS, plan))
        for name in naive.RIVALS:
            found.naive[name] = run_naive(servers, name, share)
    return found


def run_naive(servers: Servers, name: str, share: Share) -> Tally:
    """Let a rival fail."""
    tally = Tally()
    World(servers).rows(naive.MAKE_TABLE)
    world = World(servers, naive.handlers_of(naive.RIVALS[name](2)), naive.TABLE)
    with world.running():
        for run in singles(world, scenarios.NAIVE, share.cut):
            tally.add(run)
    world.close()
    return tally


def to_result(found: Found, seconds: float) -> dict[str, Any]:
    """Write the figures of result.json."""
    ours, pairs = found.singles, found.pairs
    rivals = {name: tally.by_guarantee() for name, tally in found.naive.items()}
    return {
        "injection_points": len(ours.points),
        "runs": ours.runs + pairs.runs,
        "faults_fired": ours.fired + pairs.fired,
        "violations": {name: ours.violations[name] + pairs.violations[name] for name in GUARANTEES},
        "stuck": ours.violations[STUCK] + pairs.violations[STUCK],
        "single_faults": {"runs": ours.runs, "calls": len({point[:2] for point in ours.points})},
        "pairs": {"runs": pairs.runs, "possible": found.pairs_possible, "seed": SEED},
        "naive": {
            "violations": {name: sum(counts[name] for counts in rivals.values()) for name in GUARANTEES},
            "runs": sum(tally.runs for tally in found.naive.values()),
            "by_rival": rivals,
        },
        "seconds": round(seconds, 1),
    }


def is_good(result: dict[str, Any]) -> bool:
    """Whether ours held everywhere, and the suite saw the rivals fail."""
    is_held = not any(result["violations"].values()) and not result["stuck"]
    return is_held and all(result["naive"]["violations"][name] for name in MUST_FAIL)


def report(found: Found, result: dict[str, Any]) -> str:
    """Write what failed, and the figures."""
    pairs, rivals = result["pairs"], result["naive"]["by_rival"]
    return "\n".join(
        [
            *(line for run in [*found.singles.examples, *found.pairs.examples][:EXAMPLES] for line in _example(run)),
            f"{result['injection_points']} injection points, {result['runs']} runs,"
            f" {result['faults_fired']} faults fired, {result['seconds']} s",
            f"pairs of faults: {pairs['runs']} of {pairs['possible']} (chosen by seed {pairs['seed']})",
            f"violations: {_counts(result['violations'])}; stuck {result['stuck']}",
            *(f"naive '{name}': {_counts(counts)}" for name, counts in rivals.items()),
        ]
    )


def _example(run: Run) -> list[str]:
    faults = "; ".join(f"{call}, {kind.value}" for call, kind in run.fired)
    plan = {number: kind.name for number, kind in run.plan.items()}
    problems = [f"    {name}: {problem}" for name, found in run.violations.items() for problem in found]
    return [f"VIOLATION in '{run.scenario.name}' {plan}: {faults}", *problems]


def _counts(counts: dict[str, int]) -> str:
    return " ".join(f"{name} {count}" for name, count in counts.items())


def _pair_plans(world: World) -> Iterator[Plan]:
    for first in singles(world, scenarios.PAIRS):
        if first.plan:
            yield from pairs_after(first)


def _merged(parts: Sequence[Found]) -> Found:
    merged = Found(pairs_possible=parts[0].pairs_possible)
    for part in parts:
        merged.singles.merge(part.singles)
        merged.pairs.merge(part.pairs)
        for name, tally in part.naive.items():
            merged.naive.setdefault(name, Tally()).merge(tally)
    return merged


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
