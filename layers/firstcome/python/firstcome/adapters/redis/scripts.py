"""Runs the scripts in the folder `lua`, and knows which keys each takes."""

import hashlib
import os.path
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from redis.exceptions import AuthenticationError, NoScriptError, RedisClusterException, RedisError, ResponseError

from firstcome.adapters.redis.connect import Command, Commands, Server
from firstcome.domain.errors import (
    GateLoginError,
    GateMisconfiguredError,
    GateUnavailableError,
    SettingsError,
)
from firstcome.domain.times import Millis

WAIT_MS = 200
"""How long to wait for replicas to confirm a claim; below the connection's read timeout."""

_FOLDER = os.path.join(os.path.dirname(__file__), "lua")

KEY_NAMES = (
    *("campaign", "accepted", "claims", "outbox", "issued", "free"),
    *("winners", "fence", "taken", "erased", "reconcile", "answers"),
)
"""The keys of a campaign; lua/prelude.lua says what each holds."""

_REBUILD_KEYS = ("campaign", "accepted", "claims", "free", "winners", "fence", "taken")

_GATE_KEYS = ("campaign", "accepted", "claims", "free")
_CLAIM_KEYS = ("campaign", "accepted", "claims", "outbox", "issued", "free", "winners")

_SCRIPTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "apply": (_CLAIM_KEYS, ("replay", "gate", "now", "winners")),
    "find": (_CLAIM_KEYS, ("replay", "gate")),
    "show": ((*_GATE_KEYS, "outbox"), ("gate", "now")),
    "state": (_GATE_KEYS, ("gate",)),
    "outbox": (("claims", "outbox"), ("now",)),
    "configure": (_REBUILD_KEYS, ("gate", "now", "rebuild")),
    "mark_issued": ((*_CLAIM_KEYS, "fence", "taken", "erased"), ("winners", "rebuild")),
    "fence": (_REBUILD_KEYS, ("now", "rebuild")),
    "advance": (_REBUILD_KEYS, ("rebuild",)),
    "prepare": ((*_REBUILD_KEYS, "issued"), ("rebuild",)),
    "restore": ((*_CLAIM_KEYS, "fence", "taken"), ("winners", "rebuild")),
    "resend": ((*_CLAIM_KEYS, "fence", "taken"), ("winners", "rebuild")),
    "list_free": (_REBUILD_KEYS, ("rebuild",)),
    "reopen": ((*_REBUILD_KEYS, "reconcile"), ("rebuild",)),
    "erase": ((*_GATE_KEYS, "outbox", "issued", "erased"), ("gate",)),
    "note": (("campaign", "reconcile"), ()),
    "claims_page": (("claims",), ()),
    "claim_counts": (("claims", "outbox", "issued", "erased"), ()),
    "add_answers": (("campaign", "answers"), ()),
}
"""Of each script: the keys that it takes, in its order; and what it shares with others, which stands before it."""

SCRIPT_NAMES = tuple(_SCRIPTS)


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script and the digest Redis knows it by."""

    source: str
    sha: str


def script_keys(name: str, campaign_id: str) -> list[str]:
    """Return the keys that a script takes, in its order."""
    return [f"firstcome:{{{campaign_id}}}:{key}" for key in _SCRIPTS[name][0]]


@cache
def script(name: str) -> Script:
    """Read a script from the folder `lua`, with the names of its keys and what it shares with others before it."""
    keys, shared = _SCRIPTS[name]
    names = ", ".join(f"{key}_key" for key in keys)
    source = f"local {names} = unpack(KEYS)\n{''.join(_read(part) for part in ('prelude', *shared, name))}"
    return Script(source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())


def _read(name: str) -> str:
    with open(os.path.join(_FOLDER, f"{name}.lua"), encoding="utf-8") as file:
        return file.read()


class GateScripts:
    """Scripts and commands on a server. All raise `GateUnavailableError`: whether one took effect is not known.

    Attributes:
        replicas: how many must confirm what is sent.
        run_id: of the server that was asked last.
    """

    def __init__(self, server: Server, replicas: int) -> None:
        self._server = server
        self.replicas = replicas
        self.run_id = ""

    def run(self, name: str, campaign_id: str, *arguments: str | int) -> Any:
        """Run a script on a campaign's keys; returns its reply."""
        return self._run(name, campaign_id, arguments)[0]

    def run_and_wait(self, name: str, campaign_id: str, first: str | int, *others: str | int) -> tuple[Any, bool]:
        """Run a script whose second argument is `replicas`; tells also whether so many have confirmed what it wrote."""
        wait: list[Command] = [("WAIT", self.replicas, WAIT_MS)] if self.replicas else []
        reply, *confirmed = self._run(name, campaign_id, (first, self.replicas, *others), wait)
        return reply, not wait or confirmed[0] >= self.replicas

    def call(self, command: str, key: str, *arguments: str | int) -> Any:
        """Send a plain command on this key; returns its reply."""
        return _raise_if_error(self._exchange(key, lambda _: [(command, key, *arguments)])[0])

    def time(self, key: str) -> Millis:
        """Return the clock of the server of this key."""
        seconds, microseconds = _raise_if_error(self._exchange(key, lambda _: [("TIME",)])[0])
        return int(seconds) * 1000 + int(microseconds) // 1000

    def _run(self, name: str, campaign_id: str, arguments: Command, then: Sequence[Command] = ()) -> list[Any]:
        code, keys = script(name), script_keys(name, campaign_id)

        def commands(command: str, which: str) -> Commands:
            return lambda run_id: [(command, which, len(keys), *keys, run_id, *arguments), *then]

        replies = self._exchange(keys[0], commands("EVALSHA", code.sha))
        if isinstance(replies[0], NoScriptError):
            # The script cache is empty after a restart, a failover or SCRIPT FLUSH; EVAL fills it again.
            replies = self._exchange(keys[0], commands("EVAL", code.source))
        return [_raise_if_error(reply) for reply in replies]

    def _exchange(self, key: str, commands: Commands) -> list[Any]:
        def noted(run_id: str) -> Sequence[Command]:
            self.run_id = run_id
            return commands(run_id)

        try:
            return self._server.exchange(key, noted)
        except (RedisError, RedisClusterException, ValueError, OSError) as exc:
            raise _unavailable(exc) from exc


def _unavailable(error: BaseException) -> Exception:
    """Say in our words why there was no answer; a login or a cluster wraps the reason."""
    reason: BaseException | None = error
    while reason is not None:
        if isinstance(reason, SettingsError | GateMisconfiguredError):
            return reason
        if isinstance(reason, AuthenticationError):
            return GateLoginError("the gate refused the user or the password")
        reason = reason.__cause__
    return GateUnavailableError("the gate did not answer")


def _raise_if_error(reply: Any) -> Any:
    if isinstance(reply, ResponseError):
        raise GateUnavailableError("the gate refused the call") from reply
    return reply
