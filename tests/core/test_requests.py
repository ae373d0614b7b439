"""Order requests: what each type needs, what it may not have, and the way to flat terms and back."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker_core.order_terms import as_terms, from_terms, order_request
from broker_core.requests import (
    ForeignOrder,
    LimitOrder,
    MarketOrder,
    OrderClass,
    OrderRequest,
    OrderType,
    Side,
    StopLimitOrder,
    StopLoss,
    StopOrder,
    TakeProfit,
    TimeInForce,
    TrailingStopOrder,
    check_positive,
    refuse,
    to_decimal,
)

PRICES: dict[type[OrderRequest], dict[str, Any]] = {
    MarketOrder: {},
    LimitOrder: {"limit_price": 100},
    StopOrder: {"stop_price": 100},
    StopLimitOrder: {"stop_price": 100, "limit_price": 101},
    TrailingStopOrder: {"trail_percent": 1},
}
GROUPS = [kind for kind in OrderClass if kind is not OrderClass.MLEG]
KINDS = sorted(PRICES, key=lambda kind: kind.__name__)


def make(kind: type[OrderRequest] = MarketOrder, **terms: Any) -> OrderRequest:
    return kind(**{"symbol": "AAPL", "side": "buy", "qty": 10, **PRICES[kind], **terms})


def refused(**terms: Any) -> str:
    """The text of the refusal; it is one line."""
    with pytest.raises(ValueError, match=r"\A[a-z_.]+: [^\n]+\Z") as caught:
        make(**terms)
    return str(caught.value)


class TestAmounts:
    @pytest.mark.parametrize(
        ("value", "number"),
        [
            (10, "10"),
            ("185.50", "185.50"),
            (0.1, "0.1"),
            (1e-7, "1E-7"),
            (1.10, "1.1"),
            (Decimal("1.2300"), "1.2300"),
            ("1e3", "1E+3"),
            ("-5", "-5"),
            (0, "0"),
        ],
    )
    def test_exact(self, value: Any, number: str):
        """Integers, texts and decimals are taken digit by digit, floats by their shortest text."""
        assert str(to_decimal(value)) == number

    @pytest.mark.parametrize("value", ["", "ten", "1,000", "0x10", "1 0", None, [], object(), b"1", True, False])
    def test_no_number(self, value: Any):
        """What is not a number is refused with the field's name."""
        with pytest.raises(ValueError, match=r"\Aqty: .* is not a number\Z"):
            to_decimal(value, "qty")

    @pytest.mark.parametrize("value", ["nan", "inf", "-Infinity", "sNaN", float("nan"), float("inf"), Decimal("NaN"), Decimal("sNaN")])
    def test_not_finite(self, value: Any):
        """Infinities and what is no number at all are refused."""
        with pytest.raises(ValueError, match=r"\Aprice: .* is not a finite number\Z"):
            to_decimal(value, "price")

    @settings(deadline=None)
    @given(st.decimals(allow_nan=False, allow_infinity=False))
    def test_text_and_decimal_agree(self, number: Decimal):
        """A decimal and its text are the same amount to the last digit."""
        assert to_decimal(str(number)).as_tuple() == to_decimal(number).as_tuple() == number.as_tuple()

    @settings(deadline=None)
    @given(st.floats(allow_nan=False, allow_infinity=False))
    def test_floats_by_their_shortest_text(self, number: float):
        """A float becomes the shortest decimal that is that float."""
        assert to_decimal(number) == Decimal(repr(number))

    @pytest.mark.parametrize(("value", "good"), [(None, True), (Decimal("0.000001"), True), (Decimal(0), False), (Decimal("-0.1"), False)])
    def test_positive(self, value: Decimal | None, good: bool):
        """Absent or above zero."""
        if good:
            check_positive("qty", value)
        else:
            with pytest.raises(ValueError, match=f"qty: {value} is not above zero"):
                check_positive("qty", value)

    def test_refusal_is_one_line(self):
        """A refusal names the field, the value and the rule."""
        assert str(refuse("qty", -1, "is not above zero")) == "qty: -1 is not above zero"


