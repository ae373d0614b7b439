"""What the account can afford, when an order is taken and when it trades."""

from __future__ import annotations

import random
from decimal import Decimal

import pytest

from broker_core.errors import RequestRefused
from broker_core.requests import LimitOrder, MarketOrder, Side, StopLoss, StopOrder, TakeProfit, TrailingStopOrder
from broker_demo.funds import reserve_price, reserve_qty, unit_cost
from broker_demo.matching import Quote
from broker_demo.paper_order import Status

D = Decimal
QUOTE = Quote(0, D(100), D("99.90"), D("100.20"), D(10), D(10))


def test_share_costs_its_ask_held_long_and_twice_the_price_less_the_proceeds_sold_short():
    """A short sale brings in the bid and ties up twice the price."""
    assert unit_cost(Side.BUY, QUOTE) == D("100.20")
    assert unit_cost(Side.SELL, QUOTE) == 200 - D("99.90")


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (MarketOrder("ABC", "buy", qty=1), "100.20"),
        (LimitOrder("ABC", "buy", qty=1, limit_price="90"), "90"),
        (LimitOrder("ABC", "buy", qty=1, limit_price="110"), "110"),
        (StopOrder("ABC", "buy", qty=1, stop_price="110"), "110"),
        (StopOrder("ABC", "buy", qty=1, stop_price="90"), "100.20"),
        (TrailingStopOrder("ABC", "buy", qty=1, trail_price=5), "105"),
        (MarketOrder("ABC", "sell", qty=1), "100.10"),
        (LimitOrder("ABC", "sell", qty=1, limit_price="110"), "110"),
        (LimitOrder("ABC", "sell", qty=1, limit_price="90"), "100.10"),
    ],
)
def test_opening_order_claims_the_most_it_may_cost(request_, expected):
    """A limit buy claims its limit; what has no limit claims the present cost, or that at its stop where it is more."""
    assert reserve_price(request_, QUOTE) == D(expected)


def test_closing_order_by_amount_claims_the_shares_it_is_worth():
    """The shares are rounded up to a billionth, so that they are enough."""
    assert reserve_qty(MarketOrder("ABC", "sell", notional="999"), QUOTE) == 10
    assert reserve_qty(MarketOrder("ABC", "sell", notional="100"), QUOTE) == D("1.001001002")
    assert reserve_qty(MarketOrder("ABC", "sell", qty=5), QUOTE) is None


def test_order_that_opens_dearer_buys_what_can_be_paid(market, at):
    """An order that opens higher than it was taken at buys as many shares as the money allows; the rest is cancelled with the reason."""
    market.exchange.advance(at(2, 22))
    order = market.submit(MarketOrder("ABC", "buy", qty=999))

    market.tick(125, at_ns=at(3, 14, 30))

    assert (order.status, order.filled_qty) == (Status.CANCELED, 799)
    assert order.reason == "insufficient buying power"
    assert 0 <= market.state.ledger.cash < D("125.05")


def test_fill_or_kill_that_cannot_be_paid_is_killed(market, at):
    """All or nothing holds for the money too."""
    market.exchange.advance(at(2, 22))
    order = market.submit(MarketOrder("ABC", "buy", qty=999, time_in_force="fok"))

    market.tick(125, at_ns=at(3, 14, 30))

    assert (order.status, order.filled_qty) == (Status.CANCELED, 0)


def test_rising_short_makes_later_openings_smaller(market):
    """A short position that has risen ties up more, so an open buy elsewhere gets only what is left."""
    market.hold(-400)
    order = market.submit(LimitOrder("XYZ", "buy", qty=590, limit_price="99.50"))
    market.tick(160)
    assert market.exchange.account().buying_power == 0

    market.tick(99, symbol="XYZ")

    assert order.status is Status.CANCELED
    assert 0 < order.filled_qty < 590
    assert market.exchange.portfolio().buying_power >= 0


def test_covering_a_short_needs_no_free_money(market):
    """A short that has eaten all that was free can still be bought back."""
    market.hold(-400)
    market.tick(400)
    assert market.exchange.account().buying_power == 0

    market.hold(400)

    assert market.position == 0


def test_buy_by_amount_covers_no_more_than_the_short(market):
    """An order by amount against a short position claims its shares like any closing order."""
    market.hold(-5)
    market.submit(LimitOrder("ABC", "buy", qty=3, limit_price="50"))

    with pytest.raises(RequestRefused, match="insufficient qty available"):
        market.submit(MarketOrder("ABC", "buy", notional="300"))
    market.submit(MarketOrder("ABC", "buy", notional="100"))
    market.settle()

    assert D(-5) < market.position < D(-4)


