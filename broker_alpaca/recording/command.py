"""``broker record``: write down what programs say to Alpaca, and what they are told."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from broker_core.cli.invocation import Invocation, shared_options

if TYPE_CHECKING:
    from broker_alpaca.config import AlpacaSettings
    from broker_alpaca.recording.scrubbing import Scrubber
    from broker_alpaca.recording.shelf import Shelf

_FOLDER = click.Path(file_okay=False, path_type=Path)


@click.command(short_help="Write down what programs and Alpaca say, without secrets.")
@click.option("--name", metavar="NAME", help="What the files are called; the moment by default.")
@click.option("--out", metavar="FOLDER", type=_FOLDER, default="cassettes", show_default=True, help="Where they are written.")
@click.option("--trading-url", metavar="URL", default="", help="The trading host; that of the settings by default.")
@click.option("--data-url", metavar="URL", default="", help="The host of market data.")
@click.option("--stream-url", metavar="URL", default="", help="The host of the market data sockets.")
@click.option("--trading-stream-url", metavar="URL", default="", help="The trading socket.")
@click.option("--yes-live", is_flag=True, help="Record a live account, too.")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@shared_options
@click.pass_context
def record(ctx: click.Context, /, name: str | None, out: Path, command: tuple[str, ...], *, yes_live: bool, **urls: str) -> None:
    """Write down a session with Alpaca: requests and answers, and every frame of the sockets.

    It listens on this machine, passes on what it hears to Alpaca, or to what --trading-url and the others name, and prints one line of
    JSON with its own addresses; any program can be pointed there. It runs until SIGTERM or Ctrl-C. After "--" a COMMAND can be given that
    finds these addresses in its environment; then the line goes to standard error, and the exit code is the command's.

    Keys, tokens, account numbers and ids are replaced before anything is written.
    """
    # Loaded here, so that the page of help stays light.
    from broker_alpaca.recording.scrubbing import Scrubber
    from broker_alpaca.recording.shelf import Shelf
    from broker_core.cli.running import run
    from broker_core.clock import SystemClock

    invocation = ctx.ensure_object(Invocation)
    settings = _settings(invocation.plugin_environ, urls)
    clock, scrubber = SystemClock(), Scrubber(_known(settings))
    shelf = Shelf(out, name or f"session-{clock.now():%Y%m%d-%H%M%S}", clock=clock, scrubber=scrubber)
    try:
        code = run(invocation, _record(settings, shelf, scrubber, command, invocation.environ, is_live_meant=yes_live))
    finally:
        shelf.close()
        _report(shelf)
    ctx.exit(code)


async def _record(
    settings: AlpacaSettings, shelf: Shelf, scrubber: Scrubber, command: tuple[str, ...], environ: Mapping[str, str], *, is_live_meant: bool
) -> int:
    from broker_alpaca.recording import child
    from broker_alpaca.recording.relay import Relay
    from broker_core.cli.running import first_of
    from broker_core.clock import SystemClock

    async with Relay(settings, shelf, scrubber, is_live_meant=is_live_meant) as relay:
        click.echo(relay.addresses.as_json(), err=bool(command))
        code = 0

        async def work() -> None:
            nonlocal code
            code = await child.run(command, child.environment(relay.addresses, environ), SystemClock())

        await (first_of(work(), relay.run()) if command else relay.run())
        return code


def _settings(environ: Mapping[str, str], urls: Mapping[str, str]) -> AlpacaSettings:
    from broker_alpaca import config

    told = {**environ, **{config.NAMES[setting][0]: url for setting, url in urls.items() if url}}
    return config.read(told) or config.without_credentials(told)


def _known(settings: AlpacaSettings) -> dict[str, str]:
    """What stands for the account's own secrets, and for addresses that are not Alpaca's."""
    from broker_alpaca.config import DATA_URL, LIVE_URL, PAPER_URL
    from broker_alpaca.recording.scrubbing import FAKE_KEY, FAKE_LIVE_KEY, FAKE_SECRET
    from broker_core.models import Environment

    is_live = settings.environment is Environment.LIVE
    own = {settings.key.reveal(): FAKE_LIVE_KEY if is_live else FAKE_KEY, settings.secret.reveal(): FAKE_SECRET}
    if settings.oauth_token is not None:
        own[settings.oauth_token.reveal()] = FAKE_SECRET
    hosts = {settings.data_url: DATA_URL, settings.trading_url: LIVE_URL if is_live else PAPER_URL}
    return {real: fake for real, fake in {**hosts, **own}.items() if real != fake}


def _report(shelf: Shelf) -> None:
    for path, count in shelf.written.items():
        click.echo(f"broker: {path}: {count} {'frames' if path.suffix == '.jsonl' else 'requests'}", err=True)
    if shelf.left_out:
        click.echo(f"broker: {shelf.left_out} requests or frames are left out, because nobody could tell what is in them", err=True)
    if not shelf.written:
        click.echo("broker: nothing was said, and nothing is written", err=True)
