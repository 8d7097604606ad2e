"""`make faults-long`: clients use the deployed stack for a quarter of an hour while its parts are broken one by one.

The environment variables MINUTES, CONCURRENCY, CAPACITY (of each campaign), ACKS (GateReplicaAcks) and SEED change it.
Every kind of fault is made once, so that a run takes four minutes at least.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Mapping

import pymysql
import redis

from local.commands.run import Setting
from local.errors import LocalStackError, run_command
from local.progress import Progress
from local.services.processes import ROOT
from verify.chaos.long_run import LongRun
from verify.chaos.outcome import LongPlan, describe, summarise
from verify.chaos.site import breakable_site

DIRECTORY = ROOT / ".local" / "faults-long"
MINUTES = Setting("MINUTES", 15, 600)
# Each one asking at a time is a Lambda worker process on this machine. Two cores carry 8 of them; with many more,
# workers that were killed start so slowly that the functions' timeouts kill the next ones. 50 want a dozen cores.
CONCURRENCY = Setting("CONCURRENCY", 8, 50)
CAPACITY = Setting("CAPACITY", 2_000, 1_000_000)
LARGEST_SEED = 2**31 - 1


def read_plan(environment: Mapping[str, str]) -> LongPlan:
    """The run that the environment asks for."""
    acks = environment.get("ACKS", "").strip() or "1"
    if acks not in ("0", "1"):
        raise LocalStackError(f"ACKS={acks[:40]}: give 0 or 1; there is one replica.")
    seed = Setting("SEED", secrets.randbelow(10_000) + 1, LARGEST_SEED).read(environment)
    return LongPlan(
        MINUTES.read(environment), CONCURRENCY.read(environment), CAPACITY.read(environment), int(acks), seed
    )


def main() -> None:
    """Run it, and leave with 0 only if everything holds."""
    plan = read_plan(os.environ)
    result_path, answers_path = DIRECTORY / "result.json", DIRECTORY / "answers.jsonl"
    for outdated in (result_path, answers_path):
        outdated.unlink(missing_ok=True)
    progress = Progress()
    with breakable_site(DIRECTORY, progress, plan.replica_acks) as site:
        site.servers.make_clock_settable()
        progress.say(
            f"{plan.minutes} minutes, {plan.concurrency} clients, GateReplicaAcks={plan.replica_acks}, SEED={plan.seed}"
        )
        try:
            outcome = LongRun(site, plan, progress, answers_path).run()
        except pymysql.MySQLError as error:
            raise LocalStackError(f"MySQL failed: {error}", site.site.workspace.log("mariadbd")) from error
        except redis.RedisError as error:
            raise LocalStackError(f"Redis failed: {error}", site.site.workspace.log("redis")) from error
    result_path.write_text(json.dumps(summarise(outcome), indent=2) + "\n", encoding="utf-8")
    print(describe(outcome))
    print(f"\n  {result_path.relative_to(ROOT)} has the numbers.")
    if not outcome.holds:
        sys.exit(1)


if __name__ == "__main__":
    run_command(main)
