"""The gate on Redis or Valkey: runs the scripts in the folder `lua`, each one atomic step on one campaign's keys."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import batched
from typing import Any

from firstcome.adapters.redis.connect import HIDDEN, Server
from firstcome.adapters.redis.scripts import KEY_NAMES, GateScripts
from firstcome.domain.campaign import Campaign
from firstcome.domain.claim import Admission, Claim, Erasure
from firstcome.domain.errors import GateLostError, GateUnavailableError
from firstcome.domain.gate import (
    ClaimCounts,
    ConfigureResult,
    EraseResult,
    Fence,
    GateState,
    GateView,
    Reopened,
)
from firstcome.domain.refusal import Refusal, Refused, SoldOut
from firstcome.domain.times import Millis
from firstcome.service.sold_out import REMEMBER_MS, place_in_filter

CAMPAIGNS_KEY = "firstcome:campaigns"
"""Set of the ids of all campaigns that have a gate, and an empty member: a lost gate is no unknown campaign."""

ARCHIVED_KEY = "firstcome:archived"
"""Set of the ids of archived campaigns."""

QUEUE_KEY = "firstcome:queue"
"""Hash: seen_empty_at, ms by the gate's clock."""

HOLD_MS = REMEMBER_MS + 100
"""How long a raised capacity is held back: until nobody remembers any more that all was sold out, and a bit longer,
because the clocks of two machines do not run alike."""

_AT_MOST = 1000
"""Claims handled in one call, so that no call holds Redis for long."""

_WRITTEN_AT_MOST = 250
"""Claims written in one call, likewise: each is several writes."""

_BLOCK = 8_192
"""Sequences whose free ones are listed in one call, likewise."""


class GateKeys:
    """The keys of one campaign. The braces are a hash tag: in a cluster all of them live on one shard."""

    def __init__(self, campaign_id: str) -> None:
        named = (f"firstcome:{{{campaign_id}}}:{name}" for name in KEY_NAMES)
        self.campaign, self.accepted, self.claims, self.outbox, self.issued, self.free, *others = named
        self.winners, self.fence, self.taken, self.erased, self.reconcile, self.answers = others


