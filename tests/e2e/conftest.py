"""The deployed stack, as its users meet it: HTTP with tokens, the real `sam`, and the servers behind it."""

import http.client
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pymysql
import redis
from pymysql.connections import Connection
from pymysql.cursors import Cursor

from firstcome.adapters.redis.gate import CAMPAIGNS_KEY
from local.deployment.stack import Stack
from local.deployment.tokens import sign_token
from tests.factories import a_campaign_id

OPERATOR = "firstcome/operator"
PATIENCE_SECONDS = 60.0


@dataclass(frozen=True)
class Answer:
    """What came back over HTTP."""

    status: int
    headers: Mapping[str, str]
    body: Any
    text: str

    @property
    def code(self) -> str:
        """The problem's code, if it is one."""
        return str(self.body.get("code", "")) if isinstance(self.body, dict) else ""


@dataclass(frozen=True)
class Service:
    """The deployed service."""

    stack: Stack
    folder: Path
    campaigns: list[str] = field(default_factory=list)

    def token(self, sub: str | None, **claims: Any) -> str:
        """Sign a token of the stack's own issuer."""
        return sign_token(self.folder, self.stack.jwt_issuer, sub, **claims)

    def call(
        self,
        method: str,
        path: str,
        token: str = "",
        body: object = None,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send one request; a body that is not text is sent as JSON."""
        base = urlsplit(self.stack.api_url)
        text = body if isinstance(body, str | bytes | None) else json.dumps(body)
        sent = dict(headers or {})
        if token:
            sent["Authorization"] = f"Bearer {token}"
        connection = http.client.HTTPConnection(base.hostname or "", base.port, timeout=60)
        try:
            connection.request(method, base.path + path, text, sent)
            reply = connection.getresponse()
            raw = reply.read().decode()
            found = {name.lower(): value for name, value in reply.getheaders()}
            return Answer(reply.status, found, _json_or_none(raw), raw)
        finally:
            connection.close()

    def as_user(self, method: str, path: str, sub: str, body: object = None) -> Answer:
        """Call as a signed-in user."""
        return self.call(method, path, self.token(sub), body)

    def as_operator(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Call as an operator."""
        return self.call(method, path, self.token("operator", scope=OPERATOR), body, headers=headers)

    def apply(self, campaign_id: str, sub: str) -> Answer:
        """Apply for a coupon."""
        return self.as_user("POST", f"/campaigns/{campaign_id}/coupons", sub)

    def campaign(self, **changes: object) -> str:
        """Make a campaign that is open, with the changes given."""
        campaign_id = a_campaign_id()
        answer = self.as_operator("PUT", f"/campaigns/{campaign_id}", campaign_body(**changes))
        assert answer.status == 201, answer
        return campaign_id

    def rows(self, campaign_id: str) -> list[tuple[int, str, str]]:
        """Read the ledger's own rows: sequence, user, code."""
        return [
            (int(sequence), str(user), str(code))
            for sequence, user, code in self.query(
                "SELECT sequence, user_id, coupon_code FROM coupon WHERE campaign_id = %s ORDER BY sequence",
                campaign_id,
            )
        ]

    def query(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Read what is really in the ledger's tables."""
        with self._ledger() as connection, connection.cursor() as cursor:
            cursor.execute(statement, values)
            return list(cursor.fetchall())

    def execute(self, statement: str, *values: object) -> None:
        """Change what is in the ledger's tables, behind the service's back."""
        with self._ledger() as connection, connection.cursor() as cursor:
            cursor.execute(statement, values)
            connection.commit()

    def forget_demo(self) -> None:
        """Remove the campaign of the repository's events, which another test may have left behind in any state."""
        with self._ledger() as connection, connection.cursor() as cursor:
            for table in ("coupon", "overflow", "campaign"):
                cursor.execute(f"DELETE FROM {table} WHERE campaign_id = 'demo'")
            connection.commit()
        with self.redis() as client:
            client.srem(CAMPAIGNS_KEY, "demo")
            for key in client.keys("firstcome:{demo}:*"):
                client.delete(key)

    def redis(self) -> "redis.Redis":
        """Open a client on the gate's server."""
        return redis.Redis.from_url(self.stack.redis_url)

    def _ledger(self) -> "Connection[Cursor]":
        where = self.stack.mysql
        return pymysql.connect(
            host=where.host, port=where.port, user=where.user, password=where.password, database=where.database
        )


def campaign_body(**changes: object) -> dict[str, object]:
    """Return the body of a campaign that is open, with the changes given."""
    return {
        "name": "Spring sale",
        "capacity": 10,
        "opens_at": "2020-01-01T00:00:00.000Z",
        "closes_at": "2099-01-01T00:00:00.000Z",
        **changes,
    }


def eventually[T](read: Callable[[], T], is_there: Callable[[T], bool]) -> T:
    """Read until the condition holds; fails with what was read last."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_there(found := read()):
        assert time.monotonic() < deadline, f"still {found!r} after {PATIENCE_SECONDS:.0f} s"
        time.sleep(0.1)
    return found


def _json_or_none(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None
