"""Where the parts of a local stack are."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class MysqlAddress:
    """How to reach the ledger; the user has rights on `database` only."""

    host: str
    port: int
    user: str
    password: str
    database: str


@dataclass(frozen=True)
class FunctionNames:
    """Names to invoke the four functions by."""

    apply: str
    drain: str
    relay: str
    admin: str


@dataclass(frozen=True)
class Stack:
    """Where the parts of a running stack are: the fields of `.local/stack.json`."""

    api_url: str
    redis_url: str
    mysql: MysqlAddress
    claim_queue_url: str
    dead_letter_queue_url: str
    aws_endpoint_url: str
    region: str
    functions: FunctionNames
    jwt_issuer: str

    @classmethod
    def load(cls, path: Path) -> Stack:
        """The stack written at `path` by `save`."""
        fields: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        fields["mysql"] = MysqlAddress(**fields["mysql"])
        fields["functions"] = FunctionNames(**fields["functions"])
        return cls(**fields)

    def save(self, path: Path) -> None:
        """Write the stack to `path`, readable by its owner only: it holds a password."""
        path.touch(mode=0o600, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")
