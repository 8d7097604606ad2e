"""The gate's connections: servers that break off, are swapped or demoted, hide who they are or would evict claims."""

import logging
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
import redis

from firstcome import bootstrap
from firstcome.adapters.redis import connect
from firstcome.adapters.redis.connect import Timeouts
from firstcome.adapters.redis.gate import GateKeys, RedisGate
from firstcome.domain.claim import Admission, new_coupon_code
from firstcome.domain.errors import GateLostError, GateMisconfiguredError, GateUnavailableError
from firstcome.domain.gate import GateState
from local.deployment.workspace import Workspace
from local.services.ports import HOST, free_port
from local.services.processes import Processes
from local.services.redis_server import start_redis
from tests.conftest import RedisTestServer
from tests.e2e.conftest import eventually
from tests.factories import a_campaign
from tests.integration.scripted import scripted
from verify.tcp_proxy import Mode, TcpProxy

RUN_ID = "0123456789abcdef0123456789abcdef01234567"
SHORT = Timeouts(connect=0.2, first=0.2, reply=0.2)


def _info(run_id: str = RUN_ID, policy: str = "noeviction") -> bytes:
    """What a server replies when it is asked who it is."""
    sections = (f"# Server\r\nrun_id:{run_id}\r\n", f"# Memory\r\nmaxmemory_policy:{policy}\r\n")
    return b"".join(f"${len(text)}\r\n{text}\r\n".encode() for text in sections)


def _gate(port: int, timeouts: Timeouts = SHORT) -> RedisGate:
    return RedisTestServer(port, redis.Redis(port=port)).gate(timeouts=timeouts)


def _open(gate: RedisGate, capacity: int = 5) -> str:
    campaign = a_campaign(capacity=capacity)
    gate.register([campaign.campaign_id])
    gate.create(campaign)
    return campaign.campaign_id


def _apply(gate: RedisGate, campaign_id: str, user_id: str) -> int:
    answer = gate.apply(campaign_id, user_id, new_coupon_code())
    assert isinstance(answer, Admission)
    return answer.claim.sequence


@pytest.fixture(scope="module")
def second_port(processes: Processes, workspace: Workspace) -> int:
    """The port of another server."""
    return start_redis(processes, workspace, free_port(), "redis-second").port


@pytest.fixture
def second(second_port: int) -> Iterator[RedisTestServer]:
    """Another server, empty."""
    with redis.Redis(port=second_port) as client:
        client.replicaof("NO", "ONE")
        client.flushall()
        yield RedisTestServer(second_port, client)


def test_it_connects_when_it_is_used_with_one_round_trip_more(redis_server: RedisTestServer) -> None:
    with TcpProxy(redis_server.port) as proxy:
        gate = _gate(proxy.port, Timeouts())
        assert proxy.received == b""

        for _ in range(2):
            gate.now()

    asked = [line for line in proxy.received.split(b"\r\n") if line.isalpha()]
    assert asked == [b"INFO", b"server", b"INFO", b"memory", b"TIME", b"TIME"]


def test_a_connection_closed_since_its_last_use_is_replaced(redis_server: RedisTestServer) -> None:
    gate = redis_server.gate()
    campaign_id = _open(gate)
    assert _apply(gate, campaign_id, "ann") == 1

    redis_server.client.client_kill_filter(_type="normal", skipme=True)

    assert _apply(gate, campaign_id, "bob") == 2


def test_a_connection_that_is_closed_only_when_it_is_used_is_replaced_too(redis_server: RedisTestServer) -> None:
    """As by a load balancer that has forgotten it while the environment was frozen."""
    with TcpProxy(redis_server.port) as proxy:
        gate = _gate(proxy.port, Timeouts(5, 5, 5))
        campaign_id = _open(gate)
        _apply(gate, campaign_id, "ann")

        proxy.set(Mode.HELD)
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(_apply, gate, campaign_id, "bob")
            eventually(lambda: proxy.held_clients, bool)
            for link in list(proxy._links):
                with suppress(OSError):
                    link.shutdown(socket.SHUT_RDWR)
            proxy.set(Mode.OPEN)

        assert answer.result() == 2
        assert redis_server.client.get(GateKeys(campaign_id).accepted) == b"2"


