"""The exchange as its callers see it: orders of every type, class and time in force, refusals, changes and reads."""

from __future__ import annotations

from decimal import Decimal

import pytest

from broker_core.clock import from_ns
from broker_core.errors import DuplicateOrder, RequestRefused
from broker_core.orders import EventKind, Source, State
from broker_core.requests import LimitOrder, MarketOrder, StopLimitOrder, StopLoss, StopOrder, TakeProfit, TrailingStopOrder
from broker_demo.exchange import Exchange
from broker_demo.paper_order import Role, Status

D = Decimal


def refused(status: int, code: int, text: str):
    """Expect a refusal with this status, code and beginning of its message."""
    return pytest.raises(RequestRefused, check=lambda error: (error.status, error.code) == (status, code) and str(error).startswith(text))


# Types


def test_market_order_fills_at_the_other_side_of_the_standing_quote(market):
    """A market buy is acknowledged as new and then filled at the standing ask, with nobody waiting for another tick."""
    order = market.submit(MarketOrder("ABC", "buy", qty=10))
    assert order.status is Status.NEW

    market.settle()

    assert order.status is Status.FILLED
    assert market.fills == [(D(10), D("100.05"))]
    assert market.words(order) == ["new", "filled"]


def test_market_sell_fills_at_the_bid(market):
    """A market sell is filled at the bid."""
    market.hold(10)

    market.submit(MarketOrder("ABC", "sell", qty=10))
    market.settle()

    assert market.fills[-1] == (D(10), D("99.95"))


def test_big_order_fills_over_several_ticks(market):
    """An order takes no more than each tick displays, and its events carry the running total and average."""
    order = market.submit(MarketOrder("ABC", "buy", qty=25))
    market.tick(101, size=10)
    assert order.filled_qty == 25, "the standing quote displays 1000"

    order = market.submit(MarketOrder("ABC", "buy", qty=25))
    market.settle()
    for price in (102, 103, 104):
        market.tick(price, size=10)

    mine = [event for event in market.events if event.broker_order_id == order.order_id and event.kind is EventKind.FILL]
    assert [(event.qty, event.price) for event in mine] == [(10, D("101.05")), (10, D("102.05")), (5, D("103.05"))]
    assert [event.filled_qty for event in mine] == [10, 20, 25]
    assert [event.raw_status for event in mine] == ["partially_filled", "partially_filled", "filled"]
    assert [event.status for event in mine] == [State.PARTIAL_FILL, State.PARTIAL_FILL, State.FILLED]
    assert mine[-1].filled_avg_price == (10 * D("101.05") + 10 * D("102.05") + 5 * D("103.05")) / 25


def test_two_orders_share_what_a_tick_displays(market):
    """The older order is served first, the younger gets what is left, on the same side of the same tick."""
    first = market.submit(LimitOrder("ABC", "buy", qty=8, limit_price="99"))
    second = market.submit(LimitOrder("ABC", "buy", qty=8, limit_price="99"))

    market.tick(98, size=10)

    assert (first.filled_qty, second.filled_qty) == (8, 2)


def test_standing_quote_is_not_refilled_by_a_new_order(market):
    """An order placed between two ticks meets only what earlier orders have left of the quote."""
    market.tick(100, size=10)
    first = market.submit(MarketOrder("ABC", "buy", qty=6))
    second = market.submit(MarketOrder("ABC", "buy", qty=6))
    market.settle()

    assert (first.filled_qty, second.filled_qty) == (6, 4)


def test_limit_order_waits_for_its_price_and_takes_a_better_one(market):
    """A limit buy does not trade above its limit, and trades at the ask when that is below it."""
    order = market.submit(LimitOrder("ABC", "buy", qty=10, limit_price="99.50"))
    market.tick(99.5)
    assert order.filled_qty == 0

    market.tick(99.2)

    assert market.fills == [(D(10), D("99.25"))]


def test_stop_order_becomes_a_market_order_when_the_last_trade_reaches_it(market):
    """A sell stop waits above its price, and sells at the bid once a trade is at or below it."""
    market.hold(10)
    order = market.submit(StopOrder("ABC", "sell", qty=10, stop_price="99"))
    market.tick(99.01)
    assert order.is_open

    market.tick(99)

    assert order.status is Status.FILLED
    assert market.fills[-1] == (D(10), D("98.95"))


def test_buy_stop_triggers_upwards(market):
    """A buy stop buys once a trade is at or above its price."""
    order = market.submit(StopOrder("ABC", "buy", qty=1, stop_price="101"))
    market.tick(100.99)
    assert order.is_open

    market.tick(101.5)

    assert market.fills == [(D(1), D("101.55"))]


def test_stop_limit_order_keeps_its_limit_after_the_trigger(market):
    """A triggered stop-limit order waits where the market has jumped over its limit, and trades when it comes back."""
    market.hold(10)
    order = market.submit(StopLimitOrder("ABC", "sell", qty=10, stop_price="99", limit_price="98.50"))
    market.tick(98)
    assert order.is_open
    assert order.triggered

    market.tick(98.6)

    assert market.fills[-1] == (D(10), D("98.55"))


@pytest.mark.parametrize(("terms", "last"), [({"trail_price": 2}, 101), ({"trail_percent": 2}, 100.94)])
def test_trailing_stop_follows_the_best_price(market, terms, last):
    """A trailing sell stop rises with the price, stays when it falls, and triggers at its distance below the best."""
    market.hold(10)
    order = market.submit(TrailingStopOrder("ABC", "sell", qty=10, **terms))
    for price in (101, 103, 102):
        market.tick(price)
    assert order.is_open
    assert order.watermark == 103

    market.tick(last)

    assert order.status is Status.FILLED


def test_trailing_buy_stop_follows_downwards(market):
    """A trailing buy stop falls with the price and triggers at its distance above the lowest."""
    order = market.submit(TrailingStopOrder("ABC", "buy", qty=1, trail_price=1))
    for price in (98, 98.9):
        market.tick(price)
    assert order.is_open

    market.tick(99)

    assert order.status is Status.FILLED