class TestFields:
    @pytest.mark.parametrize("kind", KINDS)
    def test_plain_order(self, kind: type[OrderRequest]):
        """Each type is made of its own prices, takes words for its enums, and says its type."""
        request = make(kind, side="sell", time_in_force="gtc", order_class="simple")

        assert request.side is Side.SELL
        assert request.time_in_force is TimeInForce.GTC
        assert request.order_class is OrderClass.SIMPLE
        assert request.qty == Decimal(10)
        assert isinstance(request.qty, Decimal)
        for name in ("limit_price", "stop_price", "trail_price", "trail_percent"):
            wanted = PRICES[kind].get(name)
            assert getattr(request, name) == (None if wanted is None else Decimal(wanted))

    def test_types(self):
        """The five types, each with its word."""
        assert {kind.order_type for kind in KINDS} == set(OrderType)
        assert {make(kind).order_type for kind in KINDS} == set(OrderType)

    def test_defaults(self):
        """Nothing said means a simple order for the day, in regular hours, unlabelled."""
        request = MarketOrder("AAPL", Side.BUY, qty=1)

        assert (request.time_in_force, request.order_class, request.extended_hours) == (TimeInForce.DAY, OrderClass.SIMPLE, False)
        assert (request.notional, request.take_profit, request.stop_loss, request.strategy, request.signal_id) == (None,) * 5

    @pytest.mark.parametrize("kind", KINDS)
    def test_frozen_and_hashable(self, kind: type[OrderRequest]):
        """A request cannot be changed, and equal ones are one key."""
        request = make(kind)

        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            request.qty = Decimal(1)  # type: ignore[misc]
        assert {request: 1}[make(kind)] == 1

    def test_nobodys_order(self):
        """The class of what all orders have is not an order."""
        with pytest.raises(ValueError, match="order_type: None is missing: use MarketOrder, LimitOrder"):
            OrderRequest("AAPL", Side.BUY, qty=1)

    def test_a_changed_copy_is_checked_again(self):
        """A copy with other terms keeps every rule."""
        with pytest.raises(ValueError, match="qty: 0 is not above zero"):
            attrs.evolve(make(LimitOrder), qty=0)

    @pytest.mark.parametrize(
        ("terms", "says"),
        [
            ({"symbol": ""}, "symbol: '' is not a printable text of 1 to 32 characters"),
            ({"symbol": None}, "symbol: None is not a printable text"),
            ({"symbol": 7}, "symbol: 7 is not a printable text"),
            ({"symbol": "A" * 33}, "is not a printable text of 1 to 32 characters"),
            ({"symbol": "AA\nPL"}, r"symbol: 'AA\nPL' is not a printable"),
            ({"symbol": "AA PL"}, "symbol: 'AA PL' holds a space"),
            ({"symbol": "AAPL\u00a0"}, "is not a printable"),
            ({"side": "hold"}, "side: 'hold' is not one of buy, sell"),
            ({"side": None}, "side: None is not one of"),
            ({"side": "BUY"}, "side: 'BUY' is not one of"),
            ({"time_in_force": "gtd"}, "time_in_force: 'gtd' is not one of day, gtc, opg, cls, ioc, fok"),
            ({"order_class": "ladder"}, "order_class: 'ladder' is not one of simple, bracket, oco, oto"),
            ({"strategy": ""}, "strategy: '' is not a printable text of 1 to 64 characters"),
            ({"strategy": "x" * 65}, "strategy: "),
            ({"strategy": 5}, "strategy: 5 is not"),
            ({"signal_id": "a\tb"}, "signal_id: "),
            ({"extended_hours": "no"}, "extended_hours: 'no' is not a bool"),
            ({"extended_hours": 1}, "extended_hours: 1 is not a bool"),
            ({"take_profit": 110}, "take_profit: 110 is not a TakeProfit"),
            ({"stop_loss": "90"}, "stop_loss: '90' is not a StopLoss"),
        ],
    )
    def test_words_and_labels(self, terms: dict[str, Any], says: str):
        """Texts, words and parts that cannot be are refused by name."""
        assert says in refused(kind=LimitOrder, **terms)

    @pytest.mark.parametrize("symbol", ["A", "BRK.B", "BTC/USD", "AAPL260320C00150000", "X" * 32])
    def test_symbols(self, symbol: str):
        """Classes of shares, pairs and options are symbols."""
        assert make(symbol=symbol).symbol == symbol

    @pytest.mark.parametrize("text", ["x", "x" * 64, "mean reversion", "größer"])
    def test_labels(self, text: str):
        """Labels are any printable text of up to 64 characters, with spaces."""
        assert make(strategy=text, signal_id=text).strategy == text


