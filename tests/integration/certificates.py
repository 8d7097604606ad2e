"""Certificate authorities of the tests' own, and what they sign."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import trustme

_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Certificate:
    """A server's certificate, its key, and the authority that signed it, as PEM."""

    cert: bytes
    key: bytes
    ca: bytes


class Authority:
    """A root that nothing else trusts."""

    def __init__(self, name: str) -> None:
        self._ca = trustme.CA(organization_name=name)

    @property
    def pem(self) -> bytes:
        return self._ca.cert_pem.bytes()

    def sign(self, hosts: Sequence[str], until: timedelta = _DAY) -> Certificate:
        """Make the certificate of a server with these names and addresses, valid for that long from now on."""
        end = datetime.now(UTC) + until
        leaf = self._ca.issue_cert(*hosts, not_before=end - 3 * _DAY, not_after=end)
        (cert,) = leaf.cert_chain_pems
        return Certificate(cert.bytes(), leaf.private_key_pem.bytes(), self.pem)
