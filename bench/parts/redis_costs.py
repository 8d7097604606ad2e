"""The part `redis`: what a call of the gate costs Redis at 100 claims and at a million, and what a claim weighs.

The commands are the apply handler's own, for other users.
"""

from __future__ import annotations

import itertools
import json
import random
import statistics
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from itertools import batched
from typing import Any

from bench.harness import handlers
from bench.harness.commands import Command, commands_of, with_other
from bench.harness.handlers import new_user
from bench.harness.numbers import rounded, shown, sized
from bench.harness.part import Bars, Part, Table
from bench.harness.servers import Servers, running_servers
from bench.harness.workers import workers

SMALL = 100
LARGE = 1_000_000
CALLS = 10_000
ROUNDS = 7
KINDS = ("accept", "replay", "sold out")

# The same for small and large campaigns, because it has a share in the cost of a call.
_PIPELINED = SMALL
_SEEN_CAMPAIGN = "seen-campaign"
_CODE_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


@dataclass(frozen=True)
class Cost:
    """The cost to Redis of one call, in microseconds.

    Attributes:
        script: by Redis's own count (INFO commandstats), without reading and writing the socket.
        cpu: of the whole process, the socket included.
    """

    script: float
    cpu: float


type Costs = Mapping[tuple[str, bool], Sequence[Cost]]
"""One cost per round, by kind of call and by whether the campaign is the large one."""


@dataclass(frozen=True)
class Seen:
    """The commands of the handler for one accepted user: the first one decides, the others note the claim as sent."""

    commands: Sequence[Command]
    user: str
    code: str

    def for_other(self, command: Command, campaign_id: str, user: str, number: int) -> Command:
        """The same command for another user and campaign; the number makes the code."""
        code = "".join(_CODE_ALPHABET[(number * 0x9E3779B97F4A7C15 >> shift) & 31] for shift in range(0, 64, 4))
        return with_other(command, {_SEEN_CAMPAIGN: campaign_id, self.user: user, self.code: code})


def see(servers: Servers) -> Seen:
    """Let the handler of this process accept a user, and see what it sends."""
    handlers.put_campaign(_SEEN_CAMPAIGN, 100)
    # The first call opens the connection and loads the script.
    handlers.answer(handlers.an_apply_event(_SEEN_CAMPAIGN, new_user()))
    user, answers = new_user(), []
    event = handlers.an_apply_event(_SEEN_CAMPAIGN, user)
    commands = commands_of(servers.connect_to_redis(), user, lambda: answers.append(handlers.answer(event)))
    return Seen(commands, user, json.loads(answers[0]["body"])["coupon_code"])


class GateCalls:
    """The gate of that handler, called by its commands."""

    def __init__(self, servers: Servers, seen: Seen) -> None:
        self._seen = seen
        self._client = servers.connect_to_redis()

    def ask(self, campaign_id: str, users: Sequence[str]) -> None:
        """Apply for each user."""
        self._send(campaign_id, users, self._seen.commands[:1])

    def confirm(self, campaign_id: str, users: Sequence[str]) -> None:
        """Note their claims as sent."""
        self._send(campaign_id, users, self._seen.commands[1:])

    def _send(self, campaign_id: str, users: Sequence[str], commands: Sequence[Command]) -> None:
        for some in batched(enumerate(users), _PIPELINED, strict=False):
            pipeline = self._client.pipeline(transaction=False)
            for (number, user), command in itertools.product(some, commands):
                pipeline.execute_command(*self._seen.for_other(command, campaign_id, user, number))
            pipeline.execute()

    def cost_of(self, users: Mapping[str, Sequence[str]]) -> Cost:
        """What it costs to apply for these users, by campaign."""
        calls = sum(map(len, users.values()))
        self._client.config_resetstat()
        before = self._cpu_us()
        for campaign_id, some in users.items():
            self.ask(campaign_id, some)
        cpu = self._cpu_us() - before
        reported: dict[str, Any] = self._client.info("commandstats")["cmdstat_evalsha"]
        if reported["calls"] != calls or reported["failed_calls"] or reported["rejected_calls"]:
            raise RuntimeError(f"Redis counted {reported} instead of {calls} calls")
        return Cost(reported["usec"] / calls, cpu / calls)

    def memory(self) -> int:
        """Bytes in use."""
        used: int = self._client.info("memory")["used_memory"]
        return used

    def _cpu_us(self) -> float:
        cpu: dict[str, float] = self._client.info("cpu")
        return (cpu["used_cpu_user"] + cpu["used_cpu_sys"]) * 1e6