HOLDERS: dict[str, dict[str, Any]] = {
    "qty": {"kind": MarketOrder},
    "notional": {"kind": MarketOrder, "qty": None},
    "limit_price": {"kind": LimitOrder},
    "stop_price": {"kind": StopLimitOrder},
    "trail_price": {"kind": TrailingStopOrder, "trail_percent": None},
    "trail_percent": {"kind": TrailingStopOrder},
}
"""An order that is right but for the amount of this name."""


class TestQuantity:
    @pytest.mark.parametrize("kind", KINDS)
    def test_one_of_two(self, kind: type[OrderRequest]):
        """Every type needs a quantity or an amount of money, and takes no two."""
        assert refused(kind=kind, qty=None) == "qty: None and notional None: give one of the two"
        assert refused(kind=kind, notional=5) == "notional: 5 beside qty 10: give one of the two, not both"
        assert make(kind, qty=None, notional="50.25").notional == Decimal("50.25")

    @pytest.mark.parametrize("name", sorted(HOLDERS))
    @pytest.mark.parametrize("value", [0, -1, "-0.01", "0.0"])
    def test_above_zero(self, name: str, value: Any):
        """No amount is zero or below."""
        assert refused(**{**HOLDERS[name], name: value}) == f"{name}: {value} is not above zero"

    @pytest.mark.parametrize("qty", ["0.001", 1, 10**9, 0.5])
    def test_any_quantity(self, qty: Any):
        """Fractions and large quantities make sense by themselves; whether a broker takes them is another question."""
        assert make(qty=qty).qty == Decimal(str(qty))

    @pytest.mark.parametrize(
        ("kind", "name"),
        [(LimitOrder, "limit_price"), (StopOrder, "stop_price"), (StopLimitOrder, "stop_price"), (StopLimitOrder, "limit_price")],
    )
    def test_price_that_is_missing(self, kind: type[OrderRequest], name: str):
        """A type without its price is refused with the price's name, given as None or not at all."""
        assert refused(kind=kind, **{name: None}) == f"{name}: None is missing; this order type needs it"
        rest = {other: price for other, price in PRICES[kind].items() if other != name}
        with pytest.raises(ValueError, match=f"{name}: None is missing"):
            kind("AAPL", "buy", qty=1, **rest)  # type: ignore[arg-type]  # words are taken too

    @pytest.mark.parametrize("name", sorted(HOLDERS))
    def test_no_number(self, name: str):
        """Each amount's refusal names that amount."""
        assert refused(**{**HOLDERS[name], name: "many"}) == f"{name}: 'many' is not a number"


class TestTimeInForce:
    @pytest.mark.parametrize("word", list(TimeInForce))
    @pytest.mark.parametrize("kind", KINDS)
    def test_simple_orders(self, kind: type[OrderRequest], word: TimeInForce):
        """A simple order may work for any time, a trailing stop for the day or until cancelled."""
        if kind is TrailingStopOrder and word not in (TimeInForce.DAY, TimeInForce.GTC):
            assert refused(kind=kind, time_in_force=word) == f"time_in_force: {word} on a trailing_stop order: use day or gtc"
        else:
            assert make(kind, time_in_force=word).time_in_force is word

    @pytest.mark.parametrize("kind", KINDS)
    def test_extended_hours(self, kind: type[OrderRequest]):
        """Only limit orders trade outside regular hours."""
        if kind is LimitOrder:
            assert make(kind, extended_hours=True).extended_hours
        else:
            assert "only limit orders trade outside regular hours" in refused(kind=kind, extended_hours=True)


GAIN, LOSS = TakeProfit(110), StopLoss(90)


