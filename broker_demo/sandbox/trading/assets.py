"""What can be traded (alpaca-api: Assets)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from broker_core.models import Asset
from broker_demo.sandbox.answers import Answer, decimal_text, found, missing
from broker_demo.sandbox.call import Call
from broker_demo.sandbox.desk import Desk
from broker_demo.sandbox.identity import identity
from broker_demo.sandbox.route import Route
from broker_demo.sandbox.trading.option_chain import UNDERLYINGS

EXCHANGES = frozenset({"AMEX", "ARCA", "BATS", "NYSE", "NASDAQ", "NYSEARCA", "OTC", "CRYPTO"})
STATUSES = ("active", "inactive")
CLASSES = (
    "us_equity",
    "us_option",
    "crypto",
    "crypto_perp",
    "treasury",
    "corporate",
    "global_equity",
    "us_index",
    "us_equity_chain",
    "ipo",
)
ATTRIBUTES = frozenset(
    {
        "ptp_no_exception",
        "ptp_with_exception",
        "ipo",
        "has_options",
        "options_late_close",
        "fractional_eh_enabled",
        "overnight_tradable",
        "overnight_halted",
    }
)

_INVENTED_EXCHANGE = "NASDAQ"
"""Where symbols are listed that only the demo broker or its user knows: the real market's own test symbols are listed there too."""
_NO_MARGIN: Mapping[str, Any] = MappingProxyType(
    {"maintenance_margin_requirement": 100, "margin_requirement_long": "100", "margin_requirement_short": "100"}
)


def get_assets(desk: Desk, call: Call) -> Answer:
    """``GET /v2/assets``: sorted by class, exchange and symbol; shares unless another class is asked for."""
    status = call.word("status", STATUSES, "active")
    wanted = call.word("asset_class", CLASSES, "us_equity")
    exchange = call.text("exchange")
    if exchange is not None and exchange not in EXCHANGES:
        raise call.bad(f"invalid exchange: {exchange}")
    attributes = set(call.listed("attributes"))
    for attribute in sorted(attributes - ATTRIBUTES):
        raise call.bad(f"invalid attribute: {attribute}")
    records = [asset_record(asset) for symbol in desk.prices.symbols() if (asset := desk.prices.asset(symbol)) is not None]
    chosen = [
        record
        for record in records
        if record["status"] == status
        and record["class"] == wanted
        and exchange in (None, record["exchange"])
        and (not attributes or attributes & set(record["attributes"]))
    ]
    return found(sorted(chosen, key=lambda record: (record["exchange"], record["symbol"])))


def get_asset(desk: Desk, call: Call) -> Answer:
    """``GET /v2/assets/{symbol_or_asset_id}``: also a pair without its slash."""
    name = call.parts["symbol_or_asset_id"]
    asset = desk.asset(name)
    if asset is None:
        raise missing(f"asset not found for {name}")
    return found(asset_record(asset))


def exchange_code(asset: Asset) -> str:
    """The asset's exchange out of Alpaca's own list, which clients take for complete."""
    if asset.asset_class == "crypto":
        return "CRYPTO"
    return asset.exchange if asset.exchange in EXCHANGES else _INVENTED_EXCHANGE


def asset_record(asset: Asset) -> dict[str, Any]:
    """The asset with all its members."""
    record: dict[str, Any] = {
        "id": identity("asset", asset.symbol),
        "class": asset.asset_class,
        "exchange": exchange_code(asset),
        "symbol": asset.symbol,
        "name": asset.name or asset.symbol,
        "status": "active",
        "tradable": asset.tradable,
        "marginable": asset.asset_class != "crypto",
        "shortable": asset.shortable,
        "easy_to_borrow": asset.shortable,
        "fractionable": asset.fractionable,
        "attributes": ["has_options"] if asset.symbol in UNDERLYINGS else [],
    }
    if asset.asset_class == "crypto":
        step = decimal_text(asset.qty_increment)
        return record | {
            "min_order_size": step,
            "min_trade_increment": step,
            "price_increment": decimal_text(asset.price_increment),
        }
    borrowed = "easy_to_borrow" if asset.shortable else "hard_to_borrow"
    return {**record, **_NO_MARGIN, "borrow_status": borrowed, "cusip": None}


ROUTES: Sequence[Route] = (
    Route("GET", "/v2/assets", get_assets),
    Route("GET", "/v2/assets/{symbol_or_asset_id}", get_asset),
)
