"""`make up CONTAINER_HOST=ADDRESS`: the services on one more address, for functions in containers, and on no other."""

import json
import re
import socket
from collections.abc import Iterator

import psutil
import pytest
from samcli.local.lambdafn.env_vars import EnvironmentVariables

from local.commands.invoke import find_function, read_event, run_function
from local.deployment.container_door import NAME, open_door, service_ports
from local.deployment.sam_env_vars import deployed_variables
from local.deployment.workspace import Workspace
from local.errors import LocalStackError
from local.services.ministack import CREDENTIALS, REGION
from local.services.processes import Processes
from tests.documented_events import FOLDER as _EVENTS
from tests.e2e.conftest import Service
from tests.template.cloudformation import FUNCTIONS, variables

_ADDRESS = "127.0.0.2"
"""In place of a container bridge's, which a machine need not have."""


@pytest.fixture
def ports(service: Service) -> tuple[int, ...]:
    """The ports of the stack's services."""
    return service_ports(service.stack)


@pytest.fixture
def door(ports: tuple[int, ...], processes: Processes, workspace: Workspace) -> Iterator[str]:
    """An open door to the stack of the tests; its address."""
    open_door(processes, workspace, _ADDRESS, ports)
    yield _ADDRESS
    processes.forget(NAME)


def _listeners(ports: tuple[int, ...]) -> set[tuple[str, int]]:
    return {
        (connection.laddr.ip, connection.laddr.port)
        for connection in psutil.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port in ports
    }


def test_without_the_door_the_services_listen_on_127_0_0_1_only(ports: tuple[int, ...]) -> None:
    assert _listeners(ports) == {("127.0.0.1", port) for port in ports}


def test_with_it_they_listen_on_that_address_too_and_nowhere_else(door: str, ports: tuple[int, ...]) -> None:
    assert len(ports) == 3
    assert _listeners(ports) == {(address, port) for address in ("127.0.0.1", door) for port in ports}


def test_a_port_that_is_taken_there_is_said(ports: tuple[int, ...], processes: Processes, workspace: Workspace) -> None:
    with socket.socket() as other:
        other.bind((_ADDRESS, 0))
        other.listen()
        with pytest.raises(LocalStackError, match=f"{NAME} ended") as caught:
            open_door(processes, workspace, _ADDRESS, [other.getsockname()[1]])
    processes.forget(NAME)
    assert "address already in use" in str(caught.value)
    assert "Traceback" not in str(caught.value)


def test_nothing_that_a_function_is_told_is_on_the_containers_own_127_0_0_1(door: str, service: Service) -> None:
    told = deployed_variables(service.stack, Workspace(service.folder), door)
    assert sorted(told) == sorted(FUNCTIONS)
    left = {name for some in told.values() for name, value in some.items() if "127.0.0.1" in value}
    # Where a browser signs in; it is not in the container.
    assert left == {"OIDC_ISSUER"}


@pytest.mark.parametrize(
    "answered",
    [
        ("AdminFunction", "stats", {"statusCode": 200}),
        ("ApplyFunction", "apply", {"statusCode": 202}),
        ("DrainFunction", "drain-mixed", {"batchItemFailures": []}),
        ("RelayFunction", "relay", {"refused": 0}),
        ("ConsoleFunction", "console", {"statusCode": 200}),
    ],
    ids=lambda answered: answered[0],
)
def test_what_sam_local_hands_on_is_enough_to_reach_all_that_the_function_uses(
    door: str,
    service: Service,
    processes: Processes,
    workspace: Workspace,
    answered: tuple[str, str, dict[str, object]],
) -> None:
    function, event, expected = answered
    told = deployed_variables(service.stack, Workspace(service.folder), door)[function]
    built = find_function(service.folder / "build", function)
    text = re.sub(r"\bdemo\b", service.campaign(), read_event(_EVENTS / f"{event}.json"))

    ran = run_function(processes, workspace, built, text, _as_sam_local_does(function, told))

    assert not ran.invocation.failed, ran.log
    answer = json.loads(ran.answer)
    assert {name: answer.get(name) for name in expected} == expected, (answer, ran.log)


def _as_sam_local_does(function: str, told: dict[str, str]) -> dict[str, str]:
    """Let aws-sam-cli itself choose: of the file it takes only what the template declares."""
    chosen = EnvironmentVariables(
        function_name=function,
        function_memory=512,
        function_timeout=30,
        function_handler="app.lambda_handler",
        variables=variables(function),
        override_values=told,
        # Of whoever calls it; the tests' endpoint wants to know who asks.
        aws_creds={
            "region": REGION,
            "key": CREDENTIALS["AWS_ACCESS_KEY_ID"],
            "secret": CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        },
    ).resolve()
    assert "AWS_ENDPOINT_URL" not in chosen
    return {name: value for name, value in chosen.items() if not name.startswith("AWS_LAMBDA_")}
