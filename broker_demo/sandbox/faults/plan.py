"""Which faults there are to come, and which have struck how often."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import attrs

from broker_core.clock import Clock, SystemClock, seeded
from broker_demo.sandbox.faults.terms import Channel, Kind, Point, Terms


@attrs.define(kw_only=True, eq=False)
class Fault:
    """One fault with its own count and its own chance."""

    fault_id: str
    terms: Terms
    ends: float | None
    """The second of the monotonic clock from which it is over."""
    chance: random.Random
    seen: int = 0
    """How many of those it is meant for have come by."""
    struck: int = 0

    @property
    def is_spent(self) -> bool:
        """Whether it has struck as often as it may."""
        return self.terms.count is not None and self.struck >= self.terms.count

    def strikes(self) -> bool:
        """Count one more of those it is meant for, and say whether this is one it strikes."""
        terms = self.terms
        if self.is_spent:
            return False
        self.seen += 1
        turn = self.seen - terms.after
        if turn <= 0 or turn % terms.every or (terms.probability < 1 and self.chance.random() >= terms.probability):
            return False
        self.struck += 1
        return True

    @property
    def delay(self) -> float:
        """Its seconds, and something up to its jitter on top."""
        seconds = self.terms.seconds or 0.0
        return seconds + self.chance.random() * self.terms.jitter if self.terms.jitter else seconds


class Faults:
    """The faults, in the order in which they were added; an earlier one is asked first.

    ``connections``, ``requests``, ``cancellations``, ``handshakes``, ``sign_ins``, ``messages``, ``fills`` and ``times`` hold those of one
    point that may still strike: where one is empty there is nothing to ask.
    """

    connections: tuple[Fault, ...] = ()
    requests: tuple[Fault, ...] = ()
    cancellations: tuple[Fault, ...] = ()
    handshakes: tuple[Fault, ...] = ()
    sign_ins: tuple[Fault, ...] = ()
    messages: tuple[Fault, ...] = ()
    fills: tuple[Fault, ...] = ()
    times: tuple[Fault, ...] = ()

    def __init__(self, terms: Iterable[Terms] = (), *, clock: Clock | None = None) -> None:
        self.clock = clock or SystemClock()
        self.on_change: Callable[[], None] | None = None
        """Told when other faults than before may strike."""
        self._all: dict[str, Fault] = {}
        self._made = 0
        for each in terms:
            self.add(each)

    def __iter__(self) -> Iterator[Fault]:
        """All of them, those that are spent too."""
        self._sort()
        return iter(tuple(self._all.values()))

    def add(self, terms: Terms) -> Fault:
        """Begin a fault."""
        self._made += 1
        ends = None if terms.lasts is None else self.clock.monotonic() + terms.lasts
        fault = Fault(fault_id=f"fault-{self._made}", terms=terms, ends=ends, chance=seeded(terms.seed))
        self._all[fault.fault_id] = fault
        self._sort()
        return fault

    def remove(self, fault_id: str) -> bool:
        """End a fault; False where there is none of this id."""
        removed = self._all.pop(fault_id, None)
        self._sort()
        return removed is not None

    def clear(self) -> None:
        """End them all."""
        self._all.clear()
        self._sort()

    def of_connection(self) -> Fault | None:
        """The fault that strikes a connection that was accepted."""
        return next(self._striking(self.connections), None)

    def of_request(self, method: str, path: str) -> Iterator[Fault]:
        """The faults that strike a request, one after the other: one that is not asked for does not count the request."""
        return self._striking(fault for fault in self.requests if fault.terms.fits_request(method, path))

    def of_cancellation(self, symbol: str) -> Fault | None:
        """The fault that strikes the cancellation of an order in this symbol."""
        return next(self._striking(fault for fault in self.cancellations if fault.terms.symbol in (None, symbol)), None)

    def of_handshake(self, channel: Channel) -> Fault | None:
        """The fault that strikes a socket's handshake."""
        return next(self._striking(fault for fault in self.handshakes if fault.terms.fits_handshake(channel)), None)

    def of_sign_in(self, channel: Channel) -> Fault | None:
        """The fault that strikes a socket's signing in."""
        return next(self._striking(fault for fault in self.sign_ins if fault.terms.fits_sign_in(channel)), None)

    def of_message(self, channel: Channel, event: str, symbol: str) -> Iterator[Fault]:
        """The faults that strike a message on a socket, as with requests."""
        return self._striking(fault for fault in self.messages if fault.terms.fits_message(channel, event, symbol))

    def of_fill(self, symbol: str) -> Fault | None:
        """The fault that strikes a fill in this symbol."""
        return next(self._striking(fault for fault in self.fills if fault.terms.symbol in (None, symbol)), None)

    def of_time(self, fault: Fault) -> bool:
        """Whether a fault that comes by time strikes now that its seconds have gone by."""
        return next(self._striking([fault]), None) is not None

    def _striking(self, candidates: Iterable[Fault]) -> Iterator[Fault]:
        for fault in candidates:
            is_over = self._is_over(fault)
            strikes = not is_over and fault.strikes()
            if is_over or fault.is_spent:
                self._sort()
            if strikes:
                yield fault

    def _is_over(self, fault: Fault) -> bool:
        return fault.ends is not None and self.clock.monotonic() >= fault.ends

    def _sort(self) -> None:
        for fault_id in [fault.fault_id for fault in self._all.values() if self._is_over(fault)]:
            del self._all[fault_id]
        active = [fault for fault in self._all.values() if not fault.is_spent]

        def at(point: Point) -> tuple[Fault, ...]:
            return tuple(fault for fault in active if fault.terms.point is point)

        self.connections, self.requests, self.cancellations = at(Point.CONNECTION), at(Point.REQUEST), at(Point.CANCELLATION)
        self.sign_ins, self.messages, self.fills, self.times = at(Point.SIGN_IN), at(Point.MESSAGE), at(Point.FILL), at(Point.TIME)
        # Too many trading sockets show at the handshake.
        self.handshakes = at(Point.HANDSHAKE) + tuple(fault for fault in self.sign_ins if fault.terms.kind is Kind.CONNECTION_LIMIT)
        if self.on_change is not None:
            self.on_change()


def described(fault: Fault) -> dict[str, Any]:
    """A fault as the second port tells it: its terms as far as they were written, and its counts."""
    written = attrs.asdict(fault.terms, filter=lambda field, value: value != field.default)
    return {"id": fault.fault_id, **written, "seen": fault.seen, "struck": fault.struck, "is_spent": fault.is_spent}
