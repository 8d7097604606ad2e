"""The functions' user of the stack's own gate, as infra/gate.yaml makes it, on a real server."""

from firstcome.adapters.redis.resp import RespConnection
from tests.conftest import RedisTestServer
from tests.template.cloudformation import nested

NAME = "gate-user"
PASSWORD = "a-throwaway-password"
RULES: list[str] = nested("gate")["Resources"]["User"]["Properties"]["AccessString"].split()


def connection_as_gate_user(server: RedisTestServer) -> RespConnection:
    """Make the user, or make it anew, and open a connection as it."""
    server.client.execute_command("ACL", "SETUSER", NAME, "reset", f">{PASSWORD}", *RULES)
    return RespConnection("127.0.0.1", server.port, 5, login=lambda _: (NAME, PASSWORD))
