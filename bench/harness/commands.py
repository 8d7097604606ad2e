"""The commands that a piece of code sends to Redis, read by MONITOR: nothing has to be known about that code."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Any

import redis

type Command = tuple[str, ...]


def commands_of(client: redis.Redis, user: str, act: Callable[[], object]) -> list[Command]:
    """The commands with `user` in them that clients send while `act` runs. Their arguments must have no spaces."""
    end = uuid.uuid4().hex
    with client.monitor() as monitor:
        act()
        client.echo(end)
        seen: list[Mapping[str, Any]] = []
        while end not in (command := monitor.next_command())["command"]:
            seen.append(command)
    sent = [str(command["command"]) for command in seen if command["client_type"] != "lua"]
    return [tuple(text.split(" ")) for text in sent if user in text]


def with_other(command: Command, others: Mapping[str, str]) -> Command:
    """The same command with other names in it: of a campaign, a user, a code."""
    changed = command
    for name, other in others.items():
        changed = tuple(part.replace(name, other) for part in changed)
    return changed
