"""The certificate authorities of Amazon RDS that the layer ships: there, the right ones, and good for years."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509


@pytest.fixture(scope="module")
def path() -> Path:
    repository = Path(__file__).resolve().parents[2]
    return repository / "layers/firstcome/python/firstcome/adapters/rds_roots.pem"


def test_every_root_is_good_for_years(path: Path) -> None:
    """AWS announces new authorities years ahead: there is time to replace the file once this fails."""
    roots = x509.load_pem_x509_certificates(path.read_bytes())
    for root in roots:
        assert root.issuer == root.subject
        assert root.not_valid_after_utc > datetime.now(UTC) + timedelta(days=3 * 365), root.subject


def test_each_region_has_the_authority_that_the_ledger_is_made_with(path: Path) -> None:
    """CACertificateIdentifier in infra/ledger.yaml: rds-ca-rsa2048-g1."""
    text = path.read_text(encoding="utf-8")
    for region in (
        "us-east-1",
        "us-west-2",
        "eu-west-1",
        "eu-central-1",
        "ap-northeast-2",
        "ap-southeast-1",
        "sa-east-1",
    ):
        assert f"Amazon RDS {region} Root CA RSA2048 G1" in text


def test_openssl_reads_it(path: Path) -> None:
    assert len(ssl.create_default_context(cafile=str(path)).get_ca_certs()) > 80