def test_refused_close_names_the_orders_that_hold_the_shares(market):
    """Whoever is refused shares is told how many there are, how many are free, and which orders hold the others."""
    market.hold(10)
    holding = market.submit(LimitOrder("ABC", "sell", qty=7, limit_price="150"))
    market.submit(LimitOrder("XYZ", "buy", qty=1, limit_price="50"))

    with pytest.raises(RequestRefused) as caught:
        market.submit(MarketOrder("ABC", "sell", qty=4))

    assert caught.value.details == {
        "symbol": "ABC",
        "existing_qty": "10",
        "held_for_orders": "7",
        "available": "3",
        "related_orders": [holding.order_id],
    }


def test_coins_that_are_not_there_are_not_sold(market):
    """A pair is not sold short: the refusal speaks of the coin's balance."""
    market.prices.list_asset("BTC/USD", asset_class="crypto")
    market.tick(100, symbol="BTC/USD")
    with pytest.raises(RequestRefused, match=r"insufficient balance for BTC \(requested: 2, available: 0\)"):
        market.submit(MarketOrder("BTC/USD", "sell", qty=2, time_in_force="gtc"))

    market.submit(MarketOrder("BTC/USD", "buy", qty=2, time_in_force="gtc"))
    market.settle()
    market.submit(LimitOrder("BTC/USD", "sell", qty=1, limit_price=200, time_in_force="gtc"))

    with pytest.raises(RequestRefused) as caught:
        market.submit(MarketOrder("BTC/USD", "sell", qty=2, time_in_force="gtc"))
    assert caught.value.details == {"symbol": "BTC", "balance": "2", "available": "1"}


def test_held_exits_claim_nothing_until_they_come_alive(market):
    """A bracket's exits claim neither money nor shares while they wait, and the shares once when they work."""
    entry = market.submit(
        LimitOrder("ABC", "buy", qty=10, limit_price="95", order_class="bracket", take_profit=TakeProfit("110"), stop_loss=StopLoss("90"))
    )
    funds = market.exchange._funds
    assert funds.claimed_amount() == 950
    assert funds.claimed_qty("ABC", Side.SELL) == 0

    market.tick(94)

    assert entry.status is Status.FILLED
    assert funds.claimed_amount() == 0
    assert funds.claimed_qty("ABC", Side.SELL) == 10


def test_closing_order_claims_shares_and_no_money(market):
    """What only closes a position leaves the free money alone."""
    market.hold(10)
    free = market.exchange.account().buying_power

    market.submit(LimitOrder("ABC", "sell", qty=10, limit_price="110"))

    assert market.exchange.account().buying_power == free
    assert market.exchange._funds.claimed_qty("ABC", Side.SELL) == 10


def test_held_exit_can_be_given_another_price(market):
    """Changing an exit that waits for its entry asks for neither money nor shares."""
    entry = market.submit(LimitOrder("ABC", "buy", qty=10, limit_price="95", order_class="oto", stop_loss=StopLoss("90")))
    (loss,) = market.exchange.legs(entry)

    new = market.replace(loss, stop_price=D(92))

    assert (new.status, new.waiting, new.request.stop_price) == (Status.HELD, True, 92)


def test_replacement_is_measured_without_what_it_replaces(market):
    """Money and shares of the replaced order are free for the one that takes its place."""
    buy = market.submit(LimitOrder("ABC", "buy", qty=1000, limit_price="99"))
    market.replace(buy, limit_price=D("99.50"))

    market.cancel(market.exchange.orders()[-1])
    market.hold(10)
    oco = market.submit(
        LimitOrder("ABC", "sell", qty=10, limit_price="110", order_class="oco", take_profit=TakeProfit("110"), stop_loss=StopLoss("95"))
    )
    new = market.replace(oco, limit_price=D(109))
    assert new.request.take_profit.limit_price == 109
    assert [leg.request.qty for leg in market.exchange.legs(new)] == [10]


def test_claims_are_counted_along_with_what_happens(market):
    """After any fills, replacements, busts and cancellations the running total is the sum of what the open orders claim."""
    chance = random.Random(3)
    for turn in range(300):
        open_orders = [order for order in market.state.orders if order.is_open]
        match chance.randrange(6):
            case 0 | 1:
                limit = chance.choice([None, "99.97", "95"])
                terms = {"qty": chance.randrange(1, 40), "time_in_force": "gtc"}
                market.submit(LimitOrder("ABC", "buy", limit_price=limit, **terms) if limit else MarketOrder("ABC", "buy", **terms))
            case 2 if open_orders:
                market.cancel(chance.choice(open_orders))
            case 3 if open_orders:
                order = chance.choice(open_orders)
                market.replace(order, qty=order.request.qty + 5)
            case 4 if market.state.ledger.fills:
                fill = chance.choice(market.state.ledger.fills)
                if not market.state.ledger.is_busted(fill.execution_id):
                    market.exchange.bust(fill.execution_id, market.exchange.now_ns)
            case _:
                market.tick(100, size=chance.randrange(5, 30), bid=99.9, ask=chance.choice([99.96, 100.05]))
        claims = [order.claimed_amount for order in market.state.orders if order.is_open and order.opens]
        assert market.exchange._funds.claimed_amount() == sum(claims), turn
