"""From a frame of the market data socket to the values that hosts see.

The whole frame is decoded in one call. What that call cannot take, such as an unknown ``T`` or a text where a price belongs, is decoded
again, record by record: the strange ones are counted and left out, and their neighbours arrive.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeGuard

import msgspec
from msgspec import MsgspecError, Raw, Struct
from msgspec.msgpack import Ext

from broker_alpaca.wire import stream_records as records
from broker_alpaca.wire.drift import Drift
from broker_alpaca.wire.stream_records import QuoteRecord, TradeRecord
from broker_alpaca.wire.stream_times import TextMoments, exactly, ext_ns, rewrite
from broker_core.clock import from_ns
from broker_core.errors import WireError
from broker_core.models import (
    Bar,
    DailyBar,
    Imbalance,
    MarketEvent,
    News,
    OrderBookUpdate,
    PriceBand,
    Quote,
    Trade,
    TradeCancel,
    TradeCorrection,
    TradingStatus,
    UpdatedBar,
)
from broker_core.requests import Side

_SIDES: Final[Mapping[str, Side]] = {"B": Side.BUY, "S": Side.SELL}
_ACTIONS: Final[Mapping[str, str]] = {"C": "cancel", "E": "error"}
_SAMPLE = 1000
"""One frame in so many is searched for members that nobody has heard of."""
_REMEMBERED = 200_000
_UNREADABLE: Final = (MsgspecError, ValueError, RecursionError)
"""What msgspec raises for what is wrong in shape, in its text, or in its depth."""
_new: Callable[[type[Any]], Any] = object.__new__


class Frames:
    """Decodes the frames of one connection, whichever codec they are in: text and what begins like JSON is JSON."""

    def __init__(self, drift: Drift) -> None:
        self._drift = drift
        self._packed = msgspec.msgpack.Decoder(list[records.PackedRecord])
        self._packed_record = msgspec.msgpack.Decoder(records.PackedRecord)
        self._written = msgspec.json.Decoder(list[records.WrittenRecord])
        self._written_record = msgspec.json.Decoder(records.WrittenRecord)
        self._texts = TextMoments()
        self._symbols: dict[str, str] = {}
        self._seen = 0

    def decode(self, frame: str | bytes) -> tuple[list[MarketEvent], Sequence[records.Control]]:
        """What a frame brings: market data, and what is said about the connection. Raises WireError for what is no frame at all."""
        if self._seen % _SAMPLE == 0:
            self._look_for_members(frame)
        self._seen += 1
        try:
            if _is_packed(frame):
                rewritten, found = rewrite(frame)
                batch: list[Any] = self._packed.decode(rewritten)
                moments = exactly(batch, found)
                if moments is None and found:
                    batch = self._packed.decode(frame)
            else:
                batch = self._written.decode(frame)
                moments = self._texts.all(batch)
        except _UNREADABLE:
            batch, moments = self._one_by_one(frame), None
        return self._events_and_control(batch) if moments is None else (self._events(batch, moments), ())

    def _events(self, batch: Sequence[Any], moments: Sequence[int]) -> list[MarketEvent]:
        """The hot path: quotes and trades are filled in place, because a constructor's call costs as much as all of its work."""
        symbols, new = self._symbols, _new
        events: list[MarketEvent] = []
        add = events.append
        for record, moment in zip(batch, moments):  # noqa: B905  # they are equally many, and telling so costs a microsecond a frame
            kind = type(record)
            if kind is QuoteRecord:
                quote: Quote = new(Quote)
                try:
                    quote.symbol = symbols[record.S]
                except KeyError:
                    quote.symbol = self._remember(record.S)
                quote.timestamp_ns = moment
                quote.bid_price = record.bp
                quote.bid_size = record.bs
                quote.ask_price = record.ap
                quote.ask_size = record.as_
                quote.bid_exchange = record.bx
                quote.ask_exchange = record.ax
                conditions = record.c
                quote.conditions = conditions if conditions.__class__ is tuple else _conditions(conditions)
                quote.tape = record.z
                add(quote)
            elif kind is TradeRecord:
                trade: Trade = new(Trade)
                try:
                    trade.symbol = symbols[record.S]
                except KeyError:
                    trade.symbol = self._remember(record.S)
                trade.timestamp_ns = moment
                trade.price = record.p
                trade.size = record.s
                trade.exchange = record.x
                number = record.i
                trade.trade_id = "" if number is None else str(number)
                conditions = record.c
                trade.conditions = conditions if conditions.__class__ is tuple else _conditions(conditions)
                trade.tape = record.z
                side = record.tks
                trade.taker_side = self._side(side) if side else None
                add(trade)
            else:
                add(self._rare(record, moment))
        return events

    def _remember(self, symbol: str) -> str:
        """Let all values of a symbol share one text: it saves memory, and the router finds it faster."""
        if len(self._symbols) >= _REMEMBERED:
            self._symbols.clear()
        return self._symbols.setdefault(symbol, symbol)

    def _events_and_control(self, batch: Sequence[Any]) -> tuple[list[MarketEvent], Sequence[records.Control]]:
        control: list[records.Control] = []
        timed: list[Any] = []
        moments: list[int] = []
        for record in batch:
            if isinstance(record, records.Control):
                control.append(record)
                continue
            try:
                moment = self._moment(record)
            except ValueError as error:
                self._drift.count(f"stream.{_tag(record)}", error)
                continue
            timed.append(record)
            moments.append(moment)
        return self._events(timed, moments), control

    def _moment(self, record: Any) -> int:
        if isinstance(record, records.NewsRecord):
            # Read here as well, where one that cannot be read is counted.
            self._read(record.created_at)
            return self._read(record.updated_at)
        return self._read(record.t)

    def _read(self, moment: object) -> int:
        """Nanoseconds of one moment. Raises ValueError."""
        if isinstance(moment, Ext):
            return ext_ns(moment)
        if isinstance(moment, str):
            return self._texts.ns(moment)
        raise ValueError("no moment")

    def _rare(self, record: Any, moment: int) -> MarketEvent:
        """Everything that comes less often."""
        if isinstance(record, records.NewsRecord):
            return self._news(record, moment)
        symbol = self._symbols.get(record.S) or self._remember(record.S)
        match record:
            case records.BarRecord():
                kind = _BARS[type(record)]
                return kind(symbol, moment, record.o, record.h, record.l, record.c, record.v, record.n, record.vw)
            case records.StatusRecord():
                return TradingStatus(symbol, moment, record.sc, record.sm, record.rc, record.rm, record.z)
            case records.LuldRecord():
                return PriceBand(symbol, moment, record.u, record.d, record.i, record.z)
            case records.ImbalanceRecord():
                return Imbalance(symbol, moment, record.p, record.z)
            case records.CancelRecord():
                return TradeCancel(symbol, moment, str(record.i), record.x, record.p, record.s, self._action(record.a), record.z)
            case records.BookRecord():
                bids, asks = (tuple((level.p, level.s) for level in side) for side in (record.b, record.a))
                return OrderBookUpdate(symbol, moment, bids, asks, record.r)
            case _:
                return _correction(record, symbol, moment)

    def _news(self, record: records.NewsRecord[Any], moment: int) -> News:
        return News(
            symbols=record.symbols,
            timestamp_ns=moment,
            id=str(record.id),
            headline=record.headline,
            summary=record.summary,
            author=record.author,
            created_at=from_ns(self._read(record.created_at)),
            updated_at=from_ns(moment),
            url=record.url,
            content=record.content,
            source=record.source,
        )

    def _side(self, code: str) -> Side | None:
        if code not in _SIDES:
            self._drift.count("stream.t.tks", code)
        return _SIDES.get(code)

    def _action(self, code: str) -> str:
        if code and code not in _ACTIONS:
            self._drift.count("stream.x.a", code)
        return _ACTIONS.get(code, code)

    def _one_by_one(self, frame: str | bytes) -> list[Any]:
        """The records that can be read; the others are counted. Raises WireError when the frame is not even a list."""
        is_json = not _is_packed(frame)
        module: Any = msgspec.json if is_json else msgspec.msgpack
        decoder: Any = self._written_record if is_json else self._packed_record
        try:
            raws = module.decode(frame, type=list[Raw])
        except _UNREADABLE:
            # The broker's errors might come without a list around them.
            raws = [frame]
        batch = []
        for raw in raws:
            try:
                batch.append(decoder.decode(raw))
            except _UNREADABLE as error:
                self._count(module, raw, error)
        return batch

    def _count(self, module: Any, raw: Raw | str | bytes, error: Exception) -> None:
        try:
            tag = module.decode(raw, type=_Tagged).T
        except _UNREADABLE:
            tag = None
        if isinstance(raw, (str, bytes)) and tag is None:
            self._drift.count("stream.frame", error)
            raise WireError(f"alpaca: a frame of the market data socket cannot be read: {error}") from None
        if isinstance(tag, str) and tag in _MEMBERS:
            self._drift.count(f"stream.{tag}", error)
        else:
            self._drift.count("stream.T", tag)

    def _look_for_members(self, frame: str | bytes) -> None:
        """Count members that no record has. Costs as much as decoding, hence seldom."""
        is_json = not _is_packed(frame)
        module: Any = msgspec.json if is_json else msgspec.msgpack
        try:
            batch = module.decode(frame, type=list[dict[str, Any]])
        except _UNREADABLE:
            return
        for record in batch:
            tag = record.get("T")
            for name in record.keys() - _MEMBERS.get(tag, record.keys()) if isinstance(tag, str) else ():
                self._drift.count(f"stream.{tag}", f"unknown member {name}")


