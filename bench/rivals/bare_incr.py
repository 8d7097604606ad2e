"""(e) INCR, and insert when the number is within N. A user who asks twice takes two numbers and gets one row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.rivals.rival import Apply, Campaign, Rival
from bench.rivals.tables import insert_coupon

if TYPE_CHECKING:
    from bench.harness.servers import Servers


def connect(servers: Servers, campaign: Campaign) -> Apply:
    """Open both connections."""
    cursor = servers.connect_to_mysql(autocommit=True).cursor()
    client = servers.connect_to_redis()
    counter = f"rival:{campaign.campaign_id}:counter"

    def apply(user_id: str) -> bool:
        return client.incr(counter) <= campaign.capacity and insert_coupon(cursor, campaign, user_id)

    return apply


RIVAL = Rival("e", "INCR, then INSERT", connect)
