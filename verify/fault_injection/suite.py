"""Runs scenarios with faults: records the calls of a run without, then lets every fault happen at every call."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from verify.fault_injection.client import Client
from verify.fault_injection.faults import Call, Kind
from verify.fault_injection.scenarios import Scenario
from verify.fault_injection.sqs import QueueRules
from verify.fault_injection.world import QUEUE, StuckError, World
from verify.guarantees import GUARANTEES

STUCK = "stuck"

REPEATS = 2
"""How often the same fault is injected at the same call of one scenario: the relay makes some of them every minute."""

type Plan = Mapping[int, Kind]
type Point = tuple[int, Kind]
type Cut = Callable[[Sequence[Point]], Sequence[Point]]


@dataclass(frozen=True)
class Run:
    """A run at its end."""

    scenario: Scenario
    plan: Plan
    calls: Sequence[Call]
    fired: Sequence[tuple[Call, Kind]]
    violations: Mapping[str, Sequence[str]]


@dataclass
class Tally:
    """Counts over many runs.

    Attributes:
        points: (scenario, number of the call, kind of fault): the places where a single fault was injected.
    """

    runs: int = 0
    fired: int = 0
    points: set[tuple[str, int, Kind]] = field(default_factory=set)
    violations: Counter[str] = field(default_factory=Counter)
    examples: list[Run] = field(default_factory=list)

    def add(self, run: Run) -> None:
        """Count one run."""
        self.runs += 1
        self.fired += len(run.fired)
        if len(run.plan) == 1:
            self.points.update((run.scenario.name, number, kind) for number, kind in run.plan.items())
        self.violations.update(run.violations.keys())
        if run.violations:
            self.examples.append(run)

    def merge(self, other: Tally) -> None:
        """Count what another worker counted."""
        self.runs += other.runs
        self.fired += other.fired
        self.points |= other.points
        self.violations += other.violations
        self.examples += other.examples

    def by_guarantee(self) -> dict[str, int]:
        """Return the runs that violated each guarantee."""
        return {guarantee: self.violations[guarantee] for guarantee in GUARANTEES}


def run_with(world: World, scenario: Scenario, plan: Plan, seed: int = 0, queue: QueueRules = QUEUE) -> Run:
    """Run a scenario with these faults until all is at rest, and check it."""
    world.fresh(plan, seed, queue)
    client = Client(world)
    found: Mapping[str, Sequence[str]]
    try:
        with world.wire.set(is_recording=False):
            scenario.prepare(world, client)
        scenario.run(world, client)
        world.settle()
        with world.wire.set(is_recording=False):
            if scenario.asks_again:
                _ask_once_more(world, client, scenario)
    except StuckError as exc:
        found = {STUCK: [str(exc)]}
    else:
        found = world.violations()
    return Run(scenario, dict(plan), list(world.wire.calls), list(world.wire.fired), found)


def singles(world: World, scenario: Scenario, cut: Cut = list) -> Iterator[Run]:
    """Run a scenario without faults, and then once for every fault at every call, `REPEATS` times at most.

    Args:
        cut: chooses some of the faults, for one of several workers.
    """
    # Twice: the first run fills caches, of scripts and in the servers.
    run_with(world, scenario, {})
    fault_free = run_with(world, scenario, {})
    yield fault_free
    calls = fault_free.calls
    for number, kind in cut(list(_points(calls))):
        run = run_with(world, scenario, {number: kind})
        if run.calls[: number + 1] != calls[: number + 1]:
            raise AssertionError(f"{scenario.name} makes other calls the second time, up to {number}: {calls[number]}")
        yield run


def _points(calls: Sequence[Call]) -> Iterator[Point]:
    seen: Counter[tuple[Call, Kind]] = Counter()
    for number, call in enumerate(calls):
        for kind in call.kinds:
            seen[(call, kind)] += 1
            if seen[(call, kind)] <= REPEATS:
                yield number, kind


def pairs_after(first: Run) -> Iterator[Plan]:
    """Return the plans that add a second fault after the one of this run, its recovery included."""
    (number, kind), *_ = first.plan.items()
    for later in range(number + 1, len(first.calls)):
        for second in first.calls[later].kinds:
            yield {number: kind, later: second}


def sampled(plans: Sequence[Plan], at_most: int, seed: int) -> Sequence[Plan]:
    """Choose plans by seed, all of them when they are few."""
    return plans if len(plans) <= at_most else random.Random(seed).sample(plans, at_most)


def _ask_once_more(world: World, client: Client, scenario: Scenario) -> None:
    """Let everybody ask again: the answers must be the same, and late users get the seats that are free."""
    users = world.users()
    for user in (*users, *scenario.late_users):
        client.apply(user)
    world.settle()
    for user in users:
        client.mine(user)