def test_order_by_amount_buys_what_the_amount_is_worth(market):
    """An order by amount fills as many billionths of a share as its amount buys."""
    order = market.submit(MarketOrder("ABC", "buy", notional="1000"))
    market.settle()

    assert order.status is Status.FILLED
    assert order.filled_qty == D("9.995002498")
    assert D("999.99") < order.filled_amount <= 1000


def test_order_by_amount_sells_no_more_than_it_had_reserved(market, at):
    """A sale by amount that opens at a lower price sells the shares it was worth when placed, and is complete with that."""
    market.hold(10)
    market.exchange.advance(at(2, 22))
    order = market.submit(MarketOrder("ABC", "sell", notional="999.50"))

    market.tick(90, at_ns=at(3, 14, 30))

    assert order.status is Status.FILLED
    assert order.filled_qty == 10
    assert market.position == 0


def test_fraction_of_a_share_trades(market):
    """A fractional quantity is bought as it is."""
    market.submit(MarketOrder("ABC", "buy", qty="0.5"))
    market.settle()

    assert market.position == D("0.5")


# Times in force


def test_day_order_expires_at_the_close(market, at):
    """A day order that is open at the close expires then, with that time on its event."""
    order = market.submit(LimitOrder("ABC", "buy", qty=1, limit_price="90"))
    market.exchange.advance(at(2, 20, 59, 59))
    assert order.is_open

    market.exchange.advance(at(2, 21))

    assert order.status is Status.EXPIRED
    assert market.events[-1].kind is EventKind.EXPIRED
    assert market.events[-1].at == from_ns(at(2, 21))


def test_gtc_order_works_on_other_days_and_rests_between(market, at):
    """A good-till-cancelled order survives the close, does not trade while the market is closed, and trades the day after."""
    order = market.submit(LimitOrder("ABC", "buy", qty=1, limit_price="90", time_in_force="gtc"))
    market.tick(80, at_ns=at(2, 22))
    assert order.filled_qty == 0

    market.tick(80, at_ns=at(3, 14, 30))

    assert order.status is Status.FILLED


def test_order_placed_while_closed_waits_for_the_open(market, at):
    """Outside the session an order is accepted, becomes new at the open, and trades at the first tick of the session."""
    market.exchange.advance(at(2, 22))
    order = market.submit(MarketOrder("ABC", "buy", qty=1))
    market.exchange.advance(at(3, 14, 29))
    assert order.status is Status.ACCEPTED

    market.tick(105, at_ns=at(3, 14, 30, 2))

    told = [(event.raw_status, event.at) for event in market.events]
    assert told == [
        ("accepted", from_ns(at(2, 22))),
        ("new", from_ns(at(3, 14, 30))),
        ("filled", from_ns(at(3, 14, 30, 2))),
    ]


def test_session_does_not_begin_with_yesterdays_quote(market, at):
    """An order placed after the open and before the session's first tick waits for that tick."""
    market.exchange.advance(at(3, 14, 30, 1))
    order = market.submit(MarketOrder("ABC", "buy", qty=1))
    market.settle()
    assert order.filled_qty == 0

    market.tick(105)

    assert market.fills == [(D(1), D("105.05"))]


def test_day_order_placed_while_closed_lives_through_the_next_session(market, at):
    """A day order placed after the close expires at the next day's close."""
    market.exchange.advance(at(2, 22))
    order = market.submit(LimitOrder("ABC", "buy", qty=1, limit_price="50"))

    market.exchange.advance(at(3, 20, 59))
    assert order.is_open
    market.exchange.advance(at(3, 21))
    assert order.status is Status.EXPIRED


def test_immediate_or_cancel_takes_what_there_is(market):
    """An ioc order takes what the quote displays and has the rest cancelled."""
    market.tick(100, size=4)
    order = market.submit(LimitOrder("ABC", "buy", qty=10, limit_price="101", time_in_force="ioc"))
    market.settle()

    assert order.filled_qty == 4
    assert market.words(order) == ["new", "partially_filled", "canceled"]


def test_fill_or_kill_is_all_or_nothing(market):
    """A fok order that cannot be filled at once is cancelled unfilled; one that can is filled."""
    market.tick(100, size=4)
    too_big = market.submit(MarketOrder("ABC", "buy", qty=5, time_in_force="fok"))
    fitting = market.submit(MarketOrder("ABC", "buy", qty=4, time_in_force="fok"))
    market.settle()

    assert (too_big.status, too_big.filled_qty) == (Status.CANCELED, 0)
    assert fitting.status is Status.FILLED


def test_order_for_the_open_has_one_chance_at_the_next_open(market, at):
    """An opg order waits for the first tick of the next session, and what that does not fill is cancelled."""
    order = market.submit(MarketOrder("ABC", "buy", qty=10, time_in_force="opg"))
    market.tick(99)
    assert (order.status, order.filled_qty) == (Status.ACCEPTED, 0)

    market.tick(98, at_ns=at(3, 14, 30), size=7)

    assert market.fills == [(D(7), D("98.05"))]
    assert order.status is Status.CANCELED


def test_order_for_the_open_that_meets_no_tick_ends_with_the_session(market, at):
    """An opg order of a session without a tick is cancelled at its close."""
    order = market.submit(MarketOrder("ABC", "buy", qty=10, time_in_force="opg"))

    market.exchange.advance(at(3, 21))

    assert order.status is Status.CANCELED


def test_order_for_the_close_trades_at_the_last_quote(market, at):
    """A cls order ignores the session's ticks and trades at its last quote when the bell rings."""
    order = market.submit(MarketOrder("ABC", "buy", qty=10, time_in_force="cls"))
    market.tick(99)
    market.tick(97, at_ns=at(2, 20, 59, 58))
    assert order.filled_qty == 0

    market.tick(50, at_ns=at(2, 21, 5))

    assert market.fills == [(D(10), D("97.05"))]
    assert market.events[-1].at == from_ns(at(2, 21))


