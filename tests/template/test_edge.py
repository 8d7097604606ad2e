"""infra/edge.yaml: what is cached, what is refused, and what the API is told."""

from typing import Any

from firstcome.http_api import EDGE_HEADER
from tests.template.cloudformation import nested, properties

_KEEPS_NOTHING = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"


def _distribution() -> dict[str, Any]:
    found: dict[str, Any] = nested("edge")["Resources"]["Distribution"]["Properties"]["DistributionConfig"]
    return found


def test_the_token_is_sent_in_the_header_that_the_api_looks_at() -> None:
    (origin,) = _distribution()["Origins"]
    assert origin["OriginCustomHeaders"] == [{"HeaderName": EDGE_HEADER, "HeaderValue": {"Ref": "EdgeToken"}}]
    assert origin["CustomOriginConfig"]["OriginProtocolPolicy"] == "https-only"
    assert nested("edge")["Parameters"]["EdgeToken"]["NoEcho"] is True


def test_nothing_that_is_somebodys_own_is_kept() -> None:
    behaviours = _distribution()["CacheBehaviors"]
    assert [made["PathPattern"] for made in behaviours] == ["/campaigns/*/*", "/campaigns/*", "/console*"]
    assert behaviours[0]["CachePolicyId"] == _distribution()["DefaultCacheBehavior"]["CachePolicyId"] == _KEEPS_NOTHING
    policy = nested("edge")["Resources"]["PublicCache"]["Properties"]["CachePolicyConfig"]
    # What does not say that it may be kept is not.
    assert (policy["MinTTL"], policy["DefaultTTL"]) == (0, 0)
    # The viewer's Host is not the API's.
    assert policy["ParametersInCacheKeyAndForwardedToOrigin"]["HeadersConfig"]["Headers"] == ["Origin"]


def test_every_request_is_looked_at_and_a_flood_of_one_address_is_refused() -> None:
    assert _distribution()["WebACLId"] == {"Fn::GetAtt": ["Firewall", "Arn"]}
    firewall = nested("edge")["Resources"]["Firewall"]["Properties"]
    first = firewall["Rules"][0]
    assert first["Statement"]["RateBasedStatement"]["Limit"] == {"Ref": "RequestsPerAddress"}
    assert first["Action"] == {"Block": {}}
    names = [rule["Name"] for rule in firewall["Rules"] if "Name" in rule]
    assert names == ["rate", "reputation", "bad-inputs", "common"]


def test_the_public_campaign_may_be_asked_for_without_a_token() -> None:
    """CloudFront takes the Authorization header from a request that it may answer from its cache."""
    public = properties("ApplyFunction")["Events"]["ShowCampaign"]["Properties"]
    assert (public["Path"], public["Auth"]) == ("/campaigns/{campaign_id}", {"Authorizer": "NONE"})
