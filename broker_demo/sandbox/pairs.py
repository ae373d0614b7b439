"""Pairs of crypto currencies: how they are told from shares, and how they are spelled where Alpaca leaves their slash out."""

from __future__ import annotations


def is_pair(symbol: str) -> bool:
    """Whether this is a pair of crypto currencies, like ``BTC/USD``."""
    return "/" in symbol


def without_slash(symbol: str) -> str:
    """A symbol as positions, activities and news have it: ``BTCUSD``; that of a share as it is."""
    return symbol.replace("/", "")
