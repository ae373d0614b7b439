"""The command line itself: which commands there are, what they share, and how they end.

A command's module is imported when the command runs, not before, so that ``broker --help`` costs no more than click.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from types import MappingProxyType

import click

from broker_core.cli import plugin_commands
from broker_core.cli.exits import MEANINGS, Exit, exit_of
from broker_core.cli.invocation import Invocation, shared_options
from broker_core.errors import BrokerError

COMMANDS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "demo": ("demo", "Run the main job by itself, on a paper broker that needs no account."),
        "plugins": ("plugins", "List the installed plugins: what each offers, or why it does not."),
        "doctor": ("doctor", "Check the installation, the settings, the plugins and the database."),
        "account": ("account", "Show the account."),
        "positions": ("account", "Show the positions."),
        "orders": ("orders", "List, explain, submit and cancel orders."),
        "assets": ("assets", "List what can be traded."),
        "clock": ("market_hours", "Show whether the market is open, and when that changes."),
        "calendar": ("market_hours", "List trading days and their hours."),
        "watchlist": ("watchlists", "Show and change the account's lists of symbols."),
        "bars": ("bars", "Show or save bars: open, high, low, close, volume."),
        "quote": ("quotes", "Show the latest quotes."),
        "stream": ("quotes", "Follow quotes, trades and bars as they happen."),
        "db": ("database", "Look after the database: its schema's version, up and down."),
    }
)
"""Every command of the core's own: the module of this package that holds it, and its one line of help."""

_COMPLETE = "_BROKER_COMPLETE"


class LazyGroup(click.Group):
    """A group whose commands are imported one by one, when they are run."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        """The names: the core's own in the order of the table, then those of plugins."""
        return [*COMMANDS, *plugin_commands.names(COMMANDS)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  # click's signature
        """Import the command of this name; None where there is no such command."""
        if cmd_name not in COMMANDS:
            return plugin_commands.load(cmd_name)
        command: click.Command = getattr(import_module(f"broker_core.cli.{COMMANDS[cmd_name][0]}"), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  # click's signature
        """Write the table of commands, and below it the exit codes."""
        with formatter.section("Commands"):
            own = [(name, text) for name, (_, text) in COMMANDS.items()]
            formatter.write_dl(own + [(name, plugin_commands.help_line(name)) for name in plugin_commands.names(COMMANDS)])
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(int(code)), meaning) for code, meaning in MEANINGS.items()])


def _print_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"broker {version('broker-core')}")
        ctx.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Show the version and exit.")
@click.option("--config", metavar="FILE", help="Read the settings from this TOML file.")
@shared_options
@click.pass_context
def broker(ctx: click.Context, config: str | None) -> None:
    """Trade with any broker from the command line.

    Without --broker and BROKER, the one broker that has credentials is used; without any, a paper broker. On a terminal, commands
    show tables; with --json, or when the output is not a terminal, one line of JSON for each item.
    """
    ctx.ensure_object(Invocation).config = config


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code; every error becomes one line on standard error."""
    invocation = Invocation(environ=os.environ)
    try:
        _call(sys.argv[1:] if arguments is None else list(arguments), invocation)
        sys.stdout.flush()
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.ClickException as error:
        command = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "broker"
        return _fail(f"{error.format_message()} (see {command} --help)", Exit.USAGE)
    except (KeyboardInterrupt, click.Abort):
        return invocation.exit or Exit.INTERRUPTED
    except BrokenPipeError:
        # Nobody reads on; without this the interpreter would complain once more while it closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.PIPE
    except (BrokerError, ValueError) as error:
        _show_traceback(invocation)
        return _fail(str(error), exit_of(error))
    except Exception as error:  # noqa: BLE001  # the last line of defence: a person gets one line, --debug the traceback
        _show_traceback(invocation)
        return _fail(f"{type(error).__name__}: {error}; this is a defect, --debug shows where", exit_of(error))
    return invocation.exit


def _call(arguments: list[str], invocation: Invocation) -> None:
    """What ``broker.main`` does, without its own way of ending, which would take a broken pipe for a failure."""
    if instruction := os.environ.get(_COMPLETE):
        from click.shell_completion import shell_complete

        invocation.exit = Exit(shell_complete(broker, {}, "broker", _COMPLETE, instruction))
        return
    with broker.make_context("broker", arguments, obj=invocation) as context:
        broker.invoke(context)


def _show_traceback(invocation: Invocation) -> None:
    if invocation.debug:
        import traceback

        traceback.print_exc()


def _fail(text: str, code: Exit) -> Exit:
    sys.stderr.write(f"broker: error: {' '.join(text.split())}\n")
    return code
