"""The demo broker's answers to the hooks.

It always offers a client, and as the last one, so that it is taken when no other broker can answer, or when it is asked for by name.
This module is the plugin of the entry point; a host that wants time, ids or chance of its own registers a ``DemoPlugin``.

The families are loaded when they are asked for: every session loads this module, and few of them trade here.
"""

from __future__ import annotations

import random as randomness
from collections.abc import Mapping
from typing import TYPE_CHECKING

from broker_core.clock import Clock, IdFactory, SystemClock, TimeSortedIds, seeded
from broker_core.families import Client
from broker_core.hookspecs import hookimpl
from broker_demo import config
from broker_demo.client import DemoClient

if TYPE_CHECKING:
    from broker_demo.families import DemoMarketData, DemoOrders, DemoStream, DemoSync


class DemoPlugin:
    """The plugin as an object; it keeps nothing of the clients it made. Registered by a host, it takes the installed one's place."""

    name = "demo"

    def __init__(self, *, clock: Clock | None = None, ids: IdFactory | None = None, random: randomness.Random | None = None) -> None:
        self._clock = clock or SystemClock()
        self._ids = ids or TimeSortedIds(self._clock)
        self._random = random or seeded()

    @hookimpl(trylast=True)
    def broker_client(self, environ: Mapping[str, str]) -> DemoClient:
        """Offer a demo account. Raises ConfigError for settings that make no sense."""
        return DemoClient(config.read(environ), clock=self._clock, ids=self._ids, random=self._random)

    @hookimpl
    def broker_orders(self, client: Client) -> DemoOrders | None:
        """Offer the orders of a demo account."""
        if not isinstance(client, DemoClient):
            return None
        from broker_demo.families import DemoOrders

        return DemoOrders(client)

    @hookimpl
    def broker_stream(self, client: Client) -> DemoStream | None:
        """Offer the feeds of a demo account."""
        if not isinstance(client, DemoClient):
            return None
        from broker_demo.families import DemoStream

        return DemoStream(client)

    @hookimpl
    def broker_sync(self, client: Client) -> DemoSync | None:
        """Offer the account reads of a demo account."""
        if not isinstance(client, DemoClient):
            return None
        from broker_demo.families import DemoSync

        return DemoSync(client)

    @hookimpl
    def broker_market_data(self, client: Client) -> DemoMarketData | None:
        """Offer the prices of the demo market."""
        if not isinstance(client, DemoClient):
            return None
        from broker_demo.families import DemoMarketData

        return DemoMarketData(client)

    @hookimpl
    def broker_record_models(self, client: Client) -> object | None:
        """Offer the demo broker's own tables, so that simulated and real rows never share one."""
        if not isinstance(client, DemoClient):
            return None
        from broker_demo.records import MODELS

        return MODELS


_plugin = DemoPlugin()
broker_client = _plugin.broker_client
broker_orders = _plugin.broker_orders
broker_stream = _plugin.broker_stream
broker_sync = _plugin.broker_sync
broker_market_data = _plugin.broker_market_data
broker_record_models = _plugin.broker_record_models
