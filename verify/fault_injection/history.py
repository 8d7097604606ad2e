"""What the clients asked and were told, in the manner of Jepsen: every request ends as ok, fail or info."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

SERVER_ERROR = 500
CLIENT_ERROR = 400


class Ending(StrEnum):
    """How a request ended, as far as its client knows."""

    OK = "ok"
    FAIL = "fail"
    """Refused: it took no effect."""
    INFO = "info"
    """Unknown: it may have taken effect, or may still."""


@dataclass(frozen=True)
class Coupon:
    """A coupon as a client was told."""

    status: str
    sequence: int
    coupon_code: str
    accepted_at: str


@dataclass(frozen=True)
class Request:
    """One request of one user, and its end.

    Attributes:
        kind: `apply` or `mine`.
        code: of the problem, when it was refused.
    """

    user: str
    kind: str
    ending: Ending
    status: int = 0
    code: str = ""
    coupon: Coupon | None = None


@dataclass
class History:
    """All requests of a run, in order."""

    requests: list[Request] = field(default_factory=list)

    def note(self, user: str, kind: str, answer: Mapping[str, Any] | None) -> Request:
        """Add a request with its answer; None for no answer."""
        request = _request(user, kind, answer)
        self.requests.append(request)
        return request

    def of(self, user: str) -> list[Request]:
        """Return one user's requests."""
        return [request for request in self.requests if request.user == user]

    def users(self) -> list[str]:
        """Return everybody who asked."""
        return list(dict.fromkeys(request.user for request in self.requests))

    def applicants(self) -> set[str]:
        """Return who applied and knows the outcome, or asked again until they did."""
        return {
            request.user for request in self.requests if request.kind == "apply" and request.ending is not Ending.INFO
        }

    def told(self, user: str) -> list[Coupon]:
        """Return the coupons a user was told of."""
        return [request.coupon for request in self.of(user) if request.coupon]


def _request(user: str, kind: str, answer: Mapping[str, Any] | None) -> Request:
    if answer is None:
        return Request(user, kind, Ending.INFO)
    status, body = answer["statusCode"], json.loads(answer["body"])
    if status >= SERVER_ERROR:
        return Request(user, kind, Ending.INFO, status, str(body.get("code", "")))
    if status >= CLIENT_ERROR:
        return Request(user, kind, Ending.FAIL, status, str(body["code"]))
    coupon = Coupon(body["status"], body["sequence"], body["coupon_code"], body["accepted_at"])
    return Request(user, kind, Ending.OK, status, coupon=coupon)
