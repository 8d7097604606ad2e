"""The rush against a small HTTP server that answers as the API does, or as it must not."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from verify.rush.answers import ACCEPTED, ASKED_AGAIN, ERROR, NO_COUPON, READ_BACK, REPLAYED, Answer, AnswerLog, Tally

LOCUSTFILE = Path(__file__).with_name("locustfile.py")
USERS = 40

type Reply = tuple[int, dict[str, Any], dict[str, str]]


@dataclass
class FakeApi:
    """Gives coupons to the first `capacity` users; `spoil` may replace an answer by a wrong one."""

    capacity: int
    spoil: Callable[[str, Reply], Reply] = lambda _user, reply: reply
    coupons: dict[str, dict[str, Any]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def apply(self, user: str) -> Reply:
        with self.lock:
            status = 200 if user in self.coupons else 202
            if status == 202 and len(self.coupons) >= self.capacity:
                return self.spoil(user, (409, {"code": "sold_out"}, {}))
            coupon = self.coupons.setdefault(user, self.coupon(len(self.coupons) + 1))
            return self.spoil(user, (status, coupon, {}))

    def mine(self, user: str) -> Reply:
        return (200, self.coupons[user], {}) if user in self.coupons else (404, {"code": "no_coupon"}, {})

    def coupon(self, sequence: int) -> dict[str, Any]:
        return {
            "status": "accepted",
            "campaign_id": "spring",
            "sequence": sequence,
            "coupon_code": f"CODE{sequence}",
            "accepted_at": "2026-11-23T09:00:00.000Z",
        }


@dataclass
class Run:
    """How a run of Locust ended."""

    status: int
    output: str
    answers: list[Answer]

    @property
    def tally(self) -> Tally:
        tally = Tally()
        for answer in self.answers:
            tally.add(answer)
        return tally


def unsigned_token(user: str) -> str:
    claims = base64.urlsafe_b64encode(json.dumps({"sub": user}).encode()).decode().rstrip("=")
    return f"e30.{claims}.signature"


def user_of(authorization: str) -> str:
    payload = authorization.split(".")[1]
    return str(json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["sub"])


def handler_for(api: FakeApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:  # noqa: N802 - the name http.server looks for
            assert self.path == "/campaigns/spring/coupons"
            self.reply(*api.apply(user_of(self.headers["Authorization"])))

        def do_GET(self) -> None:  # noqa: N802
            assert self.path == "/campaigns/spring/coupons/mine"
            self.reply(*api.mine(user_of(self.headers["Authorization"])))

        def reply(self, status: int, body: dict[str, Any], headers: dict[str, str]) -> None:
            content = json.dumps(body).encode()
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    path = tmp_path / "tokens.txt"
    path.write_text("".join(f"{unsigned_token(f'user-{n}')}\n" for n in range(USERS)))
    return path


@pytest.fixture
def rush(tmp_path: Path, tokens: Path) -> Iterator[Callable[[FakeApi], Run]]:
    servers: list[ThreadingHTTPServer] = []

    def send(api: FakeApi) -> Run:
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler_for(api))
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        log = AnswerLog(tmp_path / "answers.jsonl")
        host = f"http://127.0.0.1:{server.server_port}"
        ended = locust("--host", host, "--tokens", str(tokens), "--answers", str(tmp_path / "answers.jsonl"))
        return Run(ended.returncode, ended.stdout, log.read_new())

    yield send
    for server in servers:
        server.shutdown()
        server.server_close()


def locust(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--headless", "--only-summary"]
    command += ["--users", "8", "--spawn-rate", "8", "--campaign", "spring", *arguments]
    # Locust takes settings from LOCUST_* and its proxy from *_proxy.
    environment = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return subprocess.run(
        command, env=environment, check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60
    )


def test_everybody_applies_once_some_again_some_read_back(rush: Callable[[FakeApi], Run]) -> None:
    run = rush(FakeApi(capacity=30))

    assert run.status == 0, run.output
    kinds = [answer.kind for answer in run.answers]
    # Of the places 0 to 39: 8 are multiples of five, 6 of seven.
    assert (kinds.count("apply"), kinds.count("again"), kinds.count("mine")) == (40, 8, 6)
    counts = run.tally.counts
    assert counts[ACCEPTED] == 30
    assert counts[READ_BACK] + counts[NO_COUPON] == 6
    assert counts[REPLAYED] + run.tally.refused["sold_out"] == 10 + 8
    assert counts[ERROR] == 0
    assert {answer.user for answer in run.answers} == {f"user-{n}" for n in range(USERS)}
    # The route is the name: nothing of the campaign in the statistics.
    assert "POST     /campaigns/{campaign_id}/coupons" in run.output
    assert "spring" not in run.output


def test_a_503_is_asked_again_and_is_no_failure_of_the_rush(rush: Callable[[FakeApi], Run]) -> None:
    unavailable: set[str] = set()

    def spoil(user: str, reply: Reply) -> Reply:
        if user == "user-3" and user not in unavailable:
            unavailable.add(user)
            return (503, {"code": "unavailable"}, {"Retry-After": "1"})
        return reply

    run = rush(FakeApi(capacity=100, spoil=spoil))

    assert run.status == 0, run.output
    first, second = (answer for answer in run.answers if answer.user == "user-3")
    assert (first.status, first.code, first.retried) == (503, "unavailable", True)
    # The claim was kept, so the coupon comes with a 200.
    assert (second.status, second.retried, second.fault) == (200, False, None)
    assert second.started - first.ended >= 1
    assert run.tally.counts[ACCEPTED] == USERS
    assert run.tally.counts[ASKED_AGAIN] == 1


def spoil_five(user: str, reply: Reply) -> Reply:
    status, body, _ = reply
    if user == "user-1":
        return (500, {"message": "Internal Server Error"}, {})
    if user == "user-2":
        return (202, {"status": "accepted"}, {})
    # The places 5, 10 and 15 apply again.
    if user == "user-5" and status == 200:
        return (200, {**body, "coupon_code": "OTHER"}, {})
    if user == "user-10" and status == 200:
        return (202, body, {})
    if user == "user-15" and status == 200:
        return (409, {"code": "sold_out"}, {})
    return reply


def test_wrong_answers_fail_the_rush_and_are_named(rush: Callable[[FakeApi], Run]) -> None:
    run = rush(FakeApi(capacity=100, spoil=spoil_five))

    assert run.status == 1
    assert {answer.user: answer.fault for answer in run.answers if answer.fault} == {
        "user-1": "unexpected answer 500",
        "user-2": "202 without a whole coupon of this campaign",
        "user-5": "another coupon than before",
        "user-10": "202 to a user who holds the coupon already",
        "user-15": "sold_out to a user who holds a coupon",
    }
    assert "another coupon than before" in run.output
    assert run.tally.counts[ERROR] == 5
    assert len(run.tally.answered) == USERS


@pytest.mark.parametrize(
    ("content", "said"),
    [("", "no token in it"), ("not-a-token\n", "not a file of JWTs"), ("e30.e30.x\n", "not a file of JWTs")],
)
def test_a_useless_token_file_is_named(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "tokens.txt"
    path.write_text(content)

    ended = locust("--host", "http://127.0.0.1:9", "--tokens", str(path))

    assert ended.returncode == 1
    assert said in ended.stdout
    assert "Traceback" not in ended.stdout


def test_a_missing_token_file_is_named(tmp_path: Path) -> None:
    ended = locust("--host", "http://127.0.0.1:9", "--tokens", str(tmp_path / "none.txt"))

    assert ended.returncode == 1
    assert "No such file" in ended.stdout
