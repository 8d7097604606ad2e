"""Which certificate authorities a server's certificate may come from."""

import os.path
import ssl

from firstcome.domain.errors import SettingsError

_AMAZON = (".amazonaws.com", ".amazonaws.com.cn")
_AMAZON_ROOTS = os.path.join(os.path.dirname(__file__), "amazon_roots.pem")

_RDS = (".rds.amazonaws.com", ".rds.amazonaws.com.cn")
_RDS_PROXY = ".proxy-"
_RDS_ROOTS = os.path.join(os.path.dirname(__file__), "rds_roots.pem")
"""AWS's bundle for RDS, which whoever deploys fetches before the build: see README, "Deploy"."""


def context_for(host: str) -> ssl.SSLContext:
    """Make a context that verifies the certificate and the name of this host, with TLS 1.2 or newer.

    Amazon's own hosts are held to the five roots of Amazon Trust Services (https://www.amazontrust.com/repository/):
    nobody else may speak for them, and reading five certificates takes a twentieth of the time of the system's store.
    A server of RDS has a certificate of RDS's own authorities instead. Any other host is held to the system's store,
    which SSL_CERT_FILE replaces.

    Raises:
        SettingsError: the host is a server of RDS, and the bundle was not packaged.
    """
    roots = _AMAZON_ROOTS if host.endswith(_AMAZON) else None
    if host.endswith(_RDS) and _RDS_PROXY not in host:
        if not os.path.exists(_RDS_ROOTS):
            raise SettingsError("the layer was built without rds_roots.pem, which verifies RDS: see README, Deploy")
        roots = _RDS_ROOTS
    context = ssl.create_default_context(cafile=roots)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
