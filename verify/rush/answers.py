"""What a rush was answered: the lines Locust writes, read as they come, and what each of them means."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

ACCEPTED = "accepted"
REPLAYED = "replayed"
READ_BACK = "read back"
NO_COUPON = "no coupon"
ASKED_AGAIN = "asked again"
ERROR = "error"
REFUSED = "refused: "
# No answer, throttled, a function that died, unavailable: nothing is known, and asking again is safe.
UNKNOWN_OUTCOMES = frozenset({0, 429, 500, 502, 503, 504})


@dataclass(frozen=True)
class Answer:
    """One request of the rush and its answer; the fields are those of `verify/rush/locustfile.py`."""

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
    def coupon(self) -> tuple[int, str, str] | None:
        """Sequence, code and acceptance time, if the answer gives a coupon."""
        if self.sequence is None or self.coupon_code is None or self.accepted_at is None:
            return None
        return (self.sequence, self.coupon_code, self.accepted_at)


class AnswerLog:
    """The answers in a file that somebody else is still writing."""

    def __init__(self, path: Path) -> None:
        """Begin with an empty file at `path`."""
        path.write_bytes(b"")
        self._path = path
        self._position = 0

    def read_new(self) -> list[Answer]:
        """The answers written since the last call; a line still being written is left for the next."""
        with self._path.open("rb") as file:
            file.seek(self._position)
            whole = file.read().rpartition(b"\n")
        self._position += len(whole[0]) + len(whole[1])
        return [Answer(**json.loads(line)) for line in whole[0].splitlines()]


class Tally:
    """Counts answers by what they mean. Every answer counts once, so the counts add up to the requests."""

    def __init__(self) -> None:
        """Nothing counted yet."""
        self.counts: Counter[str] = Counter()
        self.answered: set[str] = set()
        self.holders: set[str] = set()
        self.refused_users: set[str] = set()

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