def test_order_for_the_close_beyond_its_limit_is_cancelled(market, at):
    """A limit order for the close whose limit the last quote does not meet ends cancelled."""
    order = market.submit(LimitOrder("ABC", "buy", qty=10, limit_price="90", time_in_force="cls"))

    market.exchange.advance(at(2, 21))

    assert order.status is Status.CANCELED


def test_extended_hours_order_trades_while_the_market_is_closed(market, at):
    """A limit order for extended hours trades at ticks outside the session, and not at the quote the session left behind."""
    market.exchange.advance(at(2, 22))
    order = market.submit(LimitOrder("ABC", "buy", qty=1, limit_price="101", extended_hours=True))
    market.settle()
    assert (order.status, order.filled_qty) == (Status.NEW, 0)

    market.tick(100.5)

    assert order.status is Status.FILLED


# Groups


def bracket(side="buy", **terms):
    gain, loss = ("110", "90") if side == "buy" else ("90", "110")
    terms = {"qty": 10, "time_in_force": "gtc", "take_profit": TakeProfit(gain), "stop_loss": StopLoss(loss), **terms}
    return MarketOrder("ABC", side, order_class="bracket", **terms)


def legs_of(market, order):
    return {leg.role: leg for leg in market.exchange.legs(order)}


def test_exits_are_held_until_the_entry_is_completely_filled(market):
    """A bracket's exits are told as held with it, and come alive only when the entry's last share is filled."""
    market.tick(100, size=6)
    entry = market.submit(bracket())
    gain, loss = market.exchange.legs(entry)
    assert [market.words(leg) for leg in (gain, loss)] == [["held"], ["held"]]
    market.settle()
    assert entry.status is Status.PARTIALLY_FILLED
    assert gain.waiting
    assert loss.waiting

    market.tick(100)

    assert entry.status is Status.FILLED
    assert (gain.status, loss.status) == (Status.NEW, Status.HELD)
    assert not loss.waiting


def test_exit_does_not_trade_in_the_tick_that_filled_its_entry(market):
    """An exit that the entry's own tick would reach waits for the next one."""
    entry = market.submit(LimitOrder("ABC", "buy", qty=10, limit_price="95", order_class="oto", stop_loss=StopLoss("94.50")))
    market.tick(94.4)
    (loss,) = market.exchange.legs(entry)
    assert loss.status is Status.NEW

    market.tick(94.3)

    assert loss.status is Status.FILLED


def test_exits_cover_only_what_is_left_of_the_entry(market):
    """Where part of an entry was sold while the rest was still to come, its exits are for what is left of the position."""
    market.tick(100, size=6)
    entry = market.submit(bracket())
    market.submit(MarketOrder("ABC", "sell", qty=5))
    market.settle()

    market.tick(100)

    assert market.position == 5
    assert [leg.request.qty for leg in market.exchange.legs(entry)] == [5, 5]
    market.tick(111)
    assert market.position == 0


def test_exits_end_where_every_share_is_claimed_by_others(market):
    """Exits whose position other orders are about to close already, because a fill was taken back, end at once."""
    market.hold(10)
    market.submit(LimitOrder("ABC", "sell", qty=10, limit_price="105"))
    market.tick(100, size=0)
    entry = market.submit(bracket(qty=1))
    market.exchange.bust(market.state.ledger.fills[0].execution_id, market.exchange.now_ns)

    market.tick(100)

    assert entry.status is Status.FILLED
    assert [leg.status for leg in market.exchange.legs(entry)] == [Status.CANCELED, Status.CANCELED]


def test_gain_cancels_the_loss_side(market):
    """When the take-profit is filled, the stop is cancelled, and the position is flat."""
    entry = market.submit(bracket())
    market.settle()
    legs = legs_of(market, entry)

    market.tick(111)

    assert legs[Role.TAKE_PROFIT].status is Status.FILLED
    assert legs[Role.STOP_LOSS].status is Status.CANCELED
    assert market.position == 0
    assert market.state.ledger.realized_pnl == 10 * (D("110.95") - D("100.05"))


def test_loss_cancels_the_gain_side(market):
    """When the stop is hit, the take-profit is cancelled."""
    entry = market.submit(bracket())
    market.settle()
    legs = legs_of(market, entry)

    market.tick(90)

    assert legs[Role.STOP_LOSS].status is Status.FILLED
    assert legs[Role.TAKE_PROFIT].status is Status.CANCELED
    assert market.position == 0


def test_short_bracket_gains_downwards(market):
    """A bracket that sells short buys back below with a gain."""
    entry = market.submit(bracket("sell"))
    market.settle()
    assert market.position == -10

    market.tick(89)

    assert legs_of(market, entry)[Role.TAKE_PROFIT].status is Status.FILLED
    assert market.position == 0


def test_stop_limit_leg_of_a_bracket(market):
    """A stop loss with a limit becomes a stop-limit order."""
    request = MarketOrder("ABC", "buy", qty=10, order_class="bracket", take_profit=TakeProfit("110"), stop_loss=StopLoss("90", "89.50"))
    loss = legs_of(market, market.submit(request))[Role.STOP_LOSS]

    assert isinstance(loss.request, StopLimitOrder)
    assert (loss.request.stop_price, loss.request.limit_price) == (90, D("89.50"))


def test_partly_filled_exit_shrinks_the_other(market):
    """A partial fill of one exit replaces the other by one of the remaining size, so that the two never sell more than the position."""
    entry = market.submit(bracket())
    market.settle()
    old_loss = legs_of(market, entry)[Role.STOP_LOSS]

    market.tick(111, size=4)

    loss = legs_of(market, entry)[Role.STOP_LOSS]
    assert (loss.request.qty, loss.replaces) == (6, old_loss.order_id)
    assert (old_loss.status, old_loss.replaced_by) == (Status.REPLACED, loss.order_id)
    market.tick(89)
    assert loss.status is Status.FILLED
    assert market.position == 0


