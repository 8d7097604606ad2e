"""(a) Count the rows; insert while there are fewer than N. Between the two, others do the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.rivals.rival import Apply, Campaign, Rival
from bench.rivals.tables import count_coupons, insert_coupon

if TYPE_CHECKING:
    from bench.harness.servers import Servers


def connect(servers: Servers, campaign: Campaign) -> Apply:
    """Open a connection that commits each statement."""
    cursor = servers.connect_to_mysql(autocommit=True).cursor()

    def apply(user_id: str) -> bool:
        return count_coupons(cursor, campaign) < campaign.capacity and insert_coupon(cursor, campaign, user_id)

    return apply


RIVAL = Rival("a", "SELECT COUNT(*), then INSERT", connect)
