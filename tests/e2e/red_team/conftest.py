"""What is attacked: an open campaign in which one user has a coupon; and that no attack has changed anything."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from firstcome.adapters.redis.gate import SENTINEL_KEY, GateKeys
from tests.e2e.conftest import Service, eventually
from tests.e2e.red_team.tokens import Forge


@dataclass(frozen=True)
class Target:
    """An open campaign, and the user who has a coupon of it."""

    service: Service
    campaign_id: str
    victim: str
    coupon_code: str

    def state(self) -> dict[str, object]:
        """All that an attack could have changed: the campaigns that exist, and every claim of this one."""
        campaigns = self.service.query("SELECT * FROM campaign ORDER BY campaign_id")
        known = {f"firstcome:{{{campaign[0]}}}" for campaign in campaigns}
        with self.service.redis() as client:
            keys = sorted(key.decode() for key in client.keys("firstcome:{*"))
            return {
                "campaigns": campaigns,
                "rows": self.service.rows(self.campaign_id),
                "sentinel": client.smembers(SENTINEL_KEY),
                "gates of no campaign": [key for key in keys if key.rpartition(":")[0] not in known],
                "claims": {key: client.dump(key) for key in keys if f"{{{self.campaign_id}}}" in key},
            }


@pytest.fixture(scope="module")
def target(service: Service) -> Target:
    """Made once for a file; whatever attacks it must leave it as it is."""
    campaign_id, victim = service.campaign(), "victim"
    code = service.apply(campaign_id, victim).body["coupon_code"]
    with service.redis() as client:
        # Until the drain is done with it, so that nothing moves any more.
        eventually(lambda: client.getbit(GateKeys(campaign_id).issued, 1), bool)
    return Target(service, campaign_id, victim, code)


@pytest.fixture
def unchanged(target: Target) -> Iterator[None]:
    """For every attack: nothing is changed by it."""
    before = target.state()
    yield
    assert target.state() == before


@pytest.fixture(scope="session")
def forge(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Forge:
    """Makes tokens."""
    return Forge(service, tmp_path_factory.mktemp("forge"))