def test_partly_filled_stop_shrinks_the_gain_side(market):
    """A stop filled in part leaves a take-profit for the rest, and the two close exactly the position."""
    entry = market.submit(bracket())
    market.settle()
    market.tick(90, size=3)
    assert legs_of(market, entry)[Role.TAKE_PROFIT].request.qty == 7

    market.tick(91, size=5)
    assert legs_of(market, entry)[Role.TAKE_PROFIT].request.qty == 2
    market.tick(111)

    assert market.position == 0
    assert not market.exchange.listing()


def test_both_exits_filled_in_part_close_exactly_the_position(market):
    """A limited stop and a take-profit that fill in turns sell the position between them and no share more."""
    entry = market.submit(bracket(stop_loss=StopLoss("90", "89.50")))
    market.settle()
    market.tick(89.6, size=3)
    market.tick(111, size=1)
    legs = legs_of(market, entry)
    assert legs[Role.STOP_LOSS].filled_qty + legs[Role.TAKE_PROFIT].filled_qty == 4

    market.tick(111)

    assert market.position == 0
    assert not market.exchange.listing()


def test_oco_is_two_exits_of_which_one_fills(market):
    """An oco order closes a position at a gain or a loss; the stop side waits beside the limit side."""
    market.hold(10)
    order = market.submit(
        LimitOrder("ABC", "sell", qty=10, limit_price="110", order_class="oco", take_profit=TakeProfit("110"), stop_loss=StopLoss("95"))
    )
    (loss,) = market.exchange.legs(order)
    assert (order.status, loss.status) == (Status.NEW, Status.HELD)

    market.tick(94)

    assert (order.status, loss.status) == (Status.CANCELED, Status.FILLED)
    assert market.position == 0


def test_oto_gain_alone(market):
    """An oto order with a take-profit has that one exit, and it works once the entry is filled."""
    entry = market.submit(MarketOrder("ABC", "buy", qty=10, order_class="oto", take_profit=TakeProfit("110")))
    market.settle()
    (gain,) = market.exchange.legs(entry)
    assert gain.status is Status.NEW

    market.tick(111)

    assert market.position == 0


@pytest.mark.parametrize("member", ["entry", Role.TAKE_PROFIT, Role.STOP_LOSS])
def test_cancelling_a_member_cancels_the_group(market, member):
    """Whichever order of a bracket is cancelled, the others go with it."""
    market.tick(100, size=6)
    entry = market.submit(bracket())
    market.settle()
    members = {"entry": entry, **legs_of(market, entry)}

    market.cancel(members[member])

    assert [order.status for order in members.values()] == [Status.CANCELED] * 3
    assert market.position == 6


def test_expiring_entry_takes_its_exits_along(market, at):
    """A day bracket that never fills expires with all its members."""
    entry = market.submit(LimitOrder("ABC", "buy", qty=1, limit_price="80", order_class="oto", stop_loss=StopLoss("70")))

    market.exchange.advance(at(2, 21))

    assert [order.status for order in market.exchange.orders()] == [Status.EXPIRED, Status.EXPIRED]
    assert not entry.is_open


def test_exit_never_opens_a_position(market):
    """Exits whose shares are gone, because the entry's fill was taken back, are cancelled instead of selling short."""
    entry = market.submit(bracket())
    market.settle()
    execution_id = market.state.ledger.fills[-1].execution_id
    market.exchange.bust(execution_id, market.exchange.now_ns)

    market.tick(89)

    assert market.position == 0
    assert [leg.status for leg in market.exchange.legs(entry)] == [Status.CANCELED, Status.CANCELED]


# Refusals


def test_unknown_symbol_is_refused(market):
    """A symbol that is not listed is refused in the broker's words."""
    with refused(422, 40010001, 'could not find asset "NOPE"'):
        market.submit(MarketOrder("NOPE", "buy", qty=1))


def test_listed_symbol_without_a_price_is_refused(market):
    """A symbol that has not traded yet cannot be ordered."""
    market.prices.list_asset("LATER")
    with refused(422, 42210000, 'asset "LATER" has no price yet'):
        market.submit(MarketOrder("LATER", "buy", qty=1))


def test_client_order_id_is_used_up_for_ever(market):
    """An id is refused a second time, also after its order has ended."""
    order = market.submit(LimitOrder("ABC", "buy", qty=1, limit_price="90"), "mine")
    market.cancel(order)

    with pytest.raises(
        DuplicateOrder, match="client_order_id must be unique", check=lambda error: (error.status, error.code) == (422, 40010001)
    ):
        market.submit(LimitOrder("ABC", "buy", qty=1, limit_price="90"), "mine")


@pytest.mark.parametrize("client_order_id", ["", "x" * 129])
def test_client_order_id_has_a_length(market, client_order_id):
    """An empty id and one beyond 128 characters are refused."""
    with refused(422, 40010001, "client_order_id"):
        market.exchange.submit(MarketOrder("ABC", "buy", qty=1), client_order_id, market.exchange.now_ns)


def test_refused_order_leaves_no_trace(market):
    """A refusal makes no order, tells nothing and uses up no id."""
    with pytest.raises(RequestRefused):
        market.submit(MarketOrder("ABC", "buy", qty=10_000), "mine")

    assert not market.events
    assert market.exchange.order_by_client_id("mine") is None
    market.submit(MarketOrder("ABC", "buy", qty=1), "mine")


def test_buying_beyond_the_money_is_refused_with_the_figures(market):
    """An order that costs more than is free is refused, with what is free and what it costs."""
    with refused(403, 40310000, "insufficient buying power (buying_power: 100000, cost_basis: 100100)"):
        market.submit(LimitOrder("ABC", "buy", qty=1001, limit_price="100"))


