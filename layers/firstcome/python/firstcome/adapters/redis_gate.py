"""The gate on Redis or Valkey: runs the scripts in `firstcome/lua`, each one atomic step on one campaign's keys."""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import batched
from typing import Any

from redis.connection import Connection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, ReadOnlyError, RedisError

from firstcome.errors import GateLostError, GateUnavailableError
from firstcome.model import (
    Admission,
    Campaign,
    Claim,
    Fence,
    GateCounts,
    GateState,
    GateView,
    Refusal,
    Refused,
    SeatRange,
)

SENTINEL_KEY = "firstcome:sentinel"
"""Set of the ids of all campaigns that have a gate. It tells a lost gate from an unknown campaign."""

WAIT_MS = 200
"""How long to wait for replicas to confirm a claim; below the connection's read timeout."""

_AT_MOST = 1000
"""Claims or seats handled in one call, so that no call holds Redis for long."""

_RUN_ID = re.compile(rb"run_id:([0-9a-f]+)")

type Command = Sequence[str | int]


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

    @property
    def free(self) -> str:
        """List: sequences below the counter that a rebuilt gate gives first."""
        return self._key("free")

    @property
    def fenced_at(self) -> str:
        """String: since when the gate is closed for its rebuild."""
        return self._key("fenced_at")

    @property
    def fenced_on(self) -> str:
        """String: run id of the server where it was closed."""
        return self._key("fenced_on")


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
        self._run_id = ""

    def apply(self, campaign_id: str, user_id: str, coupon_code: str) -> Admission | Refused:
        """Implement `Gate.apply`: one round trip, WAIT included."""
        keys = GateKeys(campaign_id)
        reply, is_confirmed = self._run_and_wait(
            "apply",
            [keys.campaign, keys.accepted, keys.claims, keys.unsent, keys.issued, keys.free],
            [user_id, coupon_code, self._replica_acks],
            with_run_id=True,
        )
        outcome = reply[0].decode()
        if outcome == "accepted":
            _refuse_unless(is_confirmed=is_confirmed)
            claim = _to_claim(campaign_id, user_id, reply[1])
            return Admission(claim, is_new=True, is_unsent=True, is_issued=False)
        if outcome == "replayed":
            return _to_admission(campaign_id, user_id, reply, is_confirmed=is_confirmed)
        if outcome == "not_open":
            return Refused(Refusal.NOT_OPEN, opens_at=int(reply[1]), now=int(reply[2]))
        if outcome == "missing":
            self._refuse_if_lost(campaign_id)
            return Refused(Refusal.CAMPAIGN_NOT_FOUND)
        if outcome in {"lost", "fenced"}:
            raise GateLostError(campaign_id)
        return Refused(Refusal(outcome))

    def find(self, campaign_id: str, user_id: str) -> Admission | None:
        """Implement `Gate.find`."""
        keys = GateKeys(campaign_id)
        reply, is_confirmed = self._run_and_wait(
            "find",
            [keys.campaign, keys.claims, keys.unsent, keys.issued],
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
        now, unsent, oldest = int(reply[7]), int(reply[8]), reply[9]
        return GateCounts(accepted=int(reply[6]), unsent=unsent, oldest_unsent_ms=now - int(oldest) if oldest else 0)

    def confirm_sent(self, claims: Iterable[Claim]) -> None:
        """Implement `Gate.confirm_sent`."""
        for campaign_id, of_campaign in _by_campaign(claims).items():
            self._call(["ZREM", GateKeys(campaign_id).unsent, *(claim.user_id for claim in of_campaign)])

    def campaign_ids(self) -> list[str] | None:
        """Implement `Gate.campaign_ids`."""
        members = [member.decode() for member in self._call(["SMEMBERS", SENTINEL_KEY])]
        return sorted(filter(None, members)) if members else None

    def unsent(self, campaign_id: str, older_than_ms: int, limit: int) -> list[Claim]:
        """Implement `Gate.unsent`."""
        keys = GateKeys(campaign_id)
        reply, is_confirmed = self._run_and_wait(
            "unsent", [keys.unsent, keys.claims], [older_than_ms, limit, self._replica_acks]
        )
        if reply:
            _refuse_unless(is_confirmed=is_confirmed)
        return [_to_claim(campaign_id, user.decode(), claim) for user, claim in batched(reply, 2, strict=True)]

    def mark_issued(self, claims: Iterable[Claim]) -> None:
        """Implement `Gate.mark_issued`."""
        for campaign_id, of_campaign in _by_campaign(claims).items():
            keys = GateKeys(campaign_id)
            for some in batched(of_campaign, _AT_MOST, strict=False):
                self._run("mark_issued", [keys.campaign, keys.accepted, keys.claims, keys.issued], _to_texts(some))

    def remember(self, campaign_ids: Iterable[str]) -> None:
        """Implement `Gate.remember`. The empty member keeps the set when there is no campaign yet."""
        self._call(["SADD", SENTINEL_KEY, "", *campaign_ids])

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
        return GateState(self._run("state", [keys.campaign, keys.accepted], [], with_run_id=True).decode())

    def fence(self, campaign_id: str) -> Fence:
        """Implement `Gate.fence`."""
        keys = GateKeys(campaign_id)
        names = [keys.campaign, keys.accepted, keys.fenced_at, keys.fenced_on]
        age_ms, highest, since = self._run("fence", names, [], with_run_id=True)
        return Fence(campaign_id, self._run_id, int(since), age_ms, highest)

    def restore_issued(self, claims: Sequence[Claim]) -> None:
        """Implement `Gate.restore_issued`."""
        self._restore("issued", claims)

    def restore_overflow(self, claims: Sequence[Claim]) -> None:
        """Implement `Gate.restore_overflow`."""
        self._restore("overflow", claims)

    def all_claims(self, campaign_id: str) -> Iterator[list[Claim]]:
        """Implement `Gate.all_claims`, by HSCAN: a claim that is there throughout is returned at least once."""
        cursor = b"0"
        while True:
            cursor, found = self._call(["HSCAN", GateKeys(campaign_id).claims, cursor.decode(), "COUNT", _AT_MOST])
            yield [_to_claim(campaign_id, user.decode(), text) for user, text in batched(found, 2, strict=True)]
            if cursor == b"0":
                return

    def note_unsent(self, claims: Sequence[Claim]) -> None:
        """Implement `Gate.note_unsent`."""
        for claim in claims:
            self._call(["ZADD", GateKeys(claim.campaign_id).unsent, claim.accepted_at, claim.user_id])

    def reopen(self, campaign: Campaign, fence: Fence, highest: int, free: Sequence[SeatRange]) -> None:
        """Implement `Gate.reopen`."""
        keys = GateKeys(campaign.campaign_id)
        state = "paused" if campaign.paused else "active"
        settings: list[str | int] = [campaign.name, campaign.capacity, campaign.opens_at, campaign.closes_at, state]
        ends = [end for first_and_last in free for end in first_and_last]
        reply = self._run(
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
                self._run("restore", [keys.claims, keys.issued, keys.unsent], [kind, *_to_texts(some)])

    def _configure(self, campaign: Campaign, change: str) -> bool:
        keys = GateKeys(campaign.campaign_id)
        state = "paused" if campaign.paused else "active"
        reply = self._run(
            "configure",
            [keys.campaign, keys.accepted],
            [campaign.name, campaign.capacity, campaign.opens_at, campaign.closes_at, state, change],
            with_run_id=True,
        )
        if reply[0] in {b"missing", b"fenced"}:
            raise GateLostError(campaign.campaign_id)
        return bool(reply[0] == b"done")

    def _show(self, campaign_id: str) -> list[Any] | None:
        keys = GateKeys(campaign_id)
        reply: list[Any] = self._run("show", [keys.campaign, keys.accepted, keys.unsent, keys.free], [])
        if reply[0] == b"lost":
            raise GateLostError(campaign_id)
        if reply[0] == b"missing":
            self._refuse_if_lost(campaign_id)
            return None
        return reply

    def _refuse_if_lost(self, campaign_id: str) -> None:
        """Tell a campaign that nobody made from one whose gate is gone: the sentinel remembers, or is itself gone."""
        replies = self._exchange(lambda _: [["EXISTS", SENTINEL_KEY], ["SISMEMBER", SENTINEL_KEY, campaign_id]])
        has_sentinel, is_remembered = (_raise_if_error(reply) for reply in replies)
        if is_remembered or not has_sentinel:
            raise GateLostError(campaign_id)

    def _run(self, name: str, keys: Sequence[str], arguments: Command, *, with_run_id: bool = False) -> Any:
        return self._run_all(name, keys, arguments, with_run_id=with_run_id)[0]

    def _run_and_wait(
        self, name: str, keys: Sequence[str], arguments: Command, *, with_run_id: bool = False
    ) -> tuple[Any, bool]:
        """Run a script; tells also whether enough replicas have confirmed what it wrote."""
        if not self._replica_acks:
            return self._run(name, keys, arguments, with_run_id=with_run_id), True
        wait: Command = ["WAIT", self._replica_acks, WAIT_MS]
        reply, confirmed = self._run_all(name, keys, arguments, with_run_id=with_run_id, then=[wait])
        return reply, confirmed >= self._replica_acks

    def _run_all(
        self,
        name: str,
        keys: Sequence[str],
        arguments: Command,
        *,
        with_run_id: bool = False,
        then: Sequence[Command] = (),
    ) -> list[Any]:
        """Run a script, and commands after it in the same round trip; returns all replies.

        Args:
            with_run_id: the script's last argument is the run id of the server it really runs on.
        """
        code = script(name)

        def tail(run_id: str) -> list[str | int]:
            return [len(keys), *keys, *arguments, *([run_id] if with_run_id else [])]

        replies = self._exchange(lambda run_id: [["EVALSHA", code.sha, *tail(run_id)], *then])
        if isinstance(replies[0], NoScriptError):
            # The script cache is empty after a restart, a failover or SCRIPT FLUSH; EVAL fills it again.
            replies = self._exchange(lambda run_id: [["EVAL", code.source, *tail(run_id)], *then])
        return [_raise_if_error(reply) for reply in replies]

    def _call(self, command: Command) -> Any:
        return _raise_if_error(self._exchange(lambda _: [command])[0])

    def _exchange(self, commands: Callable[[str], Sequence[Command]]) -> list[Any]:
        """Send commands in one round trip and return their replies, error replies included.

        A connection that the server has closed since its last use (a frozen environment, a failover) is replaced once:
        everything sent here may be repeated, the scripts being idempotent. The commands are made anew for it, from the
        run id of the server it leads to. A timeout is not tried again, so that a slow Redis is not asked twice.
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

    def _exchange_once(self, commands: Callable[[str], Sequence[Command]]) -> list[Any]:
        if not self._connection.is_connected:
            self._run_id = self._ask_run_id()
        return self._send(commands(self._run_id))

    def _ask_run_id(self) -> str:
        """Ask who the server of a new connection is; a restart or a failover changes it, so once a connection."""
        (reply,) = self._send([["INFO", "server"]])
        if isinstance(reply, RedisError):
            self._connection.disconnect()
            raise reply
        found = _RUN_ID.search(reply)
        if not found:
            # Without it a fence could not be told from the gate's own server.
            self._connection.disconnect()
            raise RedisError("the server does not tell its run id")
        return found[1].decode()

    def _send(self, commands: Sequence[Command]) -> list[Any]:
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


def _refuse_unless(*, is_confirmed: bool) -> None:
    if not is_confirmed:
        raise GateUnavailableError("too few replicas confirmed the write")


def _raise_if_error(reply: Any) -> Any:
    if isinstance(reply, RedisError):
        raise GateUnavailableError("the gate refused the call") from reply
    return reply


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
    is_unsent = bool(reply[2])
    if is_unsent:
        # What is sent must outlive a failover; what was sent has been confirmed before.
        _refuse_unless(is_confirmed=is_confirmed)
    return Admission(claim, is_new=False, is_unsent=is_unsent, is_issued=bool(reply[3]))