def test_a_server_that_was_swapped_in_meanwhile_is_told_its_own_run_id(
    redis_server: RedisTestServer, second: RedisTestServer
) -> None:
    """The stale replica has the campaign: a gate that took it for the old server would give sequence 2 again."""
    with TcpProxy(redis_server.port) as proxy:
        gate = _gate(proxy.port, Timeouts(5, 5, 5))
        campaign_id = _open(gate)
        _apply(gate, campaign_id, "ann")
        for key in redis_server.client.keys("*"):
            second.client.restore(key, 0, redis_server.client.dump(key) or b"")
        _apply(gate, campaign_id, "bob")

        proxy.lead_to(second.port)

        with pytest.raises(GateLostError):
            gate.apply(campaign_id, "carl", new_coupon_code())
        assert gate.state(campaign_id) is GateState.FENCED
        assert second.client.get(GateKeys(campaign_id).accepted) == b"1"


def test_a_primary_that_was_demoted_is_left_for_the_one_its_name_leads_to(
    redis_server: RedisTestServer, second: RedisTestServer
) -> None:
    with TcpProxy(second.port) as proxy:
        gate = _gate(proxy.port, Timeouts(5, 5, 5))
        campaign_id = _open(gate)
        second.client.replicaof(HOST, 1)
        with pytest.raises(GateUnavailableError):
            gate.apply(campaign_id, "ann", new_coupon_code())
        # The name leads elsewhere now; the connection to the demoted one would go on.
        proxy._target = redis_server.port
        redis_server.client.sadd("firstcome:campaigns", "", campaign_id)

        with pytest.raises(GateLostError):
            gate.apply(campaign_id, "ann", new_coupon_code())


_PARTS = [b"", b"$", b"$5\r\nab", b"$5\r\nabcde", b"$5\r\nabcde\r", b":1", b":1\r", b"*2\r\n:1\r\n", b"+OK"]


@pytest.mark.parametrize("part", _PARTS)
@pytest.mark.parametrize("closes", [True, False])
def test_a_reply_that_breaks_off_or_does_not_go_on_is_given_up(part: bytes, *, closes: bool) -> None:
    with scripted(_info(), part, closes=closes) as server, pytest.raises(GateUnavailableError) as caught:
        _gate(server.port).now()

    assert str(server.port) not in str(caught.value)


@pytest.mark.parametrize("reply", [b"HTTP/1.1 400 Bad Request\r\n", b"\r\n", b":one\r\n", b"$x\r\n"])
def test_what_is_no_reply_of_redis_is_an_error(reply: bytes) -> None:
    with scripted(_info(), reply) as server, pytest.raises(GateUnavailableError):
        _gate(server.port).now()
    with scripted(reply) as server, pytest.raises(GateUnavailableError):
        _gate(server.port).now()


def test_a_late_reply_is_not_taken_for_that_to_the_next_command(redis_server: RedisTestServer) -> None:
    with TcpProxy(redis_server.port) as proxy:
        gate = _gate(proxy.port)
        before = gate.now()
        proxy.set(Mode.HELD)
        with pytest.raises(GateUnavailableError):
            gate.campaign_ids()
        proxy.set(Mode.OPEN)

        assert gate.now() >= before


def test_a_silent_server_is_asked_once_and_given_up(redis_server: RedisTestServer) -> None:
    with TcpProxy(redis_server.port) as proxy:
        gate = _gate(proxy.port)
        gate.now()
        already = len(proxy.received)
        proxy.set(Mode.MUTE)

        with pytest.raises(GateUnavailableError):
            gate.now()

        assert proxy.received[already:].count(b"TIME") == 1


