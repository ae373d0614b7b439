"""What the papers around the code say is so."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points, version
from importlib.resources import files
from pathlib import Path
from types import ModuleType

import attrs
import click
import pytest

import broker_core
from broker_core import AuthError, errors
from broker_core.cli.app import broker
from broker_core.cli.exits import MEANINGS
from broker_core.config import KEYS, Settings, variable

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
TEST_COMMAND = "python3 -m venv .venv && .venv/bin/pip install tox && .venv/bin/tox"


def section(title: str) -> str:
    return README.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def rows(text: str) -> list[list[str]]:
    """The cells of a table's rows, below its heading."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines if not line.startswith(("|---", "| ---"))]


def code(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def test_readme_states_the_exit_codes():
    """The table of exit codes is the one that the program goes by."""
    stated = {int(number): meaning for number, meaning in rows(section("Commands")) if number.isdecimal()}

    assert stated == {int(exit_code): meaning for exit_code, meaning in MEANINGS.items()}


def test_readme_names_every_command():
    """Every command, those of our plugins too, is in the table, and every command that the README shows exists."""
    shown = set(re.findall(r"^broker (\w+)|/broker (\w+)|`broker (\w+)", README, re.MULTILINE))
    shown = {name for names in shown for name in names if name}

    assert shown == set(broker.list_commands(click.Context(broker)))


def test_readme_states_the_settings():
    """Every key has its row: the variable it belongs to and the default it has."""
    stated = {row[0].strip("`"): (row[1].strip("`"), row[2]) for row in rows(section("Settings"))[1:]}

    assert list(stated) == list(KEYS)
    for key, (name, default) in stated.items():
        assert name == variable(key)
        value: object = Settings()
        for part in key.split("."):
            value = getattr(value, part)
        if isinstance(value, (int, float)):
            assert float(default) == value


def test_readme_names_every_error():
    """Every error of the tree but its branches is in the table, and nothing else."""
    stated = set(re.findall(r"`(\w+)`", "".join(row[0] for row in rows(section("Errors"))[1:])))
    known = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, errors.BrokerError)}

    assert stated == known - {"BrokerError", "RemoteError", "DuplicateOrder"}


def test_readme_example_runs(tmp_path: Path):
    """The host's example runs as it stands, on a machine without an account at any broker."""
    (example,) = code(section("The first ten minutes"), "python")
    environ = {**os.environ, "BROKER_DATABASE": str(tmp_path / "broker.sqlite3"), "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", example], capture_output=True, text=True, env=environ, cwd=tmp_path, check=False)

    assert done.returncode == 0, done.stderr
    first, *_, order, quote = done.stdout.splitlines()
    assert first.startswith("demo demo True ")
    assert order.startswith("filled 10 ")
    assert float(quote.split()[0]) < float(quote.split()[1])


@pytest.fixture
def acme(tmp_path: Path) -> ModuleType:
    (example,) = code(section("A broker of your own"), "python")
    (tmp_path / "broker_acme.py").write_text(example)
    spec = importlib.util.spec_from_file_location("broker_acme", tmp_path / "broker_acme.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def test_readme_plugin_is_a_broker(acme: ModuleType):
    """The plugin of the README offers an account where it finds its key, and refuses a wrong one."""
    off = {"BROKER_DATABASE": "off"}
    async with broker_core.connect("acme", plugins=[acme], environ={**off, "ACME_KEY": "swordfish"}) as session:
        assert session.connection.account_id == "A1"
    with pytest.raises(AuthError, match="ACME_KEY"):
        async with broker_core.connect("acme", plugins=[acme], environ={**off, "ACME_KEY": "herring"}):
            pass


async def test_readme_plugin_declines_without_its_key(acme: ModuleType):
    """Without its key the plugin of the README leaves the session to others."""
    async with broker_core.connect(plugins=[acme], environ={"BROKER_DATABASE": "off"}) as session:
        assert session.connection.broker != "acme"


def test_ci_runs_the_readmes_test_command():
    """CI does what the README tells everybody to do, in an environment of its own."""
    path = ROOT / ".ci" / "run"
    last = path.read_text(encoding="utf-8").splitlines()[-1]

    assert TEST_COMMAND in "".join(code(README, "bash"))
    assert last.replace('"', "").replace("$venv", ".venv") == TEST_COMMAND
    assert os.access(path, os.X_OK)


@pytest.mark.parametrize(("ci", "outcome"), [("true", "1 failed"), ("", "1 skipped")])
def test_ci_does_not_skip_for_the_lack_of_postgresql(tmp_path: Path, ci: str, outcome: str):
    """A test that wants PostgreSQL may be skipped on somebody's own machine, and fails in CI."""
    (tmp_path / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text(encoding="utf-8"))
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_it.py").write_text("import pytest\ndef test_it():\n    pytest.skip('set BROKER_TEST_POSTGRES')\n")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "CI": ci}, check=False)

    assert outcome in done.stdout.splitlines()[-1]


def test_installed_program_is_the_command(tmp_path: Path):
    """What an installation puts beside the interpreter is the command of this version."""
    program = Path(sys.executable).with_name("broker")
    if not program.exists():
        pytest.skip("the project runs from its sources here, without being installed")
    done = subprocess.run([program, "--version"], capture_output=True, text=True, cwd=tmp_path, check=True)

    assert done.stdout == f"broker {version('broker-core')}\n"


def test_license_is_the_whole_text():
    """The licence is there with all its terms, and the metadata names it."""
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text
    assert project["license"] == "Apache-2.0"


def test_changelog_begins_with_this_version():
    """The newest heading of the changelog is the version of the package."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    headings = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)

    assert headings[0] == project["version"]


def test_built_in_plugins_come_through_the_front_door():
    """The plugins of this distribution are found through the same entry points as everybody's."""
    ours = {entry.name: entry for entry in entry_points(group="broker_core") if entry.dist is not None and entry.dist.name == "broker-core"}

    assert set(ours) == {"alpaca", "demo", "records"}
    for entry in ours.values():
        assert entry.load() is not None


def test_package_carries_its_data():
    """Types and the schema's history are installed with the code."""
    for package in ("broker_core", "broker_alpaca", "broker_demo"):
        assert (files(package) / "py.typed").is_file()
    assert (files("broker_core") / "migrations" / "0001_initial.py").is_file()
    assert (files("broker_alpaca") / "alembic" / "versions" / "139_alpaca_live.py").is_file()


def test_nothing_knows_the_machine_it_was_written_on():
    """No file of the project contains the path of a checkout or of somebody's home."""
    tracked = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], capture_output=True, text=True, cwd=ROOT, check=False)
    names = tracked.stdout.split() or [str(path.relative_to(ROOT)) for path in ROOT.glob("[!.]*/**/*.py")]
    places = (str(ROOT), str(Path.home()))

    assert names
    for name in names:
        text = (ROOT / name).read_text(encoding="utf-8", errors="ignore") if (ROOT / name).is_file() else ""
        assert not [place for place in places if place in text and len(place) > 1], name


def test_command_is_one_command():
    """The group that holds the commands has the name of the installed program, and its options have no others hidden in it."""
    assert broker.name == "broker"
    assert attrs.fields_dict(Settings).keys() >= {key.partition(".")[0] for key in KEYS}
