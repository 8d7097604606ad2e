"""(g) Firstcome: the real apply handler with API Gateway's events, then the real drain handler."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from bench.harness import handlers
from bench.harness.handlers import new_user
from bench.rivals.rival import Apply, Campaign, Rival

if TYPE_CHECKING:
    from bench.harness.servers import Servers

WARM_UP = "warm-up"
_WARM_UP_CAPACITY = 1_000_000


def connect(servers: Servers, campaign: Campaign) -> Apply:
    """Make this process a warm environment of the apply function, which has accepted a user before."""
    handlers.become_environment(servers)
    handlers.apply(handlers.an_apply_event(WARM_UP, new_user()))

    def apply(user_id: str) -> bool:
        return handlers.apply(handlers.an_apply_event(campaign.campaign_id, user_id)) == HTTPStatus.ACCEPTED

    return apply


def prepare(servers: Servers, campaign: Campaign) -> None:
    """Make the campaign, and one to warm up with."""
    handlers.become_environment(servers)
    handlers.migrate()
    handlers.put_campaign(WARM_UP, _WARM_UP_CAPACITY)
    handlers.put_campaign(campaign.campaign_id, campaign.capacity)


def settle(servers: Servers, _campaign: Campaign) -> None:
    """Empty the queue as fast as the drain can: its rate limit is measured by the part `bystander`."""
    handlers.become_environment(servers, handlers.UNLIMITED)
    handlers.drain_queue(servers)


RIVAL = Rival("g", "Firstcome", connect, prepare=prepare, settle=settle, table="coupon")
