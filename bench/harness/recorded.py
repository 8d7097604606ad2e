"""The commands that the apply handler really sends to Redis for one user, to be sent again for very many.

They are recorded with MONITOR while the handler runs, so nothing here knows the scripts, their keys or their arguments:
another campaign, user or coupon code is put in where the recorded one stood.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import batched

import redis

from bench.harness import handlers

RECORDED_CAMPAIGN = "recorded-campaign"
_MONITOR_LINE = re.compile(rb'^\+?\d+\.\d+ \[\d+ (\S+?)\] (".*")$')
_ARGUMENT = re.compile(rb'"((?:[^"\\]|\\.)*)"')
_CODE_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LINES_AT_ONCE = 1_000

type Command = tuple[bytes, ...]


@dataclass(frozen=True)
class Recorded:
    """What the handler sent for one user who was accepted, in order.

    Attributes:
        commands: with the user, code and campaign of then in them.
        user: who asked.
        code: what they got.
    """

    commands: Sequence[Command]
    user: bytes
    code: bytes

    @property
    def asking(self) -> Command:
        """The command that decides: the first that names the user."""
        return self.commands[0]

    def packed(self, commands: Iterable[Command], campaign_id: str, user: str, number: int) -> bytes:
        """The commands on the wire for another campaign and user; the number makes the code."""
        code = a_code(number).encode()
        return b"".join(
            _pack(
                part.replace(RECORDED_CAMPAIGN.encode(), campaign_id.encode())
                .replace(self.user, user.encode())
                .replace(self.code, code)
                for part in command
            )
            for command in commands
        )


def a_code(number: int) -> str:
    """A coupon code, another one for each number."""
    return "".join(_CODE_ALPHABET[(number * 0x9E3779B97F4A7C15 >> shift) & 31] for shift in range(0, 64, 4))


def record(port: int) -> Recorded:
    """Let the handler of this process accept somebody, and note what it sends."""
    handlers.put_campaign(RECORDED_CAMPAIGN, 100)
    # The first call opens the connection and loads the script.
    handlers.answer(handlers.an_apply_event(RECORDED_CAMPAIGN, handlers.new_user()))
    user = handlers.new_user()
    with _monitor(port) as seen:
        answer = handlers.answer(handlers.an_apply_event(RECORDED_CAMPAIGN, user))
    commands = [command for command in seen if any(user.encode() in part for part in command)]
    if not commands:
        raise RuntimeError("the apply handler named the user in no command")
    return Recorded(commands, user.encode(), json.loads(answer["body"])["coupon_code"].encode())


def send_all(port: int, packed: Iterable[bytes]) -> None:
    """Send commands as fast as Redis takes them, without reading its replies."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(_pack((b"CLIENT", b"REPLY", b"OFF")))
        for some in batched(packed, _LINES_AT_ONCE, strict=False):
            connection.sendall(b"".join(some))
        connection.sendall(_pack((b"CLIENT", b"REPLY", b"ON")))
        # Its reply is the only one, and comes when all before is done.
        if connection.recv(5) != b"+OK\r\n":
            raise RuntimeError("Redis did not take the commands")


@contextmanager
def _monitor(port: int) -> Iterator[list[Command]]:
    seen: list[Command] = []
    end = b"end-of-recording"
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(b"MONITOR\r\n")
        lines = connection.makefile("rb")
        lines.readline()
        yield seen
        with redis.Redis(port=port) as client:
            client.echo(end.decode())
        for line in lines:
            command = _parse(line)
            if end in command:
                return
            if command:
                seen.append(command)


def _parse(line: bytes) -> Command:
    """A command of a client; empty for what a script did."""
    found = _MONITOR_LINE.match(line.strip())
    if not found or found[1] == b"lua":
        return ()
    return tuple(argument.decode("unicode_escape").encode("latin-1") for argument in _ARGUMENT.findall(found[2]))


def _pack(parts: Iterable[bytes]) -> bytes:
    listed = list(parts)
    return b"*%d\r\n" % len(listed) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in listed)
