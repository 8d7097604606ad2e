"""The rush of `make run FAULT=flushall`: in its middle Redis loses everything.

From then on nobody is admitted until an operator has the gate rebuilt from MySQL. Then the users apply again who had no
answer or hold a coupon: it must still be the same.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any

import redis

from local.errors import LocalStackError
from local.progress import Progress
from verify.guarantees import Evidence, check, read_gate, read_rows
from verify.rush.answers import UNKNOWN_OUTCOMES, Answer
from verify.rush.result import Outcome, Plan
from verify.rush.rush import Files, Site, Watch, all_users, await_drain, call_as_operator, send, stores

FAULT = "flushall"
REBUILD_SECONDS = 300
ASK_SECONDS = 1.0


@dataclass
class Wipe:
    """Empties Redis once half of the coupons are gone, then has the gate rebuilt; `look` is called again and again."""

    gate: redis.Redis
    watch: Watch
    at: float = 0.0
    accepted: int = 0
    refusals: int = 0
    rebuilt_at: float = 0.0
    asked_at: float = 0.0

    def look(self) -> None:
        """Take the next step if its time has come."""
        now = time.time()
        if not self.at and len(self.watch.tally.holders) >= self.watch.plan.capacity / 2:
            self.accepted = int(self.gate.get(f"firstcome:{{{self.watch.campaign}}}:accepted") or 0)
            self.gate.flushall()
            self.at = time.time()
        elif self.at and not self.rebuilt_at and now - self.asked_at >= ASK_SECONDS:
            self.asked_at = now
            self._rebuild()

    def finish(self) -> None:
        """Wait until the gate is rebuilt."""
        if not self.at:
            raise LocalStackError("The rush was over before half of the coupons were gone: there was nothing to wipe.")
        while not self.rebuilt_at:
            if time.time() - self.at > REBUILD_SECONDS:
                raise LocalStackError(f"The gate was not rebuilt within {REBUILD_SECONDS} s.")
            self.look()
            time.sleep(ASK_SECONDS / 4)

    def _rebuild(self) -> None:
        status, body = call_as_operator(self.watch.site, "POST", f"/campaigns/{self.watch.campaign}/rebuild")
        if status == HTTPStatus.OK:
            self.rebuilt_at = time.time()
        elif status in (HTTPStatus.CONFLICT, HTTPStatus.SERVICE_UNAVAILABLE):
            self.refusals += 1
        else:
            raise LocalStackError(f"The rebuild was answered {status} {body[:500]}")


def run_flushed_rush(site: Site, plan: Plan, campaign: str, files: Files, progress: Progress) -> Outcome:
    """Send the prepared rush, wipe Redis in its middle, rebuild, let users ask again, and check all of it."""
    again = Files(files.answers.with_name("answers-again.jsonl"), files.report.with_name("report-again.html"))
    with stores(site) as (ledger, gate):
        first = Watch(site, plan, campaign, all_users(plan), files, ledger)
        wipe = Wipe(gate, first)
        send(first, progress, wipe.look)
        with progress.step("Rebuilding the gate from MySQL"):
            wipe.finish()
        users = users_to_ask_again(first.answers)
        second = Watch(site, plan, campaign, users, again, ledger)
        send(second, progress)
        await_drain(gate, second, progress)
        rows, claims = read_rows(ledger, campaign), read_gate(gate, campaign)
    answers = merge(first.answers, second.answers)
    verdict = check(Evidence(campaign, plan.capacity, answers, rows, claims, applicants=plan.users))
    return Outcome(plan, answers, second.drained_at, verdict, describe_fault(wipe, first.answers, len(users)))


def users_to_ask_again(answers: Sequence[Answer]) -> list[str]:
    """Users without an answer to their application, and those who hold a coupon."""
    holders = {answer.user for answer in answers if answer.coupon}
    last = {answer.user: answer for answer in answers if answer.kind != "mine"}
    return [user for user, answer in last.items() if user in holders or answer.status in UNKNOWN_OUTCOMES]


def merge(first: Sequence[Answer], second: Sequence[Answer]) -> list[Answer]:
    """Both passes in one history: an unknown outcome of the first was asked again in the second."""
    asked_again = {answer.user for answer in second}
    return [
        replace(answer, retried=True) if answer.user in asked_again and answer.status in UNKNOWN_OUTCOMES else answer
        for answer in first
    ] + list(second)


def describe_fault(wipe: Wipe, answers: Sequence[Answer], asked_again: int) -> dict[str, Any]:
    """The entry `fault` of `result.json`."""
    return {
        "kind": FAULT,
        "accepted_before": wipe.accepted,
        "told_before": len({answer.user for answer in answers if answer.coupon and answer.ended <= wipe.at}),
        "unavailable": sum(answer.status == HTTPStatus.SERVICE_UNAVAILABLE for answer in answers),
        "rebuild_refusals": wipe.refusals,
        "rebuilt_after_s": round(wipe.rebuilt_at - wipe.at, 3),
        "asked_again": asked_again,
    }