class TestClasses:
    @pytest.mark.parametrize("kind", [kind for kind in KINDS if kind is not TrailingStopOrder])
    @pytest.mark.parametrize(
        ("order_class", "gain", "loss", "says"),
        [
            ("simple", None, None, None),
            ("simple", GAIN, None, "order_class: simple with take_profit or stop_loss: exits need bracket, oco or oto"),
            ("simple", None, LOSS, "order_class: simple with take_profit or stop_loss"),
            ("simple", GAIN, LOSS, "order_class: simple with take_profit or stop_loss"),
            ("bracket", GAIN, LOSS, None),
            ("bracket", GAIN, StopLoss(90, 89), None),
            ("bracket", None, LOSS, "order_class: bracket without both take_profit and stop_loss"),
            ("bracket", GAIN, None, "order_class: bracket without both"),
            ("bracket", None, None, "order_class: bracket without both"),
            ("oto", GAIN, None, None),
            ("oto", None, LOSS, None),
            ("oto", GAIN, LOSS, "order_class: oto needs exactly one of take_profit and stop_loss"),
            ("oto", None, None, "order_class: oto needs exactly one"),
        ],
    )
    def test_exits(self, kind: type[OrderRequest], order_class: str, gain: TakeProfit | None, loss: StopLoss | None, says: str | None):
        """A simple order has no exits, a bracket both, an oto order one; so for every type that may lead a group."""
        terms: dict[str, Any] = {"kind": kind, "order_class": order_class, "take_profit": gain, "stop_loss": loss}
        if says is None:
            assert (make(**terms).take_profit, make(**terms).stop_loss) == (gain, loss)
        else:
            assert says in refused(**terms)

    @pytest.mark.parametrize(
        ("side", "gain", "loss", "good"),
        [
            ("buy", 110, 90, True),
            ("buy", 90, 110, False),
            ("buy", 100, 100, False),
            ("sell", 90, 110, True),
            ("sell", 110, 90, False),
            ("sell", 100, 100, False),
        ],
    )
    def test_sides_of_a_bracket(self, side: str, gain: int, loss: int, good: bool):
        """A bought position gains above its loss, a sold one below."""
        terms: dict[str, Any] = {"side": side, "order_class": "bracket", "take_profit": TakeProfit(gain), "stop_loss": StopLoss(loss)}
        if good:
            make(**terms)
        else:
            way = "above" if side == "buy" else "below"
            assert refused(**terms) == f"take_profit.limit_price: {gain} is not {way} stop_loss.stop_price {loss}"

    @pytest.mark.parametrize(
        ("terms", "says"),
        [
            ({"kind": LimitOrder, "side": "sell", "stop_loss": StopLoss(90)}, None),
            ({"kind": LimitOrder, "side": "sell", "stop_loss": StopLoss(90), "take_profit": TakeProfit(100)}, None),
            ({"kind": LimitOrder, "side": "buy", "stop_loss": StopLoss(110, 111)}, None),
            ({"kind": MarketOrder, "stop_loss": LOSS}, "order_class: oco on a market order: its gain side is a limit order"),
            ({"kind": StopOrder, "stop_loss": LOSS}, "order_class: oco on a stop order"),
            ({"kind": StopLimitOrder, "stop_loss": LOSS}, "order_class: oco on a stop_limit order"),
            ({"kind": LimitOrder}, "stop_loss: None in an oco order: it needs the loss side"),
            ({"kind": LimitOrder, "take_profit": TakeProfit(100)}, "stop_loss: None in an oco order"),
            (
                {"kind": LimitOrder, "side": "sell", "stop_loss": StopLoss(90), "take_profit": TakeProfit(105)},
                "take_profit.limit_price: 105 differs from limit_price 100",
            ),
            ({"kind": LimitOrder, "side": "sell", "stop_loss": StopLoss(100)}, "100 is not above stop_loss.stop_price 100"),
            ({"kind": LimitOrder, "side": "buy", "stop_loss": StopLoss(100)}, "100 is not below stop_loss.stop_price 100"),
            ({"kind": LimitOrder, "side": "buy", "stop_loss": StopLoss(90)}, "100 is not below stop_loss.stop_price 90"),
        ],
    )
    def test_oco(self, terms: dict[str, Any], says: str | None):
        """An oco order is the two exits of a position: its own limit is the gain, its stop loss the other side."""
        if says is None:
            assert make(order_class="oco", **terms).order_class is OrderClass.OCO
        else:
            assert says in refused(order_class="oco", **terms)

    @pytest.mark.parametrize("order_class", ["bracket", "oto", "oco"])
    @pytest.mark.parametrize(
        ("terms", "says"),
        [
            ({"qty": None, "notional": 500}, "notional: 500 in a {} order: exits need a qty"),
            ({"extended_hours": True}, "extended_hours: True in a {} order: groups trade in regular hours only"),
            ({"time_in_force": "ioc"}, "time_in_force: ioc in a {} order: use day or gtc"),
            ({"time_in_force": "fok"}, "time_in_force: fok in a {} order"),
            ({"time_in_force": "opg"}, "time_in_force: opg in a {} order"),
            ({"time_in_force": "cls"}, "time_in_force: cls in a {} order"),
        ],
    )
    def test_groups(self, order_class: str, terms: dict[str, Any], says: str):
        """Groups have a quantity, trade in regular hours, and work for the day or until cancelled."""
        exits: dict[str, Any] = {
            "bracket": {"take_profit": GAIN, "stop_loss": LOSS},
            "oto": {"take_profit": GAIN},
            "oco": {"side": "sell", "stop_loss": LOSS},
        }[order_class]
        make(LimitOrder, order_class=order_class, **exits, time_in_force="gtc")

        assert says.format(order_class) in refused(kind=LimitOrder, order_class=order_class, **exits, **terms)

    @pytest.mark.parametrize(
        ("part", "says"),
        [
            (lambda: TakeProfit(0), "take_profit.limit_price: 0 is not above zero"),
            (lambda: TakeProfit("x"), "limit_price: 'x' is not a number"),
            (lambda: TakeProfit(None), "limit_price: None is missing"),
            (lambda: StopLoss(-1), "stop_loss.stop_price: -1 is not above zero"),
            (lambda: StopLoss(5, 0), "stop_loss.limit_price: 0 is not above zero"),
            (lambda: StopLoss(None), "stop_price: None is missing"),
        ],
    )
    def test_parts(self, part: Any, says: str):
        """Exits keep the rules of their own prices."""
        with pytest.raises(ValueError, match=says.replace(".", r"\.")):
            part()


