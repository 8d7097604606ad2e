"""A rush against a running stack: sends it with Locust, follows it, waits for the drain, and checks the outcome."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import urlsplit

import pymysql
import redis
from pymysql.connections import Connection

from local.deployment.addresses import MysqlAddress, Stack
from local.deployment.tokens import OPERATOR_SCOPE, UserTokens, sign_token
from local.deployment.warm_up import warm_up
from local.deployment.workspace import Workspace
from local.errors import LocalStackError
from local.progress import Progress
from local.services.processes import ROOT, Processes, Program
from verify.guarantees import Evidence, check, count_rows, read_gate, read_rows
from verify.rush.answers import ERROR, Answer, AnswerLog, Tally
from verify.rush.result import Outcome, Plan, count

TOKEN_HOURS = 6
ATTEMPTS = 5
LOOK_SECONDS = 0.2
REQUEST_SECONDS = 30
# No new answer and no new row for this long: something hangs. The relay may take 70 s to send a claim left behind.
STALL_SECONDS = 100
# Locust's own statuses: all answers were right, or some were not.
LOCUST_STATUSES = (0, 1)


@dataclass(frozen=True)
class Site:
    """A running stack, and the folder with its key, logs and temporary files."""

    stack: Stack
    workspace: Workspace


@dataclass(frozen=True)
class Files:
    """Where a rush is written down: its answers, and Locust's report."""

    answers: Path
    report: Path


@dataclass
class Watch:
    """A rush, and what is known of it: the answers as they are written, and the rows as they appear in MySQL."""

    site: Site
    plan: Plan
    campaign: str
    users: Sequence[str]
    files: Files
    ledger: Connection
    answers: list[Answer] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    rows: int = 0
    drained_at: float | None = None
    changed: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        """Begin with an empty file of answers."""
        self._log = AnswerLog(self.files.answers)

    @property
    def stalled(self) -> bool:
        """Whether nothing has moved for too long."""
        return time.monotonic() - self.changed > STALL_SECONDS

    def look(self) -> None:
        """Read what is new."""
        new, rows = self._log.read_new(), count_rows(self.ledger, self.campaign)
        for answer in new:
            self.answers.append(answer)
            self.tally.add(answer)
        if rows != self.rows:
            self.drained_at = time.time()
        if new or rows != self.rows:
            self.changed = time.monotonic()
        self.rows = rows

    def __str__(self) -> str:
        """The state of the rush, in one line."""
        errors = self.tally.counts[ERROR]
        return (
            f"{len(self.tally.answered):,} of {len(self.users):,} users answered: "
            f"{len(self.tally.holders):,} accepted, {len(self.tally.refused_users):,} refused"
            f"{f', {errors:,} errors' if errors else ''}; {self.rows:,} rows in MySQL"
        )


def prepare_rush(site: Site, plan: Plan) -> str:
    """Open a campaign and start the functions' workers; returns the campaign's id."""
    campaign = f"rush-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    open_campaign(site, campaign, plan.capacity)
    warm_up(f"{site.stack.api_url}/campaigns/{campaign}", min(plan.concurrency, plan.users))
    return campaign


def run_rush(site: Site, plan: Plan, campaign: str, files: Files, progress: Progress) -> Outcome:
    """Send the prepared rush, wait until it is drained, and check it.

    Raises:
        LocalStackError: the rush could not be sent or followed. A broken guarantee is no error, but in the outcome.
    """
    with stores(site) as (ledger, gate):
        watch = Watch(site, plan, campaign, all_users(plan), files, ledger)
        send(watch, progress)
        await_drain(gate, watch, progress)
        rows, claims = read_rows(ledger, campaign), read_gate(gate, campaign)
    verdict = check(Evidence(campaign, plan.capacity, watch.answers, rows, claims, applicants=plan.users))
    return Outcome(plan, watch.answers, watch.drained_at, verdict)


def all_users(plan: Plan) -> list[str]:
    """The users of a rush."""
    return [f"user-{number}" for number in range(1, plan.users + 1)]


