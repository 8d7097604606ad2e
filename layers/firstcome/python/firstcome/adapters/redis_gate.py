"""The gate on Redis or Valkey: runs the scripts in `firstcome/lua`, each one atomic step on one campaign's keys."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import batched
from typing import Any

from redis.connection import Connection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, ReadOnlyError, RedisError

from firstcome.errors import GateLostError, GateUnavailableError
from firstcome.model import Admission, Campaign, Claim, GateCounts, GateView, Refusal, Refused

SENTINEL_KEY = "firstcome:sentinel"
"""Set of the ids of all campaigns that have a gate. It tells a lost gate from an unknown campaign."""

WAIT_MS = 200
"""How long to wait for replicas to confirm a claim; below the connection's read timeout."""

_MARK_AT_MOST = 1000
"""Claims marked in one script call, so that no call holds Redis for long."""


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script and the digest Redis knows it by."""

    source: str
    sha: str


@cache
def script(name: str) -> Script:
    """Read a script from `firstcome/lua`."""
    source = files("firstcome").joinpath("lua", f"{name}.lua").read_text(encoding="utf-8")
    return Script(source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())


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
    def unsent(self) -> str:
        """Sorted set: user by accepted_at."""
        return self._key("unsent")

    @property
    def issued(self) -> str:
        """Bitmap by sequence."""
        return self._key("issued")


class RedisGate:
    """Implements `ports.Gate` on one connection: a Lambda environment serves one request at a time, so it needs no
    pool.

    Args:
        connection: with explicit timeouts and without retries of its own, see `bootstrap`.
        replica_acks: replicas that must have an accepted claim before it counts (WAIT).
    """

    def __init__(self, connection: Connection, replica_acks: int = 0) -> None:
        self._connection = connection
        self._replica_acks = replica_acks

    def apply(self, campaign_id: str, user_id: str, coupon_code: str) -> Admission | Refused:
        """Implement `Gate.apply`: one round trip, WAIT included."""
        keys = GateKeys(campaign_id)
        reply = self._run(
            "apply",
            [keys.campaign, keys.accepted, keys.claims, keys.unsent, keys.issued],
            [user_id, coupon_code],
            confirmed_by=self._replica_acks,
        )
        outcome = reply[0].decode()
        if outcome == "accepted":
            claim = _to_claim(campaign_id, user_id, reply[1])
            return Admission(claim, is_new=True, is_unsent=True, is_issued=False)
        if outcome == "replayed":
            return _to_admission(campaign_id, user_id, reply)
        if outcome == "not_open":
            return Refused(Refusal.NOT_OPEN, opens_at=int(reply[1]), now=int(reply[2]))
        if outcome == "missing":
            self._refuse_if_lost(campaign_id)
            return Refused(Refusal.CAMPAIGN_NOT_FOUND)
        if outcome == "lost":
            raise GateLostError(campaign_id)
        return Refused(Refusal(outcome))

    def find(self, campaign_id: str, user_id: str) -> Admission | None:
        """Implement `Gate.find`."""
        keys = GateKeys(campaign_id)
        reply = self._run("find", [keys.campaign, keys.claims, keys.unsent, keys.issued], [user_id])
        if reply[0] == b"replayed":
            return _to_admission(campaign_id, user_id, reply)
        if reply[0] == b"missing":
            self._refuse_if_lost(campaign_id)
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
        now, unsent, oldest = int(reply[7]), int(reply[8]), reply[9]
        return GateCounts(accepted=int(reply[6]), unsent=unsent, oldest_unsent_ms=now - int(oldest) if oldest else 0)

    def confirm_sent(self, claims: Iterable[Claim]) -> None:
        """Implement `Gate.confirm_sent`."""
        for campaign_id, users in _users_by_campaign(claims).items():
            self._call(["ZREM", GateKeys(campaign_id).unsent, *users])

    def campaign_ids(self) -> list[str]:
        """Implement `Gate.campaign_ids`."""
        return sorted(member.decode() for member in self._call(["SMEMBERS", SENTINEL_KEY]) if member)

    def unsent(self, campaign_id: str, older_than_ms: int, limit: int) -> list[Claim]:
        """Implement `Gate.unsent`."""
        keys = GateKeys(campaign_id)
        reply = self._run("unsent", [keys.unsent, keys.claims], [older_than_ms, limit])
        return [_to_claim(campaign_id, user.decode(), claim) for user, claim in batched(reply, 2, strict=True)]

    def mark_issued(self, claims: Iterable[Claim]) -> None:
        """Implement `Gate.mark_issued`."""
        by_campaign: dict[str, list[Claim]] = {}
        for claim in claims:
            by_campaign.setdefault(claim.campaign_id, []).append(claim)
        for campaign_id, of_campaign in by_campaign.items():
            keys = GateKeys(campaign_id)
            for some in batched(of_campaign, _MARK_AT_MOST, strict=False):
                arguments = [text for claim in some for text in (claim.user_id, _to_text(claim))]
                self._run("mark_issued", [keys.campaign, keys.claims, keys.issued], arguments)

    def remember(self, campaign_ids: Iterable[str]) -> None:
        """Implement `Gate.remember`. The empty member keeps the set when there is no campaign yet."""
        self._call(["SADD", SENTINEL_KEY, "", *campaign_ids])

    def configure(self, campaign: Campaign) -> bool:
        """Implement `Gate.configure`."""
        return self._configure(campaign, if_missing="refuse")

    def create(self, campaign: Campaign) -> bool:
        """Implement `Gate.create`."""
        return self._configure(campaign, if_missing="create")

    def _configure(self, campaign: Campaign, if_missing: str) -> bool:
        keys = GateKeys(campaign.campaign_id)
        state = "paused" if campaign.paused else "active"
        reply = self._run(
            "configure",
            [keys.campaign, keys.accepted],
            [campaign.name, campaign.capacity, campaign.opens_at, campaign.closes_at, state, if_missing],
        )
        if reply[0] == b"missing":
            raise GateLostError(campaign.campaign_id)
        return bool(reply[0] == b"done")

    def _show(self, campaign_id: str) -> list[Any] | None:
        keys = GateKeys(campaign_id)
        reply: list[Any] = self._run("show", [keys.campaign, keys.accepted, keys.unsent], [])
        if reply[0] == b"lost":
            raise GateLostError(campaign_id)
        if reply[0] == b"missing":
            self._refuse_if_lost(campaign_id)
            return None
        return reply

    def _refuse_if_lost(self, campaign_id: str) -> None:
        """Tell a campaign that nobody made from one whose gate is gone: the sentinel remembers, or is itself gone."""
        replies = self._exchange([["EXISTS", SENTINEL_KEY], ["SISMEMBER", SENTINEL_KEY, campaign_id]])
        has_sentinel, is_remembered = (_raise_if_error(reply) for reply in replies)
        if is_remembered or not has_sentinel:
            raise GateLostError(campaign_id)

    def _run(self, name: str, keys: Sequence[str], arguments: Sequence[str | int], confirmed_by: int = 0) -> Any:
        """Run a script; with `confirmed_by`, have that many replicas confirm what this connection wrote."""
        code = script(name)
        wait: list[list[str | int]] = [["WAIT", confirmed_by, WAIT_MS]] if confirmed_by else []
        tail = [len(keys), *keys, *arguments]
        replies = self._exchange([["EVALSHA", code.sha, *tail], *wait])
        if isinstance(replies[0], NoScriptError):
            # The script cache is empty after a restart, a failover or SCRIPT FLUSH; EVAL fills it again.
            replies = self._exchange([["EVAL", code.source, *tail], *wait])
        reply = _raise_if_error(replies[0])
        if wait and _raise_if_error(replies[1]) < confirmed_by:
            raise GateUnavailableError("too few replicas confirmed the write")
        return reply

    def _call(self, command: Sequence[str | int]) -> Any:
        return _raise_if_error(self._exchange([command])[0])

    def _exchange(self, commands: Sequence[Sequence[str | int]]) -> list[Any]:
        """Send commands in one round trip and return their replies, error replies included.

        A connection that the server has closed since its last use (a frozen environment, a failover) is replaced once:
        everything sent here may be repeated, the scripts being idempotent. A timeout is not tried again, so that a slow
        Redis is not asked twice.
        """
        was_connected = self._connection.is_connected
        try:
            try:
                return self._exchange_once(commands)
            except RedisConnectionError:
                if not was_connected:
                    raise
                return self._exchange_once(commands)
        except RedisError as exc:
            raise GateUnavailableError("the gate did not answer") from exc

    def _exchange_once(self, commands: Sequence[Sequence[str | int]]) -> list[Any]:
        self._connection.send_packed_command(self._connection.pack_commands(commands))
        return [self._read_reply() for _ in commands]

    def _read_reply(self) -> Any:
        try:
            return self._connection.read_response()
        except ReadOnlyError:
            # The primary was demoted: its address leads to the new one only on a new connection.
            self._connection.disconnect()
            raise
        except RedisError as exc:
            if self._connection.is_connected:
                return exc
            raise


def _raise_if_error(reply: Any) -> Any:
    if isinstance(reply, RedisError):
        raise GateUnavailableError("the gate refused the call") from reply
    return reply


def _users_by_campaign(claims: Iterable[Claim]) -> dict[str, list[str]]:
    users: dict[str, list[str]] = {}
    for claim in claims:
        users.setdefault(claim.campaign_id, []).append(claim.user_id)
    return users


def _to_text(claim: Claim) -> str:
    return f"{claim.sequence}:{claim.coupon_code}:{claim.accepted_at}"


def _to_claim(campaign_id: str, user_id: str, text: bytes) -> Claim:
    sequence, code, accepted_at = text.decode().split(":")
    return Claim(campaign_id, user_id, int(sequence), code, int(accepted_at))


def _to_admission(campaign_id: str, user_id: str, reply: Sequence[Any]) -> Admission:
    claim = _to_claim(campaign_id, user_id, reply[1])
    return Admission(claim, is_new=False, is_unsent=bool(reply[2]), is_issued=bool(reply[3]))