def run() -> Part:
    """Fill a large campaign but for what the rounds need, then compare it with small ones round by round."""
    rounds, calls = sized(ROUNDS, 2), sized(CALLS, SMALL)
    users = some_users(sized(LARGE))
    waiting = iter(users)
    costs: dict[tuple[str, bool], list[Cost]] = defaultdict(list)
    with running_servers("redis") as servers, workers(1) as (operator,):
        operator.call(handlers.become_environment, servers)
        operator.call(handlers.migrate)
        gate = GateCalls(servers, operator.call(see, servers))
        operator.call(handlers.put_campaign, "large", len(users))
        first = list(itertools.islice(waiting, len(users) - rounds * calls))
        in_outbox, sent = weigh(gate, first)
        for number in range(rounds):
            new = list(itertools.islice(waiting, calls))
            shares = {f"small-{number}-{place}": new[place : place + SMALL] for place in range(0, calls, SMALL)}
            for name in shares:
                operator.call(handlers.put_campaign, name, SMALL)
            known = random.Random(number).sample(first, calls)
            costs["accept", False].append(gate.cost_of(shares))
            costs["accept", True].append(gate.cost_of({"large": new}))
            for name, some in (shares | {"large": new}).items():
                gate.confirm(name, some)
            costs["replay", False].append(gate.cost_of(shares))
            costs["replay", True].append(gate.cost_of({"large": known}))
        operator.call(expect_sold_out, "large")
        for _ in range(rounds):
            for name in ("small-0-0", "large"):
                strangers = [new_user() for _ in range(calls)]
                costs["sold out", name == "large"].append(gate.cost_of({name: strangers}))
    return to_part(costs, in_outbox, sent, len(users))


def some_users(count: int) -> list[str]:
    """Users as a JWT's subject often is: 36 characters."""
    chance = random.Random(count)
    return [str(uuid.UUID(int=chance.getrandbits(128), version=4)) for _ in range(count)]


def weigh(gate: GateCalls, users: Sequence[str]) -> tuple[float, float]:
    """Accept these users; returns the bytes per claim in the outbox, and per claim noted as sent."""
    empty = gate.memory()
    gate.ask("large", users)
    in_outbox = gate.memory() - empty
    gate.confirm("large", users)
    # Redis frees memory and grows its tables step by step in the background.
    time.sleep(1)
    return in_outbox / len(users), (gate.memory() - empty) / len(users)


def expect_sold_out(campaign_id: str) -> None:
    """Make sure, by the handler, that the gate really accepted all that was sent to it."""
    status = handlers.apply(handlers.an_apply_event(campaign_id, new_user()))
    if status != HTTPStatus.CONFLICT:
        raise RuntimeError(f"the large gate answers {status}, though it should be sold out")


def to_part(costs: Costs, in_outbox: float, sent: float, large: int) -> Part:
    """The figures, the tables and the chart."""

    def median(kind: str, of: Callable[[Cost], float], *, is_large: bool) -> float:
        return statistics.median(map(of, costs[kind, is_large]))

    cpu, script = partial(median, of=lambda cost: cost.cpu), partial(median, of=lambda cost: cost.script)
    growth = {kind: cpu(kind, is_large=True) / cpu(kind, is_large=False) for kind in KINDS}
    rows = [
        [
            kind,
            *(shown(cpu(kind, is_large=is_large)) for is_large in (False, True)),
            shown(growth[kind]),
            *(shown(script(kind, is_large=is_large)) for is_large in (False, True)),
        ]
        for kind in KINDS
    ]
    columns = ["call", "CPU us at 100 claims", f"at {large:,}", "ratio", "script us at 100", f"at {large:,}"]
    weights = [
        ["all of Redis's memory, claims noted as sent", shown(sent)],
        ["the same, while all claims are in the outbox", shown(in_outbox)],
    ]
    return Part(
        figures={
            "cost_growth_ratio": rounded(max(growth.values())),
            "redis_bytes_per_claim": rounded(sent),
            "redis_bytes_per_unsent_claim": rounded(in_outbox),
        },
        tables=[
            Table("Redis: CPU per call", columns, rows, _COST_NOTE),
            Table(f"Redis: bytes per claim, at {large:,} claims", ["memory", "bytes"], weights, _WEIGHT_NOTE),
        ],
        charts=[
            Bars(
                "Redis: microseconds per call",
                {
                    f"{kind}, {large if is_large else SMALL:,} claims": cpu(kind, is_large=is_large)
                    for kind in KINDS
                    for is_large in (False, True)
                },
                "microseconds, median of the rounds",
            )
        ],
    )


_COST_NOTE = (
    "Medians of alternating rounds. 'CPU' is the whole server's per call, in pipelines of 100, the socket included;"
    " 'script' is Redis's own count (INFO commandstats), a wall clock that other work here stretches."
    " At 100: many campaigns of 100 coupons each, from the first to the last; at the large number: the last ones of one"
    " campaign. The figure is the worst of the three ratios of CPU."
)
_WEIGHT_NOTE = "Users are UUIDs of 36 characters. The issued bitmap, one bit per claim, is not in it."
