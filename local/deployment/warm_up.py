"""Starts Lambda workers before a rush.

All at once, a few dozen cold starts on this machine's cores take longer than a client waits. In the cloud each has its
own, so what they would add here says nothing about the product.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import urllib3

WORKERS_AT_A_TIME = 8
REQUEST_SECONDS = 30


def warm_up(url: str, workers: int) -> None:
    """Request `url`, which must need no token, more and more times at once, up to `workers`."""
    pool = ThreadPoolExecutor(workers)
    http = urllib3.PoolManager(maxsize=workers, retries=False, timeout=REQUEST_SECONDS)

    def ask(_: int) -> None:
        # After a failure one more worker is cold when the rush begins.
        with suppress(urllib3.exceptions.HTTPError):
            http.request("GET", url)

    try:
        for callers in [*range(WORKERS_AT_A_TIME, workers, WORKERS_AT_A_TIME), workers]:
            # Those that run answer at once; each one beyond them is a new worker.
            list(pool.map(ask, range(callers)))
    finally:
        # A Ctrl-C must not wait for cold starts.
        pool.shutdown(wait=False, cancel_futures=True)
