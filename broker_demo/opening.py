"""What an opening needs: the account's file, prices, the market's time, and an exchange over a new or a kept account."""

from __future__ import annotations

import asyncio

from broker_core.clock import Clock, IdFactory
from broker_core.errors import ConfigError
from broker_demo.account import AccountState, SeededIds
from broker_demo.config import ALWAYS, DemoSettings
from broker_demo.exchange import Exchange
from broker_demo.ledger import Ledger
from broker_demo.market_time import MarketTime
from broker_demo.prices import Prices, SeededPrices
from broker_demo.replay import ReplayPrices
from broker_demo.state import StateFile
from broker_demo.trading_hours import AlwaysOpen, CalendarHours


async def take_file(settings: DemoSettings) -> tuple[StateFile | None, AccountState | None]:
    """Take the account's file, where there is to be one, and read what is in it. Raises ConfigError; nothing is held then."""
    if settings.state is None:
        return None, None
    file = StateFile(settings.state)
    file.lock()
    try:
        kept = await asyncio.to_thread(file.load)
        if kept is not None and settings.seed not in (None, kept.ids.seed):
            raise ConfigError(
                f"BROKER_DEMO_SEED: {settings.seed} differs from {kept.ids.seed}, with which the account in {settings.state} "
                "was made; leave it out, or name another file in BROKER_DEMO_STATE"
            )
    except BaseException:
        file.release()
        raise
    return file, kept


def prepare(settings: DemoSettings, seed: int, kept: AccountState | None, *, clock: Clock, ids: IdFactory) -> tuple[Exchange, MarketTime]:
    """The exchange, caught up with the present, and the time it runs on. Touches nothing but what it is given. Raises ConfigError."""
    prices, start_ns = _prices(settings, seed, clock)
    state = kept or AccountState(account_id=f"DEMO-{ids()}", ids=SeededIds(seed), now_ns=start_ns, ledger=Ledger(settings.cash))
    exchange = Exchange(prices, state, shorting=settings.shorting)
    # An account whose market has been ahead of the clock goes on from where it was: time does not go back.
    time = MarketTime(clock, max(start_ns, state.now_ns), settings.speed)
    exchange.catch_up(time.now_ns())
    return exchange, time


def _prices(settings: DemoSettings, seed: int, clock: Clock) -> tuple[Prices, int]:
    """Where prices come from, and when the market's time begins."""
    if settings.replay is not None:
        replay = ReplayPrices.load(settings.replay, symbol=settings.symbol, seed=seed)
        return replay, replay.first_ns if settings.start_ns is None else settings.start_ns
    hours = AlwaysOpen() if settings.calendar == ALWAYS else CalendarHours(settings.calendar)
    start_ns = clock.now_ns() if settings.start_ns is None else settings.start_ns
    return SeededPrices(seed, hours, settings.symbols), start_ns
