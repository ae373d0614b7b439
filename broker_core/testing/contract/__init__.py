'''The contract of a broker, as suites of tests that a plugin's author runs.

Say in one class what the suites have to know about the broker, give it out in a fixture named ``subject``, import the suites, and
pytest does the rest. With pytest and pytest-asyncio installed, this is a complete module of tests::

    """Tidewater keeps the contract."""

    import pytest
    from broker_tidewater import Tidewater

    from broker_core.testing.contract import *


    class TidewaterSubject(StillSubject):
        symbol = "EBB"
        other_symbol = "FLOW"

        def __init__(self):
            super().__init__()
            self.plugin = Tidewater(self.clock)
            self.end_day = self.midnight

        def connect(self, *plugins, database="off"):
            return self.open("tidewater", self.plugin, *plugins, database=database, environ={"TIDEWATER_KEY": "tw-1"})

        async def cut_orders(self):
            self.plugin.harbour.news.cut()

        async def cut_data(self):
            self.plugin.harbour.ticker.cut()

        async def place_elsewhere(self, request):
            return self.plugin.harbour.submit(request, "placed-by-hand").client_id


    @pytest.fixture
    def subject():
        return TidewaterSubject()

**What is tested** follows from the capabilities that the broker's client declares: what it declares has to work, and what it does not
declare has to be refused before anything is sent. A test is skipped only for a capability that is not declared, a family that is not
offered, or something that the subject leaves None, and its reason says which.

**The subject** (``Subject``) must name a ``symbol`` and open a session in ``connect``. The rest is worth giving where the broker can do
it: a second symbol, one whose orders are filled in pieces, one that rejects; a way to cut the lines, to end the day, to place an
order behind the session's back. A new subject is made for every test, so a broker in memory begins anew each time; one that lives
elsewhere should be given an account that is empty.

**Time.** Nothing here sleeps: a test lets time pass by the subject's ``pass_time`` and waits for what must happen. A broker that takes
a clock is best tested as a ``StillSubject``, whose time moves only when a test moves it; then the suites take seconds. For any other
broker ``pass_time`` waits in real time, and the suites take their minutes.

**Some suites only.** Each is a class: import those that you want by name, or subclass one to leave a test out or to add your own.
``TestConnection``, ``TestAccount``, ``TestCapabilities``, ``TestOrders``, ``TestOrderTypes``, ``TestOrderClasses``, ``TestReplace``,
``TestCancel``, ``TestPositions``, ``TestBars``, ``TestPrices``, ``TestStreams``, ``TestReconnect``, ``TestRecords``.
'''

from __future__ import annotations

import pytest

_WITH_ASSERTIONS = (
    *("laws", "trader", "connection", "account", "capabilities", "orders", "order_types", "order_classes"),
    *("replace", "cancel", "positions", "bars", "prices", "streams", "reconnect", "records"),
)
# Before they are imported, so that a failing assertion says what was compared.
pytest.register_assert_rewrite(*(f"{__name__}.{module}" for module in _WITH_ASSERTIONS))

from broker_core.testing.contract.account import TestAccount
from broker_core.testing.contract.bars import TestBars
from broker_core.testing.contract.cancel import TestCancel
from broker_core.testing.contract.capabilities import TestCapabilities
from broker_core.testing.contract.connection import TestConnection
from broker_core.testing.contract.order_classes import TestOrderClasses
from broker_core.testing.contract.order_types import TestOrderTypes
from broker_core.testing.contract.orders import TestOrders
from broker_core.testing.contract.positions import TestPositions
from broker_core.testing.contract.prices import TestPrices
from broker_core.testing.contract.reconnect import TestReconnect
from broker_core.testing.contract.records import TestRecords
from broker_core.testing.contract.replace import TestReplace
from broker_core.testing.contract.still import StillSubject
from broker_core.testing.contract.streams import TestStreams
from broker_core.testing.contract.subject import Subject

__all__ = [
    "StillSubject",
    "Subject",
    "TestAccount",
    "TestBars",
    "TestCancel",
    "TestCapabilities",
    "TestConnection",
    "TestOrderClasses",
    "TestOrderTypes",
    "TestOrders",
    "TestPositions",
    "TestPrices",
    "TestReconnect",
    "TestRecords",
    "TestReplace",
    "TestStreams",
]