class TestTrailingStop:
    @pytest.mark.parametrize(
        ("terms", "says"),
        [
            ({"trail_price": 2, "trail_percent": None}, None),
            ({"trail_percent": "0.1"}, None),
            ({"trail_percent": "99.9"}, None),
            ({"trail_price": 2}, "trail_price: 2 and trail_percent 1: give exactly one of the two"),
            ({"trail_percent": None}, "trail_price: None and trail_percent None: give exactly one"),
            ({"trail_percent": 100}, "trail_percent: 100 is not below 100"),
            ({"trail_percent": 250}, "trail_percent: 250 is not below 100"),
            (
                {"order_class": "bracket", "take_profit": GAIN, "stop_loss": LOSS},
                "order_class: bracket on a trailing_stop order: it stands alone",
            ),
            ({"order_class": "oto", "stop_loss": LOSS}, "order_class: oto on a trailing_stop order: it stands alone"),
            ({"order_class": "oco", "stop_loss": LOSS}, "order_class: oco on a trailing_stop order"),
        ],
    )
    def test_rules(self, terms: dict[str, Any], says: str | None):
        """One distance, a percentage below a hundred, alone."""
        if says is None:
            make(TrailingStopOrder, **terms)
        else:
            assert says in refused(kind=TrailingStopOrder, **terms)


class TestForeign:
    def test_nothing_is_refused(self):
        """An order placed elsewhere is a fact, whatever its terms."""
        strange = ForeignOrder(
            "AAPL", "buy", order_type=OrderType.MARKET, qty=-1, notional=5, limit_price=0, extended_hours=True, take_profit=GAIN
        )

        assert (strange.qty, strange.notional, strange.limit_price) == (Decimal(-1), Decimal(5), Decimal(0))
        assert ForeignOrder("AAPL", "sell").order_type is OrderType.MARKET

    def test_words_still_have_to_be_known(self):
        """What is not a word of ours cannot be held."""
        with pytest.raises(ValueError, match="side: 'sideways'"):
            ForeignOrder("AAPL", "sideways")


