"""The gate on Redis or Valkey: runs the scripts in `firstcome/lua`, each one atomic step on one campaign's keys."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import batched
from typing import Any

from firstcome.adapters.redis.resp import RespConnection
from firstcome.adapters.redis.scripts import GateScripts
from firstcome.domain.campaign import Campaign
from firstcome.domain.claim import Admission, Claim
from firstcome.domain.errors import GateLostError, GateUnavailableError
from firstcome.domain.gate import Fence, GateCounts, GateState, GateView, SeatRange
from firstcome.domain.refusal import Refusal, Refused, SoldOut
from firstcome.service.sold_out import REMEMBER_MS

SENTINEL_KEY = "firstcome:sentinel"
"""Set of the ids of all campaigns that have a gate. It tells a lost gate from an unknown campaign."""

_AT_MOST = 1000
"""Claims or seats handled in one call, so that no call holds Redis for long."""


@dataclass(frozen=True, slots=True)
class GateKeys:
    """The keys of one campaign. The braces are a hash tag: in a cluster all of them live on one shard."""

    campaign_id: str

    def _key(self, name: str) -> str:
        return f"firstcome:{{{self.campaign_id}}}:{name}"

    @property
    def campaign(self) -> str:
        """Hash: name, capacity, opens_at, closes_at, state."""
        return self._key("campaign")

    @property
    def accepted(self) -> str:
        """Counter: the highest sequence given."""
        return self._key("accepted")

    @property
    def claims(self) -> str:
        """Hash: user -> sequence:code:accepted_at."""
        return self._key("claims")

    @property
    def outbox(self) -> str:
        """Sorted set: user by accepted_at."""
        return self._key("outbox")

    @property
    def issued(self) -> str:
        """Bitmap by sequence."""
        return self._key("issued")

    @property
    def free(self) -> str:
        """List: sequences below the counter that a rebuilt gate gives first."""
        return self._key("free")

    @property
    def fenced_at(self) -> str:
        """String: since when the gate is closed for its rebuild."""
        return self._key("fenced_at")

    @property
    def winners(self) -> str:
        """Bitmap: Bloom filter of the users who have a claim."""
        return self._key("winners")

    @property
    def fenced_on(self) -> str:
        """String: run id of the server where it was closed."""
        return self._key("fenced_on")


HOLD_MS = REMEMBER_MS + 100
"""How long a raised capacity is held back: until nobody remembers any more that all was sold out, and a bit longer,
because the clocks of two machines do not run alike."""


class RedisGate:
    """Implements `ports.Gate` on one connection.

    Args:
        replica_acks: replicas that must have an accepted claim before it counts (WAIT).
        remember_ms: how long the callers would remember that all is sold out; 0 for not at all.
        hold_ms: see `HOLD_MS`.
    """

    def __init__(
        self, connection: RespConnection, replica_acks: int = 0, remember_ms: int = 0, hold_ms: int = 0
    ) -> None:
        self._scripts = GateScripts(connection)
        self._replica_acks = replica_acks
        self._remember_ms = remember_ms
        self._hold_ms = hold_ms

    def apply(self, campaign_id: str, user_id: str, coupon_code: str) -> Admission | Refused:
        """Implement `Gate.apply`: one round trip, WAIT included."""
        keys = GateKeys(campaign_id)
        reply, is_confirmed = self._scripts.run_and_wait(
            self._replica_acks,
            "apply",
            [keys.campaign, keys.accepted, keys.claims, keys.outbox, keys.issued, keys.free, keys.winners],
            [user_id, coupon_code, self._replica_acks, self._remember_ms],
            with_run_id=True,
        )
        outcome = reply[0].decode()
        if outcome == "accepted":
            _refuse_unless(is_confirmed=is_confirmed)
            claim = _to_claim(campaign_id, user_id, reply[1])
            return Admission(claim, is_new=True, is_in_outbox=True, is_issued=False)
        if outcome == "replayed":
            return _to_admission(campaign_id, user_id, reply, is_confirmed=is_confirmed)
        if outcome == "not_open":
            return Refused(Refusal.NOT_OPEN, opens_at=int(reply[1]), now=int(reply[2]))
        if outcome == "sold_out":
            return Refused(Refusal.SOLD_OUT, sold_out=SoldOut(*reply[1:]) if reply[1:] else None)
        if outcome == "missing":
            self._refuse_if_lost(campaign_id)
            return Refused(Refusal.CAMPAIGN_NOT_FOUND)
        if outcome in {"lost", "fenced"}:
            raise GateLostError(campaign_id)
        return Refused(Refusal(outcome))

    def find(self, campaign_id: str, user_id: str) -> Admission | None:
        """Implement `Gate.find`."""
        keys = GateKeys(campaign_id)
        reply, is_confirmed = self._scripts.run_and_wait(
            self._replica_acks,
            "find",
            [keys.campaign, keys.claims, keys.outbox, keys.issued],
            [user_id, self._replica_acks],
            with_run_id=True,
        )
        if reply[0] == b"replayed":
            return _to_admission(campaign_id, user_id, reply, is_confirmed=is_confirmed)
        if reply[0] == b"missing":
            self._refuse_if_lost(campaign_id)
        if reply[0] == b"fenced":
            raise GateLostError(campaign_id)
        return None

    def show(self, campaign_id: str) -> GateView | None:
        """Implement `Gate.show`."""
        reply = self._show(campaign_id)
        if reply is None:
            return None
        campaign = Campaign(
            campaign_id=campaign_id,
            name=reply[1].decode(),
            capacity=int(reply[2]),
            opens_at=int(reply[3]),
            closes_at=int(reply[4]),
            paused=reply[5] == b"paused",
        )
        return GateView(campaign, accepted=int(reply[6]), now=int(reply[7]))

    def counts(self, campaign_id: str) -> GateCounts:
        """Implement `Gate.counts`."""
        reply = self._show(campaign_id)
        if reply is None:
            raise GateLostError(campaign_id)
        now, outbox, oldest = int(reply[7]), int(reply[8]), reply[9]
        return GateCounts(accepted=int(reply[6]), outbox=outbox, oldest_outbox_ms=now - int(oldest) if oldest else 0)

    def remove_from_outbox(self, claims: Iterable[Claim]) -> None:
        """Implement `Gate.remove_from_outbox`."""
        for campaign_id, of_campaign in _by_campaign(claims).items():
            self._scripts.call(["ZREM", GateKeys(campaign_id).outbox, *(claim.user_id for claim in of_campaign)])

    def remove_from_outbox_without_reply(self, claim: Claim) -> None:
        """Implement `Gate.remove_from_outbox_without_reply`."""
        self._scripts.tell(["ZREM", GateKeys(claim.campaign_id).outbox, claim.user_id])

    def campaign_ids(self) -> list[str] | None:
        """Implement `Gate.campaign_ids`."""
        (found,) = self._scripts.call(["SMEMBERS", SENTINEL_KEY])
        members = [member.decode() for member in found]
        return sorted(filter(None, members)) if members else None

    def outbox(self, campaign_id: str, older_than_ms: int, limit: int) -> list[Claim]:
        """Implement `Gate.outbox`."""
        keys = GateKeys(campaign_id)
        reply, is_confirmed = self._scripts.run_and_wait(
            self._replica_acks, "outbox", [keys.outbox, keys.claims], [older_than_ms, limit, self._replica_acks]
        )
        if reply:
            _refuse_unless(is_confirmed=is_confirmed)
        return [_to_claim(campaign_id, user.decode(), claim) for user, claim in batched(reply, 2, strict=True)]

    def mark_issued(self, claims: Iterable[Claim]) -> None:
        """Implement `Gate.mark_issued`."""
        for campaign_id, of_campaign in _by_campaign(claims).items():
            keys = GateKeys(campaign_id)
            for some in batched(of_campaign, _AT_MOST, strict=False):
                self._scripts.run(
                    "mark_issued", [keys.campaign, keys.accepted, keys.claims, keys.issued], _to_texts(some)
                )

    def register(self, campaign_ids: Iterable[str]) -> None:
        """Implement `Gate.remember`. The empty member keeps the set when there is no campaign yet."""
        self._scripts.call(["SADD", SENTINEL_KEY, "", *campaign_ids])

    def configure(self, campaign: Campaign) -> bool:
        """Implement `Gate.configure`."""
        return self._configure(campaign, "change")

    def lower(self, campaign: Campaign) -> bool:
        """Implement `Gate.lower`."""
        return self._configure(campaign, "lower")

    def create(self, campaign: Campaign) -> bool:
        """Implement `Gate.create`."""
        return self._configure(campaign, "create")

    def state(self, campaign_id: str) -> GateState:
        """Implement `Gate.state`."""
        keys = GateKeys(campaign_id)
        return GateState(self._scripts.run("state", [keys.campaign, keys.accepted], [], with_run_id=True).decode())

    def fence(self, campaign_id: str) -> Fence:
        """Implement `Gate.fence`."""
        keys = GateKeys(campaign_id)
        names = [keys.campaign, keys.accepted, keys.fenced_at, keys.fenced_on]
        age_ms, highest, since = self._scripts.run("fence", names, [], with_run_id=True)
        return Fence(campaign_id, self._scripts.run_id, int(since), age_ms, highest)

    def restore_issued(self, claims: Sequence[Claim]) -> None:
        """Implement `Gate.restore_issued`."""
        self._restore("issued", claims)

    def restore_overflow(self, claims: Sequence[Claim]) -> None:
        """Implement `Gate.restore_overflow`."""
        self._restore("overflow", claims)

    def all_claims(self, campaign_id: str) -> Iterator[list[Claim]]:
        """Implement `Gate.all_claims`, by HSCAN: a claim that is there throughout is returned at least once."""
        claims_key, cursor = GateKeys(campaign_id).claims, b"0"
        while True:
            ((cursor, found),) = self._scripts.call(["HSCAN", claims_key, cursor.decode(), "COUNT", _AT_MOST])
            yield [_to_claim(campaign_id, user.decode(), text) for user, text in batched(found, 2, strict=True)]
            if cursor == b"0":
                return

    def add_to_outbox(self, claims: Sequence[Claim]) -> None:
        """Implement `Gate.add_to_outbox`."""
        for claim in claims:
            self._scripts.call(["ZADD", GateKeys(claim.campaign_id).outbox, claim.accepted_at, claim.user_id])

    def reopen(self, campaign: Campaign, fence: Fence, highest: int, free: Sequence[SeatRange]) -> None:
        """Implement `Gate.reopen`."""
        keys = GateKeys(campaign.campaign_id)
        state = "paused" if campaign.paused else "active"
        settings: list[str | int] = [campaign.name, campaign.capacity, campaign.opens_at, campaign.closes_at, state]
        ends = [end for first_and_last in free for end in first_and_last]
        reply = self._scripts.run(
            "reopen",
            [keys.campaign, keys.accepted, keys.fenced_at, keys.fenced_on, keys.free],
            [*settings, highest, fence.run_id, fence.since, *ends],
            with_run_id=True,
        )
        if reply != b"opened":
            # What was restored may be on another server, or somebody else has reopened it already.
            raise GateUnavailableError("the gate changed during the rebuild")

    def _restore(self, kind: str, claims: Sequence[Claim]) -> None:
        for campaign_id, of_campaign in _by_campaign(claims).items():
            keys = GateKeys(campaign_id)
            for some in batched(of_campaign, _AT_MOST, strict=False):
                self._scripts.run("restore", [keys.claims, keys.issued, keys.outbox], [kind, *_to_texts(some)])

    def _configure(self, campaign: Campaign, change: str) -> bool:
        keys = GateKeys(campaign.campaign_id)
        state = "paused" if campaign.paused else "active"
        reply = self._scripts.run(
            "configure",
            [keys.campaign, keys.accepted, keys.winners],
            [campaign.name, campaign.capacity, campaign.opens_at, campaign.closes_at, state, change, self._hold_ms],
            with_run_id=True,
        )
        if reply[0] in {b"missing", b"fenced"}:
            raise GateLostError(campaign.campaign_id)
        return bool(reply[0] == b"done")

    def _show(self, campaign_id: str) -> list[Any] | None:
        keys = GateKeys(campaign_id)
        reply: list[Any] = self._scripts.run("show", [keys.campaign, keys.accepted, keys.outbox, keys.free], [])
        if reply[0] == b"lost":
            raise GateLostError(campaign_id)
        if reply[0] == b"missing":
            self._refuse_if_lost(campaign_id)
            return None
        return reply

    def _refuse_if_lost(self, campaign_id: str) -> None:
        """Tell a campaign that nobody made from one whose gate is gone: the sentinel remembers, or is itself gone."""
        has_sentinel, is_remembered = self._scripts.call(
            ["EXISTS", SENTINEL_KEY], ["SISMEMBER", SENTINEL_KEY, campaign_id]
        )
        if is_remembered or not has_sentinel:
            raise GateLostError(campaign_id)


def _refuse_unless(*, is_confirmed: bool) -> None:
    if not is_confirmed:
        raise GateUnavailableError("too few replicas confirmed the write")


def _by_campaign(claims: Iterable[Claim]) -> dict[str, list[Claim]]:
    parted: dict[str, list[Claim]] = {}
    for claim in claims:
        parted.setdefault(claim.campaign_id, []).append(claim)
    return parted


def _to_texts(claims: Iterable[Claim]) -> list[str]:
    return [text for claim in claims for text in (claim.user_id, _to_text(claim))]


def _to_text(claim: Claim) -> str:
    return f"{claim.sequence}:{claim.coupon_code}:{claim.accepted_at}"


def _to_claim(campaign_id: str, user_id: str, text: bytes) -> Claim:
    sequence, code, accepted_at = text.decode().split(":")
    return Claim(campaign_id, user_id, int(sequence), code, int(accepted_at))


def _to_admission(campaign_id: str, user_id: str, reply: Sequence[Any], *, is_confirmed: bool) -> Admission:
    claim = _to_claim(campaign_id, user_id, reply[1])
    is_in_outbox = bool(reply[2])
    if is_in_outbox:
        # What is sent must outlive a failover; what was sent has been confirmed before.
        _refuse_unless(is_confirmed=is_confirmed)
    return Admission(claim, is_new=False, is_in_outbox=is_in_outbox, is_issued=bool(reply[3]))
