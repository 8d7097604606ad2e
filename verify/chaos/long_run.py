"""One long run: clients ask all the time, faults strike one after the other, the end is drained and judged."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from local.deployment.tokens import UserTokens
from local.deployment.warm_up import warm_up
from local.errors import LocalStackError
from local.progress import Progress
from verify.chaos.clients import Clients
from verify.chaos.faults import FAULTS, Scene
from verify.chaos.ledger import ConnectionWatch, read_issue_times
from verify.chaos.outcome import LongOutcome, LongPlan, Struck, describe_struck
from verify.chaos.population import Population
from verify.chaos.schedule import Step, steps, steps_a_round
from verify.chaos.site import BreakableSite
from verify.guarantees import Evidence, Load, count_rows, read_gate, read_rows, violations
from verify.rush.answers import UNKNOWN_OUTCOMES
from verify.rush.rush import Site, call_as_operator, connect, connected_gate, open_campaign, open_campaign_fields

LOOK_SECONDS = 0.1
# Open ahead of need: no campaign can be opened while MariaDB is down.
SPARE_CAMPAIGNS = 2
OPEN_AGAIN_SECONDS = 3.0
CALM_SECONDS = 3.0
MOST_CALM_SECONDS = 60.0
RECOVERY_SECONDS = 300.0
# Claims of a drain that died come back after three minutes.
QUEUE_SECONDS = 240.0
ANSWER_SECONDS = 240.0
STALL_SECONDS = 300.0
REBUILT_BY_HAND = 4
# The template's defaults; beside the drain, the relay and an operator may ask MySQL.
DRAIN_CONCURRENCY = 2
ROWS_PER_SECOND = 500
OTHER_CONNECTIONS = 2
# Rows are counted over this long. A worker that was killed does not wait, and a chunk that MariaDB held up comes late.
WINDOW_MS = 10_000
EARLY_CHUNKS = 8


class LongRun:
    """A run on a site that nothing else uses."""

    def __init__(self, site: BreakableSite, plan: LongPlan, progress: Progress) -> None:
        """Nothing asked, nothing broken yet."""
        self._site = site
        self._plan = plan
        self._progress = progress
        self._rng = random.Random(plan.seed)  # noqa: S311 - repeatable, not secret
        self._population = Population(random.Random(plan.seed + 1))  # noqa: S311
        self._name = f"long-{datetime.now(UTC):%Y%m%d-%H%M%S}"
        self._struck: list[Struck] = []
        self._began = 0.0
        self._open_next = 0.0

    def run(self, answers: Path) -> LongOutcome:
        """All of it; the history of answers goes to the file `answers`."""
        site, population = self._site, self._population
        with self._progress.step("Opening campaigns and starting the functions' workers"):
            for _ in range(1 + SPARE_CAMPAIGNS):
                self._open(open_campaign)
            url = f"{site.stack.api_url}/campaigns/{population.campaigns[0]}"
            warm_up(url, self._plan.concurrency)
        tokens = UserTokens(site.site.workspace.folder, site.stack.jwt_issuer, self._plan.minutes * 60 + 7200)
        clients = Clients(site.stack.api_url, tokens, population, self._plan.concurrency, answers)
        with ConnectionWatch(site.stack.mysql) as connections:
            with clients:
                self._strike_all(connections)
                with self._progress.step("Letting those ask again who got no clear answer"):
                    population.is_growing = False
                    self._until(lambda: population.unclear == 0, ANSWER_SECONDS)
            ended = time.time()
            with self._progress.step("Waiting until all claims are drained"):
                self._await_drain()
            return self._judge(connections.most, time.time() - ended)

    def _strike_all(self, connections: ConnectionWatch) -> None:
        self._began = time.time()
        self._calm_down()
        seconds = self._plan.minutes * 60.0
        for number, step in enumerate(steps(self._rng, seconds)):
            # Every kind of fault once, however short the run.
            if time.time() - self._began >= seconds and number >= steps_a_round():
                return
            if step.kind in ("mariadb-down", "drain-killed"):
                with connections.looking_away():
                    struck = self._strike(step)
            else:
                struck = self._strike(step)
            self._struck.append(struck)
            self._progress.say(describe_struck(struck))

    def _strike(self, step: Step) -> Struck:
        population = self._population
        if step.loses_the_gate:
            # One fault at a time: the claims of a drain that died have to be back first.
            self._until(lambda: self._site.claims_under_way < self._plan.concurrency, QUEUE_SECONDS)
            self._until(self._is_whole, QUEUE_SECONDS)
        at = time.time()
        detail = FAULTS[step.kind](Scene(self._site, self._rng, time.sleep))
        lifted = time.time()
        self._heal(step)
        self._until(lambda: population.first_acceptance_since(lifted) is not None, RECOVERY_SECONDS)
        again = population.first_acceptance_since(lifted)
        meanwhile = population.accepted_between(at, lifted)
        self._calm_down()
        recovery = None if again is None else again - lifted
        if step.loses_the_gate:
            detail += ", by hand" if step.healed_by_operator else ", by the relay"
        return Struck(step.kind, detail, at - self._began, lifted - at, recovery, meanwhile)

    def _heal(self, step: Step) -> None:
        if step.kind == "redis-failed-over":
            self._site.servers.add_replica()
        if step.healed_by_operator:
            # The newest are in use; the relay takes care of the rest.
            for campaign in self._population.campaigns[-REBUILT_BY_HAND:]:
                self._until(lambda name=campaign: self._rebuild(name), RECOVERY_SECONDS)  # type: ignore[misc]

    def _rebuild(self, campaign: str) -> bool:
        return _succeeds(self._site.site, "POST", f"/campaigns/{campaign}/rebuild")

    def _is_whole(self) -> bool:
        names = self._population.campaigns
        return len(self._site.servers.whole_gates(names)) == len(names)

    def _calm_down(self) -> None:
        """Let some be accepted in peace, so that one fault does not run into the next."""
        since = time.time()
        enough = 2 * self._plan.concurrency
        self._until(lambda: self._population.accepted_between(since, time.time()) >= enough, MOST_CALM_SECONDS)
        self._until(lambda: time.time() - since >= CALM_SECONDS, CALM_SECONDS)

    def _until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Wait for a condition, not for ever; meanwhile keep campaigns ready."""
        deadline = time.time() + seconds
        while not condition():
            if time.time() > deadline:
                return False
            self._keep_campaigns_ready()
            time.sleep(LOOK_SECONDS)
        return True

    def _keep_campaigns_ready(self) -> None:
        population = self._population
        if not population.is_growing or population.unused_campaigns >= SPARE_CAMPAIGNS:
            return
        if time.time() >= self._open_next:
            self._open_next = time.time() + OPEN_AGAIN_SECONDS
            self._open(try_to_open)

    def _open(self, put: Callable[..., object]) -> None:
        campaign = f"{self._name}-{len(self._population.campaigns) + 1}"
        if put(self._site.site, campaign, self._plan.capacity) is not False:
            self._population.open(campaign)

    def _await_drain(self) -> None:
        changed, seen = time.time(), (-1, -1)
        while time.time() - changed < STALL_SECONDS:
            left = self._site.claims_under_way
            missing = self._claims_without_row()
            if left == missing == 0 and self._is_whole():
                return
            if (left, missing) != seen:
                changed, seen = time.time(), (left, missing)
            time.sleep(1)

    def _claims_without_row(self) -> int:
        site, missing = self._site, 0
        with closing(connect(site.stack.mysql)) as ledger, connected_gate(site.servers.primary.url) as gate:
            for campaign in self._population.campaigns:
                claims = read_gate(gate, campaign)
                settled = count_rows(ledger, campaign) + len(read_rows(ledger, campaign, "overflow"))
                missing += max(len(claims.claims) - settled, 0) + len(claims.outbox)
        return missing

    def _judge(self, most_connections: int, seconds_to_drain: float) -> LongOutcome:
        site, population = self._site, self._population
        evidence = [self._evidence(campaign) for campaign in population.campaigns]
        with closing(connect(site.stack.mysql)) as ledger:
            issued_at = read_issue_times(ledger)
        load = Load(
            rows=[(round(moment.timestamp() * 1000), 1) for moment in issued_at],
            rows_per_second=ROWS_PER_SECOND,
            workers=DRAIN_CONCURRENCY,
            connections={"all functions": (most_connections, DRAIN_CONCURRENCY + OTHER_CONNECTIONS)},
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
            struck=self._struck,
            problems=problems,
            requests=len(answers),
            accepted=len({answer.user for answer in answers if answer.coupon}),
            unavailable=sum(answer.status in UNKNOWN_OUTCOMES for answer in answers),
            unclear=population.unclear,
            campaigns=len({one.campaign for one in evidence if one.answers}),
            rows=len(issued_at),
            overflow=sum(len(one.overflow) for one in evidence),
            dead_letters=len(dead_letters),
            seconds_to_drain=seconds_to_drain,
            most_connections=most_connections,
            most_rows_in_10_s=load.most_rows,
        )

    def _evidence(self, campaign: str) -> Evidence:
        site = self._site
        with closing(connect(site.stack.mysql)) as ledger, connected_gate(site.servers.primary.url) as gate:
            return Evidence(
                campaign=campaign,
                capacity=self._plan.capacity,
                answers=self._population.answers[campaign],
                rows=read_rows(ledger, campaign),
                gate=read_gate(gate, campaign),
                overflow=read_rows(ledger, campaign, "overflow"),
                overflow_reported=self._overflow_reported(campaign),
                lost_writes=self._plan.acks == 0,
            )

    def _overflow_reported(self, campaign: str) -> int:
        status, body = call_as_operator(self._site.site, "GET", f"/campaigns/{campaign}/stats")
        if status != 200:  # noqa: PLR2004 - HTTP's own numbers
            raise LocalStackError(f"The API answered {status} {body[:500]} to a question for a campaign's stats.")
        return int(json.loads(body)["overflow"])


def try_to_open(site: Site, campaign: str, capacity: int) -> bool:
    """Open a campaign, if that can be done just now; the same may be asked again."""
    return _succeeds(site, "PUT", f"/campaigns/{campaign}", open_campaign_fields(capacity))


def _succeeds(site: Site, method: str, path: str, fields: dict[str, object] | None = None) -> bool:
    try:
        status, _ = call_as_operator(site, method, path, fields)
    except LocalStackError:
        # No answer within the time; asking again is safe.
        return False
    return status in (200, 201)
