"""`make doctor` on the local stack: what can be asked here is asked, and nothing is wrong."""

from local.deployment.account import Account, all_parameters, describe_stack, pairs_of
from local.deployment.deploy import STACK_NAME
from local.deployment.doctor import State, examine
from local.services.ministack import REGION, client
from tests.e2e.conftest import Service


def test_nothing_is_wrong_with_the_local_stack(service: Service) -> None:
    def local(name: str) -> object:
        return client(name, service.stack.aws_endpoint_url)

    parameters = all_parameters({}, pairs_of(describe_stack(local, STACK_NAME), "Parameters"))
    findings = examine(Account(local, REGION, STACK_NAME, is_local=True, parameters=parameters))

    states = {finding.subject: finding.state for finding in findings}
    assert State.WRONG not in states.values(), findings
    assert [states[name] for name in ("redis", "claim_queue", "mysql", "migrations")] == [State.OK] * 4
    assert states["zones"] is State.NOT_ASKED
