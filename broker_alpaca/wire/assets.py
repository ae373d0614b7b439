"""Assets: what can be traded, and on which terms.

Source: https://docs.alpaca.markets/reference/get-v2-assets-1, .../get-v2-assets-symbol_or_asset_id. The whole list has more than ten
thousand rows and several megabytes, inactive assets included unless filtered. Options are not among them; see ``option_contracts``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from enum import StrEnum

import attrs
import msgspec

from broker_alpaca.wire import by_symbol
from broker_alpaca.wire.call import Call, members, segment
from broker_alpaca.wire.drift import Drift
from broker_alpaca.wire.reading import Page, Unreadable
from broker_core.errors import WireError
from broker_core.models import Asset

CLASSES = frozenset({"us_equity", "us_option", "crypto", "ipo"})
STATUSES = frozenset({"active", "inactive"})
_ATTRIBUTES = frozenset(
    {"ptp_no_exception", "ptp_with_exception", "ipo", "has_options", "options_late_close", "fractional_eh_enabled"}
    | {"overnight_tradable", "overnight_halted"}
)
_BORROW = frozenset({"easy_to_borrow", "hard_to_borrow"})
_CENT = Decimal("0.01")
_SMALLEST_FRACTION = Decimal("0.000000001")


class Status(StrEnum):
    """Whether an asset is still listed."""

    ACTIVE = "active"
    INACTIVE = "inactive"


@attrs.frozen(kw_only=True)
class AlpacaAsset(Asset):
    """An asset with everything Alpaca says of it."""

    id: str
    status: str = ""
    marginable: bool = False
    easy_to_borrow: bool | None = None
    borrow_status: str | None = None
    maintenance_margin_requirement: Decimal | None = None
    """In percent; replaced by the next two."""
    margin_requirement_long: Decimal | None = None
    margin_requirement_short: Decimal | None = None
    attributes: tuple[str, ...] = ()
    min_order_size: Decimal | None = None
    cusip: str | None = None


class _Asset(msgspec.Struct, rename={"asset_class": "class"}):
    id: str
    symbol: str
    asset_class: str | None = None
    exchange: str | None = None
    name: str | None = None
    status: str | None = None
    tradable: bool | None = None
    marginable: bool | None = None
    shortable: bool | None = None
    fractionable: bool | None = None
    easy_to_borrow: bool | None = None
    borrow_status: str | None = None
    maintenance_margin_requirement: Decimal | None = None
    margin_requirement_long: Decimal | None = None
    margin_requirement_short: Decimal | None = None
    attributes: list[str] | None = None
    min_order_size: Decimal | None = None
    min_trade_increment: Decimal | None = None
    price_increment: Decimal | None = None
    cusip: str | None = None

    def __post_init__(self) -> None:
        # A decimal takes the text NaN, and every comparison with it fails.
        for increment in (self.min_order_size, self.min_trade_increment, self.price_increment):
            if increment is not None and not increment.is_finite():
                raise ValueError(f"{self.symbol}: {increment} is no increment")


def _to_asset(row: _Asset, drift: Drift) -> AlpacaAsset:
    drift.word("asset.class", row.asset_class, CLASSES)
    drift.word("asset.status", row.status, STATUSES)
    drift.word("asset.borrow_status", row.borrow_status, _BORROW)
    for attribute in row.attributes or ():
        drift.word("asset.attributes", attribute, _ATTRIBUTES)
    is_fractionable = bool(row.fractionable)
    return AlpacaAsset(
        id=row.id,
        symbol=row.symbol,
        name=row.name or "",
        asset_class=row.asset_class or "us_equity",
        exchange=row.exchange or "",
        tradable=bool(row.tradable),
        shortable=bool(row.shortable),
        fractionable=is_fractionable,
        # Of stocks it is a cent; below one dollar Alpaca takes four decimals.
        price_increment=row.price_increment or _CENT,
        qty_increment=row.min_trade_increment or (_SMALLEST_FRACTION if is_fractionable else Decimal(1)),
        status=row.status or "",
        marginable=bool(row.marginable),
        easy_to_borrow=row.easy_to_borrow,
        borrow_status=row.borrow_status,
        maintenance_margin_requirement=row.maintenance_margin_requirement,
        margin_requirement_long=row.margin_requirement_long,
        margin_requirement_short=row.margin_requirement_short,
        attributes=tuple(row.attributes or ()),
        min_order_size=row.min_order_size,
        cusip=row.cusip,
    )


_one = msgspec.json.Decoder(_Asset)
_many = msgspec.json.Decoder(list[_Asset])


def _read_one(body: bytes, drift: Drift) -> AlpacaAsset:
    try:
        row = _one.decode(body)
    except (msgspec.DecodeError, ValueError):
        try:
            row = by_symbol.mended(_Asset, by_symbol.parse(body, "asset"), "asset", drift)
        except Unreadable as error:
            raise WireError(f"alpaca: asset: cannot be read: {error}") from None
    return _to_asset(row, drift)


def _read_many(body: bytes, drift: Drift) -> Page[AlpacaAsset]:
    left_out: list[object] = []
    try:
        rows = _many.decode(body)
    except (msgspec.DecodeError, ValueError):
        rows = _mended(body, drift, left_out.append)
    return Page(tuple(_to_asset(row, drift) for row in rows), unreadable=len(left_out))


def _mended(body: bytes, drift: Drift, leave_out: Callable[[object], None]) -> list[_Asset]:
    raw = by_symbol.parse(b'{"assets":' + body + b"}", "assets")["assets"]
    if not isinstance(raw, list):
        raise WireError(f"alpaca: assets: the answer is no list: {body[:80]!r}")
    rows = []
    for one in raw:
        try:
            rows.append(by_symbol.mended(_Asset, one, "asset", drift))
        except Unreadable as error:
            drift.count("asset (left out)", error)
            leave_out(error)
    return rows


def get(symbol_or_id: str) -> Call[AlpacaAsset]:
    """One asset. A crypto pair is found with and without its slash; an unknown one is RequestRefused with 404."""
    return Call(method="GET", path=f"/v2/assets/{segment(symbol_or_id)}", read=_read_one)


def list_all(
    *,
    status: Status | None = None,
    asset_class: str | None = None,
    exchange: str | None = None,
    attributes: Sequence[str] | None = None,
) -> Call[Page[AlpacaAsset]]:
    """All assets, of class ``us_equity`` where none is given; ``attributes``: those that have one of them."""
    return Call(
        method="GET",
        path="/v2/assets",
        query=members(status=status, asset_class=asset_class, exchange=exchange, attributes=attributes),
        read=_read_many,
    )
