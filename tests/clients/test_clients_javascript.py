"""The JavaScript SDK, in both of its generations, trades with the sandbox and hears it.

``BROKER_TEST_NODE`` is the folder where its packages are installed, or says ``npm``, and then they are installed for the run.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import attrs
import pytest
from node_packages import modules
from sandboxes import KEY, SECRET
from ways import Way

TOLD = os.environ.get("BROKER_TEST_NODE", "")
VERSIONS = {"3": "3.1.3", "4": "4.0.2"}
DAYS = {"start": "2026-02-20T00:00:00Z", "soon": "2026-02-20T00:14:00Z", "end": "2026-02-28T23:59:00Z"}

pytestmark = [
    # With the others that ask for Prism.
    pytest.mark.xdist_group("prism"),
    pytest.mark.skipif(not TOLD, reason="BROKER_TEST_NODE does not say where the JavaScript SDK is, or npm"),
    pytest.mark.skipif(
        shutil.which("node") is None and os.environ.get("CI") != "true", reason="node, which runs the JavaScript SDK, is absent"
    ),
]


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where both versions are, each under a name of its own."""
    packages = [f"alpaca-{name}@npm:@alpacahq/alpaca-trade-api@{version}" for name, version in VERSIONS.items()]
    return modules(TOLD, tmp_path_factory, "javascript", *packages)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_javascript_sdk_trades_and_listens(way: Way, installed: Path, version: str, tmp_path: Path):
    """An order to its fill, one cancelled and one replaced, as answered and as streamed; positions, bars in pages, live quotes and bars."""
    addresses = {name: str(url) for name, url in attrs.asdict(way.box.addresses).items() if name.endswith("_url")}
    told = {
        **addresses,
        "trading_url": way.trading_url,
        "data_url": way.data_url,
        "modules": str(installed),
        "key": KEY,
        "secret": SECRET,
        **DAYS,
    }
    script = Path(__file__).with_name(f"javascript_{version}.js")
    # A folder of its own: the SDK reads settings from where it is run.
    done = subprocess.run(["node", script, json.dumps(told)], capture_output=True, text=True, cwd=tmp_path, timeout=60, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])

    assert found["complaints"] == []
    price = float(found["filled"].pop("price"))
    assert float(found["account"].pop("cash")) == pytest.approx(100_000 - 3 * price, abs=0.01)
    assert found["account"] == {"status": "ACTIVE"}
    assert found["filled"] == {"status": "filled", "qty": "3"}
    assert found["events"] == ["pending_new", "new", "partial_fill", "partial_fill", "fill"]
    assert found["pieces"] == [1, 1, 1]
    assert (found["cancelled"], found["replaced"]) == ("canceled", {"limit": "2", "replaces": True})
    assert (found["open"], found["closed"]) == ([True], 1)
    assert (found["positions"], found["position"], found["closing"]) == (["DEMO.PARTIAL"], {"qty": "3", "side": "long"}, "sell")
    assert (found["clock"], found["asset"]) == (True, "NASDAQ")

    assert found["history"] == {
        "count": 9 * 1440,
        "first": "2026-02-20T00:00:00.000Z",
        "last": "2026-02-28T23:59:00.000Z",
        "both": [15, 15],
    }
    assert found["latest"]["bid"] < found["latest"]["ask"]
    streamed = found["streamed"]
    assert {quote["symbol"] for quote in streamed["quotes"]} == {"AAPL", "MSFT"}
    assert all(quote["bid"] < quote["ask"] for quote in streamed["quotes"])
    moments = [trade["t"] for trade in streamed["trades"]]
    assert moments == sorted(set(moments))
    assert found["again"] == [streamed["bar"]]
