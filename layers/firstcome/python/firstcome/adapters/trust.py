"""Which certificate authorities a server's certificate may come from."""

import os.path
import ssl

from firstcome.domain.errors import SettingsError

_RDS = (".rds.amazonaws.com", ".rds.amazonaws.com.cn")
_RDS_PROXY = ".proxy-"
_RDS_ROOTS = os.path.join(os.path.dirname(__file__), "rds_roots.pem")
"""AWS's bundle for RDS, which whoever deploys fetches before the build: see README, "Deploy"."""


def context_for(host: str) -> ssl.SSLContext:
    """Make a context that verifies the certificate and the name of this host, with TLS 1.2 or newer.

    A server of RDS has a certificate of RDS's own authorities. Any other host is held to the system's store, which
    SSL_CERT_FILE replaces.

    Raises:
        SettingsError: the host is a server of RDS, and the bundle was not packaged.
    """
    is_rds = host.endswith(_RDS) and _RDS_PROXY not in host
    if is_rds and not os.path.exists(_RDS_ROOTS):
        raise SettingsError("the layer was built without rds_roots.pem, which verifies RDS: see README, Deploy")
    context = ssl.create_default_context(cafile=_RDS_ROOTS if is_rds else None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
