"""Who a token stands for: any printable subject is a user of its own. What no token may do is in red_team/."""

import pytest

from tests.e2e.conftest import Service


@pytest.mark.parametrize("sub", ["안녕", "a:b:c", "ann ", "'; DROP TABLE coupon; --", "{x}", "💥" * 128])
def test_any_printable_subject_is_a_user_of_its_own(service: Service, sub: str) -> None:
    campaign_id = service.campaign()
    service.apply(campaign_id, "ann")

    first, again = service.apply(campaign_id, sub), service.apply(campaign_id, sub)

    assert (first.status, first.body["sequence"]) == (202, 2)
    assert again.body["coupon_code"] == first.body["coupon_code"]


def test_a_user_named_in_the_body_is_ignored(service: Service) -> None:
    campaign_id = service.campaign()

    answer = service.as_user("POST", f"/campaigns/{campaign_id}/coupons", "ann", {"user_id": "bob", "sub": "bob"})

    assert answer.status == 202
    mine = service.as_user("GET", f"/campaigns/{campaign_id}/coupons/mine", "bob")
    assert mine.status == 404
