"""The door for functions in containers: the stack's ports on one more address of this machine.

A container's 127.0.0.1 is its own, so a function that `sam local invoke` runs there does not reach services on this
machine's. `make up CONTAINER_HOST=ADDRESS` opens their ports on that address too, the container bridge's. The services
themselves stay on 127.0.0.1 and see connections from there: Redis has no password, and MariaDB's user belongs to it.

Run as `python -m local.deployment.container_door ADDRESS PORT...`.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from urllib.parse import urlsplit

import psutil

from local.deployment.addresses import Stack
from local.deployment.workspace import Workspace
from local.errors import LocalStackError, run_command
from local.services.ports import HOST
from local.services.processes import ROOT, Processes, Program, wait_until_ready

NAME = "container-door"
CHUNK_BYTES = 65_536
BROADCAST = ipaddress.IPv4Address("255.255.255.255")
ADVICE = "Give the container bridge's: ip -4 address show docker0 (or podman0). A bridge is there once a container ran."


def container_host(environment: Mapping[str, str]) -> str:
    """The address that CONTAINER_HOST asks for; empty for none. Raises `LocalStackError` when it cannot be had."""
    text = environment.get("CONTAINER_HOST", "").strip()
    if not text or text == HOST:
        # The services are there anyway.
        return ""
    shown = f"CONTAINER_HOST={text[:60]}"
    try:
        address = ipaddress.IPv4Address(text)
    except ValueError:
        raise LocalStackError(f"{shown} is no IPv4 address.", advice=ADVICE) from None
    unusable = _why_not(address)
    if unusable:
        raise LocalStackError(f"{shown} {unusable}.", advice=ADVICE)
    return text


def service_ports(stack: Stack) -> tuple[int, ...]:
    """The ports that functions need. The issuer's is not among them: browsers use it, and the API."""
    urls = (stack.redis_url, stack.aws_endpoint_url)
    return (stack.mysql.port, *(port for url in urls if (port := urlsplit(url).port)))


def open_door(processes: Processes, workspace: Workspace, address: str, ports: Sequence[int]) -> None:
    """Listen on `address` with these ports, and forward to the same ports of 127.0.0.1."""
    command = [sys.executable, "-m", "local.deployment.container_door", address, *map(str, ports)]
    program = Program(NAME, command, workspace.service_environment(), ROOT, workspace.log(NAME))
    process = processes.start(program)
    wait_until_ready(process, program, lambda: _listens(process.pid, ports))


def seen_through(address: str, ports: Sequence[int], variables: Mapping[str, str]) -> dict[str, str]:
    """A function's variables for a container: what names a service of 127.0.0.1 names it behind the door."""
    return {name: _behind_door(value, address, ports) for name, value in variables.items()}


def main() -> None:
    """Forward until stopped."""
    asyncio.run(_serve(sys.argv[1], [int(port) for port in sys.argv[2:]]))


def _behind_door(value: str, address: str, ports: Sequence[int]) -> str:
    if value == HOST:
        return address
    for port in ports:
        here = f"http://{HOST}:{port}"
        if value == here or value.startswith(f"{here}/"):
            return f"http://{address}:{port}{value.removeprefix(here)}"
    return value


def _listens(pid: int, ports: Sequence[int]) -> bool:
    # Whether it is the door that answers: something else may have a port of that address.
    with suppress(psutil.Error):
        connections = psutil.Process(pid).net_connections("inet")
        return set(ports) <= {each.laddr.port for each in connections if each.status == psutil.CONN_LISTEN}
    return False


def _why_not(address: ipaddress.IPv4Address) -> str:
    """Why the door may not open there; empty when it may."""
    if address.is_unspecified:
        return "stands for all addresses, and the stack's services want no password"
    if address.is_multicast or address == BROADCAST:
        return "stands for many machines"
    if address.is_global:
        return "is a public address, and the stack's services want no password"
    with socket.socket() as probe:
        try:
            probe.bind((str(address), 0))
        except OSError:
            return "is no address of this machine"
    return ""


async def _serve(address: str, ports: Sequence[int]) -> None:
    servers = [await asyncio.start_server(partial(_forward, port), address, port) for port in ports]
    await asyncio.gather(*(server.serve_forever() for server in servers))


async def _forward(port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        onward_reader, onward_writer = await asyncio.open_connection(HOST, port)
        await asyncio.gather(_pump(reader, onward_writer), _pump(onward_reader, writer))
    writer.close()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    # An end is passed on as an end: the other direction may still have something to say.
    with suppress(OSError):
        while data := await source.read(CHUNK_BYTES):
            sink.write(data)
            await sink.drain()
    with suppress(OSError):
        if sink.can_write_eof():
            sink.write_eof()


if __name__ == "__main__":
    run_command(main)
