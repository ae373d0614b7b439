"""What the market data socket says, as it says it: one record for each value of ``T``.

Source: https://docs.alpaca.markets/docs/real-time-stock-pricing-data and its neighbours for options, crypto and news. Names are the wire's
own. The moment ``t`` is text in JSON and a MessagePack timestamp otherwise, so records are generic in it; ``tx`` is explained in
``stream_times``. These are private to the wire: ``stream_items`` makes the values that leave it.
"""

from __future__ import annotations

from typing import Generic, TypeAlias, TypeVar

from msgspec import Struct, field
from msgspec.msgpack import Ext

M = TypeVar("M")
"""How the codec writes a moment."""
Conditions: TypeAlias = tuple[str, ...] | str | None
"""A list from stock feeds, one text from options."""
Id: TypeAlias = int | str


class Record(Struct, gc=False, kw_only=True, tag_field="T"):
    """Anything with a ``T``."""


class Timed(Record, Generic[M], kw_only=True):
    """News of one symbol at one moment."""

    S: str
    t: M | None = None
    tx: int | None = None


class TradeRecord(Timed[M], Generic[M], kw_only=True, tag="t"):
    """A trade. ``tks`` is the taker's side of crypto."""

    p: float
    s: float
    i: Id | None = None
    x: str = ""
    c: Conditions = ()
    z: str = ""
    tks: str = ""


class QuoteRecord(Timed[M], Generic[M], kw_only=True, tag="q"):
    """The best bid and offer."""

    bp: float
    bs: float
    ap: float
    as_: float = field(name="as")
    bx: str = ""
    ax: str = ""
    c: Conditions = ()
    z: str = ""


class BarRecord(Timed[M], Generic[M], kw_only=True, tag="b"):
    """A minute bar. ``t`` is its left edge."""

    o: float
    h: float
    l: float  # noqa: E741  # the wire's name
    c: float
    v: float
    n: int = 0
    vw: float = 0.0


class DailyBarRecord(BarRecord[M], Generic[M], kw_only=True, tag="d"):
    """The running day's bar."""


class UpdatedBarRecord(BarRecord[M], Generic[M], kw_only=True, tag="u"):
    """A minute bar that a late trade has changed."""


class StatusRecord(Timed[M], Generic[M], kw_only=True, tag="s"):
    """Status code and message, reason code and message."""

    sc: str
    sm: str = ""
    rc: str = ""
    rm: str = ""
    z: str = ""


class LuldRecord(Timed[M], Generic[M], kw_only=True, tag="l"):
    """Up, down and indicator of a price band."""

    u: float
    d: float
    i: str = ""
    z: str = ""


class ImbalanceRecord(Timed[M], Generic[M], kw_only=True, tag="i"):
    """An imbalance of orders."""

    p: float
    z: str = ""


class CorrectionRecord(Timed[M], Generic[M], kw_only=True, tag="c"):
    """A trade as it was told (``o…``) and as it is right (``c…``)."""

    oi: Id
    op: float
    os: float
    ci: Id
    cp: float
    cs: float
    x: str = ""
    oc: Conditions = ()
    cc: Conditions = ()
    z: str = ""


class CancelRecord(Timed[M], Generic[M], kw_only=True, tag="x"):
    """A trade that does not count any more; action ``C`` is a cancel, ``E`` an error."""

    i: Id
    p: float
    s: float
    x: str = ""
    a: str = ""
    z: str = ""


class Level(Struct, gc=False):
    """One level of a book."""

    p: float
    s: float


class BookRecord(Timed[M], Generic[M], kw_only=True, tag="o"):
    """Changed levels of a book; with ``r`` the whole of it."""

    b: tuple[Level, ...] = ()
    a: tuple[Level, ...] = ()
    r: bool = False


class NewsRecord(Record, Generic[M], kw_only=True, tag="n"):
    """An article."""

    id: Id
    headline: str
    created_at: M
    updated_at: M
    summary: str = ""
    author: str = ""
    url: str = ""
    content: str = ""
    symbols: tuple[str, ...] = ()
    source: str = ""


class SuccessRecord(Record, kw_only=True, tag="success"):
    """``connected`` or ``authenticated``."""

    msg: str = ""


class ErrorRecord(Record, kw_only=True, tag="error"):
    """An error by its number."""

    code: int
    msg: str = ""


class SubscriptionRecord(Record, kw_only=True, tag="subscription", rename="camel"):
    """Everything that is subscribed now. Each feed lists only the channels it has."""

    trades: tuple[str, ...] = ()
    quotes: tuple[str, ...] = ()
    bars: tuple[str, ...] = ()
    daily_bars: tuple[str, ...] = ()
    updated_bars: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()
    lulds: tuple[str, ...] = ()
    corrections: tuple[str, ...] = ()
    cancel_errors: tuple[str, ...] = ()
    orderbooks: tuple[str, ...] = ()
    imbalances: tuple[str, ...] = ()
    news: tuple[str, ...] = ()


Control: TypeAlias = SuccessRecord | ErrorRecord | SubscriptionRecord
AnyRecord: TypeAlias = (
    QuoteRecord[M]
    | TradeRecord[M]
    | BarRecord[M]
    | DailyBarRecord[M]
    | UpdatedBarRecord[M]
    | StatusRecord[M]
    | LuldRecord[M]
    | ImbalanceRecord[M]
    | CorrectionRecord[M]
    | CancelRecord[M]
    | BookRecord[M]
    | NewsRecord[M]
    | SuccessRecord
    | ErrorRecord
    | SubscriptionRecord
)
"""One record of a frame."""
PackedRecord: TypeAlias = AnyRecord[Ext]
"""One record in MessagePack."""
WrittenRecord: TypeAlias = AnyRecord[str]
"""One record in JSON."""

KINDS: tuple[type[Record], ...] = (
    QuoteRecord,
    TradeRecord,
    BarRecord,
    DailyBarRecord,
    UpdatedBarRecord,
    StatusRecord,
    LuldRecord,
    ImbalanceRecord,
    CorrectionRecord,
    CancelRecord,
    BookRecord,
    NewsRecord,
    SuccessRecord,
    ErrorRecord,
    SubscriptionRecord,
)
"""The classes of these records."""
