"""Version 1 as it was: what its functions do on a good day, with its own scripts, statements and messages.

Frozen: nothing here imports the package, so that it stays what it was when the package changes.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import redis
from pymysql.connections import Connection
from pymysql.cursors import Cursor

_FOLDER = Path(__file__).parent

_KEYS = {
    "apply": ["campaign", "accepted", "claims", "unsent", "issued", "free", "winners"],
    "unsent": ["unsent", "claims"],
    "mark_issued": ["campaign", "accepted", "claims", "issued"],
    "configure": ["campaign", "accepted", "winners"],
}
"""The keys of each script, in its order."""


class UnreadableError(Exception):
    """A message that version 1 does not know."""


@dataclass(frozen=True)
class VersionOne:
    """Its ApplyFunction, RelayFunction, DrainFunction and AdminFunction."""

    redis: "redis.Redis"
    ledger: "Connection[Cursor]"

    def apply(self, campaign_id: str, user_id: str, coupon_code: str) -> dict[str, Any] | None:
        """Apply; returns the message of the user's claim, or None for a refusal."""
        reply = self._run("apply", campaign_id, user_id, coupon_code, 0, 400, self._run_id())
        if reply[0] not in {b"accepted", b"replayed"}:
            return None
        return _message(campaign_id, user_id, reply[1].decode())

    def confirm_sent(self, campaign_id: str, user_id: str) -> None:
        """Note that a claim is in the queue."""
        self.redis.zrem(f"firstcome:{{{campaign_id}}}:unsent", user_id)

    def unsent(self, campaign_id: str) -> list[dict[str, Any]]:
        """Read what the relay would send."""
        reply = self._run("unsent", campaign_id, 0, 100, 0)
        pairs = zip(reply[::2], reply[1::2], strict=True)
        return [_message(campaign_id, user.decode(), claim.decode()) for user, claim in pairs]

    def drain(self, bodies: Sequence[str]) -> None:
        """Write a batch of one campaign, and tell the gate. Raises `UnreadableError`."""
        claims = [_read(body) for body in bodies]
        head, row = _statement("insert_coupons").rsplit("\n", 1)
        with self.ledger.cursor() as cursor:
            cursor.execute(_statement("capacity"), (claims[0]["campaign_id"],))
            ((capacity,),) = cursor.fetchall()
            assert all(claim["sequence"] <= capacity for claim in claims)
            values = [
                value
                for claim in claims
                for value in (
                    *(claim[name] for name in ("campaign_id", "sequence", "user_id", "coupon_code")),
                    datetime.fromisoformat(claim["accepted_at"]).replace(tzinfo=None),
                )
            ]
            cursor.execute(f"{head}\n" + ",\n".join([row] * len(claims)), values)
        self.ledger.commit()
        for claim in claims:
            instant = round(datetime.fromisoformat(claim["accepted_at"]).timestamp() * 1000)
            text = f"{claim['sequence']}:{claim['coupon_code']}:{instant}"
            self._run("mark_issued", str(claim["campaign_id"]), claim["user_id"], text)

    def raise_capacity(self, campaign_id: str, capacity: int) -> None:
        """Raise the capacity, in the ledger first."""
        with self.ledger.cursor() as cursor:
            cursor.execute("UPDATE campaign SET capacity = %s WHERE campaign_id = %s", (capacity, campaign_id))
        self.ledger.commit()
        kept = self.redis.hmget(f"firstcome:{{{campaign_id}}}:campaign", "name", "opens_at", "closes_at", "state")
        name, opens_at, closes_at, state = (value or "" for value in kept)
        arguments = (name, capacity, opens_at, closes_at, state, "change", 0, self._run_id())
        assert self._run("configure", campaign_id, *arguments) == [b"done"]

    def create_tables(self) -> None:
        """Run its migration."""
        with self.ledger.cursor() as cursor:
            for part in _statement("schema").split(";\n"):
                cursor.execute(part.rstrip(";"))

    def _run(self, name: str, campaign_id: str, *arguments: str | int | bytes) -> list[bytes]:
        keys = [f"firstcome:{{{campaign_id}}}:{key}" for key in _KEYS[name]]
        source = (_FOLDER / "lua" / f"{name}.lua").read_text(encoding="utf-8")
        # By its digest, as a script that was loaded before the upgrade.
        sha = self.redis.script_load(source)
        reply: list[bytes] = self.redis.evalsha(sha, len(keys), *keys, *arguments)
        return reply

    def _run_id(self) -> str:
        return str(self.redis.info("server")["run_id"])


def _message(campaign_id: str, user_id: str, claim: str) -> dict[str, Any]:
    sequence, code, accepted_at = claim.split(":")
    instant = datetime.fromtimestamp(int(accepted_at) / 1000, UTC).isoformat(timespec="milliseconds")
    return {
        "v": 1,
        "campaign_id": campaign_id,
        "user_id": user_id,
        "sequence": int(sequence),
        "coupon_code": code,
        "accepted_at": instant.replace("+00:00", "Z"),
    }


def _read(body: str) -> dict[str, Any]:
    claim: dict[str, Any] = json.loads(body)
    if claim.get("v") != 1:
        raise UnreadableError
    return claim


def _statement(name: str) -> str:
    lines = (_FOLDER / "sql" / f"{name}.sql").read_text(encoding="utf-8").splitlines()
    return "\n".join(line for line in lines if not line.startswith("--")).strip()
