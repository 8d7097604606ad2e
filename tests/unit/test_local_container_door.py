"""CONTAINER_HOST: which addresses are taken, and what a function in a container is told."""

import socket

import pytest

from local.deployment.addresses import FunctionNames, MysqlAddress, Stack
from local.deployment.container_door import container_host, seen_through, service_ports
from local.errors import LocalStackError

_STACK = Stack(
    api_url="http://127.0.0.1:7003/_aws/execute-api/a/$default",
    redis_url="redis://127.0.0.1:7001/0",
    mysql=MysqlAddress("127.0.0.1", 7002, "firstcome", "throwaway", "firstcome"),
    claim_queue_url="http://127.0.0.1:7003/000000000000/q",
    dead_letter_queue_url="http://127.0.0.1:7003/000000000000/d",
    aws_endpoint_url="http://127.0.0.1:7003",
    region="us-east-1",
    functions=FunctionNames("a", "d", "r", "m"),
    jwt_issuer="http://127.0.0.1:7004",
)


@pytest.mark.parametrize("given", [{}, {"CONTAINER_HOST": ""}, {"CONTAINER_HOST": "127.0.0.1"}])
def test_without_an_address_there_is_no_door(given: dict[str, str]) -> None:
    assert container_host(given) == ""


def test_an_address_of_this_machine_is_taken() -> None:
    assert container_host({"CONTAINER_HOST": " 127.0.0.2 "}) == "127.0.0.2"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("0.0.0.0", "all addresses"),  # noqa: S104 - must be refused
        ("0", "no IPv4 address"),
        ("::", "no IPv4 address"),
        ("docker0", "no IPv4 address"),
        ("192.0.2.77", "no address of this machine"),
        ("10.255.255.254", "no address of this machine"),
        ("224.0.0.1", "stands for many machines"),
        ("255.255.255.255", "stands for many machines"),
        ("8.8.8.8", "a public address"),
    ],
)
def test_any_other_address_is_refused_with_its_reason(text: str, reason: str) -> None:
    with pytest.raises(LocalStackError, match=reason) as caught:
        container_host({"CONTAINER_HOST": text})
    assert f"CONTAINER_HOST={text}" in str(caught.value)
    assert "ip -4 address" in caught.value.advice


def test_what_was_tried_is_let_go_again() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.2", 0))
        assert container_host({"CONTAINER_HOST": "127.0.0.2"})


def test_functions_need_the_stores_and_the_endpoint_but_not_the_issuer() -> None:
    assert sorted(service_ports(_STACK)) == [7001, 7002, 7003]


def test_what_names_a_service_names_it_behind_the_door_and_the_rest_stays() -> None:
    variables = {
        "REDIS_HOST": "127.0.0.1",
        "REDIS_PORT": "7001",
        "CLAIM_QUEUE_URL": _STACK.claim_queue_url,
        "AWS_ENDPOINT_URL_SQS": _STACK.aws_endpoint_url,
        # For the browser, which is not in the container.
        "OIDC_ISSUER": _STACK.jwt_issuer,
        "NOT_OURS": "http://127.0.0.1:70030/x",
    }
    assert seen_through("10.0.0.1", service_ports(_STACK), variables) == {
        **variables,
        "REDIS_HOST": "10.0.0.1",
        "CLAIM_QUEUE_URL": "http://10.0.0.1:7003/000000000000/q",
        "AWS_ENDPOINT_URL_SQS": "http://10.0.0.1:7003",
    }
