"""Settles what the last run left, compares with the exchange, then submits orders as fast as it can until it is killed.

Prints one line of JSON for each: ``settled`` (how many orders are as the exchange says, and which are not) and ``sent`` (an order whose
submit returned). With ``check`` as its last argument it stops after the comparison; with ``before`` or ``after`` and a number it sends one
order and kills itself there, at that write of the journal.
"""

import asyncio
import itertools
import json
import os
import signal
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

from remote_broker import RemoteBroker

import broker_core
from broker_core import LimitOrder, MarketOrder, OrderChange, OrderPolicy, Side, StopOrder
from broker_core.config import Settings
from broker_core.families import Journal

AT_ONCE = 4
POLICY = OrderPolicy(lookups=(0.02, 0.05, 0.1, 0.2), absent_for=0.3, gate=60)


def say(**line: object) -> None:
    print(json.dumps(line), flush=True)  # noqa: T201  # the parent reads it


async def differences(session: broker_core.Session, broker: RemoteBroker) -> list[tuple[str, str, str]]:
    """Orders of the log that are not as the exchange says."""
    found = []
    held = {event.client_order_id: event for event in await broker.listing(datetime(2000, 1, 1, tzinfo=UTC))}
    for order in session.orders.book.orders():
        event = held.get(order.local_id)
        here = (order.state.value, str(order.filled_qty.normalize()))
        there = ("failed", "0") if event is None else (event.status.value, str(event.filled_qty.normalize()))
        if here != there:
            found.append((order.local_id, str(here), str(there)))
    return found


class Doomed:
    """Wraps a session's journal and kills the process before or after its n-th write."""

    def __init__(self, journal: Journal, when: str, last: int) -> None:
        self._journal, self._when, self._left = journal, when, last

    async def append(self, changes: Sequence[OrderChange]) -> None:
        self._left -= 1
        if self._left == 0 and self._when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        await self._journal.append(changes)
        if self._left == 0 and self._when == "after":
            os.kill(os.getpid(), signal.SIGKILL)


async def main(port: int, *task: str) -> None:
    broker = RemoteBroker(port)
    settings = Settings(disable=("demo",))
    async with broker_core.connect("remote", plugins=[broker], settings=settings, policy=POLICY) as session:
        assert await session.gate.wait("AAPL", 60) is None
        for _ in range(50):
            # The market goes on while we compare.
            wrong = await differences(session, broker)
            if not wrong:
                break
            await asyncio.sleep(0.1)
        say(kind="settled", orders=len(session.orders.book.orders()), wrong=wrong, open=len(session.orders.open()))
        if task == ("check",):
            return
        if task:
            session.orders._log._journal = Doomed(session.journal, task[0], int(task[1]))  # type: ignore[arg-type]
            await session.orders.done(await session.orders.submit(MarketOrder("AAPL", Side.BUY, qty=1)))
            raise AssertionError("the order ended before the process did")
        requests = itertools.cycle(
            [
                MarketOrder("AAPL", Side.BUY, qty=1),
                LimitOrder("MSFT", Side.BUY, qty=2, limit_price="1"),
                MarketOrder("TSLA", Side.BUY, qty=900),
                StopOrder("SPY", Side.BUY, qty=1, stop_price="9000"),
            ]
        )

        async def submit() -> None:
            for request in requests:
                order = await session.orders.submit(request)
                say(kind="sent", local_id=order.local_id)
                if isinstance(request, LimitOrder):
                    await session.orders.cancel(order)

        await asyncio.gather(*(submit() for _ in range(AT_ONCE)))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), *sys.argv[2:]))