class RedisGate:
    """Implements `ports.Gate`, which says what the methods do.

    Args:
        replica_acks: replicas that must have an accepted claim before it counts (WAIT).
        remember_ms: how long the callers would remember that all is sold out; 0 for not at all.
        hold_ms: see `HOLD_MS`.
    """

    def __init__(self, server: Server, replica_acks: int = 0, remember_ms: int = 0, hold_ms: int = 0) -> None:
        self._scripts = GateScripts(server, replica_acks)
        self._remember_ms = remember_ms
        self._hold_ms = hold_ms

    @property
    def weaker_fence(self) -> bool:
        return self._scripts.run_id == HIDDEN

    def apply(self, campaign_id: str, user_id: str, coupon_code: str) -> Admission | Refused:
        # One round trip, WAIT included.
        place = _place(user_id)
        reply, is_confirmed = self._scripts.run_and_wait(
            "apply", campaign_id, user_id, coupon_code, self._remember_ms, *place
        )
        outcome = reply[0].decode()
        if outcome in {"accepted", "replayed"}:
            return _to_admission(campaign_id, user_id, reply, is_confirmed=is_confirmed)
        if outcome == "not_open":
            return Refused(Refusal.NOT_OPEN, opens_at=int(reply[1]), now=reply[2])
        if outcome == "sold_out":
            return Refused(Refusal.SOLD_OUT, sold_out=SoldOut(*reply[1:]) if reply[1:] else None)
        if outcome == "missing":
            return self._without_a_gate(campaign_id) or Refused(Refusal.CAMPAIGN_NOT_FOUND)
        if outcome in {"lost", "fenced"}:
            raise GateLostError(campaign_id)
        return Refused(Refusal(outcome))

    def find(self, campaign_id: str, user_id: str) -> Admission | Refused | None:
        reply, is_confirmed = self._scripts.run_and_wait("find", campaign_id, user_id)
        if reply[0] == b"replayed":
            return _to_admission(campaign_id, user_id, reply, is_confirmed=is_confirmed)
        if reply[0] == b"missing":
            return self._without_a_gate(campaign_id)
        if reply[0] != b"none":
            raise GateLostError(campaign_id)
        return None

    def show(self, campaign_id: str) -> GateView | Refused | None:
        outcome, now, accepted, highest, newest, outbox, oldest, *fields = self._scripts.run("show", campaign_id)
        campaign = _to_campaign(campaign_id, [field.decode() for field in fields]) if all(fields) else None
        view = GateView(
            campaign,
            accepted,
            now,
            is_available=outcome == b"whole",
            outbox=outbox,
            oldest_outbox_ms=_age(now, oldest),
            highest=highest,
            newest_at=int(newest) if newest else None,
        )
        if outcome != b"missing":
            return view
        try:
            return self._without_a_gate(campaign_id)
        except GateLostError:
            return view

    def now(self) -> Millis:
        return self._scripts.time(QUEUE_KEY)

    def campaign_ids(self) -> list[str] | None:
        members = [member.decode() for member in self._scripts.call("SMEMBERS", CAMPAIGNS_KEY)]
        return sorted(filter(None, members)) if members else None

    def register(self, campaign_ids: Iterable[str]) -> None:
        # The empty member keeps the set when there is no campaign yet.
        self._scripts.call("SADD", CAMPAIGNS_KEY, "", *campaign_ids)

    def archived(self, campaign_id: str) -> bool:
        return bool(self._scripts.call("SISMEMBER", ARCHIVED_KEY, campaign_id))

    def register_archived(self, campaign_ids: Iterable[str]) -> None:
        for some in batched(campaign_ids, _AT_MOST, strict=False):
            self._scripts.call("SADD", ARCHIVED_KEY, *some)

    def archive(self, campaign_id: str) -> None:
        # It is noted first, so that a fence raised at this moment is taken back.
        self._scripts.call("SADD", ARCHIVED_KEY, campaign_id)
        self._remove(campaign_id)
        self._scripts.call("SREM", CAMPAIGNS_KEY, campaign_id)

    def remove_from_outbox(self, claims: Iterable[Claim]) -> None:
        for campaign_id, some in _pages(claims):
            self._scripts.call("ZREM", GateKeys(campaign_id).outbox, *(claim.user_id for claim in some))

    def outbox(self, campaign_id: str, older_than_ms: int, limit: int) -> list[Claim]:
        while True:
            (removed, *found), is_confirmed = self._scripts.run_and_wait(
                "outbox", campaign_id, older_than_ms, min(limit, _AT_MOST)
            )
            if found:
                _refuse_unless(is_confirmed=is_confirmed)
            if found or not removed:
                return _to_claims(campaign_id, found)

    def mark_issued(self, claims: Iterable[Claim]) -> None:
        for campaign_id, some in _pages(claims):
            self._scripts.run("mark_issued", campaign_id, *_to_arguments(some))

    def create(self, campaign: Campaign) -> ConfigureResult:
        return self._configure(campaign, "create")

    def change(self, campaign: Campaign) -> ConfigureResult:
        return self._configure(campaign, "change")

    def state(self, campaign_id: str) -> GateState:
        return GateState(self._scripts.run("state", campaign_id).decode())

    def fence(self, campaign_id: str, ledger_now: Millis | None = None, highest: int = 0) -> Fence:
        clock = "" if ledger_now is None else ledger_now
        since, age_ms, counter, phase, position, run_id = self._scripts.run("fence", campaign_id, clock, highest)
        if self.archived(campaign_id):
            self._remove(campaign_id)
            raise GateLostError(campaign_id)
        return Fence(campaign_id, run_id.decode(), since, age_ms, counter, phase.decode(), position.decode())

    def advance(self, fence: Fence, phase: str, position: str) -> None:
        self._step("advance", fence, phase, position)

    def prepare(self, campaign: Campaign, fence: Fence) -> None:
        self._step("prepare", fence, *_to_fields(campaign))

    def restore_issued(self, claims: Sequence[Claim]) -> None:
        self._restore("issued", claims)

    def restore_overflow(self, claims: Sequence[Claim]) -> None:
        self._restore("overflow", claims)

    def claims_page(self, campaign_id: str, position: str) -> tuple[list[Claim], str | None]:
        following, found = self._scripts.run("claims_page", campaign_id, position, _AT_MOST)
        return _to_claims(campaign_id, found), following.decode() or None

    def add_to_outbox(self, claims: Sequence[Claim]) -> int:
        return sum(
            self._scripts.run("resend", campaign_id, *_to_arguments(some)) for campaign_id, some in _pages(claims)
        )

    def claim_counts(self, campaign_id: str) -> ClaimCounts:
        return ClaimCounts(*self._scripts.run("claim_counts", campaign_id))

    def list_free(self, fence: Fence) -> bool:
        return bool(self._step("list_free", fence, _BLOCK) == b"more")

    def reopen(self, campaign: Campaign, fence: Fence) -> Reopened:
        outcome, *counts = self._step("reopen", fence, *_to_fields(campaign))
        if outcome != b"opened":
            raise GateUnavailableError(f"the rebuild is not complete: {outcome.decode()}")
        return Reopened(*counts)

    def erase(self, campaign_id: str, user_id: str, pseudonym: str) -> EraseResult:
        outcome = self._scripts.run("erase", campaign_id, user_id, pseudonym).decode()
        if outcome in {"missing", "lost", "fenced"}:
            raise GateLostError(campaign_id)
        return EraseResult(outcome)

    def erasures(self, campaign_id: str) -> list[Erasure]:
        found = self._scripts.call("HGETALL", GateKeys(campaign_id).erased)
        pairs = [(text.decode().split(":"), pseudonym.decode()) for text, pseudonym in batched(found, 2, strict=True)]
        return [Erasure(int(sequence), code, pseudonym) for (sequence, code), pseudonym in pairs]

    def note_queue_empty(self, at: Millis) -> None:
        self._scripts.call("HSET", QUEUE_KEY, "seen_empty_at", at)

    def queue_empty_at(self) -> Millis | None:
        # An instant of a clock that was set back since tells nothing.
        at = self._scripts.call("HGET", QUEUE_KEY, "seen_empty_at")
        return int(at) if at is not None and int(at) <= self.now() else None

    def note_reconcile(self, campaign_id: str, notes: Mapping[str, str]) -> None:
        self._scripts.run("note", campaign_id, *(text for pair in notes.items() for text in pair))

    def reconcile_notes(self, campaign_id: str) -> dict[str, str]:
        found = self._scripts.call("HGETALL", GateKeys(campaign_id).reconcile)
        return {name.decode(): value.decode() for name, value in batched(found, 2, strict=True)}

    def add_answers(self, campaign_id: str, numbers: Mapping[str, int]) -> None:
        self._scripts.run("add_answers", campaign_id, *(part for pair in numbers.items() for part in pair))

    def answers(self, campaign_id: str) -> dict[str, int]:
        found = self._scripts.call("HGETALL", GateKeys(campaign_id).answers)
        return {code.decode(): int(number) for code, number in batched(found, 2, strict=True)}

    def _step(self, name: str, fence: Fence, *arguments: str | int) -> Any:
        """Take a step of a rebuild; refused when what was restored is elsewhere, or somebody else reopened it."""
        reply = self._scripts.run(name, fence.campaign_id, fence.since, fence.run_id, *arguments)
        if (reply[0] if isinstance(reply, list) else reply) == b"other_fence":
            raise GateUnavailableError("the gate changed during the rebuild")
        return reply

    def _restore(self, kind: str, claims: Sequence[Claim]) -> None:
        for campaign_id, some in _pages(claims):
            if self._scripts.run("restore", campaign_id, kind, *_to_arguments(some)) == b"not_fenced":
                raise GateUnavailableError("the gate changed during the rebuild")

    def _configure(self, campaign: Campaign, kind: str) -> ConfigureResult:
        reply = self._scripts.run("configure", campaign.campaign_id, kind, *_to_fields(campaign), self._hold_ms)
        return ConfigureResult(reply.decode())

    def _remove(self, campaign_id: str) -> None:
        self._scripts.call("UNLINK", *(getattr(GateKeys(campaign_id), name) for name in KEY_NAMES))

    def _without_a_gate(self, campaign_id: str) -> Refused | None:
        """Tell an archived campaign, one that nobody made (None) and one whose gate is gone apart."""
        if self.archived(campaign_id):
            return Refused(Refusal.ARCHIVED)
        is_known, is_there = self._scripts.call("SMISMEMBER", CAMPAIGNS_KEY, campaign_id, "")
        if is_known or not is_there:
            raise GateLostError(campaign_id)
        return None


