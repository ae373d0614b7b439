"""The demo broker's hooks."""

from __future__ import annotations

import subprocess
import sys

import pluggy
import pytest

import broker_core
from broker_core import hookspecs
from broker_core.clock import CountingIds, StillClock, seeded
from broker_core.errors import ConfigError
from broker_core.hookspecs import NAME, hookimpl
from broker_demo import plugin
from broker_demo.families import DemoClient, DemoMarketData, DemoOrders, DemoStream, DemoSync
from broker_demo.plugin import DemoPlugin


def manager_of(*plugins):
    manager = pluggy.PluginManager(NAME)
    manager.add_hookspecs(hookspecs)
    for one in plugins:
        manager.register(one)
    manager.check_pending()
    return manager


@pytest.mark.parametrize("one", [plugin, DemoPlugin()], ids=["module", "object"])
def test_plugin_answers_all_its_hooks(one):
    """The module of the entry point and an object of its class offer a client and all its families."""
    manager = manager_of(one)
    (client,) = manager.hook.broker_client(environ={})

    assert isinstance(client, DemoClient)
    assert isinstance(manager.hook.broker_orders(client=client), DemoOrders)
    assert isinstance(manager.hook.broker_stream(client=client), DemoStream)
    assert isinstance(manager.hook.broker_sync(client=client), DemoSync)
    assert isinstance(manager.hook.broker_market_data(client=client), DemoMarketData)


def test_plugin_is_the_last_offer():
    """Whoever else offers a client comes first, whenever it was registered."""

    class Other:
        @hookimpl
        def broker_client(self, environ):
            return "other"

    offers = manager_of(Other(), plugin, Other()).hook.broker_client(environ={})

    assert [type(offer) for offer in offers] == [str, str, DemoClient]


def test_other_clients_are_none_of_its_business():
    """For a client of another broker every family hook leaves the question to others."""
    manager = manager_of(plugin)

    for name in ("broker_orders", "broker_stream", "broker_sync", "broker_market_data", "broker_record_models"):
        assert getattr(manager.hook, name)(client=object()) is None


def test_tables_are_its_own():
    """The record types it offers are those of the demo tables."""
    from broker_demo.records import MODELS

    manager = manager_of(plugin)
    (client,) = manager.hook.broker_client(environ={})

    assert manager.hook.broker_record_models(client=client) is MODELS


def test_settings_that_make_no_sense_are_refused_at_the_offer():
    """Nonsense in the environment raises ConfigError before anything is opened."""
    with pytest.raises(ConfigError, match="BROKER_DEMO_SPEED"):
        plugin.broker_client({"BROKER_DEMO_SPEED": "fast"})


async def test_passed_in_time_ids_and_chance_are_used():
    """An object made with a clock, ids and chance of its own hands them to its clients."""
    clock = StillClock()
    client = DemoPlugin(clock=clock, ids=CountingIds("X"), random=seeded(1)).broker_client({})

    account = await client.open()
    now_ns = client.venue.now_ns()
    await client.close()

    assert account.account_id == "DEMO-X000001"
    assert now_ns == clock.now_ns()
    assert client.seed == DemoPlugin(random=seeded(1)).broker_client({}).seed


async def test_an_object_of_the_host_takes_the_installed_plugins_place():
    """Two accounts at the demo broker are never guessed between, with or without its name."""
    clock = StillClock()
    options = {"plugins": [DemoPlugin(clock=clock)], "environ": {"BROKER_DATABASE": "off"}, "clock": clock}
    for name in ("demo", None):
        async with broker_core.connect(name, **options) as session:
            assert session.client.venue.now_ns() == clock.now_ns()


def test_every_client_is_its_own():
    """Nothing is shared between two clients of one plugin."""
    first, second = plugin.broker_client({}), plugin.broker_client({})

    assert first is not second
    assert first.seed != second.seed
    assert first.trading is not second.trading


def test_plugin_is_light_to_load():
    """Loading the plugin, and making a client, loads none of the heavy packages."""
    heavy = ["pandas", "numpy", "exchange_calendars", "peewee", "aiohttp", "pyarrow", "cattrs", "msgspec"]
    program = (
        f"import sys; from broker_demo import plugin; plugin.broker_client({{}}); print([name for name in {heavy} if name in sys.modules])"
    )

    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert found.stdout == "[]\n"
