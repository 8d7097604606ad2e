"""The rush: every signed-in user applies once, some apply again, some read their coupon back.

    locust -f verify/rush/locustfile.py --headless --host URL --users 50 --spawn-rate 50 \
           --campaign spring --tokens tokens.txt [--answers answers.jsonl] [--html report.html]

`--users` is how many ask at a time. They share the tokens in the file, one line per signed-in user; the rush ends when
the last one has been answered. A refusal (409) is an answer like any other. A 503 or a lost answer is asked again after
`Retry-After`, as a client should. Exit code 0: every user got a right answer in the end.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, TextIO

import gevent
import jwt
from locust import FastHttpUser, events, task
from locust.argument_parser import LocustArgumentParser
from locust.contrib.fasthttp import ResponseContextManager
from locust.env import Environment
from locust.exception import StopUser
from locust.runners import LocalRunner

from verify.rush.answers import UNKNOWN_OUTCOMES, Answer, Coupon, coupon_in, find_fault, parse

# By the user's place in the file, so that two runs ask the same: 20 % apply again, 14 % read back, 3 % do both.
AGAIN_EVERY = 5
READ_BACK_EVERY = 7

# A 500 is a defect, not an outage: it is not asked again.
ASKED_AGAIN = UNKNOWN_OUTCOMES - {500}
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


def read_subjects(path: Path) -> list[Subject]:
    """The users whose tokens are in the file at `path`."""
    tokens = path.read_text(encoding="ascii").split()
    # The deployment verifies them.
    subjects = [jwt.decode(token, options={"verify_signature": False})["sub"] for token in tokens]
    return [Subject(index, user, token) for index, (user, token) in enumerate(zip(subjects, tokens, strict=True))]


class Rush:
    """The state that Locust's users share: the subjects left to ask, and the answers."""

    def __init__(self, campaign: str, subjects: list[Subject], answers: TextIO | None) -> None:
        """Take `subjects` in order; write each answer to `answers`."""
        self.campaign = campaign
        self.errors = 0
        self.unanswered = len(subjects)
        self.left: Iterator[Subject] = iter(subjects)
        self._answers = answers

    def record(self, answer: Answer) -> None:
        """Keep `answer`."""
        if answer.fault is not None and not answer.retried:
            self.errors += 1
        if self._answers is not None:
            self._answers.write(json.dumps(asdict(answer)) + "\n")


class Applicant(FastHttpUser):
    """Takes one signed-in user after the other through the rush."""

    # Locust's default is to accept any certificate.
    insecure = False
    connection_timeout = 10.0
    # Longer than API Gateway's own 30 s, so that its answer arrives.
    network_timeout = 35.0

    rush: ClassVar[Rush]

    @task
    def take_next(self) -> None:
        """Serve the next subject, if there is one left."""
        subject = next(self.rush.left, None)
        if subject is None:
            raise StopUser
        try:
            self.serve(subject)
        except Exception:
            # A defect of this file: Locust shows it, the rush goes on and ends in failure.
            self.rush.errors += 1
            raise
        finally:
            self.rush.unanswered -= 1
            if self.rush.unanswered == 0 and self.environment.runner is not None:
                # From a greenlet of its own: quitting kills this one.
                gevent.spawn(self.environment.runner.quit)

    def serve(self, subject: Subject) -> None:
        """All requests of `subject`."""
        coupon = self.ask("apply", subject, None)
        if subject.index % AGAIN_EVERY == 0:
            coupon = self.ask("again", subject, coupon)
        if subject.index % READ_BACK_EVERY == 0:
            self.ask("mine", subject, coupon)

    def ask(self, kind: str, subject: Subject, known: Coupon | None) -> Coupon | None:
        """Ask until there is an answer; returns the coupon that the user holds from then on."""
        for attempts_left in reversed(range(ATTEMPTS)):
            with self.send(kind, subject) as response:
                body = parse(response.text)
                fault = find_fault(kind, response.status_code, body, self.rush.campaign, known)
                retried = response.status_code in ASKED_AGAIN and attempts_left > 0
                self.rush.record(to_answer(kind, subject, response, fault, retried=retried))
                if fault is None:
                    response.success()
                else:
                    response.failure(fault)
            if not retried:
                return known or coupon_in(body)
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


def to_answer(
    kind: str, subject: Subject, response: ResponseContextManager, fault: str | None, *, retried: bool
) -> Answer:
    """The line of the answers file for one request."""
    body = parse(response.text)
    code, coupon = body.get("code"), coupon_in(body)
    sequence, coupon_code, accepted_at = coupon or (None, None, None)
    return Answer(
        kind=kind,
        index=subject.index,
        user=subject.user,
        status=response.status_code,
        code=code if isinstance(code, str) else None,
        sequence=sequence,
        coupon_code=coupon_code,
        accepted_at=accepted_at,
        started=response.request_meta["start_time"],
        latency_ms=round(response.request_meta["response_time"], 3),
        coupon_status=body.get("status") if coupon else None,
        fault=fault,
        retried=retried,
    )


def seconds_to_wait(response: ResponseContextManager) -> float:
    """How long to wait before asking again: `Retry-After`, within bounds."""
    asked = response.headers.get("Retry-After") if response.headers else None
    seconds = float(asked) if isinstance(asked, str) and asked.isdigit() else DEFAULT_WAIT_SECONDS
    return min(seconds, LONGEST_WAIT_SECONDS)


@events.init_command_line_parser.add_listener  # type: ignore[untyped-decorator] # Locust gives it no types
def add_arguments(parser: LocustArgumentParser) -> None:
    """The rush's own arguments."""
    group = parser.add_argument_group("Rush")
    group.add_argument("--campaign", required=True, help="The campaign to apply to; it must be open")
    group.add_argument("--tokens", required=True, type=Path, help="File with one JWT per line and user")
    group.add_argument("--answers", type=Path, help="Where to write one line of JSON per request")


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
    except (ValueError, KeyError, jwt.InvalidTokenError):
        subjects = []
    if not subjects:
        raise SystemExit(f"--tokens {options.tokens}: not a file with one JWT per line, each with a `sub`")
    # Line by line, so that each answer can be read at once.
    answers = options.answers.open("w", encoding="utf-8", buffering=1) if options.answers else None
    Applicant.rush = Rush(options.campaign, subjects, answers)


@events.quitting.add_listener  # type: ignore[untyped-decorator] # Locust gives it no types
def judge(environment: Environment, **_: Any) -> None:
    """Set the exit code: a 503 that was answered on asking again is no failure, a rush cut short is one."""
    rush = Applicant.rush
    environment.process_exit_code = 1 if rush.errors or rush.unanswered else 0
