"""The fault suite's report for a terminal: what each fault at each call led to."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

from verify.fault_injection.suite import Tally, Told

EXAMPLES = 10


def text(singles: Tally, pairs: Tally, result: dict[str, Any]) -> str:
    """Write the table, what failed, and the figures."""
    parts = [_table(singles), *(_example(told) for told in [*singles.examples, *pairs.examples][:EXAMPLES])]
    parts.append(_figures(result))
    return "\n".join(parts)


def _table(tally: Tally) -> str:
    """Write one line a call and fault: how the invocations it struck ended, and how often."""
    outcomes: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for (call, kind, ending), count in tally.table.items():
        outcomes[(call, kind)][ending] += count
    width = max((len(call) for call, _ in outcomes), default=0)
    lines = [f"{'call':{width}}  {'fault':13}  outcome (single faults; every run then went on to rest and was judged)"]
    for (call, kind), counts in sorted(outcomes.items()):
        told = ", ".join(f"{ending} x{count}" for ending, count in counts.most_common())
        lines.append(f"{call:{width}}  {kind:13}  {told}")
    return "\n".join(lines)


def _example(told: Told) -> str:
    faults = "; ".join(f"{call}, {kind.value}" for call, kind in told.fired)
    broken = "\n".join(f"    {name}: {problem}" for name, problems in told.violations.items() for problem in problems)
    plan = {number: kind.name for number, kind in told.plan.items()}
    return f"VIOLATION in '{told.scenario.name}' {plan}: {faults}\n{broken}"


def _figures(result: dict[str, Any]) -> str:
    pairs, naive = result["pairs"], result["naive"]
    return "\n".join(
        [
            "",
            f"{result['injection_points']} injection points, {result['runs']} runs,"
            f" {result['faults_fired']} faults fired, {result['seconds']} s",
            f"pairs of faults: {pairs['runs']} of {pairs['possible']} (chosen by seed {pairs['seed']})",
            f"violations: {_counts(result['violations'])}; stuck {result['stuck']}",
            *(f"naive '{name}': {_counts(counts)}" for name, counts in naive["by_rival"].items()),
        ]
    )


def _counts(counts: dict[str, int]) -> str:
    return " ".join(f"{name} {count}" for name, count in counts.items())
