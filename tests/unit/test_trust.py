"""Whose certificates are taken: a server of RDS is held to RDS's bundle, all others to the system's store."""

import ssl
from pathlib import Path

import pytest

from firstcome.adapters import trust
from firstcome.domain.errors import SettingsError
from tests.integration.certificates import Authority

_RDS = "ledger.abc123.eu-west-1.rds.amazonaws.com"


@pytest.mark.parametrize(
    "host",
    [
        "master.gate.abc123.euw1.cache.amazonaws.com",
        # RDS Proxy has a certificate of AWS's public authority, unlike the servers behind it.
        "ledger.proxy-abc123.eu-west-1.rds.amazonaws.com",
        "rds.amazonaws.com.example",
        "127.0.0.1",
    ],
)
def test_a_host_is_held_to_the_systems_store(host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = tmp_path / "store.pem"
    store.write_bytes(Authority("The system").pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(store))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))

    context = trust.context_for(host)

    assert len(context.get_ca_certs()) == 1
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2


def test_a_server_of_rds_is_held_to_the_packaged_bundle_and_to_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tmp_path / "rds_roots.pem"
    bundle.write_bytes(Authority("RDS").pem)
    monkeypatch.setattr(trust, "_RDS_ROOTS", str(bundle))

    context = trust.context_for(_RDS)

    assert len(context.get_ca_certs()) == 1
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


def test_without_the_bundle_it_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trust, "_RDS_ROOTS", str(tmp_path / "missing.pem"))

    with pytest.raises(SettingsError, match=r"rds_roots\.pem"):
        trust.context_for(_RDS)
