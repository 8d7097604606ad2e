"""What the use cases need of the world. A port has one adapter, and one fake that passes the same tests."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from firstcome.domain.campaign import Campaign, CampaignEvent, CampaignRecord, CampaignSort, CampaignState
from firstcome.domain.claim import Admission, Claim, Erasure, Finding, IssuedCoupon, LedgerCounts, Settlement
from firstcome.domain.gate import (
    ClaimCounts,
    ConfigureResult,
    EraseResult,
    Fence,
    GateState,
    GateView,
    Reopened,
)
from firstcome.domain.refusal import Refused
from firstcome.domain.times import Millis


class Gate(Protocol):
    """The Redis side that admits. Every method raises `GateUnavailableError`; all may be repeated safely."""

    @property
    def weaker_fence(self) -> bool:
        """Whether the server that was asked last hides its run id: only the drain notices that it lacks claims."""

    def apply(self, campaign_id: str, user_id: str, coupon_code: str) -> Admission | Refused:
        """Admit the user with this code, replay the claim they have, or refuse: one atomic step.

        Raises:
            GateLostError: the campaign is known but its gate is lost or fenced.
        """

    def find(self, campaign_id: str, user_id: str) -> Admission | Refused | None:
        """Return the user's claim; None when they have none, or there is no such campaign; refused when it is archived.

        Raises:
            GateLostError: the gate is lost or fenced, and may have forgotten the claim.
        """

    def show(self, campaign_id: str) -> GateView | Refused | None:
        """Return the campaign; None when there is no such campaign; refused when it is archived.

        A gate that is lost or fenced is no error: its view is not available.
        """

    def now(self) -> Millis:
        """Return the gate's clock."""

    def campaign_ids(self) -> list[str] | None:
        """Return the ids of all campaigns that have, or had, a gate; None when that itself was lost."""

    def register(self, campaign_ids: Iterable[str]) -> None:
        """Note that these campaigns have a gate, so that its loss can be told from an unknown campaign."""

    def archived(self, campaign_id: str) -> bool:
        """Tell whether the campaign is archived."""

    def register_archived(self, campaign_ids: Iterable[str]) -> None:
        """Note that these campaigns are archived."""

    def archive(self, campaign_id: str) -> None:
        """Note that the campaign is archived, and remove its gate."""

    def remove_from_outbox(self, claims: Iterable[Claim]) -> None:
        """Note that the queue has confirmed these claims."""

    def outbox(self, campaign_id: str, older_than_ms: int, limit: int) -> list[Claim]:
        """Return outbox claims at least that old by the gate's clock, the oldest first; as safe to send as new ones.

        An entry whose claim is gone is removed. One that seems to be from the future counts as old enough.
        """

    def mark_issued(self, claims: Iterable[Claim]) -> None:
        """Note claims as the ledger has them; its word wins, except that a user who was erased stays erased.

        A gate that is gone is left alone. One that has not given that sequence yet has forgotten claims, and is fenced.
        """

    def create(self, campaign: Campaign) -> ConfigureResult:
        """Make a gate for a campaign that has never admitted anybody; one that is there is changed as by `change`."""

    def change(self, campaign: Campaign) -> ConfigureResult:
        """Change a gate. The same version with the same content is done again without effect."""

    def state(self, campaign_id: str) -> GateState:
        """Tell whether the gate may admit."""

    def fence(self, campaign_id: str, ledger_now: Millis | None = None, highest: int = 0) -> Fence:
        """Close the gate until it is reopened; the first call's instant counts. A counter that is lost is made anew.

        Args:
            ledger_now: the ledger's clock, so that the fence's age does not depend on one clock alone.
            highest: the highest sequence in the ledger; the counter goes on from there at least.

        Raises:
            GateLostError: the campaign is archived; nothing is left of its gate.
        """

    def advance(self, fence: Fence, phase: str, position: str) -> None:
        """Store where the rebuild goes on.

        Raises:
            GateUnavailableError: this is not the same fence, or not the same server.
        """

    def prepare(self, campaign: Campaign, fence: Fence) -> None:
        """Make room for what will be restored, and show the campaign as unavailable meanwhile. Raises as `advance`."""

    def restore_issued(self, claims: Sequence[Claim]) -> None:
        """Put claims back as the ledger has them; a claim of the same user that is there is replaced.

        Raises:
            GateUnavailableError: the gate is not fenced.
        """

    def restore_overflow(self, claims: Sequence[Claim]) -> None:
        """Put claims back that found no seat; a claim of the same user that is there stays.

        Raises:
            GateUnavailableError: the gate is not fenced.
        """

    def claims_page(self, campaign_id: str, position: str) -> tuple[list[Claim], str | None]:
        """Return some of a gate's claims from a position on, "" at first, and the next position, None at the end.

        A claim that is there throughout is returned at least once. A position of another server begins at the front.
        """

    def add_to_outbox(self, claims: Sequence[Claim]) -> int:
        """Note that these claims must be sent again; one that the gate does not have as it is given is left out.

        Returns:
            How many were not in the outbox before.
        """

    def claim_counts(self, campaign_id: str) -> ClaimCounts:
        """Count a gate's claims."""

    def list_free(self, fence: Fence) -> bool:
        """List the free sequences of the next block of a fenced gate, once all that somebody has are restored.

        Returns whether there are more blocks. It goes on by itself where it stopped. Raises as `advance`.
        """

    def reopen(self, campaign: Campaign, fence: Fence) -> Reopened:
        """Open a rebuilt gate. The free sequences that `list_free` listed are given first.

        Raises:
            GateUnavailableError: nothing was opened. This is not the same fence or server; or claims came in after the
                free sequences were listed, which must be listed anew; or what was restored is gone again, and the next
                `fence` says that the rebuild begins anew.
        """

    def erase(self, campaign_id: str, user_id: str, pseudonym: str) -> EraseResult:
        """Replace the user's id; the claim stays. A claim that was erased before keeps its first pseudonym.

        Whether the claim is in the ledger is for the caller to know.

        Raises:
            GateLostError: the gate is lost or fenced, and may have forgotten the claim.
        """

    def erasures(self, campaign_id: str) -> list[Erasure]:
        """Return the erasures that the gate knows of."""

    def note_queue_empty(self, at: Millis) -> None:
        """Note that the queue was empty when it was asked, at this instant of the gate's clock or later."""

    def queue_empty_at(self) -> Millis | None:
        """Return when the queue was last seen empty, by the gate's clock; None when that is not known."""

    def note_reconcile(self, campaign_id: str, notes: Mapping[str, str]) -> None:
        """Keep notes of a reconciliation with the gate; a gate that is gone keeps none."""

    def reconcile_notes(self, campaign_id: str) -> dict[str, str]:
        """Return the notes that were kept; a gate that was rebuilt has none."""

    def add_answers(self, campaign_id: str, numbers: Mapping[str, int]) -> None:
        """Add to the number of answers by code; a gate that is gone keeps none. Not to be repeated."""

    def answers(self, campaign_id: str) -> dict[str, int]:
        """Return how many applications were answered without a claim, by code; a lower bound."""


