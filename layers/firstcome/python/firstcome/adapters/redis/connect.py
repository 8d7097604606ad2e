"""Connections to Redis or Valkey, by redis-py: to one server, or to the nodes of a cluster.

redis-py replaces a closed connection wherever it meets one, and the new one may lead to another server. So the server's
run id is read by what redis-py calls on each new connection, and kept with that connection; and what depends on it is
made only once the connection is checked out. Retries are off: what may be sent twice is decided here.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from typing import Any
from weakref import WeakKeyDictionary

from redis import Redis, RedisCluster, exceptions
from redis.backoff import NoBackoff
from redis.connection import ConnectionInterface, ConnectionPool
from redis.maint_notifications import MaintNotificationsConfig
from redis.retry import Retry

from firstcome.adapters.logs import logger
from firstcome.adapters.redis.credentials import GateCredentials
from firstcome.domain.errors import GateMisconfiguredError
from firstcome.settings import RedisSettings

HIDDEN = "hidden"
"""Stands for the run id of a server that does not tell it. A gate there is fenced by the drain alone."""

_ATTEMPTS = 3
"""For a connection that was closed meanwhile, and a slot that has moved."""

_RUN_ID = re.compile(rb"^run_id:(?!0{40})([0-9a-f]{40})\r?$", re.MULTILINE)
_POLICY = re.compile(rb"^maxmemory_policy:([a-z-]+)\r?$", re.MULTILINE)

type Command = Sequence[str | int]

type Commands = Callable[[str], Sequence[Command]]
"""Makes commands for the server with this run id."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long to wait, in seconds.

    Attributes:
        connect: for the connection itself.
        first: for each step of a new one: TLS, AUTH, INFO. Hundreds of environments may connect at once.
        reply: for each other reply; above the WAIT of 0.2 s.
    """

    connect: float = 0.5
    first: float = 1.0
    reply: float = 0.5


@dataclass(slots=True)
class _Session:
    """What is known of an open connection."""

    run_id: str
    was_used: bool = False


_sessions: WeakKeyDictionary[ConnectionInterface, _Session] = WeakKeyDictionary()


class _ClosedMeanwhileError(exceptions.ConnectionError):
    """The server has closed the connection since its last use."""


class Server:
    """One server, or a cluster of them; nothing is connected before it is used."""

    def __init__(
        self, where: RedisSettings, credentials: GateCredentials | None = None, timeouts: Timeouts | None = None
    ) -> None:
        self._timeouts = timeouts or Timeouts()
        self._credentials = credentials
        self._connect = partial(_client, where, credentials, self._timeouts)
        self._client: Redis | RedisCluster | None = None

    def exchange(self, key: str, commands: Commands) -> list[Any]:
        """Send commands in one round trip to the server of this key; returns their replies, error replies included.

        They may be sent twice: when the server has closed the connection since its last use (a frozen environment, a
        failover), the key has moved, or the password was rotated. After a timeout they are not, so that a slow server
        is not asked twice.

        Raises:
            RedisError, RedisClusterException, ValueError, OSError: whether they took effect is not known.
        """
        try:
            return self._exchange(key, commands)
        except (exceptions.AuthenticationError, exceptions.RedisClusterException) as exc:
            # A cluster wraps what goes wrong when it is first asked.
            is_refused = any(isinstance(error, exceptions.AuthenticationError) for error in (exc, exc.__cause__))
            if self._credentials is None or not is_refused or not self._credentials.renew():
                raise
        return self._exchange(key, commands)

    def _exchange(self, key: str, commands: Commands) -> list[Any]:
        self._client = client = self._client or self._connect()
        replies: list[Any] = []
        for _ in range(_ATTEMPTS):
            try:
                replies = _round_trip(_pool(client, key), commands, self._timeouts.reply)
            except _ClosedMeanwhileError:
                continue
            except (exceptions.ConnectionError, exceptions.TimeoutError):
                # Another node may have taken its place: the next call asks the cluster anew.
                self._client = None
                raise
            moved = next((reply for reply in replies if isinstance(reply, exceptions.MovedError)), None)
            if moved is None or isinstance(client, Redis):
                return replies
            client.nodes_manager.move_slot(moved)
        raise exceptions.ConnectionError("there is no connection to the server of this key")


def _client(where: RedisSettings, credentials: GateCredentials | None, timeouts: Timeouts) -> Redis | RedisCluster:
    options: dict[str, Any] = {
        "host": where.host,
        "port": where.port,
        "ssl": where.use_tls,
        "credential_provider": credentials,
        "socket_connect_timeout": timeouts.connect,
        "socket_timeout": timeouts.first,
        "retry": Retry(NoBackoff(), 0),
        # RESP 2, and no name of the library: a new connection costs no more round trips than it needs.
        "protocol": 2,
        "driver_info": None,
        # They would lengthen the timeouts during a failover.
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
        "redis_connect_func": _identify if where.is_cluster else _open,
    }
    return RedisCluster(**options) if where.is_cluster else Redis(**options)


def _pool(client: Redis | RedisCluster, key: str) -> ConnectionPool:
    if isinstance(client, RedisCluster):
        client = client.get_redis_connection(client.get_node_from_key(key))
    return client.connection_pool


def _round_trip(pool: ConnectionPool, commands: Commands, reply_seconds: float) -> list[Any]:
    connection = pool.get_connection()
    session = _sessions[connection]
    was_used, session.was_used = session.was_used, True
    try:
        # Closed on an error: a late reply would be taken for that to the next command.
        with _closed_on_error(connection):
            made = commands(session.run_id)
            connection.send_packed_command(connection.pack_commands(made), check_health=False)
            replies = [_reply(connection, reply_seconds) for _ in made]
        if any(_is_read_only(reply) for reply in replies):
            # The primary was demoted: its address leads to the new one only on a new connection.
            connection.disconnect()
        return replies
    except exceptions.ConnectionError as exc:
        if not was_used:
            raise
        raise _ClosedMeanwhileError from exc
    finally:
        pool.release(connection)


def _is_read_only(reply: Any) -> bool:
    # Redis 6.2 puts words of its own before the code of an error within a script.
    is_error = isinstance(reply, exceptions.ResponseError)
    return is_error and (isinstance(reply, exceptions.ReadOnlyError) or "READONLY" in str(reply))


def _reply(connection: ConnectionInterface, seconds: float) -> Any:
    try:
        return connection.read_response(timeout=seconds)
    except exceptions.ResponseError as exc:
        return exc


@contextmanager
def _closed_on_error(connection: ConnectionInterface) -> Iterator[None]:
    try:
        yield
    except BaseException:
        connection.disconnect()
        raise


def _open(connection: ConnectionInterface) -> None:
    with _closed_on_error(connection):
        connection.on_connect()
        _identify(connection)


def _identify(connection: ConnectionInterface) -> None:
    """Ask who the server of a new connection is, once: a restart or a failover changes it, and ends the connection."""
    with _closed_on_error(connection):
        connection.send_packed_command(connection.pack_commands([("INFO", "server"), ("INFO", "memory")]))
        server, memory = connection.read_response(), connection.read_response()
        run_id, policy = _RUN_ID.search(server), _POLICY.search(memory)
        if policy and policy[1].startswith(b"allkeys-"):
            raise GateMisconfiguredError(f"Redis would evict claims: maxmemory-policy is {policy[1].decode()}")
    if not policy:
        _warn("Redis does not tell its maxmemory-policy, which must be noeviction")
    if not run_id:
        _warn("Redis hides its run id: only the drain notices that a gate lost claims in a failover")
    _sessions[connection] = _Session(run_id[1].decode() if run_id else HIDDEN)


@cache
def _warn(message: str) -> None:
    logger().warning(message)
