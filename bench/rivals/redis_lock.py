"""(d) redis-py's Lock around count and insert. Exact while the lock holds; a waiting client asks again every 0.1 s."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.rivals.rival import Apply, Campaign, Rival
from bench.rivals.tables import count_coupons, insert_coupon

if TYPE_CHECKING:
    from bench.harness.servers import Servers

LOCK_SECONDS = 10
PATIENCE_SECONDS = 5


def connect(servers: Servers, campaign: Campaign) -> Apply:
    """Open both connections."""
    cursor = servers.connect_to_mysql(autocommit=True).cursor()
    client = servers.connect_to_redis()
    name = f"rival:{campaign.campaign_id}:lock"

    def apply(user_id: str) -> bool:
        lock = client.lock(name, timeout=LOCK_SECONDS, blocking_timeout=PATIENCE_SECONDS)
        if not lock.acquire():
            return False
        try:
            return count_coupons(cursor, campaign) < campaign.capacity and insert_coupon(cursor, campaign, user_id)
        finally:
            lock.release()

    return apply


RIVAL = Rival("d", "Redis lock around COUNT and INSERT", connect)