def test_open_orders_keep_their_money(market):
    """What an open buy claims is not free for another, and is free again once it is cancelled."""
    first = market.submit(LimitOrder("ABC", "buy", qty=600, limit_price="99"))
    second = LimitOrder("XYZ", "buy", qty=600, limit_price="99")
    with refused(403, 40310000, "insufficient buying power"):
        market.submit(second)

    market.cancel(first)

    market.submit(second)


def test_selling_more_than_is_held_is_refused(market):
    """Whoever holds shares sells no more of them than are free: an order either closes or opens."""
    market.hold(10)
    with refused(403, 40310000, "insufficient qty available for order (requested: 11, available: 10)"):
        market.submit(MarketOrder("ABC", "sell", qty=11))


def test_open_sells_keep_their_shares(market):
    """Shares that an open sell is about to close are not available to another; a bracket's two exits claim them once."""
    market.submit(bracket())
    market.hold(5)
    with refused(403, 40310000, "insufficient qty available for order (requested: 6, available: 5)"):
        market.submit(LimitOrder("ABC", "sell", qty=6, limit_price="120"))

    market.submit(LimitOrder("ABC", "sell", qty=5, limit_price="120"))


def test_without_shorting_nothing_is_sold_that_is_not_held(new_market):
    """With shorting switched off a sale from nothing is refused, and so is more than is held."""
    market = new_market(shorting=False)
    with refused(403, 40310000, "insufficient qty available for order (requested: 1, available: 0)"):
        market.submit(MarketOrder("ABC", "sell", qty=1))
    market.hold(1)
    market.submit(MarketOrder("ABC", "sell", qty=1))


def test_asset_that_cannot_be_borrowed_is_not_sold_short(market):
    """A symbol that is not shortable is refused."""
    market.prices.list_asset("HARD", shortable=False)
    market.tick(10, symbol="HARD")
    with refused(422, 42210000, 'asset "HARD" cannot be sold short'):
        market.submit(MarketOrder("HARD", "sell", qty=1))


def test_fraction_is_not_sold_short(market):
    """Part of a share cannot be sold short."""
    with refused(422, 42210000, "fractional orders cannot be sold short"):
        market.submit(MarketOrder("ABC", "sell", qty="0.5"))


def test_opposite_openings_are_not_taken_side_by_side(market):
    """While an order to sell short is open a buy is refused, and the other way round."""
    short = market.submit(LimitOrder("ABC", "sell", qty=1, limit_price="120"))
    with refused(403, 40310000, "cannot open a long buy while a short sell order is open"):
        market.submit(MarketOrder("ABC", "buy", qty=1))
    market.cancel(short)

    market.submit(LimitOrder("ABC", "buy", qty=1, limit_price="80"))
    with refused(403, 40310000, "cannot open a short sell while a long buy order is open"):
        market.submit(MarketOrder("ABC", "sell", qty=1))


def test_covering_more_than_the_short_is_refused(market):
    """A buy against a short position buys back no more than was sold."""
    market.hold(-10)
    with refused(403, 40310000, "insufficient qty available for order (requested: 11, available: 10)"):
        market.submit(MarketOrder("ABC", "buy", qty=11))


def test_bracket_must_be_an_entry_and_oco_an_exit(market):
    """A bracket against a position is refused, and an oco order without one."""
    oco = LimitOrder("ABC", "sell", qty=1, limit_price="110", order_class="oco", stop_loss=StopLoss("95"))
    with refused(422, 42210000, "oco orders must be exit orders"):
        market.submit(oco)
    market.hold(10)
    with refused(422, 42210000, "bracket orders must be entry orders"):
        market.submit(bracket("sell"))


# Changes


def test_cancel_ends_an_order_and_says_whose_wish_it_was(market):
    """A cancelled order is told as canceled by the user."""
    order = market.submit(LimitOrder("ABC", "buy", qty=1, limit_price="90"))

    market.cancel(order)

    assert (market.events[-1].kind, market.events[-1].raw_status, market.events[-1].origin) == (EventKind.CANCELED, "canceled", "user")


def test_ended_order_is_not_cancelled(market):
    """A cancel of a filled order is refused with its status, one of an unknown order with its id."""
    order = market.submit(MarketOrder("ABC", "buy", qty=1))
    with refused(422, 42210000, 'order is already in "filled" state'):
        market.cancel(order)
    with refused(404, 40410000, "order not found for nobody"):
        market.exchange.cancel("nobody", market.exchange.now_ns)


def test_replace_makes_a_new_order_in_the_old_ones_place(market):
    """A replacement has ids of its own, the old order is told as replaced, and both name each other."""
    old = market.submit(LimitOrder("ABC", "buy", qty=10, limit_price="90"))

    new = market.replace(old, limit_price=D("91"), qty=D(12))

    assert (new.request.limit_price, new.request.qty) == (91, 12)
    assert (old.status, old.replaced_by, new.replaces) == (Status.REPLACED, new.order_id, old.order_id)
    assert [(event.kind, event.broker_order_id) for event in market.events[-2:]] == [
        (EventKind.REPLACED, old.order_id),
        (EventKind.ACCEPTED, new.order_id),
    ]
    assert market.exchange.present(old) is new
    assert market.exchange.order_by_client_id(new.client_order_id) is new


def test_replacement_carries_on_from_what_is_filled(market):
    """The new quantity is the chain's total: what is filled already counts, and only the rest is bought."""
    market.tick(100, size=4)
    old = market.submit(LimitOrder("ABC", "buy", qty=10, limit_price="100.05"))
    market.settle()
    new = market.replace(old, qty=D(7))
    assert (new.filled_qty, new.status) == (4, Status.PARTIALLY_FILLED)

    market.tick(100)

    assert (new.status, new.filled_qty, market.position) == (Status.FILLED, 7, 7)


def test_replacement_meets_the_standing_quote(market):
    """A limit moved into the market trades without waiting for a tick."""
    order = market.submit(LimitOrder("ABC", "buy", qty=1, limit_price="90"))

    new = market.replace(order, limit_price=D("100.05"))
    market.settle()

    assert new.status is Status.FILLED


