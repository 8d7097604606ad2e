"""Whose certificates are taken: Amazon's hosts are held to Amazon's own roots, all others to the system's store."""

import hashlib
import ssl
from pathlib import Path

import pytest

from firstcome.adapters import trust
from firstcome.domain.errors import SettingsError

# https://www.amazontrust.com/repository/ publishes these digests beside the certificates.
_AMAZON = {
    "Amazon Root CA 1": "8ecde6884f3d87b1125ba31ac3fcb13d7016de7f57cc904fe1cb97c6ae98196e",
    "Amazon Root CA 2": "1ba5b2aa8c65401a82960118f80bec4f62304d83cec4713a19c39c011ea46db4",
    "Amazon Root CA 3": "18ce6cfe7bf14e60b2e347b8dfe868cb31d02ebb3ada271569f50343b46db3a4",
    "Amazon Root CA 4": "e35d28419ed02025cfa69038cd623962458da5c695fbdea3c22b0bfb25897092",
    "Starfield Services Root Certificate Authority - G2": (
        "568d6905a2c88708a4b3025190edcfedb1974a606a13c6e5290fcb2ae63edab5"
    ),
}


@pytest.mark.parametrize(
    "host",
    [
        "sqs.eu-west-1.amazonaws.com",
        "master.gate.abc123.euw1.cache.amazonaws.com",
        "sqs.cn-north-1.amazonaws.com.cn",
        # RDS Proxy has a certificate of AWS's public authority, unlike the servers behind it.
        "ledger.proxy-abc123.eu-west-1.rds.amazonaws.com",
    ],
)
def test_amazons_hosts_are_held_to_amazons_roots(host: str) -> None:
    context = trust.context_for(host)

    found = {hashlib.sha256(certificate).hexdigest() for certificate in context.get_ca_certs(binary_form=True)}
    assert found == set(_AMAZON.values())


@pytest.mark.parametrize("host", ["redis.example", "amazonaws.com.example", "notamazonaws.com", "127.0.0.1"])
def test_other_hosts_are_held_to_the_systems_store(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[ssl.Purpose] = []
    monkeypatch.setattr(ssl.SSLContext, "load_default_certs", lambda _, purpose: loaded.append(purpose))

    context = trust.context_for(host)

    assert loaded == [ssl.Purpose.SERVER_AUTH]
    assert context.get_ca_certs() == []


@pytest.mark.parametrize("host", ["sqs.eu-west-1.amazonaws.com", "redis.example"])
def test_every_server_must_prove_its_name(host: str) -> None:
    context = trust.context_for(host)

    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2


_RDS = "ledger.abc123.eu-west-1.rds.amazonaws.com"


def test_a_server_of_rds_is_held_to_the_packaged_bundle_and_to_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = trust._AMAZON_ROOTS
    first = Path(one).read_text(encoding="utf-8").partition("-----END CERTIFICATE-----")
    bundle = tmp_path / "rds_roots.pem"
    bundle.write_text(first[0] + first[1], encoding="utf-8")
    monkeypatch.setattr(trust, "_RDS_ROOTS", str(bundle))

    context = trust.context_for(_RDS)

    assert len(context.get_ca_certs()) == 1
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


def test_without_the_bundle_it_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trust, "_RDS_ROOTS", str(tmp_path / "missing.pem"))

    with pytest.raises(SettingsError, match=r"rds_roots\.pem"):
        trust.context_for(_RDS)
