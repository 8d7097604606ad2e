"""The answers of a rush: the lines that Locust writes, what is wrong with one, and what each counts as."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

ACCEPTED = "accepted"
REPLAYED = "replayed"
READ_BACK = "read back"
NO_COUPON = "no coupon"
ASKED_AGAIN = "asked again"
ERROR = "error"
REFUSED = "refused: "
REFUSALS = frozenset({"sold_out", "not_open", "closed", "paused"})
# No answer, throttled, a function that died, unavailable: the outcome is unknown, and asking again is safe.
UNKNOWN_OUTCOMES = frozenset({0, 429, 500, 502, 503, 504})

type Coupon = tuple[int, str, str]
"""Sequence, code and acceptance time: the same whenever the user asks."""


@dataclass(frozen=True)
class Answer:
    """One request of the rush and its answer.

    Attributes:
        kind: `apply`, `again` (the same once more) or `mine` (reads the coupon).
        index: the user's place in the rush.
        code: the problem's code.
        started: seconds since 1970.
        fault: what is wrong with the answer.
        retried: whether the user asked again because of the fault.
    """

    kind: str
    index: int
    user: str
    status: int
    code: str | None
    sequence: int | None
    coupon_code: str | None
    accepted_at: str | None
    started: float
    latency_ms: float
    coupon_status: str | None = None
    fault: str | None = None
    retried: bool = False

    @property
    def ended(self) -> float:
        """When the answer was there, in seconds since 1970."""
        return self.started + self.latency_ms / 1000

    @property
    def coupon(self) -> Coupon | None:
        """The coupon, if the answer gives one."""
        if self.sequence is None or self.coupon_code is None or self.accepted_at is None:
            return None
        return (self.sequence, self.coupon_code, self.accepted_at)


def parse(text: str | None) -> dict[str, Any]:
    """The JSON object in `text`; empty when there is none."""
    try:
        body = json.loads(text or "")
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def coupon_in(body: dict[str, Any]) -> Coupon | None:
    """The coupon in an answer's body, if it is complete."""
    sequence, code, accepted_at = body.get("sequence"), body.get("coupon_code"), body.get("accepted_at")
    if isinstance(sequence, int) and sequence > 0 and isinstance(code, str) and code and isinstance(accepted_at, str):
        return (sequence, code, accepted_at)
    return None


def find_fault(kind: str, status: int, body: dict[str, Any], campaign: str, known: Coupon | None) -> str | None:
    """What is wrong with an answer to a user who holds the coupon `known`; None when it is right."""
    code = body.get("code")
    if status in (HTTPStatus.OK, HTTPStatus.ACCEPTED):
        return _coupon_fault(kind, status, body, campaign, known)
    refused = kind != "mine" and status == HTTPStatus.CONFLICT and code in REFUSALS
    without_coupon = kind == "mine" and status == HTTPStatus.NOT_FOUND and code == "no_coupon"
    if not refused and not without_coupon:
        return f"unexpected answer {status} {code or ''}".rstrip() if status else "no answer"
    return f"{code} to a user who holds a coupon" if known else None


def _coupon_fault(kind: str, status: int, body: dict[str, Any], campaign: str, known: Coupon | None) -> str | None:
    coupon = coupon_in(body)
    if coupon is None or body.get("campaign_id") != campaign or body.get("status") not in ("accepted", "issued"):
        return f"{status} without a complete coupon of this campaign"
    if known and coupon != known:
        return "another coupon than before"
    if status == HTTPStatus.ACCEPTED and (known or kind == "mine"):
        return "202 to a user who holds the coupon already"
    return None


class AnswerLog:
    """The answers in a file that is still being written."""

    def __init__(self, path: Path) -> None:
        """Begin with an empty file at `path`."""
        path.write_bytes(b"")
        self._path = path
        self._position = 0

    def read_new(self) -> list[Answer]:
        """The answers written since the last call; a line still being written is left for the next."""
        with self._path.open("rb") as file:
            file.seek(self._position)
            complete = file.read().rpartition(b"\n")
        self._position += len(complete[0]) + len(complete[1])
        return [Answer(**json.loads(line)) for line in complete[0].splitlines()]


class Tally:
    """Counts each answer once, so that the counts add up to the requests."""

    def __init__(self, answers: Iterable[Answer] = ()) -> None:
        """Count `answers`."""
        self.counts: Counter[str] = Counter()
        self.answered: set[str] = set()
        self.holders: set[str] = set()
        self.refused_users: set[str] = set()
        for answer in answers:
            self.add(answer)

    def add(self, answer: Answer) -> str:
        """Count `answer`; returns what it was counted as."""
        meaning = self._meaning(answer)
        self.counts[meaning] += 1
        if not answer.retried:
            self.answered.add(answer.user)
        if answer.coupon:
            self.holders.add(answer.user)
        elif meaning.startswith(REFUSED):
            self.refused_users.add(answer.user)
        return meaning

    @property
    def refused(self) -> dict[str, int]:
        """Refused applications by code."""
        by_code = {name.removeprefix(REFUSED): n for name, n in self.counts.items() if name.startswith(REFUSED)}
        return dict(sorted(by_code.items()))

    def _meaning(self, answer: Answer) -> str:
        if answer.fault is not None:
            return ASKED_AGAIN if answer.retried else ERROR
        if answer.kind == "mine":
            return READ_BACK if answer.coupon else NO_COUPON
        if answer.coupon:
            # By the user, not by the status: after a 503 the first coupon comes with a 200.
            return REPLAYED if answer.user in self.holders else ACCEPTED
        return f"{REFUSED}{answer.code}"