def _refuse_unless(*, is_confirmed: bool) -> None:
    if not is_confirmed:
        raise GateUnavailableError("too few replicas confirmed the write")


def _pages(claims: Iterable[Claim]) -> Iterator[tuple[str, tuple[Claim, ...]]]:
    """Part claims by campaign, and then into what one call may handle."""
    parted: dict[str, list[Claim]] = {}
    for claim in claims:
        parted.setdefault(claim.campaign_id, []).append(claim)
    for campaign_id, of_campaign in parted.items():
        for some in batched(of_campaign, _WRITTEN_AT_MOST, strict=False):
            yield campaign_id, some


def _age(now: Millis, instant: bytes) -> int:
    """An instant in the future is of a clock that was set back."""
    return max(0, now - int(instant)) if instant else 0


def _to_fields(campaign: Campaign) -> list[str | int]:
    state = "paused" if campaign.paused else "active"
    return [campaign.name, campaign.capacity, campaign.opens_at, campaign.closes_at, state, campaign.version]


def _to_campaign(campaign_id: str, fields: list[str]) -> Campaign:
    name, capacity, opens_at, closes_at, state, version = fields
    instants = int(opens_at), int(closes_at)
    return Campaign(campaign_id, name, int(capacity), *instants, paused=state == "paused", version=int(version))


