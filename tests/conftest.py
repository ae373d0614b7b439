"""What every test of the project stands on: a machine without a past, and no silent skips where PostgreSQL is promised."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

_CREDENTIALS = ("BROKER", "APCA_", "ALPACA_")


def pytest_configure() -> None:
    """Forget the settings and credentials of whoever runs the tests; variables of the tests themselves stay."""
    for name in list(os.environ):
        if name.startswith(_CREDENTIALS) and not name.startswith("BROKER_TEST_"):
            del os.environ[name]


@pytest.fixture(autouse=True, scope="session")
def _folders_of_nobody(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The user's own configuration and data are neither read nor written."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
            patch.setenv(name, str(tmp_path_factory.mktemp(name.lower())))
        yield


_REAL_MONEY = """
from broker_core.clock import SystemClock, TimeSortedIds, seeded
from broker_core.hookspecs import hookimpl
from broker_core.models import Environment
from broker_demo import config
from broker_demo.families import DemoClient


class RealMoney(DemoClient):
    name = "real"
    environment = Environment.LIVE


@hookimpl
def broker_client(environ):
    return RealMoney(config.read(environ), clock=SystemClock(), ids=TimeSortedIds(), random=seeded())
"""


@pytest.fixture
def real_money(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install a broker ``real`` that calls its money real, and name it in the settings."""
    metadata = tmp_path / "site" / "broker_real-1.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: broker-real\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text("[broker_core]\nreal = broker_real\n")
    (tmp_path / "site" / "broker_real.py").write_text(_REAL_MONEY)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.delitem(sys.modules, "broker_real", raising=False)
    monkeypatch.setenv("BROKER", "real")


@pytest.fixture(scope="session")
def prism(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Prism's command."""
    import prisms

    return prisms.command(tmp_path_factory)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item):
    """In CI a test that needs PostgreSQL must not be skipped for the lack of it."""
    report = yield
    if report.skipped and os.environ.get("CI") == "true" and "BROKER_TEST_POSTGRES" in str(report.longrepr):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid}: skipped for the lack of PostgreSQL, which CI has to provide in BROKER_TEST_POSTGRES"
    return report
