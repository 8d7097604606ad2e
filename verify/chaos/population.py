"""The users of the long run: who asks what next, and what each of them has been told. No network in here."""

from __future__ import annotations

import bisect
import heapq
import random
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field

from verify.rush.answers import UNKNOWN_OUTCOMES, Answer

# Of the requests that are free to choose: how many come from a user who holds a coupon, or was refused one.
READ_BACK_SHARE = 0.10
AGAIN_SHARE = 0.15
REFUSED_AGAIN_SHARE = 0.03
LONGEST_WAIT_SECONDS = 5.0


@dataclass
class Member:
    """One signed-in user, who wants a coupon of one campaign."""

    index: int
    user: str
    campaign: str
    coupon: tuple[int, str, str] | None = None


@dataclass(frozen=True)
class Task:
    """What a member asks next."""

    kind: str
    member: Member


@dataclass
class Population:
    """Hands out tasks to the clients and takes in answers. Nobody is asked for twice at a time.

    `campaigns` are open, in the order of their use: when one is sold out, new users want the next.
    """

    rng: random.Random
    campaigns: list[str] = field(default_factory=list)
    answers: dict[str, list[Answer]] = field(default_factory=lambda: defaultdict(list))
    is_growing: bool = True
    requests: int = 0
    # When each accepted request was sent, and when its answer was there.
    acceptances: list[tuple[float, float]] = field(default_factory=list)
    _current: int = 0
    _members: int = 0
    _busy: int = 0
    _holders: list[Member] = field(default_factory=list)
    _refused: list[Member] = field(default_factory=list)
    # Whoever got no clear answer asks again, not before its time: (when, index, what).
    _unclear: list[tuple[float, int, Task]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def unused_campaigns(self) -> int:
        """Open campaigns that nobody has been sent to yet."""
        with self._lock:
            return len(self.campaigns) - self._current - 1

    @property
    def unclear(self) -> int:
        """Users who wait for a clear answer, or whose request is under way."""
        with self._lock:
            return len(self._unclear) + self._busy

    def first_acceptance_since(self, moment: float) -> float | None:
        """When the first answer came that accepted a request sent after `moment`.

        An answer under way when a fault struck says nothing about the time after it.
        """
        with self._lock:
            recent = self.acceptances[bisect.bisect_left(self.acceptances, moment, key=lambda pair: pair[1]) :]
        return min((ended for started, ended in recent if started >= moment), default=None)

    def accepted_between(self, start: float, end: float) -> int:
        """How many requests were accepted by an answer that came in this time."""
        with self._lock:
            recent = self.acceptances[bisect.bisect_left(self.acceptances, start, key=lambda pair: pair[1]) :]
        return sum(start <= ended < end for _, ended in recent)

    def open(self, campaign: str) -> None:
        """One more campaign for the users to come."""
        with self._lock:
            self.campaigns.append(campaign)

    def next_task(self, now: float) -> Task | None:
        """What to ask next; None when there is nothing to ask just now."""
        with self._lock:
            task = self._choose(now)
            if task:
                self._busy += 1
            return task

    def _choose(self, now: float) -> Task | None:
        if self._unclear and self._unclear[0][0] <= now:
            return heapq.heappop(self._unclear)[2]
        if not self.is_growing:
            return None
        chance = self.rng.random()
        if self._holders and chance < READ_BACK_SHARE:
            return Task("mine", self._take(self._holders))
        if self._holders and chance < READ_BACK_SHARE + AGAIN_SHARE:
            return Task("again", self._take(self._holders))
        if self._refused and chance > 1 - REFUSED_AGAIN_SHARE:
            return Task("again", self._take(self._refused))
        self._members += 1
        return Task("apply", Member(self._members, f"user-{self._members}", self.campaigns[self._current]))

    def _take(self, members: list[Member]) -> Member:
        place = self.rng.randrange(len(members))
        members[place], members[-1] = members[-1], members[place]
        return members.pop()

    def take_in(self, task: Task, answer: Answer, wait_seconds: float) -> None:
        """Note the answer to `task`; an unclear one is asked again after `wait_seconds`."""
        with self._lock:
            member = task.member
            self._busy -= 1
            self.requests += 1
            self.answers[member.campaign].append(answer)
            if answer.status in UNKNOWN_OUTCOMES:
                when = time.monotonic() + min(wait_seconds, LONGEST_WAIT_SECONDS)
                heapq.heappush(self._unclear, (when, self.requests, task))
                return
            if answer.status == 202:  # noqa: PLR2004 - HTTP's own numbers
                self.acceptances.append((answer.started, answer.ended))
            member.coupon = member.coupon or answer.coupon
            (self._holders if member.coupon else self._refused).append(member)
            is_current = member.campaign == self.campaigns[self._current]
            if answer.code == "sold_out" and is_current and self._current + 1 < len(self.campaigns):
                self._current += 1


def find_fault(task: Task, answer: Answer) -> str | None:
    """What is wrong with an answer, given what the member was told before; None when it is right."""
    known = task.member.coupon
    if answer.status in UNKNOWN_OUTCOMES:
        return None
    if answer.status in (200, 202):
        if answer.coupon is None:
            return f"{answer.status} without a whole coupon"
        return "another coupon than before" if known and known != answer.coupon else None
    expected = {"mine": (404, "no_coupon")}.get(task.kind, (409, "sold_out"))
    if (answer.status, answer.code) != expected:
        return f"unexpected answer {answer.status} {answer.code or ''}".rstrip()
    return f"{answer.code} to a user who holds a coupon" if known else None
