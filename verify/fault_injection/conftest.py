"""The fault suite's world, on the servers of the test run."""

from collections.abc import Iterator

import pytest

from local.deployment.addresses import MysqlAddress
from verify.fault_injection.world import Servers, World


@pytest.fixture
def servers(redis_port: int, migrated_address: MysqlAddress) -> Servers:
    """Where the test run's Redis and MariaDB are."""
    return Servers(redis_port, migrated_address)


@pytest.fixture
def world(servers: Servers) -> Iterator[World]:
    """The real handlers on the real servers, the wire between them."""
    made = World(servers)
    with made.running():
        yield made
    made.close()
