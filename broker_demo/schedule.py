"""When an order works: sessions, and the bells that ring at moments known beforehand."""

from __future__ import annotations

from enum import IntEnum
from heapq import heappop, heappush

import attrs

from broker_core.requests import OrderRequest, TimeInForce
from broker_demo.trading_hours import NEVER_NS, TradingHours


@attrs.frozen
class Session:
    """A stretch of time in which the market is open, or closed, throughout."""

    start_ns: int
    end_ns: int
    is_open: bool


class Schedule:
    """Trading hours as orders see them. Asked at every tick, so it remembers the session it was asked about last."""

    def __init__(self, hours: TradingHours) -> None:
        self._hours = hours
        self._last = Session(0, 0, is_open=False)

    def at(self, ns: int) -> Session:
        """The session, open or closed, that holds this moment."""
        if not self._last.start_ns <= ns < self._last.end_ns:
            hours = self._hours
            if hours.is_open(ns):
                self._last = Session(hours.opening(ns), hours.closing(ns), is_open=True)
            else:
                self._last = Session(hours.previous_close(ns) or 0, hours.next_open(ns), is_open=False)
        return self._last

    def span(self, request: OrderRequest, now_ns: int) -> tuple[int, int | None]:
        """When an order taken now begins to work, and when it ends by itself; None for never."""
        if request.time_in_force is TimeInForce.OPG:
            works_from_ns = self._hours.next_open(now_ns)
        elif request.extended_hours:
            works_from_ns = now_ns
        else:
            works_from_ns = max(self._hours.opening(now_ns), now_ns)
        if request.time_in_force is TimeInForce.GTC:
            return works_from_ns, None
        return works_from_ns, self._hours.closing(works_from_ns)


class Bell(IntEnum):
    """What happens at a moment known beforehand. Of several at one moment, the lowest comes first."""

    END = 0
    """An order's time in force is over, or its cancellation is carried out."""
    CLOSE = 1
    """A session is over."""
    OPEN = 2
    """An order that waited for the session begins to work."""


class Bells:
    """The moments to come, in order."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, Bell, int, str]] = []
        self._count = 0

    def set(self, at_ns: int, bell: Bell, order_id: str = "") -> None:
        """Have a bell ring at this moment; one that would ring at the end of time is not set."""
        if at_ns < NEVER_NS:
            self._count += 1
            heappush(self._heap, (at_ns, bell, self._count, order_id))

    @property
    def next_ns(self) -> int:
        """The moment of the next bell; ``NEVER_NS`` when there is none."""
        return self._heap[0][0] if self._heap else NEVER_NS

    def ring(self) -> tuple[int, Bell, str]:
        """Take the next bell off: its moment, what it means, and the order it is for."""
        at_ns, bell, _, order_id = heappop(self._heap)
        return at_ns, bell, order_id
