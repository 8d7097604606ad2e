"""Old and new versions at work at once, through a campaign: nothing accepted is lost, nothing is given twice."""

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

import pytest

from firstcome.campaigns import Campaigns
from firstcome.drain import Drain, DrainReport
from firstcome.message import from_body, to_body
from firstcome.model import Admission, new_coupon_code
from firstcome.pace import Pace
from tests.compat.v1.client import UnreadableError, VersionOne
from tests.conftest import MysqlTestServer, RedisTestServer
from tests.factories import FAR_AHEAD, LONG_AGO, a_campaign, a_claim, a_user_id
from tests.fakes import FakeClock, MemoryDeadLetters

CAPACITY, RAISED, USERS = 20, 30, 45


class Version(Protocol):
    """One version of the functions."""

    def apply(self, campaign_id: str, user_id: str) -> str | None:
        """Apply; returns the message of the user's claim, or None for a refusal."""

    def confirm_sent(self, body: str) -> None:
        """Note that a message is in the queue."""

    def unsent(self, campaign_id: str) -> list[str]:
        """Return the messages that the relay would send."""

    def drain(self, bodies: list[str]) -> None:
        """Write a batch."""

    def raise_capacity(self, campaign_id: str, capacity: int) -> None:
        """Give more coupons."""


class Now:
    """The code as it is."""

    def __init__(self, redis_server: RedisTestServer, mysql_server: MysqlTestServer) -> None:
        self.gate, self.ledger, clock = redis_server.gate(), mysql_server.ledger(), FakeClock()
        self.dead_letters = MemoryDeadLetters()
        self._drain = Drain(self.ledger, self.gate, self.dead_letters, Pace(500, 2, clock))
        self._campaigns = Campaigns(self.gate, self.ledger, self.dead_letters, clock, 0)

    def apply(self, campaign_id: str, user_id: str) -> str | None:
        answer = self.gate.apply(campaign_id, user_id, new_coupon_code())
        return to_body(answer.claim) if isinstance(answer, Admission) else None

    def confirm_sent(self, body: str) -> None:
        self.gate.confirm_sent([from_body(body)])

    def unsent(self, campaign_id: str) -> list[str]:
        return [to_body(claim) for claim in self.gate.unsent(campaign_id, 0, 100)]

    def put_through(self, bodies: dict[str, str]) -> DrainReport:
        return self._drain.drain(bodies, 60_000)

    def drain(self, bodies: list[str]) -> None:
        report = self.put_through({str(index): body for index, body in enumerate(bodies)})
        assert not report.failed
        assert not report.overflow
        assert not report.reseated

    def raise_capacity(self, campaign_id: str, capacity: int) -> None:
        self._campaigns.put(a_campaign(campaign_id, capacity=capacity, opens_at=LONG_AGO, closes_at=FAR_AHEAD))


class Frozen:
    """A frozen version."""

    def __init__(self, client: VersionOne) -> None:
        self._client = client

    def apply(self, campaign_id: str, user_id: str) -> str | None:
        message = self._client.apply(campaign_id, user_id, new_coupon_code())
        return json.dumps(message) if message else None

    def confirm_sent(self, body: str) -> None:
        claim = json.loads(body)
        self._client.confirm_sent(claim["campaign_id"], claim["user_id"])

    def unsent(self, campaign_id: str) -> list[str]:
        return [json.dumps(message) for message in self._client.unsent(campaign_id)]

    def drain(self, bodies: list[str]) -> None:
        self._client.drain(bodies)

    def raise_capacity(self, campaign_id: str, capacity: int) -> None:
        self._client.raise_capacity(campaign_id, capacity)


VERSIONS = {"v1": VersionOne}
"""Every frozen version that may be upgraded from, by its folder."""


