"""The reads of the account, over real sockets."""

from __future__ import annotations

from decimal import Decimal

import pytest

from broker_alpaca.sync import AlpacaSync
from broker_core.errors import AuthError, WireError

ACCOUNT = {"id": "1d9eed04-be39-4e01-9b84-a48ac5bbafcf", "account_number": "PA1", "status": "ACTIVE", "cash": "12.50", "equity": "20"}
HELD = {"symbol": "AAPL", "asset_class": "us_equity", "qty": "5", "side": "long", "avg_entry_price": "1"}


async def test_account_in_the_words_of_the_core(account_with):
    """The account is read with its amounts exact."""
    account = await account_with({"GET /v2/account": (200, ACCOUNT)})

    found = await AlpacaSync(account.client).account()

    assert (found.account_id, found.cash, found.equity, found.trading_blocked) == ("PA1", Decimal("12.50"), Decimal(20), False)


async def test_positions_in_the_words_of_the_core(account_with):
    """Every position is read, signed and named as orders name it; none means flat."""
    account = await account_with(
        {"GET /v2/positions": (200, [HELD, HELD | {"symbol": "BTCUSD", "asset_class": "crypto", "side": "short"}])}
    )
    sync = AlpacaSync(account.client)

    assert [(position.symbol, position.qty) for position in await sync.positions()] == [("AAPL", Decimal(5)), ("BTC/USD", Decimal(-5))]
    account.answers["GET /v2/positions"] = (200, [])
    assert await sync.positions() == []


async def test_position_that_cannot_be_read_fails_the_read(account_with):
    """A holding that was left out would look closed, so all of the read fails and what was known before stays."""
    account = await account_with({"GET /v2/positions": (200, [HELD, {"symbol": "TSLA"}])})

    with pytest.raises(WireError, match="1 of 2 positions cannot be read"):
        await AlpacaSync(account.client).positions()


async def test_revoked_credentials_end_the_reads(account_with):
    """A 401 is an error of the credentials, which stops the polling."""
    account = await account_with({"GET /v2/account": (401, {"code": 40110000, "message": "unauthorized"})})

    with pytest.raises(AuthError):
        await AlpacaSync(account.client).account()
