"""Alpaca's answers to the hooks. It offers a client where it finds credentials, and nothing where there are none.

This module is the plugin of the entry point; a host with credentials or tools of its own registers an ``AlpacaPlugin``. The families are
loaded when they are asked for: every session loads this module, and not every one trades here.
"""

from __future__ import annotations

import random as randomness
from collections.abc import Mapping
from typing import TYPE_CHECKING

from broker_alpaca import config
from broker_alpaca.config import AlpacaSettings, Mode
from broker_core.clock import Clock, SystemClock, seeded
from broker_core.errors import ConfigError
from broker_core.families import Client
from broker_core.hookspecs import hookimpl

if TYPE_CHECKING:
    from broker_alpaca.client import AlpacaClient
    from broker_alpaca.exchange import Transport
    from broker_alpaca.market_data import AlpacaMarketData
    from broker_alpaca.orders import AlpacaOrders
    from broker_alpaca.streaming import AlpacaStream
    from broker_alpaca.sync import AlpacaSync


class AlpacaPlugin:
    """The plugin as an object. With ``settings`` it offers that account and does not look at the environment."""

    name = "alpaca"

    def __init__(
        self, settings: AlpacaSettings | None = None, *, clock: Clock | None = None, random: randomness.Random | None = None
    ) -> None:
        self._settings = settings
        self._clock = clock or SystemClock()
        self._random = random or seeded()

    @hookimpl
    def broker_client(self, environ: Mapping[str, str]) -> AlpacaClient | None:
        """Offer the account whose credentials are here. Raises ConfigError for settings that make no sense."""
        settings = self._settings or config.read(environ)
        if settings is None:
            return None
        from broker_alpaca.client import AlpacaClient

        return AlpacaClient(settings, _transport(settings), clock=self._clock, random=self._random)

    @hookimpl
    def broker_orders(self, client: Client) -> AlpacaOrders | None:
        """Offer the orders of an Alpaca account."""
        own = _own(client)
        if own is None:
            return None
        from broker_alpaca.orders import AlpacaOrders

        return AlpacaOrders(own)

    @hookimpl
    def broker_stream(self, client: Client) -> AlpacaStream | None:
        """Offer the sockets of an Alpaca account."""
        own = _own(client)
        if own is None:
            return None
        from broker_alpaca.streaming import AlpacaStream

        return AlpacaStream(own)

    @hookimpl
    def broker_sync(self, client: Client) -> AlpacaSync | None:
        """Offer the account reads of an Alpaca account."""
        own = _own(client)
        if own is None:
            return None
        from broker_alpaca.sync import AlpacaSync

        return AlpacaSync(own)

    @hookimpl
    def broker_market_data(self, client: Client) -> AlpacaMarketData | None:
        """Offer Alpaca's market data."""
        own = _own(client)
        if own is None:
            return None
        from broker_alpaca.market_data import AlpacaMarketData

        return AlpacaMarketData(own)

    @hookimpl
    def broker_record_models(self, client: Client) -> object | None:
        """Offer the tables of Alpaca's records."""
        if _own(client) is None:
            return None
        from broker_alpaca.records import MODELS

        return MODELS


def _own(client: Client) -> AlpacaClient | None:
    from broker_alpaca.client import AlpacaClient

    return client if isinstance(client, AlpacaClient) else None


def _transport(settings: AlpacaSettings) -> Transport:
    """The way that is asked for, else alpaca-py where it is installed, else HTTP. Raises ConfigError for one that is not installed."""
    from broker_alpaca import sdk

    if settings.mode is Mode.HTTP or (settings.mode is None and not sdk.is_installed()):
        from broker_alpaca.transport import HttpTransport

        return HttpTransport(settings)
    if not sdk.is_installed():
        name = settings.origins.get("mode", "mode")
        raise ConfigError(f"{name}: sdk needs alpaca-py, which is not installed; pip install 'broker-core[sdk]', or use http")
    return sdk.SdkTransport(settings)


_plugin = AlpacaPlugin()
broker_client = _plugin.broker_client
broker_orders = _plugin.broker_orders
broker_stream = _plugin.broker_stream
broker_sync = _plugin.broker_sync
broker_market_data = _plugin.broker_market_data
broker_record_models = _plugin.broker_record_models