def test_time_in_force_can_be_replaced(market, at):
    """A day order made good till cancelled survives the close."""
    order = market.replace(market.submit(LimitOrder("ABC", "buy", qty=1, limit_price="90")), time_in_force="gtc")

    market.exchange.advance(at(2, 21))

    assert order.is_open


def test_trail_and_stop_can_be_replaced(market):
    """The distance of a trailing stop and the price of a stop can be changed."""
    market.hold(2)
    trail = market.replace(market.submit(TrailingStopOrder("ABC", "sell", qty=1, trail_price=5)), trail=D(6))
    stop = market.replace(market.submit(StopOrder("ABC", "sell", qty=1, stop_price="90")), stop_price=D(95))

    assert trail.request.trail_price == 6
    market.tick(95)
    assert (trail.status, stop.status) == (Status.NEW, Status.FILLED)


def test_stop_that_was_triggered_waits_anew_at_another_price(market):
    """A triggered stop-limit order that is given another stop waits for that; one that is given another limit stays triggered."""
    market.hold(2)
    orders = [market.submit(StopLimitOrder("ABC", "sell", qty=1, stop_price="99", limit_price="98.50")) for _ in range(2)]
    market.tick(98)

    moved, lowered = market.replace(orders[0], stop_price=D(95)), market.replace(orders[1], limit_price=D("97.50"))
    market.tick(99.5)

    assert (moved.triggered, moved.is_open) == (False, True)
    assert lowered.status is Status.FILLED


def test_replacing_one_exit_of_an_oco_fits_the_other_to_what_is_left(market):
    """The other side of an oco order follows the rest of the replaced one, what that has filled taken off."""
    market.hold(10)
    gain = market.submit(LimitOrder("ABC", "sell", qty=10, limit_price="110", order_class="oco", stop_loss=StopLoss("95")))
    market.tick(111, size=4)

    new = market.replace(gain, qty=D(8))

    assert (new.filled_qty, new.request.qty) == (4, 8)
    assert [leg.request.qty for leg in market.exchange.legs(new)] == [4]


def test_replacing_an_entry_resizes_its_exits(market):
    """A bracket's exits follow when the quantity of its entry is changed before it fills."""
    entry = market.submit(
        LimitOrder("ABC", "buy", qty=10, limit_price="95", order_class="bracket", take_profit=TakeProfit("110"), stop_loss=StopLoss("90"))
    )

    new = market.replace(entry, qty=D(4))

    assert [leg.request.qty for leg in market.exchange.legs(new)] == [4, 4]
    market.tick(94)
    market.tick(111)
    assert market.position == 0


def test_leg_of_a_bracket_can_be_given_another_price(market):
    """An exit's price is changed by replacing the exit; its twin stays."""
    entry = market.submit(bracket())
    market.settle()
    loss = legs_of(market, entry)[Role.STOP_LOSS]

    market.replace(loss, stop_price=D(95))
    market.tick(95)

    assert legs_of(market, entry)[Role.STOP_LOSS].status is Status.FILLED
    assert market.position == 0


@pytest.mark.parametrize(
    ("terms", "status", "code", "text"),
    [
        ({"limit_price": D(90)}, 403, 40310000, "order parameters are not changed"),
        ({"stop_price": D(90)}, 422, 42210000, "stop_price cannot be set on a limit order"),
        ({"qty": D("10.5")}, 422, 40010001, "qty must be integer"),
        ({"limit_price": D("90.001")}, 422, 42210000, "invalid limit_price 90.001. sub-penny increment"),
        ({"qty": D(5000)}, 403, 40310000, "insufficient buying power"),
        ({"limit_price": D(-1)}, 422, 42210000, "limit_price: -1 is not above zero"),
    ],
)
def test_replacement_that_makes_no_sense_is_refused(market, terms, status, code, text):
    """A refused replacement leaves the order as it was."""
    order = market.submit(LimitOrder("ABC", "buy", qty=10, limit_price="90"))

    with refused(status, code, text):
        market.replace(order, **terms)

    assert order.status is Status.NEW
    assert market.exchange.listing()[0].broker_order_id == order.order_id


def test_replacement_cannot_undo_fills(market):
    """A new quantity at or below what is filled is refused."""
    market.tick(100, size=4)
    order = market.submit(LimitOrder("ABC", "buy", qty=10, limit_price="100.05"))

    with refused(422, 42210000, "qty must be > filled_qty"):
        market.replace(order, qty=D(4))


def test_ended_or_notional_order_is_not_replaced(market):
    """An order that has ended, and one by amount, cannot be replaced."""
    amount = market.submit(LimitOrder("ABC", "buy", notional="100", limit_price="90"))
    with refused(422, 42210000, "notional orders cannot be replaced"):
        market.replace(amount, limit_price=D(91))
    market.cancel(amount)
    with refused(422, 42210000, "order is not open"):
        market.replace(amount, limit_price=D(91))


def test_qty_of_an_exit_is_not_replaced(market):
    """An exit's quantity follows its entry."""
    entry = market.submit(bracket())
    with refused(422, 42210000, "qty of an exit follows its entry"):
        market.replace(legs_of(market, entry)[Role.STOP_LOSS], qty=D(5))


def test_bust_takes_an_execution_back(market):
    """A busted execution is told with its id and gives back money and shares; the ended order stays ended."""
    order = market.submit(MarketOrder("ABC", "buy", qty=10))
    market.settle()
    execution = market.events[-1]

    market.exchange.bust(execution.execution_id, market.exchange.now_ns)

    bust = market.events[-1]
    assert (bust.kind, bust.busts, bust.qty, bust.filled_qty) == (EventKind.BUST, execution.execution_id, 10, 0)
    assert bust.execution_id not in (None, execution.execution_id)
    assert (market.position, market.state.ledger.cash) == (0, 100000)
    assert (order.status, order.filled_qty) == (Status.FILLED, 0)


