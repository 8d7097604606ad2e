"""The part `redis`: what a call of the gate costs Redis at 100 claims and at a million, and what a claim weighs.

The commands are the apply handler's own, see `bench.harness.recorded`; Redis times them (`INFO commandstats`).
"""

from __future__ import annotations

import random
import statistics
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import redis

from bench.harness import handlers
from bench.harness.numbers import rounded, shown, sized
from bench.harness.part import Bars, Part, Table
from bench.harness.recorded import Command, Recorded, record, send_all
from bench.harness.servers import Site, running_site
from bench.harness.workers import workers

SMALL = 100
LARGE = 1_000_000
CALLS = 10_000
ROUNDS = 7
KINDS = ("accept", "replay", "sold out")


@dataclass(frozen=True)
class Cost:
    """What one kind of call cost Redis.

    Attributes:
        script_us: microseconds a call by Redis's own count: the command, without reading and writing the socket.
        cpu_us: CPU of the whole process a call, the socket included.
    """

    script_us: float
    cpu_us: float


@dataclass
class Costs:
    """All rounds: (claims, kind) -> one cost a round."""

    rounds: dict[tuple[int, str], list[Cost]] = field(default_factory=dict)

    def add(self, claims: int, kind: str, cost: Cost) -> None:
        """Note one round."""
        self.rounds.setdefault((claims, kind), []).append(cost)

    def script_us(self, claims: int, kind: str) -> float:
        """The median."""
        return statistics.median(cost.script_us for cost in self.rounds[claims, kind])

    def cpu_us(self, claims: int, kind: str) -> float:
        """The median."""
        return statistics.median(cost.cpu_us for cost in self.rounds[claims, kind])

    def growth(self, kind: str) -> float:
        """What a call costs at the large number of claims, against the small one."""
        large, small = sorted({claims for claims, _ in self.rounds}, reverse=True)
        return self.cpu_us(large, kind) / self.cpu_us(small, kind)


@dataclass(frozen=True)
class Weights:
    """Bytes a claim, over all of Redis's memory: accepted and not yet noted as sent, and after that."""

    outbox: float
    sent: float
    keys: dict[str, float]


class Gate:
    """The gate of the recorded handler, spoken to in its own commands."""

    def __init__(self, site: Site, recorded: Recorded) -> None:
        self._port = site.redis_port
        self._recorded = recorded
        self.client = redis.Redis(port=site.redis_port)

    def fill(self, campaign_id: str, users: Sequence[str], commands: Sequence[Command]) -> None:
        """Have all users accepted; with all commands the claims are noted as sent as well."""
        send_all(
            self._port,
            (self._recorded.packed(commands, campaign_id, user, number) for number, user in enumerate(users)),
        )

    def ask(self, campaign_id: str, users: Sequence[str]) -> None:
        """Ask for each user, and nothing else."""
        self.fill(campaign_id, users, [self._recorded.asking])

    def confirm(self, campaign_id: str, users: Sequence[str]) -> None:
        """Note their claims as sent."""
        self.fill(campaign_id, users, self._recorded.commands[1:])

    def cost_of(self, calls: int, run: Callable[[], None]) -> Cost:
        """What the calls made by `run` cost."""
        self.client.config_resetstat()
        cpu_before = self._cpu_seconds()
        run()
        cpu = self._cpu_seconds() - cpu_before
        name = f"cmdstat_{self._recorded.asking[0].decode().lower()}"
        told: dict[str, Any] = self.client.info("commandstats")[name]
        if told["calls"] != calls or told["failed_calls"] or told["rejected_calls"]:
            raise RuntimeError(f"Redis counted {told} instead of {calls} calls")
        return Cost(script_us=told["usec"] / calls, cpu_us=cpu / calls * 1e6)

    def memory(self) -> int:
        """Bytes in use."""
        used: int = self.client.info("memory")["used_memory"]
        return used

    def weigh_keys(self, campaign_id: str) -> dict[str, int]:
        """Bytes of each of a campaign's keys."""
        keys = self.client.scan_iter(match=f"*{campaign_id}*", count=1_000)
        return {key.decode(): int(self.client.memory_usage(key, samples=0) or 0) for key in keys}

    def _cpu_seconds(self) -> float:
        cpu: dict[str, float] = self.client.info("cpu")
        return cpu["used_cpu_user"] + cpu["used_cpu_sys"]


@dataclass
class LargeGate:
    """A campaign that fills up to its capacity, a part of it in each round."""

    campaign_id: str
    users: list[str]
    filled: int = 0

    def next_users(self, count: int) -> list[str]:
        """The next users in line."""
        start, self.filled = self.filled, self.filled + count
        return self.users[start : self.filled]


