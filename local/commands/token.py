"""`make token`: print a token that the stack of `make up` accepts.

Reads SUB, SCOPE and TTL (seconds) from the environment, where make puts them.
"""

from __future__ import annotations

import os

from local.deployment.addresses import Stack
from local.deployment.state_files import ADDRESSES, WORKSPACE, require_stack
from local.deployment.tokens import sign_token
from local.errors import LocalStackError, run_command

DEFAULT_SECONDS = "3600"


def main() -> None:
    """Print the token, and nothing else, on standard output."""
    user = os.environ.get("SUB", "")
    if not user:
        raise LocalStackError("SUB, the user, is missing.", advice="For instance: make token SUB=alice")
    scope = os.environ.get("SCOPE") or None
    seconds = _seconds(os.environ.get("TTL") or DEFAULT_SECONDS)
    require_stack()
    issuer = Stack.load(ADDRESSES).jwt_issuer
    print(sign_token(WORKSPACE.folder, issuer, user, scope=scope, ttl_seconds=seconds))


def _seconds(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise LocalStackError(f"TTL is not a number of seconds: {text}") from None


if __name__ == "__main__":
    run_command(main)