def open_campaign(site: Site, campaign: str, capacity: int) -> None:
    """Create a campaign that is open now, as an operator does."""
    fields = open_campaign_fields(capacity)
    for attempts_left in reversed(range(ATTEMPTS)):
        status, answer = call_as_operator(site, "PUT", f"/campaigns/{campaign}", fields)
        if status in (HTTPStatus.OK, HTTPStatus.CREATED):
            return
        if status != HTTPStatus.SERVICE_UNAVAILABLE or attempts_left == 0:
            text = f"The campaign could not be opened: the API answered {status} {answer[:500]}"
            raise LocalStackError(text, site.workspace.log("aws-endpoint"))
        time.sleep(1)


def open_campaign_fields(capacity: int) -> dict[str, object]:
    """The body of a campaign that is open now."""
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


@contextmanager
def stores(site: Site) -> Iterator[tuple[Connection, redis.Redis]]:
    """Connections to the ledger and the gate; a failure of either server is reported with its log."""
    try:
        with closing(connect(site.stack.mysql)) as ledger, connected_gate(site.stack.redis_url) as gate:
            yield ledger, gate
    except pymysql.MySQLError as error:
        raise LocalStackError(f"MySQL failed during the rush: {error}", site.workspace.log("mariadbd")) from error
    except redis.RedisError as error:
        raise LocalStackError(f"Redis failed during the rush: {error}", site.workspace.log("redis")) from error


def connect(mysql: MysqlAddress) -> Connection:
    """A connection to the ledger that reads what the drain commits."""
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
    with closing(redis.Redis.from_url(url, decode_responses=True, socket_timeout=REQUEST_SECONDS)) as client:
        yield client


def send(watch: Watch, progress: Progress, at_each_look: Callable[[], None] = lambda: None) -> None:
    """Run Locust to its end, watching."""
    program, processes = _locust(watch), Processes()
    with progress.step(f"{count(len(watch.users), 'user')} for {count(watch.plan.capacity, 'coupon')}") as show:
        try:
            locust = processes.start(program)
            while locust.poll() is None:
                watch.look()
                show(str(watch))
                at_each_look()
                if watch.stalled:
                    raise LocalStackError(f"No answer for {STALL_SECONDS} s: {watch}.", program.log)
                time.sleep(LOOK_SECONDS)
        finally:
            processes.stop()
        watch.look()
    if locust.returncode not in LOCUST_STATUSES or not watch.answers:
        raise LocalStackError(f"Locust failed with status {locust.returncode}.", program.log)
    if len(watch.tally.answered) < len(watch.users):
        raise LocalStackError(f"Locust ended early: {watch}.", program.log)


def _locust(watch: Watch) -> Program:
    workspace, stack = watch.site.workspace, watch.site.stack
    tokens = workspace.temporary / "rush-tokens.txt"
    signer = UserTokens(workspace.folder, stack.jwt_issuer, TOKEN_HOURS * 3600)
    tokens.touch(mode=0o600)
    tokens.write_text("".join(f"{signer.sign(user)}\n" for user in watch.users), encoding="ascii")
    at_a_time = str(min(watch.plan.concurrency, len(watch.users)))
    command = [
        *(sys.executable, "-m", "locust", "--locustfile", str(ROOT / "verify" / "rush" / "locustfile.py")),
        *("--headless", "--only-summary", "--html", str(watch.files.report)),
        *("--host", stack.api_url, "--users", at_a_time, "--spawn-rate", at_a_time),
        *("--campaign", watch.campaign, "--tokens", str(tokens), "--answers", str(watch.files.answers)),
    ]
    environment = {**workspace.service_environment(), "PYTHONPATH": str(ROOT)}
    return Program("locust", command, environment, workspace.temporary, workspace.log("locust"))


def await_drain(gate: redis.Redis, watch: Watch, progress: Progress) -> None:
    """Wait until every accepted claim is a row, or no row has come for too long: the check finds what is missing."""
    with progress.step("Waiting until all accepted claims are rows in MySQL") as show:
        while not watch.stalled:
            claims = read_gate(gate, watch.campaign)
            watch.look()
            show(f"{watch.rows:,} of {claims.accepted:,}")
            if watch.rows >= max(claims.accepted, len(watch.tally.holders)) and not claims.outbox:
                return
            time.sleep(LOOK_SECONDS)
