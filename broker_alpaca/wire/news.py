"""News articles.

Source: https://docs.alpaca.markets/reference/news-3. Sorted by when they were last changed, the newest first unless asked otherwise; crypto
symbols stand here without their slash.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

import attrs

from broker_alpaca.wire import reading
from broker_alpaca.wire.call import Call
from broker_alpaca.wire.data_host import Sort, get
from broker_alpaca.wire.reading import Moment, Page, Record
from broker_core.clock import to_ns
from broker_core.models import News

LARGEST_PAGE = 50


@attrs.frozen(kw_only=True)
class Image(Record):
    """A picture that belongs to an article."""

    url: str
    size: str | None = None
    """``thumb``, ``small`` or ``large``."""


@attrs.frozen(kw_only=True)
class Article(Record):
    """An article with everything Alpaca says of it."""

    id: int
    headline: str
    created_at: Moment
    updated_at: Moment
    author: str | None = None
    summary: str | None = None
    content: str | None = None
    """Maybe HTML; empty unless asked for."""
    url: str | None = None
    images: tuple[Image, ...] = ()
    symbols: tuple[str, ...] = ()
    source: str | None = None


def to_news(found: Article) -> News:
    """An article in the core's words, which know no pictures."""
    return News(
        symbols=found.symbols,
        timestamp_ns=to_ns(found.updated_at),
        id=str(found.id),
        headline=found.headline,
        summary=found.summary or "",
        author=found.author or "",
        created_at=found.created_at,
        updated_at=found.updated_at,
        url=found.url or "",
        content=found.content or "",
        source=found.source or "",
    )


def page(
    symbols: Sequence[str] | None = None,
    *,
    start: datetime | date | None = None,
    end: datetime | date | None = None,
    limit: int | None = None,
    sort: Sort | None = None,
    include_content: bool | None = None,
    exclude_contentless: bool | None = None,
    page_token: str | None = None,
) -> Call[Page[Article]]:
    """A page of articles, of all symbols where none is named. ``limit``: 1 to 50; Alpaca takes 10 where none is given."""
    return get(
        "/v1beta1/news",
        reading.many(Article, "news", "news"),
        symbols or None,
        largest=LARGEST_PAGE,
        start=start,
        end=end,
        limit=limit,
        sort=sort,
        include_content=include_content,
        exclude_contentless=exclude_contentless,
        page_token=page_token,
    )
