"""Everything at once for a while: busy sockets that break again and again, orders without a pause, a host that fails now and then."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import attrs
from comparison import compare
from paired import Pair, box_on, session_at

from broker_core import LimitOrder, MarketOrder
from broker_core.clock import SystemClock, seeded
from broker_core.errors import OrderVetoed, RemoteError
from broker_core.findings import Severity
from broker_core.models import Channel, Gap
from broker_core.requests import OrderRequest
from broker_core.submission import OrderPolicy

BUYING = ("AAPL", "AMD", "AMZN", "JPM", "KO", "MSFT", "NVDA", "QQQ", "SPY", "XOM")
SELLING = ("ABNB", "ADBE", "ADI", "ADP", "AMAT")
"""Nobody trades with himself here: in each symbol all orders go one way."""
_SHORTEST, _LONGEST = 0.5, 5.0
"""Seconds between two broken sockets."""
_REQUESTS = ({"method": "POST", "path": "/v2/orders"}, {"method": "GET", "path": "/v2/*"}, {"method": "DELETE", "path": "/v2/orders*"})
_FAULTS: Sequence[dict[str, Any]] = (
    {"kind": "reset", "when": "before", "probability": 0.02},
    {"kind": "reset", "when": "after", "probability": 0.02},
    {"kind": "error", "when": "before", "status": 503, "probability": 0.02},
    {"kind": "error", "when": "after", "status": 504, "probability": 0.02},
    {"kind": "html", "when": "after", "status": 502, "probability": 0.01},
    {"kind": "truncated", "probability": 0.01},
    {"kind": "rate_limit", "retry_after": 1, "limit": 100_000, "probability": 0.01},
    {"kind": "latency", "when": "before", "seconds": 0.2, "jitter": 0.5, "probability": 0.05},
)


@attrs.frozen(kw_only=True)
class Chaos:
    """What a run of chaos comes to. The three lists must be empty."""

    seconds: float
    orders: int
    messages: int
    dropped: int
    """Sockets that were broken."""
    gaps: int
    struck: int
    """Requests that met a fault."""
    recoveries: int
    """Gaps of the order stream that were told."""
    longest_recovery: float
    """Seconds that passed at most between a broken trading socket and a healthy one."""
    memory: Sequence[tuple[float, int, int]]
    """Seconds, resident bytes and orders so far, over time."""
    tasks_left: int
    sockets_left: int
    duplicates: Sequence[str]
    forgotten: Sequence[str]
    wrong: Sequence[str]

    @property
    def bytes_an_order(self) -> float:
        """How much memory grew, for each order in the second half."""
        half = self.memory[len(self.memory) // 2 :]
        (_, first, before), (_, last, after) = half[0], half[-1]
        return (last - first) / max(after - before, 1)


async def chaos(
    seconds: float,
    *,
    seed: int = 1,
    symbols: int = 2_500,
    orders: float = 20.0,
    policy: OrderPolicy | None = None,
    folder: Path | None = None,
) -> Chaos:
    """Let it go on for so long, then be quiet until every order has ended, and compare.

    ``symbols`` have a quote and a trade each a second; ``orders`` are sent a second; ``folder`` is where records are kept, if anywhere.
    """
    gc.collect()
    tasks_before, sockets_before = len(asyncio.all_tasks()), _sockets()
    clock = SystemClock()
    names = tuple(f"LOAD.{number}" for number in range(symbols))
    records = folder and folder / "chaos.sqlite3"
    async with (
        box_on(clock, seed=seed, symbols=names) as box,
        session_at(box, clock, database=records, policy=policy, deadline=10.0) as session,
    ):
        found = await _Run(Pair(box, session, clock), names, seconds, orders, seeded(seed)).all()
    for _ in range(10):
        await asyncio.sleep(0)
    gc.collect()
    return Chaos(**found, tasks_left=len(asyncio.all_tasks()) - tasks_before, sockets_left=_sockets() - sockets_before)


class _Run:
    def __init__(self, both: Pair, names: Sequence[str], seconds: float, rate: float, chance: Random) -> None:
        self._both = both
        self._names = names
        self._seconds = seconds
        self._rate = rate
        self._chance = chance
        self._accidents = seeded(chance.getrandbits(32))
        """Apart from the orders' chance, so that how fast those go makes no difference."""
        self._messages = self._dropped = self._asked = 0
        self._gaps: list[Gap] = []
        self._memory: list[tuple[float, int, int]] = []

    async def all(self) -> dict[str, Any]:
        """Everything, and what it comes to but for what is left behind."""
        session, clock = self._both.session, self._both.clock
        await session.stream.ready(Channel.ORDERS)
        session.stream.on_gap(self._gaps.append)
        for name in self._names:
            session.stream.on_quote(name, self._count)
            session.stream.on_trade(name, self._count)
        await session.stream.ready(Channel.QUOTES)
        for number, fault in enumerate(_FAULTS):
            self._both.faults(*({**fault, **where, "seed": number} for where in _REQUESTS))
        began = clock.monotonic()
        breaking, watching = asyncio.ensure_future(self._break()), asyncio.ensure_future(self._watch(began))
        lives: list[asyncio.Task[None]] = []
        while (passed := clock.monotonic() - began) < self._seconds:
            while self._asked < passed * self._rate:
                self._asked += 1
                lives.append(asyncio.ensure_future(self._live(self._request())))
            await clock.sleep(0.5 / self._rate)
        breaking.cancel()
        struck = self._make_peace()
        await asyncio.gather(*lives)
        watching.cancel()
        await asyncio.gather(breaking, watching, return_exceptions=True)
        await session.stream.ready(Channel.ORDERS)
        await session.sync.refresh()
        duplicates, forgotten, wrong = compare(self._both, self._asked)
        wrong += [finding.text for finding in session.findings if finding.severity is Severity.CRITICAL]
        trading = [gap for gap in self._gaps if gap.feed == "trading"]
        return {
            "seconds": clock.monotonic() - began,
            "orders": self._asked,
            "messages": self._messages,
            "dropped": self._dropped,
            "gaps": len(self._gaps),
            "struck": struck,
            "recoveries": len(trading),
            "longest_recovery": max(((gap.end - gap.start).total_seconds() for gap in trading), default=0.0),
            "memory": self._memory,
            "duplicates": duplicates,
            "forgotten": forgotten,
            "wrong": wrong,
        }

    def _count(self, _: object) -> None:
        self._messages += 1

    def _request(self) -> OrderRequest:
        kind = self._chance.random()
        if kind < 0.25:
            return LimitOrder(self._chance.choice(BUYING), "buy", qty=1, limit_price="1.5", time_in_force="gtc")
        side, symbols = ("buy", BUYING) if kind < 0.8 else ("sell", SELLING)
        return MarketOrder(self._chance.choice(symbols), side, qty=self._chance.randrange(1, 5), time_in_force="gtc")

    async def _live(self, request: OrderRequest) -> None:
        orders, clock = self._both.session.orders, self._both.clock
        try:
            order = await orders.submit(request)
        except (OrderVetoed, RemoteError):
            return
        if isinstance(request, LimitOrder):
            await clock.sleep(self._chance.uniform(0, 3))
            order = await self._both.call_off(order)
        await orders.done(order)

    async def _break(self) -> None:
        while True:
            await self._both.clock.sleep(self._accidents.uniform(_SHORTEST, _LONGEST))
            lines = tuple(self._both.box.desk.lines)
            if lines:
                self._accidents.choice(lines).drop()
                self._dropped += 1

    async def _watch(self, began: float) -> None:
        while True:
            self._memory.append((self._both.clock.monotonic() - began, _resident(), self._asked))
            await self._both.clock.sleep(max(self._seconds / 60, 0.5))

    def _make_peace(self) -> int:
        """End all faults; how often they have struck."""
        struck = 0
        for fault in tuple(self._both.box.desk.faults):
            struck += fault.struck
            self._both.box.desk.faults.remove(fault.fault_id)
        return struck


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()


def _sockets() -> int:
    return sum(_is_socket(entry) for entry in os.scandir("/proc/self/fd"))


def _is_socket(entry: os.DirEntry[str]) -> bool:
    with suppress(OSError):
        return os.readlink(entry.path).startswith("socket:")
    return False