@dataclass
class World:
    """One gate, one ledger and one queue; `pick` says which version does the next step."""

    now: Now
    old: Frozen
    server: MysqlTestServer
    chance: random.Random
    campaign_id: str
    queue: list[str] = field(default_factory=list)
    told: dict[str, str] = field(default_factory=dict)

    def either(self, _: float) -> Version:
        """Pick one of the two."""
        return self.now if self.chance.random() < 0.5 else self.old

    def run(self, pick: Callable[[float], Version]) -> None:
        """Let everybody apply, some more than once, while claims are sent, lost, relayed and drained."""
        asked = [a_user_id() for _ in range(USERS)]
        asked += self.chance.sample(asked, USERS // 2)
        for number, user in enumerate(asked):
            progress = number / len(asked)
            self._apply(user, pick(progress))
            if number == len(asked) // 2:
                pick(progress).raise_capacity(self.campaign_id, RAISED)
            if self.chance.random() < 0.2:
                self._relay(pick(progress))
            if self.chance.random() < 0.3:
                self._drain(pick(progress))
        self._relay(pick(1))
        while self.queue:
            self._drain(pick(1))

    def _apply(self, user: str, version: Version) -> None:
        body = version.apply(self.campaign_id, user)
        if body is None:
            return
        code = from_body(body).coupon_code
        assert self.told.setdefault(user, code) == code
        # Some are killed before they have sent it, some before they have noted that.
        if self.chance.random() < 0.8:
            self.queue.append(body)
            if self.chance.random() < 0.8:
                version.confirm_sent(body)

    def _relay(self, version: Version) -> None:
        for body in version.unsent(self.campaign_id):
            self.queue.append(body)
            version.confirm_sent(body)

    def _drain(self, version: Version) -> None:
        self.chance.shuffle(self.queue)
        batch, self.queue = self.queue[:7], self.queue[7:]
        if batch:
            version.drain(batch)
            # SQS may bring anything again.
            self.queue += [body for body in batch if self.chance.random() < 0.05]

    def check(self) -> None:
        """Exactly the capacity, one each, and what was told is what was written."""
        query = "SELECT user_id, coupon_code, sequence FROM coupon WHERE campaign_id = %s ORDER BY sequence"
        rows = self.server.rows(query, self.campaign_id)
        assert {user: code for user, code, _ in rows} == self.told
        assert [sequence for _, _, sequence in rows] == list(range(1, RAISED + 1))
        assert self.server.rows("SELECT * FROM overflow") == []
        assert self.now.unsent(self.campaign_id) == []
        for user, code in self.told.items():
            mine = self.now.gate.find(self.campaign_id, user)
            assert mine is not None
            assert (mine.claim.coupon_code, mine.is_issued) == (code, True)


@pytest.fixture(params=VERSIONS)
def make_world(
    request: pytest.FixtureRequest, redis_server: RedisTestServer, mysql_server: MysqlTestServer
) -> Iterator[Callable[[int], World]]:
    """Makes a world with a campaign, of which the frozen version has loaded its scripts already."""
    connection = mysql_server.connect()
    now, old = Now(redis_server, mysql_server), VERSIONS[request.param](redis_server.client, connection)

    def make(seed: int) -> World:
        campaign = a_campaign(capacity=CAPACITY)
        now.gate.remember([])
        now.raise_capacity(campaign.campaign_id, CAPACITY)
        return World(now, Frozen(old), mysql_server, random.Random(seed), campaign.campaign_id)

    yield make
    connection.close()
    now.ledger.close()


@pytest.mark.parametrize("seed", range(6))
def test_versions_mixed_at_random_end_exact(make_world: Callable[[int], World], seed: int) -> None:
    world = make_world(seed)

    world.run(world.either)

    world.check()


@pytest.mark.parametrize("seed", range(2))
def test_an_upgrade_and_its_rollback_within_a_campaign_end_exact(make_world: Callable[[int], World], seed: int) -> None:
    world = make_world(seed)

    def pick(progress: float) -> Version:
        """Old, then a tenth new, then new, then back."""
        if progress < 0.25 or progress > 0.8:
            return world.old
        return world.now if progress > 0.5 or world.chance.random() < 0.1 else world.old

    world.run(pick)

    world.check()


@pytest.mark.parametrize("seed", range(2))
def test_tables_of_the_version_before_do_until_the_migration_and_after_it(
    make_world: Callable[[int], World], redis_server: RedisTestServer, mysql_server: MysqlTestServer, seed: int
) -> None:
    connection = mysql_server.connect()
    with connection, connection.cursor() as cursor:
        cursor.execute("DROP TABLE campaign, coupon, overflow")
        VersionOne(redis_server.client, connection).create_tables()
    world = make_world(seed)
    migrated: list[float] = []

    def pick(progress: float) -> Version:
        if progress > 0.6 and not migrated:
            migrated.append(progress)
            world.now.ledger.migrate()
        return world.either(progress)

    world.run(pick)

    assert migrated
    world.check()


def _of_a_later_version(body: str) -> str:
    return json.dumps({**json.loads(body), "v": 2, "shop": "seoul"})


def test_a_message_of_a_later_version_is_put_aside_whole_and_the_rest_is_written(
    make_world: Callable[[int], World],
) -> None:
    world = make_world(0)
    claims = [a_claim(world.campaign_id, sequence) for sequence in (1, 2)]
    later = _of_a_later_version(to_body(claims[0]))

    world.now.drain([later, to_body(claims[1])])

    # As it came, so that the version that can read it finds everything after a redrive.
    assert [(body, reason) for body, reason in world.now.dead_letters.buried.values()] == [(later, "unknown_version")]
    assert world.server.rows("SELECT sequence FROM coupon") == [(2,)]


def test_a_message_of_a_later_version_that_cannot_be_put_aside_comes_again(make_world: Callable[[int], World]) -> None:
    world = make_world(0)
    world.now.dead_letters.is_down = True
    later = _of_a_later_version(to_body(a_claim(world.campaign_id, 1)))

    report = world.now.put_through({"later": later})

    assert report.failed == ["later"]


def test_version_1_leaves_a_message_of_a_later_version_in_the_queue(make_world: Callable[[int], World]) -> None:
    world = make_world(0)

    with pytest.raises(UnreadableError):
        world.old.drain([_of_a_later_version(to_body(a_claim(world.campaign_id, 1)))])


def test_a_field_that_a_later_version_adds_to_a_message_is_no_obstacle() -> None:
    claim = a_claim("spring", 1)

    assert from_body(json.dumps({**json.loads(to_body(claim)), "shop": "seoul"})) == claim
