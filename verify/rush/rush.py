"""A rush against a running stack: sends it with Locust, follows it live, waits for the drain, and judges the end."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import urlsplit

import pymysql
import redis
from pymysql.connections import Connection

from local.deployment.addresses import MysqlAddress, Stack
from local.deployment.tokens import UserTokens, sign_token
from local.deployment.warm_up import warm_up
from local.deployment.workspace import Workspace
from local.errors import LocalStackError
from local.services.processes import ROOT, Processes, Program
from verify.guarantees import Evidence, check, count_rows, read_gate, read_rows
from verify.rush.answers import ERROR, Answer, AnswerLog, Tally
from verify.rush.live import LiveLine
from verify.rush.result import Outcome, Plan, Sample

OPERATOR_SCOPE = "firstcome/operator"
TOKEN_HOURS = 6
ATTEMPTS = 5
LOOK_SECONDS = 0.25
REQUEST_SECONDS = 30
# No new answer, or no new row, for this long: something hangs. The relay may take 70 s to send a claim left behind.
STALL_SECONDS = 100
IDLE_SECONDS = 10
# Locust's own statuses: everybody answered, or some not as they should.
LOCUST_STATUSES = (0, 1)


@dataclass(frozen=True)
class Site:
    """A running stack, and the folder with its key, logs and temporary files."""

    stack: Stack
    workspace: Workspace

    @property
    def tokens(self) -> Path:
        """Where the users' tokens are kept during the rush."""
        return self.workspace.temporary / "rush-tokens.txt"


class Watch:
    """Follows a rush: the answers as they are written, and the rows as they appear in MySQL."""

    def __init__(self, log: AnswerLog, ledger: Connection, campaign: str, plan: Plan) -> None:
        """Nothing seen yet."""
        self.answers: list[Answer] = []
        self.samples: list[Sample] = []
        self.tally = Tally()
        self.changed = time.monotonic()
        self._log = log
        self._ledger = ledger
        self._campaign = campaign
        self.plan = plan

    @property
    def rows(self) -> int:
        """The rows seen last."""
        return self.samples[-1].rows if self.samples else 0

    @property
    def stalled(self) -> bool:
        """Whether nothing has moved for too long."""
        return time.monotonic() - self.changed > STALL_SECONDS

    @property
    def idle(self) -> str:
        """How long nothing has moved, once that is worth a word."""
        seconds = time.monotonic() - self.changed
        return f"; no new one for {seconds:.0f} s, giving up after {STALL_SECONDS}" if seconds > IDLE_SECONDS else ""

    def look(self) -> None:
        """Take in what is new."""
        seen_before = (len(self.answers), self.rows)
        for answer in self._log.read_new():
            self.answers.append(answer)
            self.tally.add(answer)
        self.samples.append(Sample(time.time(), count_rows(self._ledger, self._campaign)))
        if (len(self.answers), self.rows) != seen_before:
            self.changed = time.monotonic()

    def __str__(self) -> str:
        """Where the rush stands, in a line."""
        errors = self.tally.counts[ERROR]
        return (
            f"{len(self.tally.answered):,} of {self.plan.users:,} users answered: "
            f"{len(self.tally.holders):,} accepted, {len(self.tally.refused_users):,} refused"
            f"{f', {errors:,} errors' if errors else ''}; {self.rows:,} rows in MySQL"
        )


def prepare_rush(site: Site, plan: Plan) -> str:
    """Open a campaign, sign a token for every user, start the workers; the campaign's id."""
    campaign = f"rush-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    open_campaign(site, campaign, plan.capacity)
    write_tokens(site, plan.users)
    warm_up(f"{site.stack.api_url}/campaigns/{campaign}", min(plan.concurrency, plan.users))
    return campaign


def run_rush(site: Site, plan: Plan, campaign: str, answers_path: Path) -> Outcome:
    """Send the prepared rush, wait until it is drained, and judge it.

    Raises:
        LocalStackError: the rush could not be sent or followed. A broken guarantee is no error, but in the outcome.
    """
    try:
        with closing(connect(site.stack.mysql)) as ledger, connected_gate(site.stack.redis_url) as gate:
            watch = Watch(AnswerLog(answers_path), ledger, campaign, plan)
            send(site, plan, rush_arguments(site, plan, campaign, answers_path), watch)
            await_drain(gate, campaign, watch)
            rows, claims = read_rows(ledger, campaign), read_gate(gate, campaign)
    except pymysql.MySQLError as error:
        raise LocalStackError(f"MySQL failed during the rush: {error}", site.workspace.log("mariadbd")) from error
    except redis.RedisError as error:
        raise LocalStackError(f"Redis failed during the rush: {error}", site.workspace.log("redis")) from error
    evidence = Evidence(campaign, plan.capacity, watch.answers, rows, claims, applicants=plan.users)
    return Outcome(plan, watch.answers, watch.samples, check(evidence))


