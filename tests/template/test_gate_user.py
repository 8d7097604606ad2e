"""The gate's own user (infra/gate.yaml), on a real server: it may not do what the gate does not do.

That it may do what the gate does is shown by tests/contract/test_gate.py, which runs the whole gate as this user too.
"""

import re
from pathlib import Path

import pytest

from firstcome.adapters.redis.resp import ReplyError, RespConnection, RespError
from tests.conftest import RedisTestServer
from tests.gate_user import NAME, RULES, connection_as_gate_user

_LAYER = Path(__file__).resolve().parents[2] / "layers/firstcome/python/firstcome"


@pytest.fixture
def user(redis_server: RedisTestServer) -> RespConnection:
    """A connection as that user."""
    return connection_as_gate_user(redis_server)


def _called() -> set[str]:
    """Return the commands of the scripts and of the gate's own calls."""
    scripts = "".join(path.read_text(encoding="utf-8") for path in (_LAYER / "adapters/redis/lua").glob("*.lua"))
    gate = "".join((_LAYER / f"adapters/redis/{name}.py").read_text(encoding="utf-8") for name in ("gate", "scripts"))
    found = re.findall(r"redis\.p?call\('([A-Z]+)'", scripts)
    # The lists that commands are made from begin with the command.
    found += re.findall(r"\[\s*\"([A-Z]+)\",", gate)
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
def test_it_may_not(user: RespConnection, command: list[str | int]) -> None:
    (reply,) = user.exchange([command])
    assert isinstance(reply, ReplyError)
    assert (
        "NOPERM" in str(reply) or "permission" in str(reply).lower() or "can't run this command" in str(reply).lower()
    )


def test_nobody_is_let_in_with_a_wrong_password(user: RespConnection, redis_server: RedisTestServer) -> None:
    stranger = RespConnection("127.0.0.1", redis_server.port, 5, login=lambda _: (NAME, "wrong"))
    with pytest.raises(RespError, match="refused the login"):
        stranger.exchange([["INFO", "server"]])
    assert not stranger.is_connected


def test_it_logs_in_once_a_connection(user: RespConnection) -> None:
    for _ in range(2):
        assert user.exchange([["EXISTS", "firstcome:x"], ["EXISTS", "firstcome:y"]]) == [0, 0]
    user.disconnect()
    assert user.exchange([["EXISTS", "firstcome:x"]]) == [0]