def test_open_order_works_again_for_what_was_taken_back(market):
    """A bust on a working order puts its shares back to work."""
    market.tick(100, size=4)
    order = market.submit(LimitOrder("ABC", "buy", qty=10, limit_price="100.05"))
    market.settle()

    market.exchange.bust(market.events[-1].execution_id, market.exchange.now_ns)
    assert order.status is Status.NEW
    market.tick(100)

    assert (order.filled_qty, market.position) == (10, 10)


def test_bust_counts_for_the_whole_chain_of_replacements(market):
    """An execution from before a replacement, when taken back, is worked for again by the order that came after."""
    market.tick(100, size=4)
    old = market.submit(LimitOrder("ABC", "buy", qty=10, limit_price="100.05"))
    new = market.replace(old, limit_price=D("100.10"))

    market.exchange.bust(market.state.ledger.fills[-1].execution_id, market.exchange.now_ns)
    assert (old.filled_qty, new.filled_qty, new.status) == (0, 0, Status.NEW)
    market.tick(100)

    assert (new.filled_qty, market.position) == (10, 10)


def test_execution_is_taken_back_once(market):
    """An unknown execution, and one that was taken back, are refused."""
    market.hold(1)
    execution_id = market.events[-1].execution_id
    market.exchange.bust(execution_id, market.exchange.now_ns)

    with refused(422, 42210000, "execution is already taken back"):
        market.exchange.bust(execution_id, market.exchange.now_ns)
    with refused(404, 40410000, "execution not found for nothing"):
        market.exchange.bust("nothing", market.exchange.now_ns)


# Reads


def test_snapshot_holds_the_legs(market):
    """A bracket's snapshot nests its two exits, each with its own ids and status."""
    entry = market.submit(bracket(), "mine")

    snapshot = market.exchange.snapshot(entry, Source.ANSWER)

    assert (snapshot.kind, snapshot.source, snapshot.client_order_id) == (EventKind.SNAPSHOT, Source.ANSWER, "mine")
    assert [leg.raw_status for leg in snapshot.legs] == ["held", "held"]
    assert len({snapshot.broker_order_id, *(leg.broker_order_id for leg in snapshot.legs)}) == 3


def test_open_listing_is_complete(market):
    """The listing of open orders has every open order once: legs inside their parent, or by themselves once that has ended."""
    waiting = market.submit(LimitOrder("XYZ", "buy", qty=1, limit_price="50", order_class="oto", stop_loss=StopLoss("40")))
    entry = market.submit(bracket())
    market.settle()

    listing = market.exchange.listing()

    alone = [event.broker_order_id for event in listing]
    assert sorted(alone) == sorted([waiting.order_id, *(leg.order_id for leg in market.exchange.legs(entry))])
    assert [leg.broker_order_id for event in listing for leg in event.legs] == [leg.order_id for leg in market.exchange.legs(waiting)]
    assert {event.source for event in listing} == {Source.LISTING}


def test_listing_since_a_moment_has_what_ended_after_it(market):
    """With a moment, the listing also has the orders that ended after it, oldest first, and not those that ended before."""
    before = market.submit(LimitOrder("ABC", "buy", qty=1, limit_price="90"))
    market.cancel(before)
    still = market.submit(LimitOrder("ABC", "buy", qty=1, limit_price="90"))
    since = market.exchange.now_ns
    market.tick(100)
    first = market.submit(LimitOrder("ABC", "buy", qty=1, limit_price="90"))
    second = market.replace(first, limit_price=D(91))

    listing = market.exchange.listing(since)

    assert [(event.broker_order_id, event.raw_status) for event in listing] == [
        (still.order_id, "new"),
        (first.order_id, "replaced"),
        (second.order_id, "new"),
    ]


def test_executions_since_a_moment(market):
    """Executions after a moment are listed with the totals of their time, and those taken back after it as busts."""
    market.hold(1)
    early = market.events[-1].execution_id
    since = market.exchange.now_ns
    market.tick(100, size=4)
    order = market.submit(LimitOrder("ABC", "buy", qty=10, limit_price="100.05"))
    market.tick(100)
    market.exchange.bust(early, market.exchange.now_ns)

    told = market.exchange.executions(since)

    assert [(event.kind, event.qty, event.filled_qty) for event in told] == [
        (EventKind.FILL, 4, 4),
        (EventKind.FILL, 6, 10),
        (EventKind.BUST, 1, 0),
    ]
    assert {event.source for event in told} == {Source.ACTIVITY}
    assert told[1].broker_order_id == order.order_id
    assert told[2].busts == early


def test_account_and_positions_are_valued_at_the_last_trade(market):
    """Equity is cash plus positions at the last trade; a long position has its average price and open gain."""
    market.hold(10)
    market.tick(110)

    (position,) = market.exchange.positions()
    account = market.exchange.account()

    assert (position.qty, position.avg_entry_price, position.current_price) == (10, D("100.05"), 110)
    assert (position.market_value, position.unrealized_pnl) == (1100, D("99.5"))
    assert account.cash == 100000 - D("1000.5")
    assert account.equity == 100000 + D("99.5")
    assert account.buying_power == account.cash
    assert (account.account_id, account.currency, account.shorting_enabled) == ("DEMO-TEST", "USD", True)


def test_short_position_ties_up_as_much_as_it_brought_in(market):
    """A short sale at once lowers what is free by its value, so that it gives no leverage; a rising price lowers it twice."""
    market.hold(-10)
    portfolio = market.exchange.portfolio()
    assert portfolio.cash == 100000 + D("999.5")
    assert portfolio.short_market_value == -1000
    assert portfolio.buying_power == portfolio.cash - 2000

    market.tick(110)

    portfolio = market.exchange.portfolio()
    assert portfolio.buying_power == portfolio.cash - 2200
    assert portfolio.unrealized_pnl == D("999.5") - 1100
    assert portfolio.equity == portfolio.cash - 1100


