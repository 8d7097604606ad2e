"""The rush: every signed-in user applies once, some apply again, some read their coupon back.

    locust -f verify/rush/locustfile.py --headless --host URL --users 50 --spawn-rate 50 \
           --campaign spring --tokens tokens.txt [--answers answers.jsonl]

`--users` is how many ask at a time. They share the tokens in the file, one signed-in user a line, and the rush ends by
itself when the last one has been answered. A business refusal (409) is an answer like any other. A 503 or a lost answer
is asked again, politely, as a client should. Exit code 0: everybody got a right answer in the end.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, TextIO

import gevent
from locust import FastHttpUser, events, task
from locust.argument_parser import LocustArgumentParser
from locust.contrib.fasthttp import ResponseContextManager
from locust.env import Environment
from locust.exception import StopUser
from locust.runners import LocalRunner

# By the user's place in the file, so that two runs ask the same: 20 % apply again, 14 % read back, 3 % do both.
AGAIN_EVERY = 5
READ_BACK_EVERY = 7

REFUSALS = frozenset({"sold_out", "not_open", "closed", "paused"})
# No answer at all, throttled, unavailable, or the gateway got none itself: nothing is known, and asking again is safe.
ASKED_AGAIN = frozenset({0, 429, 502, 503, 504})
ATTEMPTS = 5
DEFAULT_WAIT_SECONDS = 1.0
LONGEST_WAIT_SECONDS = 5.0

ROUTE = "/campaigns/{campaign_id}/coupons"


@dataclass(frozen=True)
class Subject:
    """A signed-in user of the rush."""

    index: int
    user: str
    token: str


class Coupon(NamedTuple):
    """What must be the same whenever a user asks."""

    sequence: int
    coupon_code: str
    accepted_at: str


@dataclass(frozen=True)
class Answer:
    """One request and what came back: one line of the answers file."""

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
    # What is wrong with the answer, and whether it was asked again because of that.
    fault: str | None
    retried: bool


def read_subjects(path: Path) -> list[Subject]:
    """The users whose tokens stand in the file at `path`."""
    lines = path.read_text(encoding="ascii").split()
    return [Subject(index, subject_of(token), token) for index, token in enumerate(lines)]


def subject_of(token: str) -> str:
    """The `sub` of a token, unverified: verifying is the deployment's work."""
    payload = token.split(".")[1]
    padded = payload + "=" * (-len(payload) % 4)
    return str(json.loads(base64.urlsafe_b64decode(padded))["sub"])


class Rush:
    """What the users of one test run share: who is left to ask, and what has been answered."""

    def __init__(self, campaign: str, subjects: list[Subject], answers: TextIO | None) -> None:
        """Take `subjects` in order; write each answer to `answers`."""
        self.campaign = campaign
        self.errors = 0
        self.unanswered = len(subjects)
        self._left: Iterator[Subject] = iter(subjects)
        self._answers = answers

    def next_subject(self) -> Subject | None:
        """The next one to ask, or None when all have been taken."""
        return next(self._left, None)

    def record(self, answer: Answer) -> None:
        """Keep `answer`."""
        if answer.fault is not None and not answer.retried:
            self.errors += 1
        if self._answers is not None:
            self._answers.write(json.dumps(asdict(answer)) + "\n")


class Applicant(FastHttpUser):
    """Takes one signed-in user after the other through the rush."""

    # Locust's default is to accept any certificate; the tokens sent here deserve a verified one.
    insecure = False
    connection_timeout = 10.0
    # Longer than API Gateway's own 30 s, so that its answer is seen.
    network_timeout = 35.0

    rush: ClassVar[Rush]

    @task
    def take_next(self) -> None:
        """Serve the next subject, if there is one left."""
        subject = self.rush.next_subject()
        if subject is None:
            raise StopUser
        try:
            self.serve(subject)
        except Exception:
            # A mistake in this file. Locust shows it; the rush goes on and ends in failure.
            self.rush.errors += 1
            self.leave()
            raise
        self.leave()

    def leave(self) -> None:
        """One subject is through; with the last one the run ends."""
        self.rush.unanswered -= 1
        if self.rush.unanswered == 0 and self.environment.runner is not None:
            # From a greenlet of its own: quitting kills this one.
            gevent.spawn(self.environment.runner.quit)

    def serve(self, subject: Subject) -> None:
        """All that `subject` asks."""
        coupon = self.ask("apply", subject, None)
        if subject.index % AGAIN_EVERY == 0:
            coupon = self.ask("again", subject, coupon)
        if subject.index % READ_BACK_EVERY == 0:
            self.ask("mine", subject, coupon)

    def ask(self, kind: str, subject: Subject, known: Coupon | None) -> Coupon | None:
        """Ask until there is an answer, politely; the coupon the user holds from then on."""
        for attempts_left in reversed(range(ATTEMPTS)):
            with self.send(kind, subject) as response:
                body = parse(response.text)
                fault = find_fault(kind, response.status_code, body, self.rush.campaign, known)
                retried = response.status_code in ASKED_AGAIN and attempts_left > 0
                self.rush.record(to_answer(kind, subject, response, body, fault, retried=retried))
                if fault is None:
                    response.success()
                else:
                    response.failure(fault)
            if not retried:
                return known or read_coupon(body)
            gevent.sleep(seconds_to_wait(response))
        return known

    def send(self, kind: str, subject: Subject) -> ResponseContextManager:
        """One request; its name in the statistics is the route, without the campaign."""
        headers = {"Authorization": f"Bearer {subject.token}"}
        url = ROUTE.replace("{campaign_id}", self.rush.campaign)
        if kind == "mine":
            return self.client.get(f"{url}/mine", name=f"{ROUTE}/mine", headers=headers, catch_response=True)
        name = ROUTE if kind == "apply" else f"{ROUTE} (again)"
        return self.client.post(url, name=name, headers=headers, catch_response=True)


