"""The functions' user of the stack's own gate, as infra/gate.yaml makes it, on a real server."""

from firstcome.adapters.redis.credentials import GateCredentials
from tests.conftest import RedisTestServer
from tests.template.cloudformation import nested

NAME = "gate-user"
PASSWORD = "a-throwaway-password"
RULES: list[str] = nested("gate")["Resources"]["User"]["Properties"]["AccessString"].split()


class GateUser(GateCredentials):
    """The user's login."""

    def get_credentials(self) -> tuple[str, str]:
        """Return name and password."""
        return NAME, PASSWORD


def make_gate_user(server: RedisTestServer) -> GateUser:
    """Make the user, or make it anew; returns its login."""
    server.client.execute_command("ACL", "SETUSER", NAME, "reset", f">{PASSWORD}", *RULES)
    return GateUser()
