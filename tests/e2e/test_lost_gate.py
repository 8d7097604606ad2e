"""Redis wiped under the deployed stack: closed at once, rebuilt by an operator, nobody's coupon changed."""

from tests.e2e.conftest import Answer, Service, campaign_body, eventually
from tests.factories import a_user_id


def _forget(service: Service, campaign_id: str) -> None:
    """Wipe the campaign's gate, as FLUSHALL would wipe all of them; other tests share the server."""
    with service.redis() as client:
        client.delete(*client.keys(f"firstcome:{{{campaign_id}}}:*"))


def _rebuild(service: Service, campaign_id: str) -> Answer:
    return service.as_operator("POST", f"/campaigns/{campaign_id}/rebuild")


def test_a_wiped_gate_is_rebuilt_from_the_ledger_and_ends_exact(service: Service) -> None:
    campaign_id = service.campaign(capacity=6)
    users = [a_user_id() for _ in range(4)]
    told = {user: service.apply(campaign_id, user).body["coupon_code"] for user in users}
    eventually(lambda: service.rows(campaign_id), lambda rows: len(rows) == 4)
    _forget(service, campaign_id)

    closed = service.apply(campaign_id, a_user_id())
    assert (closed.status, closed.code) == (503, "unavailable")
    assert service.as_operator("PUT", f"/campaigns/{campaign_id}", campaign_body(capacity=9)).status == 503

    rebuilt = eventually(lambda: _rebuild(service, campaign_id), lambda answer: answer.status != 409)
    assert rebuilt.status == 200, rebuilt
    assert rebuilt.body == {
        "campaign_id": campaign_id,
        "rebuilt": True,
        # The first of these calls has closed it.
        "gate_was": "fenced",
        "issued": 4,
        "overflow": 0,
        "resent": 0,
        "free_sequences": 0,
        "highest_sequence": 4,
    }
    for user in users:
        again = service.apply(campaign_id, user)
        assert (again.status, again.body["status"], again.body["coupon_code"]) == (200, "issued", told[user])
    late = [service.apply(campaign_id, a_user_id()) for _ in range(3)]
    assert [answer.status for answer in late] == [202, 202, 409]
    eventually(lambda: service.rows(campaign_id), lambda rows: [row[0] for row in rows] == [1, 2, 3, 4, 5, 6])


def test_a_healthy_gate_is_left_as_it_is(service: Service) -> None:
    campaign_id = service.campaign()
    service.apply(campaign_id, "ann")

    answer = _rebuild(service, campaign_id)

    assert (answer.status, answer.body["rebuilt"], answer.body["gate_was"]) == (200, False, "whole")
    assert service.apply(campaign_id, "bob").body["sequence"] == 2


def test_rebuilding_a_campaign_that_nobody_made(service: Service) -> None:
    answer = _rebuild(service, "nobody-made-it")

    assert (answer.status, answer.code) == (404, "campaign_not_found")