def parse(text: str | None) -> dict[str, Any]:
    """The JSON object in `text`; empty when there is none."""
    try:
        body = json.loads(text or "")
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def read_coupon(body: dict[str, Any]) -> Coupon | None:
    """The coupon in an answer, if it is a whole one."""
    sequence, code, accepted_at = body.get("sequence"), body.get("coupon_code"), body.get("accepted_at")
    if isinstance(sequence, int) and sequence > 0 and isinstance(code, str) and code and isinstance(accepted_at, str):
        return Coupon(sequence, code, accepted_at)
    return None


def find_fault(kind: str, status: int, body: dict[str, Any], campaign: str, known: Coupon | None) -> str | None:
    """What is wrong with an answer, given the coupon the user is known to hold; None when it is right."""
    if status == 0:
        return "no answer"
    if status in (200, 202):
        return find_coupon_fault(kind, status, body, campaign, known)
    code = body.get("code")
    refused = kind != "mine" and status == 409 and code in REFUSALS  # noqa: PLR2004 - HTTP's own numbers
    without_coupon = kind == "mine" and status == 404 and code == "no_coupon"  # noqa: PLR2004
    if not (refused or without_coupon):
        return f"unexpected answer {status} {code or ''}".rstrip()
    return f"{code} to a user who holds a coupon" if known else None


def find_coupon_fault(kind: str, status: int, body: dict[str, Any], campaign: str, known: Coupon | None) -> str | None:
    """What is wrong with an answer that should hold a coupon."""
    coupon = read_coupon(body)
    if coupon is None or body.get("campaign_id") != campaign or body.get("status") not in ("accepted", "issued"):
        return f"{status} without a whole coupon of this campaign"
    if known and coupon != known:
        return "another coupon than before"
    if status == 202 and (known or kind == "mine"):  # noqa: PLR2004
        return "202 to a user who holds the coupon already"
    return None


def to_answer(  # noqa: PLR0913 - the parts of one line, each by its name
    kind: str,
    subject: Subject,
    response: ResponseContextManager,
    body: dict[str, Any],
    fault: str | None,
    *,
    retried: bool,
) -> Answer:
    """The line of the answers file for one request."""
    coupon = read_coupon(body)
    code = body.get("code")
    return Answer(
        kind=kind,
        index=subject.index,
        user=subject.user,
        status=response.status_code,
        code=code if isinstance(code, str) else None,
        sequence=coupon.sequence if coupon else None,
        coupon_code=coupon.coupon_code if coupon else None,
        accepted_at=coupon.accepted_at if coupon else None,
        started=response.request_meta["start_time"],
        latency_ms=round(response.request_meta["response_time"], 3),
        fault=fault,
        retried=retried,
    )


def seconds_to_wait(response: ResponseContextManager) -> float:
    """How long to wait before asking again: what the answer says, within bounds."""
    said = response.headers.get("Retry-After") if response.headers else None
    seconds = float(said) if isinstance(said, str) and said.isdigit() else DEFAULT_WAIT_SECONDS
    return min(seconds, LONGEST_WAIT_SECONDS)


@events.init_command_line_parser.add_listener  # type: ignore[untyped-decorator] # Locust gives it no types
def add_arguments(parser: LocustArgumentParser) -> None:
    """The rush's own arguments."""
    group = parser.add_argument_group("Rush")
    group.add_argument("--campaign", required=True, help="The campaign to apply to; it must be open")
    group.add_argument("--tokens", required=True, type=Path, help="File with one JWT a line: one for each user")
    group.add_argument("--answers", type=Path, help="Where to write one JSON line for each request")


@events.init.add_listener  # type: ignore[untyped-decorator] # Locust gives it no types
def prepare(environment: Environment, **_: Any) -> None:
    """Read the tokens before anything is sent, and refuse what cannot work."""
    options = environment.parsed_options
    if options is None or not isinstance(environment.runner, LocalRunner):
        raise SystemExit("The rush shares its users within one process: run it with --headless, without workers.")
    try:
        subjects = read_subjects(options.tokens)
    except OSError as error:
        raise SystemExit(f"--tokens {options.tokens}: {error.strerror}") from None
    except (ValueError, IndexError, KeyError, TypeError):
        raise SystemExit(f"--tokens {options.tokens}: not a file of JWTs with a `sub`, one a line") from None
    if not subjects:
        raise SystemExit(f"--tokens {options.tokens}: no token in it")
    # Line by line, so that whoever follows the file sees each answer at once.
    answers = options.answers.open("w", encoding="utf-8", buffering=1) if options.answers else None
    Applicant.rush = Rush(options.campaign, subjects, answers)


@events.quitting.add_listener  # type: ignore[untyped-decorator] # Locust gives it no types
def judge(environment: Environment, **_: Any) -> None:
    """The exit code: a 503 that was answered on asking again is no failure, a rush cut short is one."""
    rush = Applicant.rush
    environment.process_exit_code = 1 if rush.errors or rush.unanswered else 0
