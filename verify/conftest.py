"""The servers of the tests, for what proves the guarantees too."""

from tests.conftest import (
    empty_environment,
    migrated_address,
    mysql_address,
    mysql_server,
    processes,
    redis_port,
    redis_server,
    repository,
    service,
    workspace,
)

__all__ = [
    "empty_environment",
    "migrated_address",
    "mysql_address",
    "mysql_server",
    "processes",
    "redis_port",
    "redis_server",
    "repository",
    "service",
    "workspace",
]
