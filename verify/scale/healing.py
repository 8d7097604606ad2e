"""Wipes Redis beside large ledgers, and lets the relay heal: with a function's share of a core, 50 s for each run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import redis

from firstcome.adapters.redis.gate import RedisGate
from firstcome.domain.campaign import Campaign
from firstcome.domain.gate import GateState
from tests.factories import FAR_AHEAD, LONG_AGO, a_campaign, open_campaign
from verify.scale.limited import LAMBDA_SHARE, Run, run_limited
from verify.scale.site import Site

QUIET_SECONDS = 6
TIMEOUT_SECONDS = 50
CLOSED_AT = LONG_AGO + 365 * 86_400_000
SLOW_MICROSECONDS = 1_000
"""Redis calls that take longer are looked at."""


@dataclass(frozen=True)
class Healed:
    """What healing took.

    Attributes:
        runs: of the relay after the one that closed the gates, until all were whole.
        open_after: of these, until the open campaign admitted again.
        slowest_redis_ms: the longest that one call held up Redis.
        bytes_per_claim: of Redis' memory.
    """

    coupons: int
    runs: int
    open_after: int
    seconds: float
    cpu_seconds: float
    memory_mb: float
    slowest_redis_ms: float
    bytes_per_claim: int


def heal_after_wipe(site: Site, coupons: int, runs_at_most: int = 40) -> Healed:
    """Wipe Redis with a closed campaign of so many coupons, all issued, beside an open one; heal until all is whole."""
    gate, ledger = site.redis.gate(), site.mysql.ledger()
    old = open_campaign(ledger, gate, a_campaign("aaa-old", capacity=coupons, closes_at=CLOSED_AT))
    now = open_campaign(ledger, gate, a_campaign("zzz-now", capacity=coupons, closes_at=FAR_AHEAD))
    site.issue_all(old)
    site.redis.client.flushall()
    _watch(site.redis.client)
    _relay(site)
    assert {gate.state(one.campaign_id) for one in (old, now)} == {GateState.FENCED}
    time.sleep(QUIET_SECONDS)
    runs: list[Run] = []
    open_after = 0
    while not _all_whole(gate, [old, now]):
        assert len(runs) < runs_at_most, "not whole after so many runs"
        runs.append(_relay(site))
        if not open_after and gate.state(now.campaign_id) is GateState.WHOLE:
            open_after = len(runs)
        print(f"  run {len(runs)}: {runs[-1].seconds:.1f} s, {runs[-1].cpu_seconds:.1f} s of CPU, {runs[-1].answer}")
    counts = gate.claim_counts(old.campaign_id)
    assert (counts.claims, counts.issued) == (coupons, coupons)
    ledger.close()
    return Healed(
        coupons,
        len(runs),
        open_after,
        round(sum(run.seconds for run in runs), 1),
        round(sum(run.cpu_seconds for run in runs), 1),
        round(max(run.memory_mb for run in runs)),
        round(_slowest_ms(site.redis.client), 1),
        round(int(site.redis.client.info("memory")["used_memory"]) / coupons),
    )


def _all_whole(gate: RedisGate, campaigns: Sequence[Campaign]) -> bool:
    return all(gate.state(campaign.campaign_id) is GateState.WHOLE for campaign in campaigns)


def _watch(client: redis.Redis) -> None:
    client.config_set("slowlog-log-slower-than", SLOW_MICROSECONDS)
    client.config_set("slowlog-max-len", 100_000)
    client.slowlog_reset()


def _slowest_ms(client: redis.Redis) -> float:
    return max((entry["duration"] for entry in client.slowlog_get(100_000)), default=0) / 1000


def _relay(site: Site) -> Run:
    environment = {
        "REDIS_HOST": "127.0.0.1",
        "REDIS_PORT": str(site.redis.port),
        "REDIS_TLS": "false",
        "GATE_REPLICA_ACKS": "0",
        "RELAY_AFTER_SECONDS": "12",
        "REBUILD_QUIET_SECONDS": str(QUIET_SECONDS),
        "POWERTOOLS_SERVICE_NAME": "firstcome",
        "POWERTOOLS_METRICS_NAMESPACE": "Firstcome",
    }
    arguments = {"environment": environment, "mysql": asdict(site.mysql.address), "timeout_seconds": TIMEOUT_SECONDS}
    return run_limited("verify.scale.relay_run", arguments, LAMBDA_SHARE, TIMEOUT_SECONDS)
