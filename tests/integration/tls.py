"""Servers of which only some are to be trusted, and what is common to the tests of the gate's and the ledger's."""

import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from firstcome.adapters import aws
from tests.integration.certificates import Authority, Certificate

OUR_OWN, ANOTHERS = Authority("Firstcome's tests"), Authority("Somebody else")

USER, PASSWORD = "tls_user", "throwaway-Password-7f3a9c"
"""Of the ledger."""


@dataclass(frozen=True)
class Refused:
    """A server that must not be talked to.

    Attributes:
        verify_codes: OpenSSL's reasons for that, so that it is not refused for another one (X509_V_ERR_*).
    """

    name: str
    certificate: Certificate
    verify_codes: Sequence[int]

    def __str__(self) -> str:
        return self.name

    @property
    def is_out_of_date(self) -> bool:
        """Whether it is not valid now."""
        return self.verify_codes in ([9], [10])


LOCALHOST = OUR_OWN.sign(["localhost", "127.0.0.1"])

REFUSED = [
    Refused("another authority", ANOTHERS.sign(["localhost"]), [19, 20]),
    Refused("another name", OUR_OWN.sign(["ledger.example", "127.0.0.1"]), [62]),
    Refused("an address only", OUR_OWN.sign(["127.0.0.1"]), [62]),
    Refused("a name that begins like it", OUR_OWN.sign(["localhost.example", "*.localhost"]), [62]),
    Refused("expired a day ago", OUR_OWN.sign(["localhost"], until=-timedelta(days=1)), [10]),
    Refused("valid from tomorrow on", OUR_OWN.sign(["localhost"], until=timedelta(days=4)), [9]),
]


@pytest.fixture
def trusting(
    empty_environment: Callable[[str, str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str, str], None]:
    """A function's environment that trusts our own authority; returns a way to set more of it."""
    roots = tmp_path / "roots.pem"
    roots.write_bytes(OUR_OWN.pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(roots))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))
    monkeypatch.setattr(aws, "secret_login", lambda *_: aws.Login(USER, PASSWORD))
    for name, text in {
        "REDIS_HOST": "localhost",
        "REDIS_TLS": "true",
        "GATE_REPLICA_ACKS": "0",
        "MYSQL_HOST": "localhost",
        "MYSQL_TLS": "true",
        "MYSQL_DATABASE": "firstcome",
        "MYSQL_SECRET_ARN": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:x",
    }.items():
        empty_environment(name, text)
    return empty_environment


def verify_code(error: BaseException | None) -> int:
    """The reason for which a certificate was refused, anywhere among an error's causes; 0 for none."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return error.verify_code
        error = error.__cause__ or error.__context__
    return 0
