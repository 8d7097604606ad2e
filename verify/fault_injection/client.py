"""Clients of the API: users and an operator, who ask again when they do not know what became of their request."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from firstcome.domain.claim import Claim
from firstcome.domain.times import to_rfc3339
from tests.unit.api_events import an_event, an_operators_event
from verify.fault_injection.faults import CallErrors, Kind
from verify.fault_injection.mapping import FunctionError
from verify.fault_injection.world import MINUTE_MS, StuckError, World
from verify.rush.answers import UNKNOWN_OUTCOMES, Answer

APPLY = "POST /campaigns/{campaign_id}/coupons"
MINE = "GET /campaigns/{campaign_id}/coupons/mine"
PUT = "PUT /campaigns/{campaign_id}"

QUICK_TRIES = 4
SLOW_TRIES = 20
RETRY_AFTER_MS = 2_000


class NoAnswerError(Exception):
    """A request or its answer was lost on the way."""


_HTTP_KINDS = (Kind.REQUEST_LOST, Kind.REPLY_LOST)
_HTTP_ERRORS = CallErrors(NoAnswerError, NoAnswerError, NoAnswerError, NoAnswerError)


@dataclass(frozen=True)
class Client:
    """Everybody who talks to the API of this world."""

    world: World

    def apply(self, user: str) -> Answer:
        """Apply for a coupon until the outcome is known."""
        return self._insist_as(user, "apply", APPLY)

    def mine(self, user: str) -> Answer:
        """Ask for one's coupon until there is an answer."""
        return self._insist_as(user, "mine", MINE)

    def look(self) -> int:
        """Look at the campaign, as anyone may."""
        return int(self._insist("GET /campaigns/{campaign_id}", "anyone")["statusCode"])

    def put(self, capacity: int, closes_at: str = "2099-01-01T00:00:00Z") -> int:
        """Make or change the campaign; returns the status."""
        status = self.operate(PUT, body=campaign_body(capacity, closes_at))
        if status < 300:
            self.world.capacity = capacity
        return status

    def operate(self, route: str, **parts: Any) -> int:
        """Make an operator's request until there is an answer; returns the status."""
        return int(self._insist(route, **parts)["statusCode"])

    def operate_until_done(self, route: str, done: Collection[int] = (200,), **parts: Any) -> None:
        """Make an operator's request until it succeeds, while everything else goes on."""
        for _ in range(SLOW_TRIES):
            if self.operate(route, **parts) in done:
                return
            self.world.drain(MINUTE_MS)
        raise StuckError(f"{route} was not done")

    def erase(self, user: str) -> None:
        """Have a user's id replaced."""
        # 404: a request whose answer was lost has done it.
        body = json.dumps({"user_id": user})
        self.operate_until_done("POST /campaigns/{campaign_id}/erase", (200, 404), body=body)
        self.world.erased[user] = len(self.world.answers)

    def migrate(self) -> None:
        """Bring the schema up to date, by direct invocation."""
        for wait in self._waits("no migration"):
            try:
                self.world.invoke("admin", {"action": "migrate"})
            except FunctionError:
                wait()
            else:
                break

    def ask_as(self, user: str, kind: str, route: str) -> Answer:
        """Make one request of a user, whatever the answer."""
        answer = to_answer(user, kind, self.ask(route, user), self.world.clock.now())
        self.world.answers.append(answer)
        return answer

    def ask(self, route: str, user: str = "", **parts: Any) -> Mapping[str, Any] | None:
        """Make one request; returns the answer, or None when there was none."""
        event = an_event(route, sub=user, **parts) if user else an_operators_event(route, **parts)
        function = "apply" if user else "admin"
        try:
            with self.world.wire.made_by("client"):
                answer: Mapping[str, Any] = self.world.wire.call(
                    f"http {route}", _HTTP_KINDS, _HTTP_ERRORS, lambda: self.world.invoke(function, event)
                )
        except (NoAnswerError, FunctionError):
            return None
        return answer

    def _insist_as(self, user: str, kind: str, route: str) -> Answer:
        for wait in self._waits(f"{user} got no answer to {kind}"):
            answer = self.ask_as(user, kind, route)
            if answer.status not in UNKNOWN_OUTCOMES:
                break
            wait()
        return answer

    def _insist(self, route: str, user: str = "", **parts: Any) -> Mapping[str, Any]:
        for wait in self._waits(f"no answer to {route}"):
            answer = self.ask(route, user, **parts)
            if answer is not None and answer["statusCode"] not in UNKNOWN_OUTCOMES:
                break
            wait()
        return answer or {}

    def _waits(self, what: str) -> Iterator[Callable[[], None]]:
        """Return ways to wait before asking again: some seconds at first; then relay and drain go on meanwhile."""
        for _ in range(QUICK_TRIES):
            yield lambda: self.world.pass_time(RETRY_AFTER_MS)
        for _ in range(SLOW_TRIES):
            yield self.world.go_on
        raise StuckError(what)


def campaign_body(capacity: int, closes_at: str = "2099-01-01T00:00:00Z") -> str:
    """Describe a campaign that has opened long ago."""
    window = {"opens_at": "2020-01-01T00:00:00Z", "closes_at": closes_at}
    return json.dumps({"name": "Spring sale", "capacity": capacity, **window})


def given(claim: Claim) -> dict[str, Any]:
    """Make the answer that gives a claim."""
    accepted_at = to_rfc3339(claim.accepted_at)
    fields = {"sequence": claim.sequence, "coupon_code": claim.coupon_code, "accepted_at": accepted_at}
    return {"statusCode": 202, "body": json.dumps({"status": "accepted", **fields})}


def to_answer(user: str, kind: str, answer: Mapping[str, Any] | None, at_ms: int) -> Answer:
    """Read what a function answered a user; None for no answer."""
    body = json.loads(answer["body"]) if answer else {}
    return Answer(
        kind=kind,
        index=0,
        user=user,
        status=answer["statusCode"] if answer else 0,
        code=body.get("code"),
        sequence=body.get("sequence"),
        coupon_code=body.get("coupon_code"),
        accepted_at=body.get("accepted_at"),
        started=at_ms / 1000,
        latency_ms=0,
        coupon_status=body.get("status") if body.get("coupon_code") else None,
    )