def run() -> Part:
    """Measure."""
    with running_site("redis") as site, workers(1) as (operator,):
        operator.call(handlers.become_environment, site)
        operator.call(handlers.migrate)
        gate = Gate(site, operator.call(record, site.redis_port))
        large = LargeGate("large", some_users(sized(LARGE)))
        operator.call(handlers.put_campaign, large.campaign_id, len(large.users))
        weights = fill_and_weigh(gate, large)
        costs = Costs()
        for round_number in range(sized(ROUNDS, 2)):
            names = [f"small-{round_number}-{number}" for number in range(sized(CALLS, SMALL) // SMALL)]
            for name in names:
                operator.call(handlers.put_campaign, name, SMALL)
            one_round(gate, costs, large, names)
        for number in range(sized(ROUNDS, 2)):
            sold_out(gate, costs, large, f"small-{number}-0")
        operator.call(expect_sold_out, large.campaign_id)
    return to_part(costs, weights, len(large.users))


def some_users(count: int) -> list[str]:
    """Users as a JWT's subject often is: 36 characters."""
    chance = random.Random(count)
    return [str(uuid.UUID(int=chance.getrandbits(128), version=4)) for _ in range(count)]


def fill_and_weigh(gate: Gate, large: LargeGate) -> Weights:
    """Fill the large gate but for what the rounds need, and weigh it on the way."""
    empty = gate.memory()
    left_for_rounds = sized(ROUNDS, 2) * sized(CALLS, SMALL)
    users = large.next_users(len(large.users) - left_for_rounds)
    gate.ask(large.campaign_id, users)
    outbox = gate.memory() - empty
    gate.confirm(large.campaign_id, users)
    # Redis gives memory back, and grows its tables, a step at a time in the background.
    time.sleep(1)
    sent = gate.memory() - empty
    keys = {key: size / len(users) for key, size in gate.weigh_keys(large.campaign_id).items()}
    return Weights(outbox / len(users), sent / len(users), keys)


def one_round(gate: Gate, costs: Costs, large: LargeGate, small: Sequence[str]) -> None:
    """Accept and replay, in small gates from empty to sold out, and at the end of the large one."""
    users = some_users(len(small) * SMALL)
    shares = [users[number * SMALL : (number + 1) * SMALL] for number in range(len(small))]
    fresh = large.next_users(len(users))
    known = random.Random(large.filled).sample(large.users[: large.filled], len(users))

    def in_small() -> None:
        for name, some in zip(small, shares, strict=True):
            gate.ask(name, some)

    def in_large(some: Sequence[str]) -> Callable[[], None]:
        return lambda: gate.ask(large.campaign_id, some)

    costs.add(SMALL, "accept", gate.cost_of(len(users), in_small))
    costs.add(len(large.users), "accept", gate.cost_of(len(users), in_large(fresh)))
    for name, some in zip(small, shares, strict=True):
        gate.confirm(name, some)
    gate.confirm(large.campaign_id, fresh)
    costs.add(SMALL, "replay", gate.cost_of(len(users), in_small))
    costs.add(len(large.users), "replay", gate.cost_of(len(users), in_large(known)))


def sold_out(gate: Gate, costs: Costs, large: LargeGate, small: str) -> None:
    """Refuse strangers, once both gates are sold out."""
    for claims, campaign_id in ((SMALL, small), (len(large.users), large.campaign_id)):
        strangers = [handlers.new_user() for _ in range(sized(CALLS, SMALL))]
        costs.add(claims, "sold out", gate.cost_of(len(strangers), _asking(gate, campaign_id, strangers)))


def _asking(gate: Gate, campaign_id: str, users: Sequence[str]) -> Callable[[], None]:
    return lambda: gate.ask(campaign_id, users)


def expect_sold_out(campaign_id: str) -> None:
    """Make sure, by the handler, that the gate really took in all that was sent to it."""
    status = handlers.apply(handlers.an_apply_event(campaign_id, handlers.new_user()))
    if status != handlers.CONFLICT:
        raise RuntimeError(f"the large gate answers {status}, though it should be sold out")


def to_part(costs: Costs, weights: Weights, large: int) -> Part:
    """The figures and tables."""
    growth = {kind: costs.growth(kind) for kind in KINDS}
    return Part(
        figures={
            "cost_growth_ratio": rounded(max(growth.values())),
            "redis_bytes_per_claim": rounded(weights.sent),
            "redis_bytes_per_unsent_claim": rounded(weights.outbox),
        },
        tables=[
            Table(
                title="Redis: CPU a call",
                columns=["call", "CPU us at 100 claims", f"at {large:,}", "ratio", "script us at 100", f"at {large:,}"],
                rows=[_row(costs, kind, large) for kind in KINDS],
                note=_COST_NOTE,
            ),
            Table(
                title=f"Redis: bytes a claim, at {large:,} claims",
                columns=["what", "bytes"],
                rows=[
                    ["all of Redis's memory, claims noted as sent", shown(weights.sent)],
                    ["the same, while all claims are outbox", shown(weights.outbox)],
                    *([f"key {key}", shown(size)] for key, size in sorted(weights.keys.items()) if size > 1),
                ],
                note="Users are UUIDs of 36 characters. The issued bitmap, a bit a claim, is not among it.",
            ),
        ],
        charts=[Bars("Redis: microseconds per call", dict(_bars(costs, large)), "microseconds, median of the rounds")],
    )


def _bars(costs: Costs, large: int) -> Iterator[tuple[str, float]]:
    for kind in KINDS:
        yield f"{kind}, 100 claims", costs.cpu_us(SMALL, kind)
        yield f"{kind}, {large:,} claims", costs.cpu_us(large, kind)


def _row(costs: Costs, kind: str, large: int) -> list[str]:
    return [
        kind,
        shown(costs.cpu_us(SMALL, kind)),
        shown(costs.cpu_us(large, kind)),
        shown(costs.growth(kind)),
        shown(costs.script_us(SMALL, kind)),
        shown(costs.script_us(large, kind)),
    ]


_COST_NOTE = (
    "Medians of alternating rounds. 'CPU' is the whole server's, a call, pipelined, reading and writing the socket"
    " included; 'script' is Redis's own count (INFO commandstats), a wall clock that other work here stretches."
    " At 100: many campaigns of 100 coupons each, from the first to the last; at the large number: the last ones of one"
    " campaign. The figure is the worst of the three ratios of CPU."
)
