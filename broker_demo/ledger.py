"""Money and shares: what executions do to cash and positions.

Everything follows from the opening cash and the list of executions, so one that is taken back leaves no trace: the position is as if it
had never been. Amounts are kept to fifteen decimals, which is exact for all but the share of its cost that a partial sale takes along, so
that sums of them are never rounded.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import attrs

from broker_core.orders import ZERO
from broker_core.requests import Side

_DECIMALS = -15
_AMOUNT_STEP = Decimal(10) ** _DECIMALS


def _amount(value: Decimal) -> Decimal:
    exponent = value.as_tuple().exponent
    return value if isinstance(exponent, int) and exponent >= _DECIMALS else value.quantize(_AMOUNT_STEP)


@attrs.frozen(kw_only=True)
class Fill:
    """One execution. ``filled_qty`` and ``filled_avg_price`` are its order's running totals right after it."""

    execution_id: str
    order_id: str
    symbol: str
    side: Side
    qty: Decimal
    price: Decimal
    at_ns: int
    filled_qty: Decimal
    filled_avg_price: Decimal

    @property
    def signed_qty(self) -> Decimal:
        """The change of the position."""
        return self.qty if self.side is Side.BUY else -self.qty

    @property
    def cost(self) -> Decimal:
        """What it takes out of the cash; below zero for a sale."""
        return _amount(self.signed_qty * self.price)


@attrs.frozen(kw_only=True)
class Bust:
    """An execution taken back."""

    bust_id: str
    execution_id: str
    at_ns: int


@attrs.frozen
class Holding:
    """The position in one symbol: signed quantity, its cost with the same sign, and what earlier round trips have earned."""

    qty: Decimal = ZERO
    cost: Decimal = ZERO
    realized_pnl: Decimal = ZERO

    @property
    def avg_entry_price(self) -> Decimal:
        """What a share of the present position cost on average; zero when flat."""
        return self.cost / self.qty if self.qty else ZERO

    def after(self, signed_qty: Decimal, price: Decimal) -> Holding:
        """The holding after an execution; one that goes through zero closes the old position and opens a new one."""
        paid = _amount(signed_qty * price)
        if self.qty * signed_qty >= 0:
            return Holding(self.qty + signed_qty, self.cost + paid, self.realized_pnl)
        closing = max(signed_qty, -self.qty) if signed_qty < 0 else min(signed_qty, -self.qty)
        paid_for_closing = _amount(closing * price)
        removed = self.cost if closing == -self.qty else _amount(self.cost * -closing / self.qty)
        return Holding(
            self.qty + signed_qty,
            self.cost - removed + paid - paid_for_closing,
            self.realized_pnl - paid_for_closing - removed,
        )


@attrs.define(eq=False)
class Ledger:
    """The account's books: opening cash and executions, and the cash and holdings that follow from them."""

    opening_cash: Decimal
    fills: list[Fill] = attrs.field(factory=list)
    busts: list[Bust] = attrs.field(factory=list)
    cash: Decimal = attrs.field(init=False)
    shorts: dict[str, Holding] = attrs.field(init=False, factory=dict)
    """The holdings below zero, by symbol. Every order asks for them."""
    _holdings: dict[str, Holding] = attrs.field(init=False, factory=dict)
    _by_id: dict[str, Fill] = attrs.field(init=False, factory=dict)
    _busted: set[str] = attrs.field(init=False, factory=set)

    def __attrs_post_init__(self) -> None:
        self.cash = self.opening_cash
        self._busted = {bust.execution_id for bust in self.busts}
        self._by_id = {fill.execution_id: fill for fill in self.fills}
        for fill in self.fills:
            if fill.execution_id not in self._busted:
                self._apply(fill)

    def _apply(self, fill: Fill) -> None:
        self.cash -= fill.cost
        self._hold(fill.symbol, self.holding(fill.symbol).after(fill.signed_qty, fill.price))

    def _hold(self, symbol: str, holding: Holding) -> None:
        self._holdings[symbol] = holding
        if holding.qty < 0:
            self.shorts[symbol] = holding
        else:
            self.shorts.pop(symbol, None)

    def book(self, fill: Fill) -> None:
        """Enter an execution."""
        self.fills.append(fill)
        self._by_id[fill.execution_id] = fill
        self._apply(fill)

    def bust(self, bust: Bust) -> None:
        """Take an execution back. Raises KeyError for one that was never booked or is taken back already."""
        fill = self._by_id[bust.execution_id]
        if self.is_busted(bust.execution_id):
            raise KeyError(bust.execution_id)
        self.busts.append(bust)
        self._busted.add(bust.execution_id)
        self.cash += fill.cost
        holding = Holding()
        for other in self.fills:
            if other.symbol == fill.symbol and other.execution_id not in self._busted:
                holding = holding.after(other.signed_qty, other.price)
        self._hold(fill.symbol, holding)

    def fill(self, execution_id: str) -> Fill | None:
        """The execution of this id, taken back or not."""
        return self._by_id.get(execution_id)

    def is_busted(self, execution_id: str) -> bool:
        """Whether an execution was taken back."""
        return execution_id in self._busted

    def holding(self, symbol: str) -> Holding:
        """The position in a symbol; flat when there never was one."""
        return self._holdings.get(symbol, Holding())

    @property
    def positions(self) -> Mapping[str, Holding]:
        """The holdings that are not flat, by symbol in alphabetical order."""
        return {symbol: held for symbol, held in sorted(self._holdings.items()) if held.qty}

    @property
    def realized_pnl(self) -> Decimal:
        """What all round trips have earned."""
        return sum((held.realized_pnl for held in self._holdings.values()), start=ZERO)