class TestByName:
    @pytest.mark.parametrize("kind", KINDS)
    def test_each_type(self, kind: type[OrderRequest]):
        """The type's word and flat terms make the same request as the class; terms that are None do not count."""
        flat = order_request(kind.order_type.value, "AAPL", "buy", qty=10, notional=None, strategy=None, **PRICES[kind])

        assert flat == make(kind)
        assert type(flat) is kind

    @pytest.mark.parametrize("word", ["stop-limit", "", None, "MARKET"])
    def test_unknown_type(self, word: Any):
        """A type nobody knows is refused with the list of those there are."""
        with pytest.raises(ValueError, match=r"order_type: .* is not one of market, limit, stop, stop_limit, trailing_stop"):
            order_request(word, "AAPL", "buy", qty=1)

    @pytest.mark.parametrize(
        ("word", "terms", "says"),
        [
            ("market", {"limit_price": 5}, "limit_price: 5 has no place in a market order"),
            ("limit", {"limit_price": 5, "stop_price": 4}, "stop_price: 4 has no place in a limit order"),
            ("stop", {"stop_price": 5, "trail_price": 4}, "trail_price: 4 has no place in a stop order"),
            ("trailing_stop", {"trail_percent": 1, "limit_price": 4}, "limit_price: 4 has no place in a trailing_stop order"),
            ("market", {"quantity": 5}, "quantity: 5 has no place in a market order"),
        ],
    )
    def test_terms_of_another_type(self, word: str, terms: dict[str, Any], says: str):
        """A price the type does not have would silently change what is meant, and is refused."""
        with pytest.raises(ValueError, match=says):
            order_request(word, "AAPL", "buy", qty=1, **terms)


amounts = st.decimals("0.000001", "999999999", places=6) | st.integers(1, 10**12).map(Decimal) | st.just(Decimal("1E+3"))
prices = st.decimals("0.0001", "99999", places=4)
labels = st.none() | st.text(st.characters(categories=["L", "N", "P", "Zs"], include_characters=" "), min_size=1, max_size=64).filter(
    str.isprintable
)
symbols = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789./", min_size=1, max_size=32)


@st.composite
def requests(draw: st.DrawFn) -> OrderRequest:
    """Any request that keeps the rules."""
    kind = draw(st.sampled_from(KINDS))
    side = draw(st.sampled_from(Side))
    terms: dict[str, Any] = {"strategy": draw(labels), "signal_id": draw(labels)}
    order_class = OrderClass.SIMPLE if kind is TrailingStopOrder else draw(st.sampled_from(GROUPS))
    low, middle, high = sorted(draw(st.lists(prices, min_size=3, max_size=3, unique=True)))
    gain, loss = (high, low) if side is Side.BUY else (low, high)
    stop = StopLoss(loss, draw(st.none() | prices))
    if kind in (LimitOrder, StopLimitOrder):
        terms["limit_price"] = middle
    if kind in (StopOrder, StopLimitOrder):
        terms["stop_price"] = draw(prices)
    if kind is TrailingStopOrder:
        terms |= draw(st.sampled_from([{"trail_price": high}, {"trail_percent": Decimal("12.5")}]))
    if order_class is OrderClass.OCO:
        kind, terms["limit_price"] = LimitOrder, middle
        terms.pop("stop_price", None)
        # The exits of a position: sold above or bought below.
        stop = StopLoss(low if side is Side.SELL else high, draw(st.none() | prices))
        terms |= {"stop_loss": stop, "take_profit": draw(st.sampled_from([None, TakeProfit(middle)]))}
    elif order_class is OrderClass.BRACKET:
        terms |= {"take_profit": TakeProfit(gain), "stop_loss": stop}
    elif order_class is OrderClass.OTO:
        terms |= draw(st.sampled_from([{"take_profit": TakeProfit(gain)}, {"stop_loss": stop}]))
    if order_class is OrderClass.SIMPLE:
        terms["notional" if draw(st.booleans()) else "qty"] = draw(amounts)
        terms["extended_hours"] = kind is LimitOrder and draw(st.booleans())
    else:
        terms["qty"] = draw(amounts)
    short_of = (
        [TimeInForce.DAY, TimeInForce.GTC] if order_class is not OrderClass.SIMPLE or kind is TrailingStopOrder else list(TimeInForce)
    )
    return kind(draw(symbols), side, order_class=order_class, time_in_force=draw(st.sampled_from(short_of)), **terms)