def _place(user_id: str) -> list[int]:
    number, bits = place_in_filter(user_id)
    return [number, *bits]


def _to_arguments(claims: Iterable[Claim]) -> list[str | int]:
    """Write claims as the scripts take them: seven arguments for each."""
    arguments: list[str | int] = []
    for claim in claims:
        text = f"{claim.sequence}:{claim.coupon_code}:{claim.accepted_at}"
        arguments += [claim.user_id, text, *_place(claim.user_id)]
    return arguments


def _to_claims(campaign_id: str, texts: Sequence[bytes]) -> list[Claim]:
    return [_to_claim(campaign_id, user.decode(), text) for user, text in batched(texts, 2, strict=True)]


def _to_claim(campaign_id: str, user_id: str, text: bytes) -> Claim:
    sequence, code, accepted_at = text.decode().split(":")
    return Claim(campaign_id, user_id, int(sequence), code, int(accepted_at))


def _to_admission(campaign_id: str, user_id: str, reply: Sequence[Any], *, is_confirmed: bool) -> Admission:
    claim = _to_claim(campaign_id, user_id, reply[1])
    is_in_outbox = bool(reply[2])
    if is_in_outbox:
        # What is sent must outlive a failover; what was sent has been confirmed before.
        _refuse_unless(is_confirmed=is_confirmed)
    return Admission(claim, is_new=reply[0] == b"accepted", is_in_outbox=is_in_outbox, is_issued=bool(reply[3]))
