"""Every address of the two hosts: the routes of each file that answers some, one after the other."""

from __future__ import annotations

from collections.abc import Sequence

from broker_demo.sandbox.data import crypto, meta, news, nothing, screener, stocks
from broker_demo.sandbox.route import Route
from broker_demo.sandbox.trading import (
    account,
    activities,
    announcements,
    assets,
    calendar,
    locates,
    options,
    orders,
    portfolio,
    positions,
    watchlists,
)


def routes() -> Sequence[Route]:
    """All of them."""
    return (
        *account.ROUTES,
        *activities.ROUTES,
        *announcements.ROUTES,
        *assets.ROUTES,
        *calendar.ROUTES,
        *locates.ROUTES,
        *options.ROUTES,
        *orders.ROUTES,
        *portfolio.ROUTES,
        *positions.ROUTES,
        *watchlists.ROUTES,
        *stocks.ROUTES,
        *crypto.ROUTES,
        *meta.ROUTES,
        *news.ROUTES,
        *screener.ROUTES,
        *nothing.ROUTES,
    )
