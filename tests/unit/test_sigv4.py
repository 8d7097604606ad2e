"""Our signature must be the one that botocore makes of the same request."""

import calendar
import time
from typing import Any

import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials
from botocore.session import get_session
from hypothesis import given
from hypothesis import strategies as st

from firstcome.adapters.sigv4 import Credentials, Signer, elasticache_token

_printable = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=60)
_hosts = st.sampled_from(["sqs.eu-west-1.amazonaws.com", "127.0.0.1:4566", "vpce-1.sqs.us-east-1.vpce.amazonaws.com"])


_TARGETS = {"sqs": "AmazonSQS.SendMessage", "secretsmanager": "secretsmanager.GetSecretValue"}


def _by_botocore(service: str, mine: Credentials, host: str, body: bytes, timestamp: str) -> dict[str, str]:
    """Sign as botocore does, at an instant of ours."""
    version = get_session().get_service_model(service).metadata["jsonVersion"]
    headers = {"Content-Type": f"application/x-amz-json-{version}", "X-Amz-Target": _TARGETS[service]}
    request = AWSRequest("POST", f"https://{host}/", headers=headers, data=body)
    request.context["timestamp"] = timestamp
    theirs = BotocoreCredentials(mine.access_key_id, mine.secret_access_key, mine.session_token or None)
    auth: Any = SigV4Auth(theirs, service, "eu-west-1")
    # What SigV4Auth.add_auth does after it has asked the clock.
    auth._modify_request_before_signing(request)
    to_sign = auth.string_to_sign(request, auth.canonical_request(request))
    auth._inject_signature_to_request(request, auth.signature(to_sign, request))
    return {name.lower(): value for name, value in request.headers.items()}


def _fields(headers: str) -> dict[str, str]:
    """The headers by name; each is a line of its own."""
    assert headers.endswith("\n")
    return dict(line.split(":", 1) for line in headers.removesuffix("\n").split("\n"))


@given(
    service=st.sampled_from(sorted(_TARGETS)),
    credentials=st.builds(Credentials, _printable, _printable, st.just("") | _printable),
    host=_hosts,
    body=st.binary(max_size=200),
    at=st.integers(1_700_000_000, 2_000_000_000),
)
def test_it_signs_as_botocore_does(service: str, credentials: Credentials, host: str, body: bytes, at: int) -> None:
    timestamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(at))
    assert calendar.timegm(time.strptime(timestamp, "%Y%m%dT%H%M%SZ")) == at

    headers = _fields(Signer(credentials, "eu-west-1", service, _TARGETS[service], host).headers(body, at))

    theirs = _by_botocore(service, credentials, host, body, timestamp)
    names = {"authorization", "x-amz-date", "x-amz-target", "content-type"}
    names |= {"x-amz-security-token"} if credentials.session_token else set()
    assert headers == {name: theirs[name] for name in names} | {"host": host}


@pytest.mark.parametrize("part", ["secret_access_key", "region", "day"])
def test_the_days_key_is_made_again_when_anything_in_it_changes(part: str) -> None:
    def sign(changed: str) -> str:
        credentials = Credentials("key", "other" if changed == "secret_access_key" else "first", "")
        signer = Signer(credentials, "us-east-1" if changed == "region" else "eu-west-1", "sqs", "t", "host")
        return _fields(signer.headers(b"", 1_795_000_000 + 86_400 * (changed == "day")))["authorization"]

    before = sign("nothing")
    assert sign(part) != before
    assert sign("nothing") == before


@given(
    credentials=st.builds(Credentials, _printable, _printable, st.just("") | _printable),
    at=st.integers(1_700_000_000, 2_000_000_000),
)
def test_a_token_for_elasticache_is_the_one_that_botocore_makes(credentials: Credentials, at: int) -> None:
    request = AWSRequest("GET", "http://firstcome-1a2b/", params={"Action": "connect", "User": "firstcome-1a2b"})
    request.context["timestamp"] = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(at))
    theirs = BotocoreCredentials(
        credentials.access_key_id, credentials.secret_access_key, credentials.session_token or None
    )
    auth: Any = SigV4QueryAuth(theirs, "elasticache", "eu-west-1", expires=900)
    auth._modify_request_before_signing(request)
    to_sign = auth.string_to_sign(request, auth.canonical_request(request))
    auth._inject_signature_to_request(request, auth.signature(to_sign, request))

    token = elasticache_token(credentials, "eu-west-1", "firstcome-1a2b", "firstcome-1a2b", at)

    place, _, query = token.partition("?")
    assert place == "firstcome-1a2b/"
    assert sorted(query.split("&")) == sorted(str(request.url).partition("?")[2].split("&"))