def test_equity_of_every_close_is_kept(market, at):
    """The account's last equity is that of the last close."""
    market.hold(10)
    market.tick(120)
    market.tick(130, at_ns=at(3, 15))
    market.exchange.advance(at(4, 15))
    market.tick(140)

    assert [(point.at_ns, point.equity) for point in market.state.closes] == [
        (at(2, 21), 100000 - D("1000.5") + 1200),
        (at(3, 21), 100000 - D("1000.5") + 1300),
    ]
    assert market.exchange.account().last_equity == market.state.closes[1].equity


# Time


def test_time_does_not_go_back(market):
    """Advancing to a moment that has passed changes nothing."""
    order = market.submit(MarketOrder("ABC", "buy", qty=1))
    now_ns = market.exchange.now_ns

    market.exchange.advance(now_ns - 1)

    assert order.filled_qty == 0
    assert market.exchange.now_ns == now_ns


def test_next_moment_is_the_next_thing_that_can_happen(market, at):
    """Without orders the next moment is the close; with one it is its symbol's next tick, also in new books; with a fresh one it is now."""
    assert market.exchange.next_moment() == at(2, 21)
    next_ns = market.write(101)
    assert market.exchange.next_moment() == at(2, 21)

    market.submit(LimitOrder("ABC", "buy", qty=1, limit_price="90"))
    assert market.exchange.next_moment() == market.exchange.now_ns
    market.settle()

    assert market.exchange.next_moment() == next_ns
    assert Exchange(market.exchange.prices, market.exchange.state).next_moment() == next_ns


def test_long_absence_is_caught_up_with(market, at):
    """After days away orders have met sampled ticks, then every tick of the last hours, and all bells have rung."""
    touched = market.submit(LimitOrder("ABC", "buy", qty=1, limit_price="90", time_in_force="gtc"))
    late = market.submit(LimitOrder("ABC", "buy", qty=1, limit_price="80", time_in_force="gtc"))
    day = market.submit(LimitOrder("ABC", "buy", qty=1, limit_price="70"))
    market.write(89, at_ns=at(3, 15))
    market.write(100, at_ns=at(3, 16))
    market.write(79, at_ns=at(5, 20, 0, 1))
    market.write(100, at_ns=at(5, 20, 0, 2))

    market.exchange.catch_up(at(5, 21, 30))

    assert [order.status for order in (touched, late, day)] == [Status.FILLED, Status.FILLED, Status.EXPIRED]
    assert len(market.state.closes) == 4
    assert market.exchange.now_ns == at(5, 21, 30)


def test_misbehaving_symbols_of_the_exchange(market):
    """One symbol is refused, one is rejected after it was new, one fills by quarters however much is displayed."""
    for symbol in ("DEMO.REFUSE", "DEMO.REJECT", "DEMO.PARTIAL"):
        market.prices.list_asset(symbol)
        market.tick(100, symbol=symbol)
    with refused(403, 40310000, 'asset "DEMO.REFUSE" refuses every order'):
        market.submit(MarketOrder("DEMO.REFUSE", "buy", qty=1))

    rejected = market.submit(MarketOrder("DEMO.REJECT", "buy", qty=1))
    partial = market.submit(MarketOrder("DEMO.PARTIAL", "buy", qty=10))
    market.settle()
    for _ in range(3):
        market.tick(100, symbol="DEMO.PARTIAL")

    assert market.words(rejected) == ["new", "rejected"]
    assert market.words(partial) == ["new", "partially_filled", "partially_filled", "partially_filled", "filled"]


def test_same_seed_and_calls_make_the_same_events(new_market):
    """Two exchanges with one seed, asked the same, tell the same to the last id; another seed has other ids."""

    def run(seed):
        market = new_market(seed=seed)
        market.submit(bracket())
        market.tick(111, size=4)
        market.replace(market.submit(LimitOrder("XYZ", "buy", qty=1, limit_price="90")), limit_price=D(91))
        market.tick(89)
        return market.events

    assert run(5) == run(5)
    assert [event.broker_order_id for event in run(5)] != [event.broker_order_id for event in run(6)]


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_it_makes_no_difference_how_often_time_is_let_pass(new_market, step):
    """Advancing in small steps, in one, or around other calls, comes to the same events."""

    def run(steps):
        market = new_market()
        start = market.exchange.now_ns
        for count, price in enumerate((101, 99, 95, 102, 111, 104, 89), 1):
            market.write(price, at_ns=start + count * 3_000_000_000, size=7)
        market.submit(bracket())
        market.submit(LimitOrder("ABC", "buy", qty=30, limit_price="96", time_in_force="gtc"))
        market.submit(TrailingStopOrder("XYZ", "buy", qty=1, trail_price=1))
        for at_ns in steps(start, start + 22_000_000_000):
            market.exchange.advance(at_ns)
        return market.events

    assert run(lambda start, end: [*range(start, end, step * 100_000_000), end]) == run(lambda start, end: [end])


def test_restart_changes_nothing(new_market):
    """An exchange that is rebuilt from its account's state before every call tells what one that ran on would have told."""

    def run(restart):
        market = new_market()
        steps = [
            lambda: market.submit(bracket()),
            lambda: market.submit(MarketOrder("ABC", "buy", qty=998)),
            lambda: market.settle(),
            lambda: market.tick(111, size=4),
            lambda: market.submit(LimitOrder("XYZ", "buy", qty=3, limit_price="90", time_in_force="gtc")),
            lambda: market.tick(89),
            lambda: market.exchange.advance(market.exchange.now_ns + 86_400_000_000_000),
            lambda: market.tick(80, symbol="XYZ"),
        ]
        for step in steps:
            if restart:
                market.restart()
            try:
                step()
            except RequestRefused as error:
                market.events.append(str(error))
        return market.events

    assert run(True) == run(False)
