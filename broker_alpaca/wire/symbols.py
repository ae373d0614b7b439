"""Alpaca's spellings of a symbol, and the one used here.

Stocks are written as they are, options in the OCC's form. Crypto pairs are ``BTC/USD`` in orders and data, and ``BTCUSD`` in positions,
activities and older events (https://docs.alpaca.markets/docs/crypto-trading); here they always have their slash.
"""

from __future__ import annotations

import re
from enum import StrEnum

# The quote currencies of Alpaca's pairs, the longest first, so that USDT is not read as USD with a T before it.
_QUOTE_CURRENCIES = ("USDT", "USDC", "USDG", "USD", "BTC", "ETH", "EUR")
_OPTION = re.compile(r"[A-Z0-9]{1,6}\d{6}[CP]\d{8}\Z")


class Kind(StrEnum):
    """What a symbol stands for, which decides where its data comes from."""

    STOCK = "stock"
    CRYPTO = "crypto"
    OPTION = "option"


def kind_of(symbol: str) -> Kind:
    """What a symbol stands for, by its form."""
    if "/" in symbol:
        return Kind.CRYPTO
    return Kind.OPTION if _OPTION.match(symbol) else Kind.STOCK


def normal(symbol: str, asset_class: str | None) -> str:
    """The symbol as it is written here: a crypto pair gets its slash."""
    if asset_class != "crypto" or "/" in symbol:
        return symbol
    for currency in _QUOTE_CURRENCIES:
        if symbol.endswith(currency) and len(symbol) > len(currency):
            return f"{symbol.removesuffix(currency)}/{currency}"
    return symbol
