"""``broker sandbox``: serve the demo exchange over Alpaca's wire until told to stop."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from broker_core.cli.invocation import Invocation, shared_options

if TYPE_CHECKING:
    from broker_demo.sandbox.settings import SandboxSettings

_NEW_YORK = "XNYS"
_FILE = click.Path(path_type=Path)


@click.command(short_help="Serve a paper exchange over Alpaca's own wire, on this machine.")
@click.option("--host", metavar="ADDRESS", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option("--port", metavar="N", type=click.IntRange(0, 65535), default=0, help="Which port; any that is free by default.")
@click.option("--admin-port", metavar="N", type=click.IntRange(0, 65535), default=0, help="Which port for faults; any by default.")
@click.option("--key", metavar="K", default="", help="The key's id that clients must send; made up by default.")
@click.option("--secret", metavar="S", default="", help="The secret that clients must send; made up by default.")
@click.option("--seed", metavar="N", type=click.IntRange(min=0), help="Make prices and ids the same in every run.")
@click.option("--speed", metavar="X", type=click.FloatRange(min=0, min_open=True, max=1_000_000), help="Market seconds in a second; 1.")
@click.option("--clock", type=click.Choice(["real"]), help="The market's time is that of this machine: the default, and --speed 1.")
@click.option("--always-open", is_flag=True, help="Trade round the clock; by default the hours are those of New York.")
@click.option("--cash", metavar="USD", default="100000", show_default=True, help="What a new account begins with.")
@click.option("--symbols", metavar="LIST", help="Further symbols to list, with commas between them.")
@click.option("--replay", metavar="FILE", type=_FILE, help="Take prices, and hours, from your own bars: .csv or .parquet.")
@click.option("--rate-limit", metavar="N", type=click.IntRange(min=1), help="Requests a minute that each host takes; no limit by default.")
@click.option("--faults", metavar="FILE", type=_FILE, help="A script of what is to go wrong: .toml or .json.")
@click.option("--state", metavar="FILE", type=_FILE, help="Keep the account here, from one run to the next.")
@click.option("--i-know", is_flag=True, help="Allow a host that other machines can reach.")
@shared_options
@click.pass_obj
def sandbox(invocation: Invocation, /, **options: Any) -> None:
    """Serve a paper exchange over Alpaca's own wire, so that programs written for Alpaca run against it unmodified.

    When it is ready it prints one line of JSON with its addresses and keys; what it logs goes to standard error. It runs until
    SIGTERM or Ctrl-C. No real broker is asked, and no price is real.
    """
    # Loaded here, so that the page of help stays light.
    from broker_core.cli.running import run

    _log_of_the_sandbox(invocation)
    run(invocation, _serve(_settings(**options)))


async def _serve(settings: SandboxSettings) -> None:
    from broker_demo.sandbox.server import Sandbox

    async with Sandbox(settings) as box:
        click.echo(box.addresses.as_json())
        await box.run()


def _settings(
    *,
    host: str,
    port: int,
    admin_port: int,
    key: str,
    secret: str,
    seed: int | None,
    speed: float | None,
    clock: str | None,
    always_open: bool,
    cash: str,
    symbols: str | None,
    replay: Path | None,
    rate_limit: int | None,
    faults: Path | None,
    state: Path | None,
    i_know: bool,
) -> SandboxSettings:
    from broker_core.secret import Secret
    from broker_demo import config
    from broker_demo.sandbox.settings import SandboxSettings

    if clock is not None and speed not in (None, 1.0):
        raise click.UsageError(f"--clock real and --speed {speed:g} contradict each other; give one of the two")
    if always_open and replay is not None:
        raise click.UsageError("--always-open has no place beside --replay: a replay has the hours of its file")
    told = {"SEED": seed, "SPEED": speed, "CASH": cash, "SYMBOLS": symbols, "REPLAY": replay, "STATE": state}
    if replay is None:
        told["CALENDAR"] = config.ALWAYS if always_open else _NEW_YORK
    demo = config.read({f"{config.PREFIX}{name}": str(value) for name, value in told.items() if value is not None})
    return SandboxSettings(
        demo=demo,
        host=host,
        port=port,
        admin_port=admin_port,
        key=key,
        secret=Secret(secret),
        faults=faults,
        rate_limit=rate_limit,
        reachable=i_know,
    )


def _log_of_the_sandbox(invocation: Invocation) -> None:
    import logging

    # Asking for the settings is what sets logging up, and reports a settings file that makes no sense.
    _ = invocation.settings
    if not invocation.debug:
        logging.getLogger(__package__).setLevel(logging.INFO)
