"""Brokers of other people, installed as distributions of their own and found through their entry points."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

TRADE = """
import asyncio, json, sys
import broker_core
from broker_core import MarketOrder

async def main():
    async with broker_core.connect(*sys.argv[1:]) as session:
        order = await session.orders.done(await session.orders.submit(MarketOrder("AAPL", "buy", qty=3)))
        print(json.dumps([session.connection.broker, session.connection.account_id, order.state, str(order.filled_qty)]))

asyncio.run(main())
"""


def install(folder: Path, site: Path) -> None:
    """Lay a plugin's distribution out in a folder as an installer does: its modules, and its metadata beside them."""
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    metadata = site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    groups = project["entry-points"].items()
    (metadata / "entry_points.txt").write_text(
        "\n".join(f"[{group}]\n" + "\n".join(f"{name} = {module}" for name, module in entries.items()) for group, entries in groups)
    )
    for module in folder.glob("*.py"):
        (site / module.name).write_text(module.read_text())


@pytest.fixture
def site(tmp_path: Path) -> Path:
    install(HERE / "acme", tmp_path / "site")
    install(HERE / "broken", tmp_path / "site")
    return tmp_path / "site"


def run(site: Path, *command: str, **environ: str) -> subprocess.CompletedProcess[str]:
    paths = [str(site), str(ROOT)] if (ROOT / "broker_core").is_dir() else [str(site)]
    keep = {name: value for name, value in os.environ.items() if not name.startswith(("BROKER", "APCA", "ALPACA"))}
    everything = {**keep, "PYTHONPATH": os.pathsep.join(paths), "BROKER_DATABASE": str(site.parent / "broker.sqlite3"), **environ}
    return subprocess.run(
        [sys.executable, *command], env=everything, capture_output=True, text=True, timeout=60, check=False, cwd=site.parent
    )


def test_a_third_party_broker_is_chosen_by_name(site: Path):
    """`connect("acme")` finds the installed broker, trades with it, and writes its records."""
    done = run(site, "-c", TRADE, "acme", ACME_KEY="k")

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ["acme", "ACME-1", "filled", "3"]
    assert (site.parent / "broker.sqlite3").exists()


def test_a_third_party_broker_with_credentials_goes_before_the_fallback(site: Path):
    """Without a name the one real broker answers, not the paper exchange."""
    done = run(site, "-c", TRADE, ACME_KEY="k")

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0] == "acme"


def test_a_broker_asked_for_by_name_never_falls_back(site: Path):
    """Without its credentials the named broker is an error, not a reason for another."""
    done = run(site, "-c", TRADE, "acme")

    assert done.returncode != 0
    assert "NotConfigured: broker acme has no credentials here" in done.stderr


def test_a_broken_plugin_asked_for_by_name_says_why(site: Path):
    """The reason it could not be loaded is the error."""
    done = run(site, "-c", TRADE, "broken", ACME_KEY="k")

    assert "PluginError: plugin broken could not be loaded: RuntimeError: the licence file is missing" in done.stderr


def test_the_doctor_names_the_broken_plugin_and_the_broker_that_would_be_used(site: Path):
    """One that raises at import is named with its reason and harms nobody."""
    done = run(site, "-m", "broker_core.cli", "--json", "doctor", ACME_KEY="k")

    assert done.returncode == 0, done.stderr
    assert "the licence file is missing" in done.stdout
    assert "acme" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_the_list_of_plugins_shows_every_state(site: Path):
    """`broker plugins` has a line for each, with version, hooks and state."""
    done = run(site, "-m", "broker_core.cli", "--json", "plugins", ACME_KEY="k", BROKER_DISABLE="records")

    found = {row["name"]: row for row in map(json.loads, done.stdout.splitlines())}
    assert found["acme"]["version"] == "1.2.0"
    assert found["acme"]["hooks"] == ["broker_client", "broker_orders"]
    assert [found[name]["state"] for name in ("acme", "broken", "records")] == ["offers", "broken", "disabled"]
