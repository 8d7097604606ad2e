"""A crowd: client processes that send one request after another, all from the same instant on."""

from __future__ import annotations

import random
import time
import uuid
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import count

from bench.harness.handlers import new_user
from bench.harness.servers import Servers
from bench.harness.workers import Worker, call_all
from bench.rivals import ALL
from bench.rivals.rival import Apply, Campaign

REPEATS = 10
"""One request in so many comes from a user who applies twice."""

_HEAD_START_SECONDS = 0.05


@dataclass(frozen=True)
class Target:
    """A rival, by its key, and the campaign whose coupons the crowd wants."""

    servers: Servers
    key: str
    campaign: Campaign


@dataclass(frozen=True)
class Asked:
    """The requests of one client.

    Attributes:
        seconds: how long each request took.
        ended: when the last one was answered, by the machine's monotonic clock.
        cpu_seconds: of the client's process.
    """

    seconds: array[float]
    accepted: int
    ended: float
    cpu_seconds: float


@dataclass(frozen=True)
class Rush:
    """The requests of all clients."""

    seconds: float
    latencies: Sequence[float]
    accepted: int
    cpu_seconds: float

    @property
    def requests(self) -> int:
        """How many were answered."""
        return len(self.latencies)


@dataclass
class _Client:
    """The state of a client's process between two calls."""

    apply: Apply | None = None
    users: Sequence[str] = ()


_client = _Client()


def a_crowd_of_users(users: int, seed: int) -> list[str]:
    """The users of all requests, in order: of every ten requests, one repeats a user."""
    chance = random.Random(seed)
    once = [str(uuid.UUID(int=chance.getrandbits(128), version=4)) for _ in range(users)]
    asking = once + chance.sample(once, users // (REPEATS - 1))
    chance.shuffle(asking)
    return asking


def rush(crowd: Sequence[Worker], target: Target, users: Sequence[str], most: float) -> Rush:
    """Let all users apply, for `most` seconds at most."""
    call_all(crowd, get_ready, [(target, users[number :: len(crowd)]) for number in range(len(crowd))])
    # Messages of the clients' warm-up.
    target.servers.take_messages()
    start = time.monotonic() + _HEAD_START_SECONDS
    asked: list[Asked] = call_all(crowd, ask, [(start, start + most)] * len(crowd))
    return Rush(
        seconds=max(one.ended for one in asked) - start,
        latencies=[seconds for one in asked for seconds in one.seconds],
        accepted=sum(one.accepted for one in asked),
        cpu_seconds=sum(one.cpu_seconds for one in asked),
    )


def get_ready(target: Target, users: Sequence[str]) -> None:
    """Connect, in a client's process."""
    _client.apply = ALL[target.key].connect(target.servers, target.campaign)
    _client.users = users


def ask(start: float, end: float, every: float = 0.0) -> Asked:
    """Apply for the users of `get_ready` from `start` to `end`, in a client's process.

    With `every`, one application is due every so many seconds, and new users follow without end.
    """
    apply = _client.apply
    assert apply is not None  # noqa: S101 - get_ready was called
    users: Iterable[str] = (new_user() for _ in count()) if every else _client.users
    seconds, accepted, due = array("d"), 0, start
    time.sleep(max(0.0, start - time.monotonic()))
    cpu_before = time.process_time()
    began = time.monotonic()
    for user in users:
        if every:
            time.sleep(max(0.0, due - time.monotonic()))
            due += every
            began = time.monotonic()
        if began > end:
            break
        accepted += apply(user)
        now = time.monotonic()
        seconds.append(now - began)
        began = now
    _client.apply = None
    return Asked(seconds, accepted, began, time.process_time() - cpu_before)
