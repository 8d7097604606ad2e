"""A Redis cluster of three nodes on this machine."""

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic, sleep
from typing import Any

import redis
from redis.crc import key_slot

from firstcome.adapters.redis.connect import Server, Timeouts
from firstcome.adapters.redis.credentials import GateCredentials
from firstcome.adapters.redis.gate import GateKeys, RedisGate
from firstcome.settings import RedisSettings
from local.deployment.workspace import Workspace
from local.services.ports import HOST, free_port
from local.services.processes import Processes, Program
from local.services.programs import find_program
from tests.timeouts import PATIENT

SLOTS = 16_384


@dataclass(frozen=True)
class RedisTestCluster:
    """The cluster; `nodes` are clients of its nodes."""

    nodes: tuple["redis.Redis", ...]

    def gate(self, credentials: GateCredentials | None = None, timeouts: Timeouts = PATIENT) -> RedisGate:
        """Make a gate with connections of its own."""
        port = self.nodes[0].get_connection_kwargs()["port"]
        where = RedisSettings(HOST, port, use_tls=False, replica_acks=0, is_cluster=True)
        return RedisGate(Server(where, credentials, timeouts))

    def flush(self) -> None:
        """Empty all nodes."""
        for node in self.nodes:
            node.flushall()

    def owner(self, campaign_id: str) -> "redis.Redis":
        """The node that a campaign is on."""
        key = GateKeys(campaign_id).campaign
        (owner,) = [node for node in self.nodes if _has(node, key)]
        return owner

    def migrate(self, campaign_id: str, during: Callable[[], None] = lambda: None) -> None:
        """Move the slot of a campaign to another node, as redis-cli does, one key after the other."""
        slot = key_slot(GateKeys(campaign_id).campaign.encode())
        source = self.owner(campaign_id)
        target = next(node for node in self.nodes if node is not source)
        source_id, target_id = (node.execute_command("CLUSTER MYID").decode() for node in (source, target))
        target.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", source_id)
        source.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", target_id)
        port = target.get_connection_kwargs()["port"]
        while keys := source.execute_command("CLUSTER GETKEYSINSLOT", slot, 1):
            during()
            source.execute_command("MIGRATE", HOST, port, "", 0, 5_000, "KEYS", *keys)
        for node in (target, source, *self.nodes):
            node.execute_command("CLUSTER SETSLOT", slot, "NODE", target_id)


def start_cluster(processes: Processes, workspace: Workspace) -> RedisTestCluster:
    """Start three nodes and make a cluster of them."""
    nodes = tuple(_start(processes, workspace, number, free_port()) for number in range(3))
    for number, node in enumerate(nodes):
        node.execute_command("CLUSTER ADDSLOTS", *range(number * SLOTS // 3, (number + 1) * SLOTS // 3))
        for other in nodes:
            bus = other.config_get("cluster-port")["cluster-port"]
            node.execute_command("CLUSTER MEET", HOST, other.get_connection_kwargs()["port"], bus)
    deadline = monotonic() + 60
    while not all(_is_complete(node) for node in nodes):
        assert monotonic() < deadline, "the nodes did not find each other"
        sleep(0.05)
    return RedisTestCluster(nodes)


def _start(processes: Processes, workspace: Workspace, number: int, port: int) -> "redis.Redis":
    name = f"redis-node-{number}"
    folder = workspace.data / name
    folder.mkdir(exist_ok=True)
    settings: dict[str, Any] = {
        "port": port,
        "cluster-port": free_port(),
        "cluster-enabled": "yes",
        "dir": folder,
        "save": "",
        "bind": HOST,
    }
    options = [str(part) for setting, value in settings.items() for part in (f"--{setting}", value)]
    command = [find_program("redis-server", "valkey-server"), *options]
    log = workspace.log(name)
    processes.start(Program(name, command, workspace.service_environment(), folder, log, port))
    return redis.Redis(port=port)


def _is_complete(node: "redis.Redis") -> bool:
    found = node.execute_command("CLUSTER INFO")
    return bool(found["cluster_state"] == "ok" and found["cluster_known_nodes"] == "3")


def _has(node: "redis.Redis", key: str) -> bool:
    try:
        return bool(node.exists(key))
    except redis.ResponseError:
        # Another node has it.
        return False
