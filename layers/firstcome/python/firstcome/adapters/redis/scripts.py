"""Runs the scripts in `firstcome/lua` on a server, and knows which server that is."""

import hashlib
import os.path
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from firstcome.adapters.redis.resp import (
    Command,
    LoginRefusedError,
    ReplyError,
    RespConnection,
    RespError,
    RespTimeoutError,
)
from firstcome.domain.errors import GateLoginError, GateUnavailableError

WAIT_MS = 200
"""How long to wait for replicas to confirm a claim; below the connection's read timeout."""

_FOLDER = os.path.join(os.path.dirname(__file__), "lua")

_RUN_ID = re.compile(rb"run_id:([0-9a-f]+)")


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script and the digest Redis knows it by."""

    source: str
    sha: str


KEY_NAMES = (
    *("campaign", "accepted", "claims", "outbox", "issued", "free"),
    *("winners", "fence", "taken", "erased", "reconcile"),
)
"""The keys of a campaign; lua/prelude.lua says what each holds."""

_REBUILD_KEYS = ("campaign", "accepted", "claims", "free", "winners", "fence", "taken")

SCRIPT_KEYS: dict[str, tuple[str, ...]] = {
    "apply": ("campaign", "accepted", "claims", "outbox", "issued", "free", "winners"),
    "find": ("campaign", "accepted", "claims", "outbox", "issued", "free"),
    "show": ("campaign", "accepted", "claims", "outbox", "free"),
    "state": ("campaign", "accepted", "claims", "free"),
    "outbox": ("claims", "outbox"),
    "configure": _REBUILD_KEYS,
    "mark_issued": ("campaign", "accepted", "claims", "issued", "winners", "fence", "taken", "erased"),
    "fence": _REBUILD_KEYS,
    "advance": ("fence",),
    "prepare": (*_REBUILD_KEYS, "issued"),
    "restore": ("campaign", "accepted", "claims", "outbox", "issued", "winners", "fence", "taken"),
    "resend": ("campaign", "accepted", "claims", "outbox", "winners", "fence", "taken"),
    "list_free": _REBUILD_KEYS,
    "reopen": (*_REBUILD_KEYS, "reconcile"),
    "erase": ("campaign", "accepted", "claims", "outbox", "issued", "free", "erased"),
    "note": ("campaign", "reconcile"),
    "claim_counts": ("claims", "outbox", "issued", "erased"),
}
"""The keys that each script takes, in its order."""


def script_keys(name: str, campaign_id: str) -> list[str]:
    """Return the keys that a script takes, in its order."""
    return [f"firstcome:{{{campaign_id}}}:{key}" for key in SCRIPT_KEYS[name]]


@cache
def script(name: str) -> Script:
    """Read a script from the folder `lua`, with the names of its keys and lua/prelude.lua before it."""
    names = ", ".join(f"{key}_key" for key in SCRIPT_KEYS[name])
    source = f"local {names} = unpack(KEYS)\n{_read('prelude')}{_read(name)}"
    return Script(source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())


def _read(name: str) -> str:
    with open(os.path.join(_FOLDER, f"{name}.lua"), encoding="utf-8") as file:
        return file.read()


class GateScripts:
    """One connection to the gate's server. A Lambda environment serves one request at a time, so it needs no pool."""

    def __init__(self, connection: RespConnection) -> None:
        self._connection = connection
        self.run_id = ""
        """Of the server that the connection leads to, or last led to."""

    def run(self, name: str, campaign_id: str, *arguments: str | int) -> Any:
        """Run a script on a campaign's keys; returns its reply. Its first argument is the run id of its own server.

        Raises:
            GateUnavailableError: whether it took effect is not known.
        """
        return self._run_all(name, campaign_id, arguments)[0]

    def run_and_wait(self, replicas: int, name: str, campaign_id: str, *arguments: str | int) -> tuple[Any, bool]:
        """Run a script as `run` does; tells also whether that many replicas have confirmed what it wrote."""
        if not replicas:
            return self.run(name, campaign_id, *arguments), True
        wait: Command = ["WAIT", replicas, WAIT_MS]
        reply, confirmed = self._run_all(name, campaign_id, arguments, then=[wait])
        return reply, confirmed >= replicas

    def call(self, *commands: Command) -> list[Any]:
        """Send plain commands in one round trip; returns their replies. Raises as `run` does."""
        return [_raise_if_error(reply) for reply in self._exchange(lambda _: commands)]

    def call_with_run_id(self, commands: Callable[[str], Sequence[Command]]) -> list[Any]:
        """Do as `call` with commands that depend on the run id of their server."""
        return [_raise_if_error(reply) for reply in self._exchange(commands)]

    def tell(self, command: Command) -> None:
        """Send a plain command without waiting for its reply; it may get lost. Later calls come after it.

        Raises:
            GateUnavailableError: whether it took effect is not known.
        """
        if not self._connection.is_connected:
            # A new connection has to be asked for its server first, so there is no time to win.
            self.call(command)
            return
        try:
            self._connection.tell(command)
        except RespError as exc:
            raise GateUnavailableError("the gate was not told") from exc

    def _run_all(self, name: str, campaign_id: str, arguments: Command, then: Sequence[Command] = ()) -> list[Any]:
        code, keys = script(name), script_keys(name, campaign_id)

        def tail(run_id: str) -> list[str | int]:
            return [len(keys), *keys, run_id, *arguments]

        replies = self._exchange(lambda run_id: [["EVALSHA", code.sha, *tail(run_id)], *then])
        if _is_error(replies[0], "NOSCRIPT"):
            # The script cache is empty after a restart, a failover or SCRIPT FLUSH; EVAL fills it again.
            replies = self._exchange(lambda run_id: [["EVAL", code.source, *tail(run_id)], *then])
        return [_raise_if_error(reply) for reply in replies]

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
            except RespTimeoutError:
                raise
            except RespError:
                if not was_connected:
                    raise
                return self._exchange_once(commands)
        except LoginRefusedError as exc:
            raise GateLoginError("the gate refused the user or the password") from exc
        except RespError as exc:
            raise GateUnavailableError("the gate did not answer") from exc

    def _exchange_once(self, commands: Callable[[str], Sequence[Command]]) -> list[Any]:
        if not self._connection.is_connected:
            self.run_id = self._ask_run_id()
        replies = self._connection.exchange(commands(self.run_id))
        if any(_is_error(reply, "READONLY") for reply in replies):
            # The primary was demoted: its address leads to the new one only on a new connection.
            self._connection.disconnect()
        return replies

    def _ask_run_id(self) -> str:
        """Ask who the server of a new connection is; a restart or a failover changes it, so once a connection."""
        (reply,) = self._connection.exchange([["INFO", "server"]])
        found = _RUN_ID.search(reply) if isinstance(reply, bytes) else None
        if not found:
            # Without it a fence could not be told from the gate's own server.
            self._connection.disconnect()
            raise RespError("the server does not tell its run id")
        return found[1].decode()


def _is_error(reply: Any, code: str) -> bool:
    # Anywhere in it: Redis 6.2 puts words of its own before the code of an error within a script.
    return isinstance(reply, ReplyError) and code in str(reply)


def _raise_if_error(reply: Any) -> Any:
    if isinstance(reply, ReplyError):
        raise GateUnavailableError("the gate refused the call") from reply
    return reply
