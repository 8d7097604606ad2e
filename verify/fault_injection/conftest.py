"""The fault suite's world, on servers of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from verify.fault_injection.servers import Servers, started_servers
from verify.fault_injection.world import World


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """A Redis and a MariaDB."""
    with started_servers(Path(tmp_path_factory.mktemp("faults"))) as started:
        yield started


@pytest.fixture
def world(servers: Servers) -> Iterator[World]:
    """The real handlers on the real servers, the wire between them."""
    made = World(servers)
    with made.running():
        yield made
    made.close()
