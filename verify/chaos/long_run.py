"""One long run: clients ask all the time, faults strike one after the other, the end is drained and checked."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from local.deployment.tokens import UserTokens
from local.deployment.warm_up import warm_up
from local.errors import LocalStackError
from local.progress import Progress
from verify.chaos.clients import Clients
from verify.chaos.faults import FAULTS, LOSING_THE_GATE, Scene, Step, steps
from verify.chaos.outcome import LongOutcome, LongPlan, Struck, describe_struck
from verify.chaos.site import BreakableSite
from verify.guarantees import Evidence, Load, read_gate, read_rows, violations
from verify.rush.answers import UNKNOWN_OUTCOMES
from verify.rush.rush import call_as_operator, connect, connected_gate

LOOK_SECONDS = 0.1
# Open ahead of need: no campaign can be opened while MariaDB is down.
SPARE_CAMPAIGNS = 2
OPEN_AGAIN_SECONDS = 3.0
CALM_SECONDS = 3.0
MOST_CALM_SECONDS = 60.0
RECOVERY_SECONDS = 300.0
ANSWER_SECONDS = 240.0
# The newest campaigns are in use; the relay takes care of the rest.
HEALED_BY_HAND = 4
# The template's defaults; beside the drain, the relay and an operator may ask MySQL.
DRAIN_CONCURRENCY = 2
ROWS_PER_SECOND = 500
OTHER_CONNECTIONS = 2
# Rows are counted over this long. A worker that was killed does not wait, and a chunk that MariaDB held up comes late.
WINDOW_MS = 10_000
EARLY_CHUNKS = 8


class LongRun:
    """A run on a site that nothing else uses."""

    def __init__(self, site: BreakableSite, plan: LongPlan, progress: Progress, log: Path) -> None:
        """Nothing asked, nothing broken yet; the history of answers goes to the file `log`."""
        self._site, self._plan, self._progress = site, plan, progress
        self._rng = random.Random(plan.seed)
        self._name = f"long-{datetime.now(UTC):%Y%m%d-%H%M%S}"
        self._struck: list[Struck] = []
        self._began = self._open_next = 0.0
        # A clock is set back while it runs.
        hours = timedelta(hours=48)
        now = datetime.now(UTC)
        self._window = {"opens_at": (now - hours).isoformat(), "closes_at": (now + hours).isoformat()}
        tokens = UserTokens(site.site.workspace.folder, site.stack.jwt_issuer, plan.minutes * 60 + 7200)
        self._clients = Clients(site.stack.api_url, tokens, plan.concurrency, plan.seed, log)

    def run(self) -> LongOutcome:
        """All of it."""
        clients = self._clients
        with self._progress.step("Opening campaigns and starting the functions' workers"):
            if not self._until(lambda: self._open() and clients.unused_campaigns >= SPARE_CAMPAIGNS, RECOVERY_SECONDS):
                raise LocalStackError("No campaign could be opened.", self._site.site.workspace.log("aws-endpoint"))
            warm_up(f"{self._site.stack.api_url}/campaigns/{clients.campaigns[0]}", self._plan.concurrency)
        with self._site.watched_connections(), clients.asking():
            self._strike_all()
            with self._progress.step("Letting those ask again who got no clear answer, and draining all claims"):
                clients.is_growing = False
                self._until(lambda: clients.unclear == 0, ANSWER_SECONDS)
                ended = time.time()
                self._until(self._is_at_rest, RECOVERY_SECONDS)
        return self._outcome(time.time() - ended)

    def _strike_all(self) -> None:
        self._began = time.time()
        self._calm_down()
        seconds = self._plan.minutes * 60.0
        for number, step in enumerate(steps(self._rng, seconds)):
            # Every kind of fault once, however short the run.
            if time.time() - self._began >= seconds and number >= len(FAULTS):
                return
            struck = self._strike(step)
            self._struck.append(struck)
            self._progress.say(describe_struck(struck))

    def _strike(self, step: Step) -> Struck:
        clients = self._clients
        if step.needs_rest:
            # One fault at a time: what another one held up has to be back first.
            self._come_to_rest()
            clients.is_growing = True
            self._calm_down()
        at = time.time()
        detail = FAULTS[step.kind](Scene(self._site, self._rng))
        lifted = time.time()
        if step.needs_rest:
            detail += ", by hand" if step.by_operator else ", by the relay"
            recovered = self._until(lambda: self._is_healed(step), RECOVERY_SECONDS)
            clients.is_growing = True
        else:
            recovered = True
        recovered &= self._until(lambda: clients.first_acceptance_since(lifted) is not None, RECOVERY_SECONDS)
        again = clients.first_acceptance_since(lifted) or 0.0
        healed = time.time() if step.needs_rest and step.kind not in LOSING_THE_GATE else again
        meanwhile = clients.accepted_between(at, lifted)
        self._calm_down()
        recovery = round(healed - lifted, 2) if recovered else None
        return Struck(step.kind, detail, round(at - self._began, 1), round(lifted - at, 2), recovery, meanwhile)

    def _is_healed(self, step: Step) -> bool:
        """Whether what a fault lost is whole again; where a person would, do something about it."""
        campaigns = self._clients.campaigns[-HEALED_BY_HAND:]
        if step.kind in LOSING_THE_GATE:
            return not step.by_operator or all(self._operate("POST", name, "/rebuild") for name in campaigns)
        # Claims that are lost are found once nothing is under way.
        self._clients.is_growing = False
        if step.by_operator:
            for name in campaigns:
                self._operate("POST", name, "/reconcile")
        return self._is_at_rest()

    def _come_to_rest(self) -> None:
        self._clients.is_growing = False
        self._until(lambda: self._clients.unclear == 0 and self._is_at_rest(), RECOVERY_SECONDS)

    def _calm_down(self) -> None:
        """Let some be accepted in peace, so that one fault does not run into the next."""
        since = time.time()
        enough = 2 * self._plan.concurrency
        self._until(lambda: self._clients.accepted_between(since, time.time()) >= enough, MOST_CALM_SECONDS)
        self._until(lambda: time.time() - since >= CALM_SECONDS, CALM_SECONDS)

    def _until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Wait for a condition, not for ever; meanwhile keep campaigns ready."""
        deadline = time.time() + seconds
        while not condition():
            if time.time() > deadline:
                return False
            if self._clients.unused_campaigns < SPARE_CAMPAIGNS and time.time() >= self._open_next:
                self._open_next = time.time() + OPEN_AGAIN_SECONDS
                self._open()
            time.sleep(LOOK_SECONDS)
        return True

    def _open(self) -> bool:
        """Open one more campaign, if that can be done just now; the same may be asked again."""
        name = f"{self._name}-{len(self._clients.campaigns) + 1}"
        fields = {"name": "Long run", "capacity": self._plan.capacity, **self._window}
        is_open = self._operate("PUT", name, fields=fields)
        if is_open:
            self._clients.campaigns.append(name)
        return is_open

    def _operate(self, method: str, campaign: str, action: str = "", fields: dict[str, object] | None = None) -> bool:
        # No answer within the time: asking again is safe.
        with suppress(LocalStackError):
            status, _ = call_as_operator(self._site.site, method, f"/campaigns/{campaign}{action}", fields)
            return status in (200, 201)
        return False

    def _is_at_rest(self) -> bool:
        """Whether every gate admits, and every claim that a gate has is in the ledger."""
        site = self._site
        if site.claims_under_way:
            return False
        with closing(connect(site.stack.mysql)) as ledger, connected_gate(site.servers.primary.url) as redis:
            for campaign in self._clients.campaigns:
                gate = read_gate(redis, campaign)
                settled = [*read_rows(ledger, campaign), *read_rows(ledger, campaign, "overflow")]
                if not gate.is_open or gate.outbox or gate.claims.keys() - {row.user for row in settled}:
                    return False
        return True

    def _outcome(self, seconds_to_drain: float) -> LongOutcome:
        site, clients = self._site, self._clients
        evidence = [self._evidence(campaign) for campaign in clients.campaigns]
        with closing(connect(site.stack.mysql)) as ledger, ledger.cursor() as cursor:
            cursor.execute("SELECT issued_at FROM coupon")
            issued_at = [round(moment.replace(tzinfo=UTC).timestamp() * 1000) for (moment,) in cursor.fetchall()]
        load = Load(
            rows=[(moment, 1) for moment in issued_at],
            rows_per_second=ROWS_PER_SECOND,
            workers=DRAIN_CONCURRENCY,
            connections={"all functions": (site.most_connections, DRAIN_CONCURRENCY + OTHER_CONNECTIONS)},
            window_ms=WINDOW_MS,
            early_chunks=EARLY_CHUNKS,
        )
        dead_letters = site.dead_letters()
        problems = violations(evidence, load, dead_letters, site.claims_under_way)
        answers = [answer for one in evidence for answer in one.answers]
        faults = Counter(answer.fault for answer in answers if answer.fault)
        problems["G5"] += [f"{number:,} answers were wrong: {fault}" for fault, number in faults.items()]
        return LongOutcome(
            plan=self._plan,
            faults=self._struck,
            problems=problems,
            requests=len(answers),
            accepted=len({answer.user for answer in answers if answer.coupon}),
            unavailable=sum(answer.status in UNKNOWN_OUTCOMES for answer in answers),
            unclear=clients.unclear,
            campaigns=len({one.campaign for one in evidence if one.answers}),
            rows=len(issued_at),
            overflow=sum(len(one.overflow) for one in evidence),
            dead_letters=len(dead_letters),
            seconds_to_drain=round(seconds_to_drain, 1),
            most_mysql_connections=site.most_connections,
            most_rows_in_10_s=load.most_rows,
        )

    def _evidence(self, campaign: str) -> Evidence:
        site = self._site
        status, body = call_as_operator(site.site, "GET", f"/campaigns/{campaign}/stats")
        if status != 200:
            raise LocalStackError(f"The API answered {status} {body[:500]} to a question for a campaign's stats.")
        with closing(connect(site.stack.mysql)) as ledger, connected_gate(site.servers.primary.url) as redis:
            return Evidence(
                campaign=campaign,
                capacity=self._plan.capacity,
                answers=self._clients.answers[campaign],
                rows=read_rows(ledger, campaign),
                gate=read_gate(redis, campaign),
                overflow=read_rows(ledger, campaign, "overflow"),
                overflow_reported=int(json.loads(body)["overflow"]),
                lost_writes=self._plan.replica_acks == 0,
            )
