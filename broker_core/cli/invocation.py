"""What one call of ``broker`` was told, and the session it opens."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import attrs
import click

from broker_core.cli.exits import Exit
from broker_core.cli.output import Output

if TYPE_CHECKING:
    from broker_core.config import Settings
    from broker_core.session import Session

_F = TypeVar("_F", bound=Callable[..., Any])


@attrs.define(slots=False)
class Invocation:
    """The options shared by all commands, and what follows from them."""

    environ: Mapping[str, str]
    broker: str | None = None
    database: str | None = None
    config: str | None = None
    as_json: bool = False
    debug: bool = False
    exit: Exit = Exit.DONE
    """How the command ends unless an error decides otherwise."""

    @cached_property
    def output(self) -> Output:
        """Where the command writes."""
        return Output(self.as_json)

    @cached_property
    def settings(self) -> Settings:
        """The settings out of options, environment and file. Raises ConfigError."""
        from broker_core.config import load

        _log_to_stderr(debug=self.debug)
        return load(self.environ, {"config": self.config, "broker": self.broker, "database": self.database})

    @property
    def plugin_environ(self) -> Mapping[str, str]:
        """What plugins find: the environment, and below it their tables of the settings file."""
        return self.settings.plugin_environ(self.environ)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """Open a session that keeps a paper account from one command to the next."""
        from broker_core.config import APPLICATION
        from broker_core.session import connect

        settings = self.settings
        if settings.state_dir is None:
            from platformdirs import user_data_path

            settings = attrs.evolve(settings, state_dir=str(user_data_path(APPLICATION, appauthor=False)))
        async with connect(settings.broker, environ=self.environ, settings=settings) as session:
            yield session


class _OneLine(logging.Formatter):
    """A log record as commands speak: one line, and the traceback only where it was asked for."""

    def __init__(self, *, tracebacks: bool) -> None:
        super().__init__()
        self._tracebacks = tracebacks

    def format(self, record: logging.LogRecord) -> str:
        """Name the level, say the message, and of an error its kind and text."""
        line = f"broker: {record.levelname.lower()}: {record.getMessage()}"
        if record.exc_info is None:
            return line
        if self._tracebacks:
            return f"{line}\n{self.formatException(record.exc_info)}"
        return f"{line}: {type(record.exc_info[1]).__name__}: {record.exc_info[1]}"


def _log_to_stderr(*, debug: bool) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(_OneLine(tracebacks=debug))
    logging.basicConfig(level=logging.DEBUG if debug else logging.WARNING, handlers=[handler])


def _set(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def store(ctx: click.Context, _: click.Parameter, value: Any) -> None:
        if value:
            setattr(ctx.ensure_object(Invocation), name, value)

    return store


_SHARED = (
    click.option("--broker", metavar="NAME", expose_value=False, callback=_set("broker"), help="Use this broker and no other."),
    click.option("--database", metavar="URL", expose_value=False, callback=_set("database"), help="Keep records here: a path or a URL."),
    click.option("--json", is_flag=True, expose_value=False, callback=_set("as_json"), help="Write one line of JSON for each item."),
    click.option("--debug", is_flag=True, expose_value=False, callback=_set("debug"), help="Log everything, show tracebacks."),
)


def shared_options(function: _F) -> _F:
    """Options that may stand before a command as well as after it."""
    for option in reversed(_SHARED):
        function = option(function)
    return function
