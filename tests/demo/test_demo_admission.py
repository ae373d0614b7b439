"""The rules about the terms of an order."""

from __future__ import annotations

from decimal import Decimal

import pytest

from broker_core.errors import RequestRefused
from broker_core.models import Asset
from broker_core.requests import LimitOrder, MarketOrder, StopLimitOrder, StopLoss, StopOrder, TakeProfit, TrailingStopOrder
from broker_demo.admission import check_client_order_id, check_terms, is_fractional
from broker_demo.matching import Quote

D = Decimal
SHARE = Asset(symbol="ABC", name="ABC", fractionable=True, shortable=True)
QUOTE = Quote(0, D(100), D("99.95"), D("100.05"), D(10), D(10))


def group(**terms):
    terms = {"order_class": "bracket", "take_profit": TakeProfit("110"), "stop_loss": StopLoss("90"), "qty": 1, **terms}
    return MarketOrder("ABC", terms.pop("side", "buy"), **terms)


@pytest.mark.parametrize(
    ("request_", "code", "text"),
    [
        (LimitOrder("ABC", "buy", qty=1, limit_price="290.123"), 42210000, "invalid limit_price 290.123. sub-penny increment"),
        (LimitOrder("ABC", "buy", qty=1, limit_price="0.12345"), 42210000, "invalid limit_price 0.12345. sub-penny increment"),
        (StopOrder("ABC", "buy", qty=1, stop_price="290.123"), 42210000, "invalid stop_price 290.123. sub-penny increment"),
        (group(take_profit=TakeProfit("110.001")), 42210000, "invalid take_profit.limit_price 110.001."),
        (group(stop_loss=StopLoss("90.001")), 42210000, "invalid stop_loss.stop_price 90.001."),
        (group(stop_loss=StopLoss("90", "89.999")), 42210000, "invalid stop_loss.limit_price 89.999."),
        (StopOrder("ABC", "buy", qty=1, stop_price="110", time_in_force="ioc"), 42210000, "stop orders must be DAY or GTC orders"),
        (
            StopLimitOrder("ABC", "buy", qty=1, stop_price="110", limit_price="110", time_in_force="opg"),
            42210000,
            "stop_limit orders must be DAY or GTC orders",
        ),
        (
            LimitOrder("ABC", "buy", qty=1, limit_price="1", extended_hours=True, time_in_force="ioc"),
            42210000,
            "extended hours order must be DAY or GTC limit orders",
        ),
        (MarketOrder("ABC", "buy", notional="0.99"), 40010001, "notional must be >= 1.00"),
        (MarketOrder("ABC", "buy", notional="1.001"), 42210000, "notional value must be limited to 2 decimal places"),
        (MarketOrder("ABC", "buy", qty="0.0000000001"), 42210000, "qty must be limited to 9 decimal places"),
        (MarketOrder("ABC", "buy", qty="0.5", time_in_force="gtc"), 42210000, "fractional orders must be DAY orders"),
        (MarketOrder("ABC", "buy", notional="5", time_in_force="ioc"), 42210000, "fractional orders must be DAY orders"),
        (group(qty="1.5"), 42210000, "fractional orders must be simple orders"),
        (TrailingStopOrder("ABC", "sell", qty="1.5", trail_price=1), 42210000, "fractional orders cannot be trailing_stop orders"),
        (group(take_profit=TakeProfit("100")), 42210000, "take_profit.limit_price must be >= base_price + 0.01 (base_price: 100)"),
        (group(stop_loss=StopLoss("100")), 42210000, "stop_loss.stop_price must be <= base_price - 0.01 (base_price: 100)"),
        (
            group(side="sell", take_profit=TakeProfit("100"), stop_loss=StopLoss("110")),
            42210000,
            "take_profit.limit_price must be <= base_price - 0.01",
        ),
        (
            group(side="sell", take_profit=TakeProfit("90"), stop_loss=StopLoss("100")),
            42210000,
            "stop_loss.stop_price must be >= base_price + 0.01",
        ),
    ],
)
def test_terms_that_break_a_rule_are_refused(request_, code, text):
    """Each broken rule is refused as unprocessable, with the broker's code and words."""
    with pytest.raises(RequestRefused) as caught:
        check_terms(request_, SHARE, QUOTE)

    assert (caught.value.status, caught.value.code) == (422, code)
    assert str(caught.value).startswith(text)


@pytest.mark.parametrize(
    "request_",
    [
        LimitOrder("ABC", "buy", qty=1, limit_price="290.12"),
        LimitOrder("ABC", "buy", qty=1, limit_price="0.1234"),
        LimitOrder("ABC", "buy", qty="0.123456789", limit_price="10"),
        MarketOrder("ABC", "buy", notional="1.25"),
        MarketOrder("ABC", "sell", qty=1, time_in_force="cls"),
        StopOrder("ABC", "buy", qty=1, stop_price="110", time_in_force="gtc"),
        LimitOrder("ABC", "buy", qty=1, limit_price="1", extended_hours=True, time_in_force="gtc"),
        group(),
        group(stop_loss=StopLoss("99.99"), take_profit=TakeProfit("100.01")),
    ],
)
def test_terms_that_keep_the_rules_pass(request_):
    """Orders at the edge of the rules are taken."""
    check_terms(request_, SHARE, QUOTE)


def test_exits_are_measured_from_the_price_of_the_entry():
    """A limit entry's own price is the base of its exits, not the market's."""
    below = {"order_class": "oto", "qty": 1, "limit_price": "50", "stop_loss": StopLoss("49.99")}
    check_terms(LimitOrder("ABC", "buy", **below), SHARE, QUOTE)

    with pytest.raises(RequestRefused, match="base_price: 50"):
        check_terms(LimitOrder("ABC", "buy", **{**below, "stop_loss": StopLoss("50")}), SHARE, QUOTE)


def test_asset_decides_whether_it_trades_and_in_fractions():
    """An asset that is not tradable, or not in fractions, is refused by name."""
    with pytest.raises(RequestRefused, match="asset ABC is not active"):
        check_terms(MarketOrder("ABC", "buy", qty=1), Asset(symbol="ABC", name="ABC", tradable=False), QUOTE)
    with pytest.raises(RequestRefused, match='asset "ABC" is not fractionable') as caught:
        check_terms(MarketOrder("ABC", "buy", qty="0.5"), Asset(symbol="ABC", name="ABC"), QUOTE)
    assert caught.value.status == 403


def test_coins_are_traded_in_fractions_at_any_time():
    """What is no share knows no whole numbers: fractions are good for every time in force, on the asset's own price steps."""
    coin = Asset(symbol="BTC/USD", name="Bitcoin", asset_class="crypto", fractionable=True, price_increment=D("0.001"))

    check_terms(LimitOrder("BTC/USD", "buy", qty="0.00000001", limit_price="95000.125", time_in_force="gtc"), coin, QUOTE)


@pytest.mark.parametrize(
    ("qty", "notional", "expected"), [("1", None, False), ("1.0", None, False), ("1.1", None, True), (None, "5", True)]
)
def test_fractional_is_what_may_trade_parts_of_a_share(qty, notional, expected):
    """A quantity with a part of a share is fractional, and so is every amount."""
    assert is_fractional(MarketOrder("ABC", "buy", qty=qty, notional=notional)) is expected


def test_client_order_id_within_its_length_passes():
    """One and 128 characters are within the rule."""
    check_client_order_id("x")
    check_client_order_id("x" * 128)
