"""The clients of the long run: they ask all the time, and note every answer."""

from __future__ import annotations

import bisect
import heapq
import json
import random
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import urllib3

from local.deployment.tokens import UserTokens
from verify.rush.answers import UNKNOWN_OUTCOMES, Answer

# How much of what is asked comes from users who have their answer already.
AGAIN_SHARE = 0.25
# API Gateway's own limit is 30 s; its answer is to be seen.
REQUEST_SECONDS = 35
LONGEST_WAIT_SECONDS = 5.0
PAUSE_SECONDS = 0.05


@dataclass(frozen=True, order=True)
class Request:
    """What a user asks: `apply`, or `mine`."""

    user: str
    campaign: str
    kind: str = "apply"


@dataclass
class Clients:
    """Some threads that ask one thing after the other: for new users, and again for those without a clear answer.

    Attributes:
        campaigns: those that are open; new users want the first one that is not sold out.
        acceptances: when each accepted request was sent, and answered, in the order of the answers.
    """

    api_url: str
    tokens: UserTokens
    concurrency: int
    seed: int
    log: Path
    campaigns: list[str] = field(default_factory=list)
    answers: dict[str, list[Answer]] = field(default_factory=lambda: defaultdict(list))
    acceptances: list[tuple[float, float]] = field(default_factory=list)
    is_growing: bool = True

    def __post_init__(self) -> None:
        self._pool = urllib3.PoolManager(maxsize=self.concurrency, retries=False, timeout=REQUEST_SECONDS)
        self._unclear: set[Request] = set()
        self._current = 0
        self._lock = threading.Lock()
        self._is_over = threading.Event()

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Ask for as long as the context lasts."""
        threads = [threading.Thread(target=self._run, args=(n,), daemon=True) for n in range(self.concurrency)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._is_over.set()
            for thread in threads:
                thread.join(REQUEST_SECONDS)
            with self.log.open("w", encoding="utf-8") as log:
                for campaign, answers in self.answers.items():
                    log.writelines(json.dumps({"campaign": campaign, **asdict(one)}) + "\n" for one in answers)

    @property
    def unclear(self) -> int:
        """Users who wait for a clear answer."""
        return len(self._unclear)

    @property
    def unused_campaigns(self) -> int:
        """Open campaigns that nobody has applied to yet."""
        return len(self.campaigns) - self._current - 1

    def first_acceptance_since(self, moment: float) -> float | None:
        """When the first answer came that accepted a request sent after `moment`.

        An answer under way when a fault struck says nothing about the time after it.
        """
        return min((ended for started, ended in self._answered_since(moment) if started >= moment), default=None)

    def accepted_between(self, start: float, end: float) -> int:
        """How many requests were accepted by an answer that came in this time."""
        return sum(ended < end for _, ended in self._answered_since(start))

    def _answered_since(self, moment: float) -> list[tuple[float, float]]:
        with self._lock:
            return self.acceptances[bisect.bisect_left(self.acceptances, moment, key=lambda pair: pair[1]) :]

    def _run(self, number: int) -> None:
        rng = random.Random(f"{self.seed}-{number}")
        waiting, answered, users = list[tuple[float, Request]](), list[Request](), 0
        while not self._is_over.is_set():
            if waiting and waiting[0][0] <= time.monotonic():
                request = heapq.heappop(waiting)[1]
            elif not self.is_growing:
                time.sleep(PAUSE_SECONDS)
                continue
            elif answered and rng.random() < AGAIN_SHARE:
                request = replace(rng.choice(answered), kind=rng.choice(("apply", "mine")))
            else:
                users += 1
                request = Request(f"user-{number}-{users}", self.campaigns[self._current])
            answer, wait_seconds = self._ask(request)
            if answer.status in UNKNOWN_OUTCOMES:
                self._unclear.add(request)
                heapq.heappush(waiting, (time.monotonic() + wait_seconds, request))
                time.sleep(PAUSE_SECONDS)
                continue
            self._unclear.discard(request)
            if request.kind == "apply":
                answered.append(request)

    def _ask(self, request: Request) -> tuple[Answer, float]:
        """Ask, and note the answer; returns it, and after how many seconds to ask again."""
        path = f"{self.api_url}/campaigns/{request.campaign}/coupons"
        method, path = ("GET", f"{path}/mine") if request.kind == "mine" else ("POST", path)
        headers = {"Authorization": f"Bearer {self.tokens.sign(request.user)}"}
        started = time.time()
        try:
            reply = self._pool.request(method, path, headers=headers)
            status, body, wait = reply.status, reply.json(), reply.headers.get("Retry-After", "")
        except (urllib3.exceptions.HTTPError, ValueError):
            status, body, wait = 0, {}, ""
        answer = to_answer(request, status, body, started, (time.time() - started) * 1000)
        with self._lock:
            self.answers[request.campaign].append(answer)
            if status == 202:
                self.acceptances.append((answer.started, answer.ended))
            is_current = request.campaign == self.campaigns[self._current]
            if answer.code == "sold_out" and is_current and self.unused_campaigns:
                self._current += 1
        return answer, min(float(wait) if wait.isdigit() else 1.0, LONGEST_WAIT_SECONDS)


def to_answer(request: Request, status: int, body: dict[str, object], started: float, latency_ms: float) -> Answer:
    """The line of the history for one request; a clear answer is a coupon, `sold_out`, or `no_coupon` to `mine`."""
    fields = {name: body.get(name) for name in ("code", "sequence", "coupon_code", "accepted_at")}
    is_given = status in (200, 202) and None not in (fields["sequence"], fields["coupon_code"], fields["accepted_at"])
    expected = [(409, "sold_out")] if request.kind == "apply" else [(404, "no_coupon")]
    is_right = is_given or (status, fields["code"]) in expected or status in UNKNOWN_OUTCOMES
    return Answer(
        kind=request.kind,
        index=0,
        user=request.user,
        status=status,
        started=started,
        latency_ms=round(latency_ms, 3),
        coupon_status=str(body["status"]) if is_given else None,
        fault=None if is_right else f"unexpected answer {status} {fields['code'] or ''}".rstrip(),
        retried=status in UNKNOWN_OUTCOMES,
        **fields,  # type: ignore[arg-type]
    )
