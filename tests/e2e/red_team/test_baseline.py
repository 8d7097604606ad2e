"""What the attacks are measured against: without its fault each request succeeds, and what is public is meant to be."""

import pytest

from tests.e2e.conftest import Service
from tests.e2e.red_team.raw import send
from tests.e2e.red_team.routes import PROTECTED, PUBLIC, Route
from tests.e2e.red_team.tokens import SUBJECT, Forge, bearer


@pytest.mark.parametrize("route", PROTECTED, ids=str)
def test_the_same_request_with_a_good_token_succeeds(service: Service, forge: Forge, route: Route) -> None:
    campaign_id = service.campaign()
    service.apply(campaign_id, SUBJECT)

    answer = send(service, route.method, route.path(campaign_id), bearer(forge.good()), route.body)

    assert 200 <= answer.status < 300, answer


def test_nothing_else_is_public() -> None:
    assert {str(route) for route in PUBLIC} == {
        "GET /campaigns/{campaign_id}",
        "GET /campaigns/{campaign_id}/claim",
        "GET /console",
        "GET /console/{file}",
    }
