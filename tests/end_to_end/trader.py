"""A program that trades at the sandbox over the plugin for Alpaca, until it is killed.

First it lets the session settle what the last run left, and says in one line of JSON what is not as the exchange says. Then it submits
orders as fast as it can, a line for each submit that has returned; with ``check`` it stops after the comparison.
"""

import asyncio
import itertools
import json
import os
import sys
from urllib.request import urlopen

import broker_core
from broker_core import LimitOrder, MarketOrder, OrderPolicy, Side
from broker_core.errors import BrokerError

AT_ONCE = 3
POLICY = OrderPolicy(lookups=(0.05, 0.1, 0.2, 0.4), absent_for=0.5, gate=60)
ENDS = {"filled", "canceled", "expired", "rejected"}


def say(**line: object) -> None:
    print(json.dumps(line), flush=True)  # noqa: T201  # the parent reads it


def truth() -> dict[str, tuple[str, str]]:
    """Status and filled quantity of every order at the exchange, by client order id."""
    with urlopen(os.environ["ADMIN_URL"] + "/state", timeout=30) as answer:  # noqa: S310  # loopback
        return {order["client_order_id"]: (order["status"], order["filled_qty"]) for order in json.load(answer)["orders"]}


def differences(session: broker_core.Session) -> list[tuple[str, str, str]]:
    """Orders that are not as the exchange says. One that still works there may be ahead by a fill that is on its way."""
    held, found = truth(), []
    for order in session.orders.book.orders():
        status, filled = held.get(order.local_id, ("failed", "0"))
        is_same = order.state.value == status if status in ENDS or order.local_id not in held else not order.is_terminal
        if not is_same or format(order.filled_qty.normalize(), "f") != filled:
            found.append((order.local_id, f"{order.state} {order.filled_qty}", f"{status} {filled}"))
    return found


async def main(*task: str) -> None:
    async with broker_core.connect("alpaca", policy=POLICY) as session:
        assert await session.gate.wait("AAPL", 60) is None
        for _ in range(100):
            wrong = await asyncio.to_thread(differences, session)
            if not wrong:
                break
            await asyncio.sleep(0.1)
        say(kind="settled", orders=len(session.orders.book.orders()), wrong=wrong, mode=session.connection.mode)
        if task == ("check",):
            return
        requests = itertools.cycle(
            [
                MarketOrder("AAPL", Side.BUY, qty=1),
                LimitOrder("MSFT", Side.BUY, qty=2, limit_price="1", time_in_force="gtc"),
                MarketOrder("NVDA", Side.BUY, qty=3),
            ]
        )

        async def submit() -> None:
            for request in requests:
                try:
                    order = await session.orders.submit(request)
                    say(kind="sent", local_id=order.local_id)
                    if isinstance(request, LimitOrder):
                        await session.orders.cancel(order)
                except BrokerError as error:
                    say(kind="refused", error=str(error))
                    await asyncio.sleep(0.05)

        await asyncio.gather(*(submit() for _ in range(AT_ONCE)))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
