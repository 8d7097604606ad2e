"""(c) Count down where something is left, and insert, in one transaction. Exact; the row stays locked to the commit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.rivals.rival import Apply, Campaign, Rival
from bench.rivals.tables import add_campaign, insert_coupon

if TYPE_CHECKING:
    from bench.harness.servers import Servers

_COUNT_DOWN = "UPDATE rival_campaign SET remaining = remaining - 1 WHERE campaign_id = %s AND remaining > 0"


def connect(servers: Servers, campaign: Campaign) -> Apply:
    """Open a connection that works in transactions."""
    connection = servers.connect_to_mysql(autocommit=False)
    cursor = connection.cursor()

    def apply(user_id: str) -> bool:
        if not cursor.execute(_COUNT_DOWN, (campaign.campaign_id,)) or not insert_coupon(cursor, campaign, user_id):
            connection.rollback()
            return False
        connection.commit()
        return True

    return apply


RIVAL = Rival("c", "conditional UPDATE, then INSERT", connect, prepare=add_campaign)
