"""What the ledger's calls cost at 1,000 coupons and at ten million: `python -m bench.parts.ledger_size [COUPONS ...]`.

Not among the parts of `make bench`: filling ten million coupons takes minutes.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from pymysql.connections import Connection
from pymysql.cursors import Cursor

from bench.harness.fill_ledger import fill
from bench.harness.servers import Servers, running_servers
from firstcome.adapters.mysql.connect import SESSION_SQL
from firstcome.adapters.mysql.ledger import MysqlLedger
from firstcome.domain.campaign import Campaign
from firstcome.domain.claim import Claim, new_coupon_code

SIZES = (1_000, 100_000, 1_000_000, 10_000_000)
CHUNK = 25
ROUNDS = 21


def _measure(ledger: MysqlLedger, campaign: Campaign, size: int) -> dict[str, str]:
    """Return the median and the slowest of each call, in milliseconds."""
    campaign_id = campaign.campaign_id
    room = iter(range(size + 1, size + 100 * CHUNK))
    page = [coupon.claim for coupon in ledger.coupons(campaign_id, size // 2, 1000)]

    def chunk_of_new() -> object:
        return ledger.issue([_claim(campaign_id, next(room)) for _ in range(CHUNK)])

    def chunk_with_a_taken_seat() -> object:
        claims = [_claim(campaign_id, next(room)) for _ in range(CHUNK - 1)]
        return ledger.issue([*claims, _claim(campaign_id, size // 2)])

    calls: dict[str, Callable[[], object]] = {
        "chunk of 25": chunk_of_new,
        "the same chunk again": lambda: ledger.issue(page[:CHUNK]),
        "taken seat": lambda: ledger.issue([_claim(campaign_id, size // 2)]),
        "24 and a taken seat": chunk_with_a_taken_seat,
        "counts (stats)": lambda: ledger.counts(campaign_id),
        "page of 1,000 coupons": lambda: ledger.coupons(campaign_id, size // 2, 1000),
        "1,000 settled codes": lambda: ledger.settled_codes(campaign_id, page),
        "recount of one range": lambda: ledger.recount(campaign_id, size // 2 // 10_000),
        "lookup by user": lambda: ledger.find_by_user(campaign_id, page[0].user_id),
        "erase": lambda: ledger.erase(campaign_id, page[0].user_id, "erased"),
        "overflow re-seated": lambda: ledger.reseat_overflow(campaign_id, 100),
    }
    return {name: _times(call) for name, call in calls.items()}


def _times(call: Callable[[], object]) -> str:
    taken = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        call()
        taken.append((time.perf_counter() - start) * 1000)
    return f"{statistics.median(taken):.1f} / {max(taken):.1f}"


def _claim(campaign_id: str, sequence: int) -> Claim:
    code = new_coupon_code()
    return Claim(campaign_id, f"new-{code}", sequence, code, 1_795_000_000_000)


def _connect(servers: Servers) -> Connection[Cursor]:
    connection = servers.connect_to_mysql(autocommit=False)
    with connection.cursor() as cursor:
        for statement in SESSION_SQL:
            cursor.execute(statement)
    return connection


def _megabytes(connection: Connection[Cursor]) -> int:
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE TABLE coupon")
        cursor.execute("SELECT data_length + index_length FROM information_schema.tables WHERE table_name = 'coupon'")
        ((length,),) = cursor.fetchall()
    return int(length) // 2**20


def main(sizes: Sequence[int]) -> None:
    """Measure each size on a MariaDB of its own, and print one table."""
    figures: dict[int, dict[str, str]] = {}
    with running_servers("ledger-size") as servers:
        ledger = MysqlLedger(lambda: _connect(servers))
        ledger.migrate()
        for size in sizes:
            campaign = Campaign(f"size-{size}", "Filled", size + 10_000, 0, 4_000_000_000_000)
            ledger.create(campaign)
            ledger.update(replace(campaign), 0)
            start = time.perf_counter()
            with _connect(servers) as connection:
                fill(connection, campaign.campaign_id, size)
                seconds, megabytes = time.perf_counter() - start, _megabytes(connection)
            print(f"filled {size:,} coupons in {seconds:.0f} s; the table has {megabytes:,} MB", flush=True)
            figures[size] = _measure(ledger, campaign, size)
        ledger.close()
    print(f"| Milliseconds, median / slowest of {ROUNDS} |", " | ".join(f"{size:,}" for size in figures), "|")
    print("|---|" + "--:|" * len(figures))
    for name in next(iter(figures.values())):
        print(f"| {name} |", " | ".join(figures[size][name] for size in figures), "|")


if __name__ == "__main__":
    main([int(size) for size in sys.argv[1:]] or SIZES)
