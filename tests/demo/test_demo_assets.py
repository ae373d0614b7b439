"""What the demo broker lists."""

from __future__ import annotations

from decimal import Decimal

import pytest

from broker_core.errors import ConfigError
from broker_core.requests import MarketOrder, Side
from broker_demo import assets
from broker_demo.assets import LISTINGS, MISBEHAVING, check_symbol, unheard_of


def test_the_universe_is_large_and_every_symbol_can_be_ordered() -> None:
    """At least 150 symbols are listed, each under its own name and fit for an order."""
    assert len(LISTINGS) >= 150
    for symbol, listing in LISTINGS.items():
        assert listing.asset.symbol == symbol
        assert listing.asset.name
        assert listing.asset.tradable
        assert MarketOrder(symbol, Side.BUY, qty=1).symbol == check_symbol(symbol, "test") == symbol


def test_base_prices_lie_on_the_tick_grid_and_fit_the_price_path() -> None:
    """A base price is a whole number of price increments, the increment a power of ten, and a price below one has a fine one."""
    for listing in LISTINGS.values():
        increment = listing.asset.price_increment
        points = listing.base_price / increment
        assert points == int(points)
        assert 100 <= points <= 2**27
        assert (1 / increment).log10() == int((1 / increment).log10())
        assert increment == (Decimal("0.0001") if listing.base_price < 1 else increment)
        assert 0.005 <= listing.daily_volatility <= 0.04


def test_pairs_are_crypto_and_everything_else_is_not() -> None:
    """A slash in the symbol goes with the class crypto, fractions, and no short sales."""
    for symbol, listing in LISTINGS.items():
        assert (listing.asset.asset_class == "crypto") == ("/" in symbol) == (not listing.asset.shortable)
        assert listing.asset.fractionable
    assert LISTINGS["BTC/USD"].asset.asset_class == "crypto"
    assert LISTINGS["SPY"].asset.asset_class == "us_equity"


def test_every_symbol_that_misbehaves_is_listed() -> None:
    """The constants of the module and the listed symbols of the demo's own exchange are the same."""
    constants = {value for name, value in vars(assets).items() if name.isupper() and isinstance(value, str)}
    assert constants == set(MISBEHAVING) == {symbol for symbol, listing in LISTINGS.items() if listing.asset.exchange == "DEMO"}
    assert len(constants) == 7


def test_a_symbol_nobody_knows_becomes_a_share_or_a_pair() -> None:
    """The slash decides."""
    assert unheard_of("ACME", Decimal(50)).asset.asset_class == "us_equity"
    assert unheard_of("ACME/USD", Decimal(50)).asset.asset_class == "crypto"


@pytest.mark.parametrize("symbol", ["", "A B", "A\nB", "A" * 33])
def test_a_symbol_that_no_order_could_name_is_refused(symbol: str) -> None:
    """What an order's symbol may not be, no listed symbol is."""
    with pytest.raises(ConfigError, match=r"^somewhere: symbol '.*' is not a printable text of 1 to 32 characters without a space$"):
        check_symbol(symbol, "somewhere")
    with pytest.raises(ValueError, match="symbol"):
        MarketOrder(symbol, Side.BUY, qty=1)