class _Tagged(Struct):
    T: object = None


_BARS: Final[Mapping[type, type[Bar]]] = {
    records.BarRecord: Bar,
    records.DailyBarRecord: DailyBar,
    records.UpdatedBarRecord: UpdatedBar,
}
_MEMBERS: Final[Mapping[str, frozenset[str]]] = {
    str(kind.__struct_config__.tag): frozenset({"T", *kind.__struct_encode_fields__}) for kind in records.KINDS
}


def _is_packed(frame: str | bytes) -> TypeGuard[bytes]:
    """Whether a frame is MessagePack, whose lists begin with a byte that no text begins with."""
    return type(frame) is bytes and frame[:1] > b"\x7f"


def _tag(record: Struct) -> object:
    return record.__struct_config__.tag


def _conditions(code: str | None) -> tuple[str, ...]:
    """Options have one code, which may be blank."""
    return (code,) if code and code.strip() else ()


def _list(conditions: records.Conditions) -> tuple[str, ...]:
    return conditions if isinstance(conditions, tuple) else _conditions(conditions)


def _correction(record: records.CorrectionRecord[Any], symbol: str, moment: int) -> TradeCorrection:
    return TradeCorrection(
        symbol,
        moment,
        record.x,
        str(record.oi),
        record.op,
        record.os,
        _list(record.oc),
        str(record.ci),
        record.cp,
        record.cs,
        _list(record.cc),
        record.z,
    )