def open_campaign(site: Site, campaign: str, capacity: int) -> None:
    """Create a campaign that is open now, as an operator does."""
    fields = open_campaign_fields(capacity)
    for attempts_left in reversed(range(ATTEMPTS)):
        status, answer = call_as_operator(site, "PUT", f"/campaigns/{campaign}", fields)
        if status in (200, 201):
            return
        if status != 503 or attempts_left == 0:  # noqa: PLR2004 - HTTP's own numbers
            raise LocalStackError(
                f"The campaign could not be opened: the API answered {status} {answer[:500]}",
                site.workspace.log("aws-endpoint"),
            )
        time.sleep(1)


def open_campaign_fields(capacity: int) -> dict[str, object]:
    """What describes a campaign that is open now."""
    now = datetime.now(UTC)
    return {
        "name": "Rush",
        "capacity": capacity,
        "opens_at": _rfc3339(now - timedelta(minutes=1)),
        "closes_at": _rfc3339(now + timedelta(days=1)),
    }


def call_as_operator(site: Site, method: str, path: str, fields: dict[str, object] | None = None) -> tuple[int, str]:
    """The API's answer to an operator: status and body."""
    token = sign_token(site.workspace.folder, site.stack.jwt_issuer, "operator", scope=OPERATOR_SCOPE)
    address = urlsplit(site.stack.api_url)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    body = None if fields is None else json.dumps(fields)
    try:
        with closing(HTTPConnection(address.netloc, timeout=REQUEST_SECONDS)) as connection:
            connection.request(method, f"{address.path}{path}", body, headers)
            response = connection.getresponse()
            return response.status, response.read().decode(errors="replace")
    except (OSError, HTTPException) as error:
        raise LocalStackError(f"The API did not answer {method} {path}: {error}") from error


def _rfc3339(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def write_tokens(site: Site, users: int) -> None:
    """One token a line for each user of the rush."""
    tokens = UserTokens(site.workspace.folder, site.stack.jwt_issuer, TOKEN_HOURS * 3600)
    write_tokens_of([f"user-{number}" for number in range(1, users + 1)], tokens, site.tokens)


def write_tokens_of(users: Sequence[str], tokens: UserTokens, path: Path) -> None:
    """One token a line for each of `users`."""
    path.touch(mode=0o600)
    with path.open("w", encoding="ascii") as file:
        file.writelines(f"{tokens.sign(user)}\n" for user in users)


def connect(mysql: MysqlAddress) -> Connection:
    """A connection to the ledger that sees what the drain commits."""
    return pymysql.connect(
        host=mysql.host,
        port=mysql.port,
        user=mysql.user,
        password=mysql.password,
        database=mysql.database,
        autocommit=True,
        connect_timeout=REQUEST_SECONDS,
        read_timeout=REQUEST_SECONDS,
    )


@contextmanager
def connected_gate(url: str) -> Iterator[redis.Redis]:
    """A connection to the gate's Redis."""
    client = redis.Redis.from_url(url, decode_responses=True, socket_timeout=REQUEST_SECONDS)
    try:
        yield client
    finally:
        client.close()


def rush_arguments(site: Site, plan: Plan, campaign: str, answers: Path) -> list[str]:
    """The arguments with which Locust sends the prepared rush."""
    users = str(min(plan.concurrency, plan.users))
    return [
        *("--locustfile", str(ROOT / "verify" / "rush" / "locustfile.py"), "--headless", "--only-summary"),
        *("--host", site.stack.api_url, "--users", users, "--spawn-rate", users),
        *("--campaign", campaign, "--tokens", str(site.tokens), "--answers", str(answers)),
    ]


def send(site: Site, plan: Plan, arguments: list[str], watch: Watch) -> None:
    """Run Locust to its end, watching."""
    workspace = site.workspace
    program = Program(
        name="locust",
        command=[sys.executable, "-m", "locust", *arguments],
        environment=workspace.service_environment(),
        folder=workspace.temporary,
        log=workspace.log("locust"),
    )
    processes = Processes()
    try:
        locust = processes.start(program)
        _follow(locust, program, watch)
    finally:
        processes.stop()
    if locust.returncode not in LOCUST_STATUSES or not watch.answers:
        raise LocalStackError(f"Locust failed with status {locust.returncode}.", program.log)
    if len(watch.tally.answered) < plan.users:
        raise LocalStackError(f"Locust ended early: {watch}.", program.log)


def _follow(locust: subprocess.Popen[str], program: Program, watch: Watch) -> None:
    with LiveLine(sys.stderr) as line:
        while locust.poll() is None:
            watch.look()
            line.show(str(watch))
            if watch.stalled:
                raise LocalStackError(f"No answer for {STALL_SECONDS} s: {watch}.", program.log)
            time.sleep(LOOK_SECONDS)
        watch.look()
        line.show(str(watch))


def await_drain(gate: redis.Redis, campaign: str, watch: Watch) -> None:
    """Wait until every claim the gate accepted is a row; give up when no row comes any more, and let the check tell."""
    with LiveLine(sys.stderr) as line:
        while not watch.stalled:
            claims = read_gate(gate, campaign)
            watch.look()
            line.show(f"{watch.rows:,} of {claims.accepted:,} accepted claims are rows in MySQL{watch.idle}")
            if watch.rows >= max(claims.accepted, len(watch.tally.holders)) and not claims.outbox:
                return
            time.sleep(LOOK_SECONDS)
