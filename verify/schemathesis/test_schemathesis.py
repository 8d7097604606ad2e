"""Requests made up from docs/openapi.yaml are answered by the deployed stack as it says."""

import pytest

from tests.e2e.conftest import Service
from verify.schemathesis.run import ROLES, run

_EXAMPLES = 5
"""Few, for time's sake; `make schemathesis` tries more of them."""

_SEED = 20261123


@pytest.mark.timeout(300)
@pytest.mark.parametrize("role", ROLES)
def test_schemathesis_finds_nothing(service: Service, role: str) -> None:
    output, status = run(service, role, _EXAMPLES, _SEED)
    assert status == 0, output
    assert "Tested: 18" in output, output