@st.composite
def foreign(draw: st.DrawFn) -> ForeignOrder:
    """Any terms a broker might state."""
    anything = st.none() | st.decimals("-99999", "99999", places=4)
    return ForeignOrder(
        draw(symbols),
        draw(st.sampled_from(Side)),
        order_type=draw(st.sampled_from(OrderType)),
        order_class=draw(st.sampled_from(GROUPS)),
        time_in_force=draw(st.sampled_from(TimeInForce)),
        extended_hours=draw(st.booleans()),
        take_profit=draw(st.none() | prices.map(TakeProfit)),
        stop_loss=draw(st.none() | st.builds(StopLoss, prices, st.none() | prices)),
        **{name: draw(anything) for name in ("qty", "notional", "limit_price", "stop_price", "trail_price", "trail_percent")},
    )


class TestTerms:
    @settings(deadline=None)
    @given(requests() | foreign())
    def test_there_and_back(self, request: OrderRequest):
        """Flat terms, through JSON, make the same request again, to the last digit of every amount."""
        again = from_terms(json.loads(json.dumps(as_terms(request))))

        assert again == request
        assert type(again) is type(request)
        assert as_terms(again) == as_terms(request)
        for name in ("qty", "notional", "limit_price", "stop_price", "trail_price", "trail_percent"):
            one, other = getattr(again, name), getattr(request, name)
            # 1E+3 is written 1000: the same amount in other digits.
            assert one is other is None or (one == other and (other.as_tuple().exponent > 0 or one.as_tuple() == other.as_tuple()))

    @settings(deadline=None)
    @given(requests() | foreign())
    def test_plain_values_only(self, request: OrderRequest):
        """Terms are texts without an exponent, and truths; nothing that is not there is written."""
        for name, value in as_terms(request).items():
            assert type(value) in (str, bool), name
            assert name in ("strategy", "signal_id", "symbol") or "E" not in str(value), name

    def test_spelled_out(self):
        """A bracket's terms, as a record keeps them."""
        request = make(
            LimitOrder, order_class="bracket", take_profit=GAIN, stop_loss=StopLoss("90.50", 90), strategy="trend", time_in_force="gtc"
        )

        assert as_terms(request) == {
            "symbol": "AAPL",
            "side": "buy",
            "order_type": "limit",
            "qty": "10",
            "limit_price": "100",
            "time_in_force": "gtc",
            "order_class": "bracket",
            "take_profit": "110",
            "stop_loss": "90.50",
            "stop_loss_limit": "90",
            "strategy": "trend",
        }

    @pytest.mark.parametrize(
        ("change", "says"),
        [
            ({"order_type": None}, "order_type: None is missing among the terms"),
            ({"symbol": None}, "symbol: None is missing among the terms"),
            ({"side": None}, "side: None is missing among the terms"),
            ({"order_type": "weird"}, "order_type: 'weird' is not one of"),
            ({"foreign": True, "order_type": "weird"}, "order_type: 'weird' is not one of"),
            ({"qty": "0"}, "qty: 0 is not above zero"),
            ({"shares": "1"}, "shares: 1 has no place in a market order"),
            ({"foreign": True, "shares": "1"}, "shares: 1 has no place in a foreign market order"),
            ({"stop_loss_limit": "3"}, "stop_loss_limit: 3 without stop_loss"),
            ({"take_profit": "x"}, "limit_price: 'x' is not a number"),
        ],
    )
    def test_broken_terms(self, change: dict[str, Any], says: str):
        """Terms that no request ever had are refused by name; here None takes a term away."""
        terms = {"symbol": "AAPL", "side": "buy", "order_type": "market", "qty": "10", **change}

        with pytest.raises(ValueError, match=says):
            from_terms({name: value for name, value in terms.items() if value is not None})

    def test_terms_are_left_alone(self):
        """Reading terms does not use them up."""
        terms = as_terms(make())
        before = dict(terms)

        from_terms(terms)

        assert terms == before
