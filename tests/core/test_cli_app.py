"""The command line as a whole: help, options, errors, exit codes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest

from broker_core import errors
from broker_core.cli import main
from broker_core.cli.app import COMMANDS, broker
from broker_core.cli.exits import MEANINGS, Exit, exit_of

ROOT = Path(__file__).parents[2]
BROKER = [sys.executable, "-m", "broker_core.cli"]


def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*BROKER, *arguments], capture_output=True, text=True, cwd=ROOT, env=os.environ | environ, check=False)


def test_help_lists_every_command_and_exit_code(capsys: pytest.CaptureFixture[str]):
    """The first page names every command with what it does, and what each exit code says."""
    assert main(["--help"]) == Exit.DONE

    page = " ".join(capsys.readouterr().out.split())
    for name, (_, text) in COMMANDS.items():
        assert f"{name} {text}" in page
    for code, meaning in MEANINGS.items():
        assert f"{int(code)} {meaning}" in page


def test_table_of_commands_is_true():
    """Every command of the table exists under its name, with a help page that has the line the table shows."""
    context = click.Context(broker)
    for name in COMMANDS:
        command = broker.get_command(context, name)
        assert command is not None
        assert command.name == name
        assert command.help


def test_no_other_command_exists():
    """An unknown command is refused in one line, with the code for misuse."""
    done = run("nope")

    assert (done.returncode, done.stdout) == (Exit.USAGE, "")
    assert done.stderr == "broker: error: No such command 'nope'. (see broker --help)\n"


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]])
def test_first_page_is_light(arguments: list[str]):
    """Help and version load neither heavy packages nor a module that works on a session."""
    program = (
        "import sys; from broker_core.cli import main\n"
        f"code = main({arguments!r})\n"
        "print(code, *sorted(name for name in sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)
    code, *modules = done.stderr.split()

    assert code == "0"
    heavy = {"pandas", "numpy", "peewee", "aiohttp", "rich", "asyncio", "pluggy"}
    workers = {f"broker_core.{name}" for name in ("session", "plugins", "order_manager", "streaming", "market_data", "config", "models")}
    assert not (heavy | workers) & set(modules)
    assert {name for name in modules if name.startswith("broker_core.cli.")} == {
        f"broker_core.cli.{name}" for name in ("app", "exits", "invocation", "output", "plugin_commands")
    }


def test_bad_setting_is_one_line(tmp_path: Path):
    """A setting that makes no sense ends the command with one line that names it, and no traceback."""
    done = run("plugins", BROKER_SYNC_ACCOUNT_INTERVAL="soon")

    assert (done.returncode, done.stdout) == (Exit.USAGE, "")
    assert done.stderr == "broker: error: BROKER_SYNC_ACCOUNT_INTERVAL: 'soon' is not a number\n"


def test_debug_shows_where():
    """``--debug`` adds the traceback."""
    done = run("plugins", "--debug", BROKER_SYNC_ACCOUNT_INTERVAL="soon")

    assert "Traceback" in done.stderr
    assert done.stderr.endswith("broker: error: BROKER_SYNC_ACCOUNT_INTERVAL: 'soon' is not a number\n")


def test_config_option_names_the_settings_file(tmp_path: Path):
    """``--config`` reads that file and no other."""
    done = run("--config", str(tmp_path / "absent.toml"), "plugins")

    assert done.returncode == Exit.USAGE
    assert "absent.toml: cannot be read" in done.stderr


@pytest.mark.parametrize("position", ["before", "after"])
def test_shared_options_stand_before_and_after_the_command(position: str):
    """``--database`` and its like are taken on either side of the command."""
    option = ["--broker", "nobody"]
    done = run(*(option if position == "before" else []), "account", *(option if position == "after" else []))

    assert done.returncode == Exit.USAGE
    assert "no broker plugin named 'nobody'" in done.stderr


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.BrokerError("x"), Exit.BROKER),
        (errors.PluginError("x"), Exit.BROKER),
        (errors.WireError("x"), Exit.BROKER),
        (errors.RemoteError("x"), Exit.BROKER),
        (errors.RateLimited("x", wait=1), Exit.BROKER),
        (errors.Unavailable("x"), Exit.BROKER),
        (errors.ConfigError("x"), Exit.USAGE),
        (errors.NotConfigured("x"), Exit.USAGE),
        (errors.AmbiguousBroker("x"), Exit.USAGE),
        (errors.NotSupported("x"), Exit.USAGE),
        (ValueError("x"), Exit.USAGE),
        (errors.OrderVetoed("x", None, ["y"]), Exit.REFUSED),  # type: ignore[arg-type]  # the order does not matter here
        (errors.RequestRefused("x"), Exit.REFUSED),
        (errors.DuplicateOrder("x"), Exit.REFUSED),
        (errors.IllegalTransition("x"), Exit.REFUSED),
        (errors.StorageError("x"), Exit.STORAGE),
        (errors.AuthError("x"), Exit.AUTH),
        (errors.InDoubt("x"), Exit.UNKNOWN),
        (RuntimeError("x"), Exit.BROKER),
    ],
)
def test_every_error_has_its_exit_code(error: Exception, code: Exit):
    """Whose fault an error is decides the exit code."""
    assert exit_of(error) is code


def test_every_error_of_the_tree_was_thought_of():
    """The parametrised test above knows every error there is."""
    tested = {type(case[0]) for case in test_every_error_has_its_exit_code.pytestmark[0].args[1]}
    known = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.BrokerError)}

    assert known <= tested


def test_reader_that_leaves_is_no_error():
    """A pipe that closes early ends the command quietly."""
    # Where every write goes through at once, nothing is left to be written when the interpreter ends.
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    process = subprocess.Popen([*BROKER, "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT, env=environ)
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    _, stderr = process.communicate(timeout=60)

    assert (process.returncode, stderr) == (Exit.PIPE, b"")


SLOW = """
import asyncio, sys
from broker_core.cli import running
from broker_core.cli.invocation import Invocation

running.GRACE = 0.05

async def command():
    try:
        print("ready", flush=True)
        await asyncio.Event().wait()
    finally:
        {cleanup}
        print("closed", flush=True)

invocation = Invocation(environ={{}})
try:
    running.run(invocation, command())
except KeyboardInterrupt:
    sys.exit(invocation.exit)
"""


@pytest.mark.parametrize(
    ("signum", "cleanup", "output", "code"),
    [
        (signal.SIGINT, "await asyncio.sleep(0)", "closed\n", Exit.INTERRUPTED),
        (signal.SIGTERM, "await asyncio.sleep(0)", "closed\n", Exit.TERMINATED),
        (signal.SIGINT, "await asyncio.Event().wait()", "", Exit.INTERRUPTED),
        (signal.SIGTERM, "await asyncio.to_thread(__import__('threading').Event().wait)", "", Exit.TERMINATED),
    ],
)
def test_signals_close_in_order_but_not_for_ever(signum: signal.Signals, cleanup: str, output: str, code: Exit):
    """A signal lets a command close what it opened; one that cannot is ended all the same."""
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW.format(cleanup=cleanup)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signum)
    stdout, stderr = process.communicate(timeout=60)

    assert (stdout, process.returncode) == (output, code)
    assert ("did not close" in stderr) is (output == "")
