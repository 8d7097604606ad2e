"""The rush of `make run FAULT=flushall`: in its middle Redis loses everything.

From then on nobody is admitted, until an operator has the gate rebuilt from MySQL. Then those ask again who got no
answer, and those who were told of a coupon before: theirs must still be the same.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pymysql
import redis

from local.deployment.tokens import UserTokens
from local.errors import LocalStackError
from verify.guarantees import Evidence, check, read_gate, read_rows
from verify.rush.answers import UNKNOWN_OUTCOMES, Answer, AnswerLog
from verify.rush.result import Outcome, Plan
from verify.rush.rush import (
    TOKEN_HOURS,
    Site,
    Watch,
    await_drain,
    call_as_operator,
    connect,
    connected_gate,
    rush_arguments,
    send,
    write_tokens_of,
)

FAULT = "flushall"
LOOK_SECONDS = 0.01
REBUILD_SECONDS = 300
ASK_SECONDS = 1.0


@dataclass
class Wipe:
    """Empties Redis once half of the coupons are gone, then has the gate rebuilt; runs beside the rush."""

    site: Site
    campaign: str
    capacity: int
    at: float | None = None
    accepted: int = 0
    refusals: int = 0
    rebuilt_at: float | None = None
    failure: LocalStackError | None = None
    over: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Wait for the moment, strike, and rebuild."""
        try:
            self._strike()
            if self.at is not None:
                self._rebuild(self.at)
        except LocalStackError as error:
            self.failure = error
        except redis.RedisError as error:
            self.failure = LocalStackError(f"Redis failed: {error}", self.site.workspace.log("redis"))

    def _strike(self) -> None:
        with connected_gate(self.site.stack.redis_url) as gate:
            while not self.over.wait(LOOK_SECONDS):
                self.accepted = int(gate.get(f"firstcome:{{{self.campaign}}}:accepted") or 0)
                if self.accepted >= max(self.capacity // 2, 1):
                    gate.flushall()
                    self.at = time.time()
                    return

    def _rebuild(self, since: float) -> None:
        while time.time() - since < REBUILD_SECONDS:
            status, body = call_as_operator(self.site, "POST", f"/campaigns/{self.campaign}/rebuild")
            if status == 200:  # noqa: PLR2004 - HTTP's own numbers
                self.rebuilt_at = time.time()
                return
            if status not in (409, 503):
                raise LocalStackError(f"The rebuild was answered {status} {body[:500]}")
            self.refusals += 1
            time.sleep(ASK_SECONDS)
        raise LocalStackError(f"The gate was not rebuilt within {REBUILD_SECONDS} s.")


def run_flushed_rush(site: Site, plan: Plan, campaign: str, answers_path: Path) -> Outcome:
    """Send the prepared rush, wipe Redis in its middle, rebuild, let the unanswered ask again, and judge all of it."""
    again_path = answers_path.with_name("answers-again.jsonl")
    try:
        with closing(connect(site.stack.mysql)) as ledger, connected_gate(site.stack.redis_url) as gate:
            first = Watch(AnswerLog(answers_path), ledger, campaign, plan)
            wipe = _send_and_wipe(site, plan, campaign, answers_path, first)
            users = users_to_ask_again(first.answers)
            second = Watch(AnswerLog(again_path), ledger, campaign, replace(plan, users=len(users)))
            _send_again(site, users, campaign, again_path, second)
            await_drain(gate, campaign, second)
            rows, claims = read_rows(ledger, campaign), read_gate(gate, campaign)
    except pymysql.MySQLError as error:
        raise LocalStackError(f"MySQL failed during the rush: {error}", site.workspace.log("mariadbd")) from error
    except redis.RedisError as error:
        raise LocalStackError(f"Redis failed during the rush: {error}", site.workspace.log("redis")) from error
    answers = merge(first.answers, second.answers)
    verdict = check(Evidence(campaign, plan.capacity, answers, rows, claims, applicants=plan.users))
    fault = describe_fault(wipe, first.answers, len(users))
    return Outcome(plan, answers, [*first.samples, *second.samples], verdict, fault)


def _send_and_wipe(site: Site, plan: Plan, campaign: str, answers_path: Path, watch: Watch) -> Wipe:
    wipe = Wipe(site, campaign, plan.capacity)
    thread = threading.Thread(target=wipe.run, daemon=True)
    thread.start()
    send(site, plan, rush_arguments(site, plan, campaign, answers_path), watch)
    wipe.over.set()
    thread.join()
    if wipe.failure:
        raise wipe.failure
    if wipe.at is None:
        raise LocalStackError("The rush was over before half of the coupons were gone: there was nothing to wipe.")
    return wipe


def _send_again(site: Site, users: Sequence[str], campaign: str, answers_path: Path, watch: Watch) -> None:
    tokens = UserTokens(site.workspace.folder, site.stack.jwt_issuer, TOKEN_HOURS * 3600)
    write_tokens_of(users, tokens, site.tokens)
    plan = watch.plan
    send(site, plan, rush_arguments(site, plan, campaign, answers_path), watch)


def users_to_ask_again(answers: Sequence[Answer]) -> list[str]:
    """Users who were left without an answer, and those who know of a coupon."""
    told = {answer.user for answer in answers if answer.coupon}
    last = {answer.user: answer for answer in answers}
    return [user for user, answer in last.items() if user in told or answer.status in UNKNOWN_OUTCOMES]


def merge(first: Sequence[Answer], second: Sequence[Answer]) -> list[Answer]:
    """Both passes in one history: what was left open in the first was asked again in the second."""
    asked_again = {answer.user for answer in second}
    return [
        replace(answer, retried=True) if answer.user in asked_again and answer.status in UNKNOWN_OUTCOMES else answer
        for answer in first
    ] + list(second)


def describe_fault(wipe: Wipe, answers: Sequence[Answer], asked_again: int) -> dict[str, Any]:
    """What `result.json` says of the fault."""
    since = wipe.at or 0.0
    return {
        "kind": FAULT,
        "accepted_before": wipe.accepted,
        "told_before": len({answer.user for answer in answers if answer.coupon and answer.ended <= since}),
        "unavailable": sum(answer.status == 503 for answer in answers),  # noqa: PLR2004 - HTTP's own numbers
        "rebuild_refusals": wipe.refusals,
        "rebuilt_after_s": round((wipe.rebuilt_at or since) - since, 3),
        "asked_again": asked_again,
    }
