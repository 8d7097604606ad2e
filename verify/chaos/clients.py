"""The clients of the long run: threads that ask over HTTP, one question after the other."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from local.deployment.tokens import UserTokens
from verify.chaos.population import Population, Task, find_fault
from verify.rush.answers import UNKNOWN_OUTCOMES, Answer

# Longer than API Gateway's own 30 s, so that its answer is seen.
REQUEST_SECONDS = 35.0
WAIT_SECONDS = 1.0
PAUSE_SECONDS = 0.05


@dataclass(frozen=True)
class Reply:
    """What came back: status 0 when nothing did."""

    status: int
    body: Mapping[str, Any]
    retry_after: float


NOTHING = Reply(0, {}, WAIT_SECONDS)


class Clients:
    """A number of clients at work until they are stopped; every answer is written to a file too."""

    def __init__(self, api_url: str, tokens: UserTokens, population: Population, number: int, path: Path) -> None:
        """Not at work yet."""
        self._api_url = api_url
        self._tokens = tokens
        self._population = population
        self._path = path
        self._write_lock = threading.Lock()
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(number)]

    def __enter__(self) -> Self:
        """Start asking."""
        # Line by line, so that whoever follows the file sees each answer at once.
        self._file = self._path.open("w", encoding="utf-8", buffering=1)
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop asking. After a failure the clients are not waited for: they end with this process."""
        self._over.set()
        if kind is None:
            for thread in self._threads:
                thread.join(REQUEST_SECONDS)
            self._file.close()

    def _work(self) -> None:
        connection = _Connection(self._api_url)
        while not self._over.is_set():
            task = self._population.next_task(time.monotonic())
            if task is None:
                self._over.wait(PAUSE_SECONDS)
                continue
            started = time.time()
            reply = connection.ask(task, self._tokens.sign(task.member.user))
            answer = to_answer(task, reply, started, (time.time() - started) * 1000)
            self._record(task, answer)
            self._population.take_in(task, answer, reply.retry_after)
            if answer.status in UNKNOWN_OUTCOMES:
                self._over.wait(PAUSE_SECONDS)

    def _record(self, task: Task, answer: Answer) -> None:
        line = json.dumps({"campaign": task.member.campaign, **asdict(answer)})
        with self._write_lock:
            if not self._file.closed:
                self._file.write(line + "\n")


class _Connection:
    """One client's connection, replaced when it breaks."""

    def __init__(self, api_url: str) -> None:
        address = urlsplit(api_url)
        self._path = address.path
        self._connection = HTTPConnection(address.netloc, timeout=REQUEST_SECONDS)

    def ask(self, task: Task, token: str) -> Reply:
        path = f"{self._path}/campaigns/{task.member.campaign}/coupons"
        method, path = ("GET", f"{path}/mine") if task.kind == "mine" else ("POST", path)
        try:
            self._connection.request(method, path, headers={"Authorization": f"Bearer {token}"})
            return _read(self._connection.getresponse())
        except (OSError, HTTPException):
            self._connection.close()
            return NOTHING


def _read(response: HTTPResponse) -> Reply:
    text = response.read()
    try:
        body = json.loads(text or b"{}")
    except ValueError:
        body = {}
    said = response.headers.get("Retry-After", "")
    wait = float(said) if said.isdigit() else WAIT_SECONDS
    return Reply(response.status, body if isinstance(body, dict) else {}, wait)


def to_answer(task: Task, reply: Reply, started: float, latency_ms: float) -> Answer:
    """The line of the history for one request."""
    body = reply.body
    answer = Answer(
        kind=task.kind,
        index=task.member.index,
        user=task.member.user,
        status=reply.status,
        code=body.get("code"),
        sequence=body.get("sequence"),
        coupon_code=body.get("coupon_code"),
        accepted_at=body.get("accepted_at"),
        started=started,
        latency_ms=round(latency_ms, 3),
        retried=reply.status in UNKNOWN_OUTCOMES,
    )
    return replace(answer, fault=find_fault(task, answer))
