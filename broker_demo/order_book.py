"""All orders of the account, ended ones too, and the ways to find them."""

from __future__ import annotations

from collections.abc import Iterable, Reversible
from decimal import Decimal

from broker_core.orders import ZERO
from broker_core.requests import Side
from broker_demo.paper_order import PaperOrder, Role, Status


class OrderBook:
    """Orders by id, by client order id, by symbol and by group. Time priority is the order in which they were added."""

    def __init__(self, orders: Iterable[PaperOrder] = ()) -> None:
        self._by_id: dict[str, PaperOrder] = {}
        self._by_client_id: dict[str, PaperOrder] = {}
        self._open: dict[str, dict[str, PaperOrder]] = {}
        self._open_by_time: dict[str, PaperOrder] = {}
        self._open_by_side: dict[tuple[str, Side], dict[str, PaperOrder]] = {}
        self._groups: dict[str, list[PaperOrder]] = {}
        self._claims: dict[str, Decimal] = {}
        self.claimed_amount = ZERO
        """The money that open orders keep for themselves. Exits keep none."""
        for order in orders:
            self.add(order)

    def add(self, order: PaperOrder) -> None:
        """Enter an order."""
        self._by_id[order.order_id] = order
        self._by_client_id[order.client_order_id] = order
        if order.is_open:
            self._open.setdefault(order.symbol, {})[order.order_id] = order
            self._open_by_time[order.order_id] = order
            self._open_by_side.setdefault((order.symbol, order.side), {})[order.order_id] = order
            self.claim(order)
        if order.group_id is not None:
            self._groups.setdefault(order.group_id, []).append(order)

    def retire(self, order: PaperOrder) -> None:
        """Take an order that has ended off the list of open ones."""
        symbol = self._open[order.symbol]
        del symbol[order.order_id], self._open_by_time[order.order_id], self._open_by_side[order.symbol, order.side][order.order_id]
        if not symbol:
            del self._open[order.symbol]
        self.claimed_amount -= self._claims.pop(order.order_id, ZERO)

    def claim(self, order: PaperOrder) -> None:
        """Count anew what an open order keeps for itself: to be called whenever some of it was filled, or taken back."""
        if order.opens and order.order_id in self._open.get(order.symbol, ()):
            amount = order.claimed_amount
            self.claimed_amount += amount - self._claims.get(order.order_id, ZERO)
            self._claims[order.order_id] = amount

    def get(self, order_id: str) -> PaperOrder | None:
        """The order of this id."""
        return self._by_id.get(order_id)

    def by_client_id(self, client_order_id: str) -> PaperOrder | None:
        """The order of this client order id."""
        return self._by_client_id.get(client_order_id)

    def open_in(self, symbol: str) -> tuple[PaperOrder, ...]:
        """The open orders in a symbol, the oldest first."""
        return tuple(self._open.get(symbol, {}).values())

    def open_on(self, symbol: str, side: Side) -> tuple[PaperOrder, ...]:
        """The open orders in a symbol that go this way, the oldest first."""
        return tuple(self._open_by_side.get((symbol, side), {}).values())

    def open_against(self, symbol: str, side: Side) -> tuple[PaperOrder, ...]:
        """Those that go the other way."""
        return self.open_on(symbol, Side.SELL if side is Side.BUY else Side.BUY)

    def open_symbols(self) -> list[str]:
        """The symbols with open orders, in alphabetical order."""
        return sorted(self._open)

    @property
    def is_quiet(self) -> bool:
        """Whether no order is open."""
        return not self._open

    def open(self) -> list[PaperOrder]:
        """All open orders, symbol by symbol."""
        return [order for symbol in self.open_symbols() for order in self.open_in(symbol)]

    def open_by_time(self) -> Reversible[PaperOrder]:
        """All open orders, the oldest first: a view, which changes with them."""
        return self._open_by_time.values()

    def companions(self, order: PaperOrder) -> list[PaperOrder]:
        """The other open orders of its group."""
        return [other for other in self._groups.get(order.group_id or "", ()) if other is not order and other.is_open]

    def sibling(self, order: PaperOrder) -> PaperOrder | None:
        """The other exit, while it is open."""
        if order.role is Role.ENTRY:
            return None
        return next((other for other in self.companions(order) if other.role is not Role.ENTRY), None)

    def legs(self, order: PaperOrder) -> list[PaperOrder]:
        """The orders that came with this one, under their present ids."""
        if order.is_leg or order.status is Status.REPLACED:
            return []
        return [leg for leg in self._groups.get(order.group_id or "", ()) if leg.is_leg and leg.status is not Status.REPLACED]