class ClaimSender(Protocol):
    """The way of one claim into the queue."""

    def send(self, claim: Claim) -> None:
        """Queue one claim; returns only once the queue has confirmed it. Raises `QueueUnavailableError`."""


class ClaimQueue(Protocol):
    """The queue between gate and ledger. Every method raises `QueueUnavailableError`."""

    def send_all(self, claims: Sequence[Claim]) -> list[Claim]:
        """Queue claims; returns those the queue has confirmed, which may be fewer."""

    def count(self) -> int:
        """Return about how many messages are waiting or being worked on."""

    def delay(self, seconds: Mapping[str, int]) -> None:
        """Hide deliveries, given as receipt -> seconds from now, instead of for the queue's visibility timeout."""


class DeadLetters(Protocol):
    """Where messages go that nobody can read."""

    def send(self, messages: Mapping[str, tuple[str, str]]) -> set[str]:
        """Move messages, given as id -> (body, reason); returns the ids confirmed, which may be fewer."""

    def count(self) -> int:
        """Return about how many messages are here."""


class Ledger(Protocol):
    """The MySQL side that keeps. Every method raises `LedgerUnavailableError`; all may be repeated safely."""

    def issue(self, claims: Sequence[Claim]) -> Settlement:
        """Write claims; those that are there already count as issued, also under a pseudonym.

        Claims that meet an error of their own are returned as unsettled; the others are settled.

        Raises:
            LedgerUnavailableError: none was settled, as far as is known.
        """

    def create(self, campaign: Campaign) -> bool:
        """Add a campaign, in state `creating` and version 0; False, and nothing changed, when it is there already."""

    def update(
        self, campaign: Campaign, expected_version: int, event: CampaignEvent | None = None
    ) -> CampaignRecord | None:
        """Change name, capacity, window and state (active or paused) of a campaign, and raise its version by one.

        Args:
            event: recorded with the change, as by `record`.

        Returns:
            The campaign as it now is; None, and nothing was changed, when the ledger has another version, or it is
            archived.
        """

    def archive(self, campaign_id: str) -> CampaignRecord | None:
        """Mark a campaign as archived, for good; None when there is no such campaign."""

    def restore_campaign(self, campaign: Campaign) -> bool:
        """Write a campaign with the version it has, where the ledger has none or an older one; whether it did."""

    def find(self, campaign_id: str) -> CampaignRecord | None:
        """Return a campaign."""

    def campaigns(
        self,
        after: str | None,
        limit: int,
        *,
        state: CampaignState | None = None,
        q: str = "",
        sort: CampaignSort = CampaignSort.CREATED,
    ) -> list[CampaignRecord]:
        """Return campaigns in that order, from behind the one named `after`.

        Args:
            q: part of the id or of the name, in capitals or not.
        """

    def active_campaigns(self) -> list[CampaignRecord]:
        """Return all campaigns that are not archived, by id."""

    def archived_ids(self, after: str, limit: int) -> list[str]:
        """Return ids of archived campaigns, in order, from behind `after`."""

    def coupons(self, campaign_id: str, after: int, limit: int) -> list[IssuedCoupon]:
        """Return issued coupons by sequence, from behind the sequence `after`."""

    def overflow(self, campaign_id: str, after: str, limit: int) -> list[Claim]:
        """Return claims without a seat, by coupon code, from behind the code `after`."""

    def settled_codes(self, campaign_id: str, claims: Sequence[Claim]) -> set[str]:
        """Return the coupon codes of those of these claims that are issued or in overflow."""

    def find_by_user(self, campaign_id: str, user_id: str) -> Finding:
        """Return what the ledger has of a user."""

    def find_by_code(self, campaign_id: str, coupon_code: str) -> Finding:
        """Return what the ledger has of a coupon code."""

    def counts(self, campaign_id: str) -> LedgerCounts:
        """Return how far the campaign's claims are, from kept counts."""

    def accepted_after_gap(self, campaign_id: str) -> Millis | None:
        """Return when the claim was accepted that follows the highest sequence without a row, before the last row.

        None when there is no such gap. Where there is one is known from kept counts.
        """

    def recount(self, campaign_id: str, range_no: int) -> int | None:
        """Count the rows of one range of sequences anew; returns the next range, None after the last.

        Args:
            range_no: from 0; a range is 10,000 sequences.
        """

    def reseat_overflow(self, campaign_id: str, limit: int) -> Settlement:
        """Give claims without a seat those seats that are free now, in the order they were accepted in."""

    def erase(self, campaign_id: str, user_id: str, pseudonym: str) -> list[Erasure]:
        """Replace the user's id in coupons and overflow; returns what was erased, nothing when they have no claim."""

    def erasures(self, campaign_id: str) -> list[Erasure]:
        """Return all erasures of a campaign, by coupon code."""

    def apply_erasures(self, campaign_id: str, erasures: Sequence[Erasure]) -> None:
        """Repeat erasures that the ledger may have forgotten."""

    def record(self, event: CampaignEvent) -> None:
        """Add an event to the audit trail; the same actor, action and instant are the same event."""

    def events(self, campaign_id: str, after: int | None, limit: int) -> list[CampaignEvent]:
        """Return events, the newest first, from behind the number `after`."""

    def now(self) -> Millis:
        """Return the ledger's clock."""

    def close(self) -> None:
        """Give the connection back; the next call opens another one."""

    def migrate(self) -> None:
        """Bring the schema up to date; may be repeated. Raises `LedgerSchemaError`."""

    def campaign_lock(self, campaign_id: str, wait_seconds: int = 5) -> AbstractContextManager[None]:
        """Hold off every other operator's change of the campaign for as long as the context lasts.

        Raises:
            CampaignLockedError: somebody else had the lock for so long.
            LedgerUnavailableError: the session that held the lock has ended. Every call of the ledger within the
                context raises it from then on, and so does its end: what was done may have met another change.
        """


class Clock(Protocol):
    """A monotonic clock that can be waited on."""

    def now(self) -> Millis:
        """Return milliseconds since some fixed instant."""

    def sleep(self, duration_ms: int) -> None:
        """Wait."""