def test_nobody_listening_is_an_error() -> None:
    with pytest.raises(GateUnavailableError):
        _gate(1).now()


def test_hundreds_of_new_connections_may_take_longer_than_a_reply() -> None:
    assert Timeouts().first > Timeouts().reply > 0.2


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-lfu", "allkeys-random"])
def test_a_server_that_would_evict_claims_is_refused(redis_server: RedisTestServer, policy: str) -> None:
    gate = redis_server.gate()
    redis_server.client.config_set("maxmemory-policy", policy)
    try:
        for _ in range(2):
            with pytest.raises(GateMisconfiguredError, match=policy):
                gate.now()
    finally:
        redis_server.client.config_set("maxmemory-policy", "noeviction")
    assert gate.now() > 0


@pytest.fixture
def warnings(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """What was warned of."""
    connect._warn.cache_clear()
    with caplog.at_level(logging.WARNING):
        yield caplog
    connect._warn.cache_clear()


_TIME = b"*2\r\n$1\r\n7\r\n$1\r\n0\r\n"


@pytest.mark.parametrize("run_id", ["", "0", "0" * 40, "a" * 39, "a" * 41, "A" * 40])
def test_a_server_that_hides_its_run_id_weakens_the_fence(run_id: str, warnings: pytest.LogCaptureFixture) -> None:
    with scripted(_info(run_id), _TIME) as server:
        gate = _gate(server.port)
        gate.now()

    assert gate.weaker_fence

    (warning,) = warnings.records
    assert "run id" in warning.getMessage()


def test_a_server_that_tells_its_run_id_does_not(
    redis_server: RedisTestServer, warnings: pytest.LogCaptureFixture
) -> None:
    gate = redis_server.gate()
    gate.now()
    assert not gate.weaker_fence
    assert warnings.records == []


def test_an_unknown_policy_is_warned_of_once(warnings: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        with scripted(_info(policy=""), _TIME) as server:
            assert _gate(server.port).now() == 7_000

    (warning,) = warnings.records
    assert "maxmemory-policy" in warning.getMessage()


def test_a_claim_waits_for_as_many_replicas_as_the_settings_say(empty_environment: Callable[[str, str], None]) -> None:
    with scripted(_info(), b"*1\r\n$7\r\nmissing\r\n:3\r\n", closes=True) as server:
        _set(empty_environment, server.port, GATE_REPLICA_ACKS="3")
        with pytest.raises(GateUnavailableError):
            bootstrap.gate().apply("demo", "alice", new_coupon_code())

    assert server.received.endswith(b"*3\r\n$4\r\nWAIT\r\n$1\r\n3\r\n$3\r\n200\r\n")


def test_an_iam_user_logs_in_with_a_token_of_the_functions_role(empty_environment: Callable[[str, str], None]) -> None:
    with scripted(b"+OK\r\n", _info(), b"*0\r\n") as server:
        _set(empty_environment, server.port, REDIS_IAM_USER="firstcome-1a2b", REDIS_IAM_CACHE="firstcome-1a2b")
        assert bootstrap.gate().campaign_ids() is None

    login = server.received.partition(b"INFO")[0]
    assert login.startswith(b"*3\r\n$4\r\nAUTH\r\n$14\r\nfirstcome-1a2b\r\n")
    assert b"firstcome-1a2b/?Action=connect&User=firstcome-1a2b&X-Amz-Algorithm=AWS4-HMAC-SHA256" in login


def _set(set_variable: Callable[[str, str], None], port: int, **settings: str) -> None:
    """Be a new Lambda environment with these settings."""
    settings = {
        "REDIS_HOST": HOST,
        "REDIS_PORT": str(port),
        "REDIS_TLS": "false",
        "GATE_REPLICA_ACKS": "0",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    } | settings
    for name, text in settings.items():
        set_variable(name, text)
