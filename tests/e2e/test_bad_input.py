"""Bad input of every kind: the documented error, no 5xx, nothing changed."""

import pytest

from tests.e2e.conftest import Service, campaign_body
from tests.factories import a_campaign_id


@pytest.mark.parametrize("campaign_id", ["with%20space", "UPPER", "-dash", "x" * 64, "%EC%95%88", "a_b", "a.b", "%00"])
@pytest.mark.parametrize(("method", "rest"), [("POST", "/coupons"), ("GET", "/coupons/mine"), ("GET", "")])
def test_a_campaign_id_that_cannot_be_one(service: Service, campaign_id: str, method: str, rest: str) -> None:
    answer = service.as_user(method, f"/campaigns/{campaign_id}{rest}", "ann")

    assert (answer.status, answer.code) == (400, "invalid_campaign_id"), answer


@pytest.mark.parametrize("size", [10_001, 1_000_000, 10_000_000])
def test_a_large_body_is_refused_unread(service: Service, size: int) -> None:
    campaign_id = service.campaign()

    put = service.as_operator("PUT", f"/campaigns/{campaign_id}", "x" * size)
    post = service.as_user("POST", f"/campaigns/{campaign_id}/coupons", "ann", "x" * size)

    assert (put.status, put.code) == (413, "body_too_large")
    assert (post.status, post.code) == (413, "body_too_large")
    assert service.call("GET", f"/campaigns/{campaign_id}").body["remaining"] == 10


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ("this is no JSON", {"body"}),
        ("", {"body"}),
        ("[]", {"body"}),
        ("[" * 9_000, {"body"}),
        (b"\xff\xfe\x00", {"body"}),
        ({}, {"name", "capacity", "opens_at", "closes_at"}),
        (campaign_body(capacity=-1), {"capacity"}),
        (campaign_body(capacity=0), {"capacity"}),
        (campaign_body(capacity=10_000_001), {"capacity"}),
        (campaign_body(capacity="10"), {"capacity"}),
        (campaign_body(capacity=True), {"capacity"}),
        (campaign_body(capacity=1.5), {"capacity"}),
        (campaign_body(name=""), {"name"}),
        (campaign_body(name="x" * 201, capacity=None), {"name", "capacity"}),
        (campaign_body(closes_at="2019-01-01T00:00:00Z"), {"closes_at"}),
        (campaign_body(closes_at="2020-01-01T00:00:00Z"), {"closes_at"}),
        (campaign_body(opens_at="tomorrow"), {"opens_at"}),
        (campaign_body(opens_at="2026-02-30T00:00:00Z"), {"opens_at"}),
        (campaign_body(opens_at="2026-01-01 10:00"), {"opens_at"}),
        (campaign_body(opens_at=1_700_000_000), {"opens_at"}),
        (campaign_body(colour="red"), {"colour"}),
    ],
    ids=str,
)
def test_a_body_that_describes_no_campaign(service: Service, body: object, fields: set[str]) -> None:
    campaign_id = a_campaign_id()

    answer = service.as_operator("PUT", f"/campaigns/{campaign_id}", body)

    assert (answer.status, answer.code) == (422, "invalid_campaign"), answer
    assert {error["field"] for error in answer.body["errors"]} == fields
    assert all(error["field"] in answer.body["detail"] for error in answer.body["errors"])
    assert service.call("GET", f"/campaigns/{campaign_id}").status == 404


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "after=-1", "after=1e3", "after=99999999999"])
def test_a_page_that_cannot_be_one(service: Service, query: str) -> None:
    campaign_id = service.campaign()

    answer = service.as_operator("GET", f"/campaigns/{campaign_id}/coupons?{query}")

    assert (answer.status, answer.code) == (400, "invalid_parameter"), answer


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/nothing"),
        ("DELETE", "/campaigns/x"),
        ("POST", "/campaigns"),
        ("GET", "/campaigns/x/y/z"),
    ],
)
def test_a_route_that_does_not_exist(service: Service, method: str, path: str) -> None:
    answer = service.as_operator(method, path)

    assert answer.status == 404, answer
    assert answer.body == {"message": "Not Found"}
