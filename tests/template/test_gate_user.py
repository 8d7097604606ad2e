"""The gate's own user (infra/gate.yaml), on a real server: it may not do what the gate does not do.

That it may do what the gate does is shown by tests/contract/test_gate.py, which runs the whole gate as this user too.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from firstcome.domain.errors import GateLoginError
from tests.conftest import RedisTestServer
from tests.gate_user import NAME, PASSWORD, RULES, GateUser, make_gate_user

_ADAPTER = Path(__file__).resolve().parents[2] / "layers/firstcome/python/firstcome/adapters/redis"


@pytest.fixture
def user(redis_server: RedisTestServer) -> Iterator[redis.Redis]:
    """A client as that user."""
    make_gate_user(redis_server)
    with redis.Redis(port=redis_server.port, username=NAME, password=PASSWORD) as client:
        yield client


def _called() -> set[str]:
    """Return the commands of the scripts and of the gate's own calls."""
    scripts = "".join(path.read_text(encoding="utf-8") for path in (_ADAPTER / "lua").glob("*.lua"))
    python = "".join(path.read_text(encoding="utf-8") for path in _ADAPTER.glob("*.py"))
    found = re.findall(r"\bcall\('([A-Z]+)'", scripts)
    # The tuples and calls that send a command begin with it.
    found += re.findall(r"\(\"([A-Z]+)\",", python)
    return {command.lower() for command in found}


def test_it_may_call_what_is_called_and_nothing_else() -> None:
    allowed = {rule.removeprefix("+") for rule in RULES if rule.startswith("+")}
    assert allowed == _called()
    assert [rule for rule in RULES if not rule.startswith("+")] == ["on", "~firstcome:*", "resetchannels", "-@all"]


@pytest.mark.parametrize(
    "command",
    [
        ["FLUSHALL"],
        ["FLUSHDB"],
        ["KEYS", "*"],
        ["SCAN", 0],
        ["CONFIG", "GET", "*"],
        ["ACL", "LIST"],
        ["SHUTDOWN"],
        ["SCRIPT", "FLUSH"],
        ["GET", "somebody-elses"],
        ["EVAL", "return redis.call('GET', KEYS[1])", 1, "somebody-elses"],
        ["EVAL", "return redis.call('FLUSHALL')", 0],
    ],
)
def test_it_may_not(user: redis.Redis, command: list[str | int]) -> None:
    with pytest.raises(redis.ResponseError, match="(?i)permission|can't run this command"):
        user.execute_command(*command)


def test_nobody_is_let_in_with_a_wrong_password(redis_server: RedisTestServer) -> None:
    class Stranger(GateUser):
        def get_credentials(self) -> tuple[str, str]:
            return NAME, "wrong"

    make_gate_user(redis_server)
    with pytest.raises(GateLoginError):
        redis_server.gate(credentials=Stranger()).now()
