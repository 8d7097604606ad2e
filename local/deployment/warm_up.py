"""Starts Lambda workers before a rush.

All at once, a few dozen cold starts on this machine's cores take longer than a client waits. In the cloud each has its
own, so what they would add here says nothing about the product.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

WORKERS_AT_A_TIME = 8
REQUEST_SECONDS = 30


def warm_up(url: str, workers: int) -> None:
    """Ask `url`, which must need no token, from more and more sides at once, up to `workers`."""
    pool = ThreadPoolExecutor(workers)
    try:
        for callers in [*range(WORKERS_AT_A_TIME, workers, WORKERS_AT_A_TIME), workers]:
            # Those that run answer at once; each one beyond them is a new worker.
            list(pool.map(_ask, [url] * callers))
    finally:
        # A Ctrl-C must not wait for cold starts.
        pool.shutdown(wait=False, cancel_futures=True)


def _ask(url: str) -> None:
    address = urlsplit(url)
    connection = HTTPConnection(address.netloc, timeout=REQUEST_SECONDS)
    # A failure here is no failure of the rush, which begins with a cold worker more.
    with closing(connection), suppress(OSError, HTTPException):
        connection.request("GET", address.path)
        connection.getresponse().read()
