"""CONTAINER_HOST: which addresses the services may listen on."""

import pytest

from local.deployment.sam_env_vars import container_host
from local.errors import LocalStackError


@pytest.mark.parametrize(
    ("given", "host"),
    [({}, ""), ({"CONTAINER_HOST": "127.0.0.1"}, ""), ({"CONTAINER_HOST": " 172.17.0.1 "}, "172.17.0.1")],
)
def test_a_private_address_is_taken(given: dict[str, str], host: str) -> None:
    assert container_host(given) == host


@pytest.mark.parametrize("text", ["0.0.0.0", "0", "::", "docker0", "224.0.0.1", "8.8.8.8"])  # noqa: S104 - refused
def test_any_other_is_refused(text: str) -> None:
    with pytest.raises(LocalStackError, match=f"^CONTAINER_HOST={text}: give a private IPv4 address"):
        container_host({"CONTAINER_HOST": text})
