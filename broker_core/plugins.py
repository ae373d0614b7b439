"""Find the plugins, load them one by one, check them, and choose the broker of a session.

The rest of the program never touches pluggy: ``Plugins`` has one typed method for each hook. A plugin that cannot be loaded or breaks the
contract is reported with its reason and harms nobody, unless it was asked for by name.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import metadata
from typing import Any, TypeVar, cast

import attrs
import pluggy

from broker_core import hookspecs
from broker_core.errors import AmbiguousBroker, BrokerError, ConfigError, NotConfigured, PluginError
from broker_core.families import HOOK_API, Client, Journal, MarketDataSource, Orders, Stream, Sync
from broker_core.models import Capabilities, Connection, Environment

log = logging.getLogger(__name__)

_T = TypeVar("_T")

_OWN = "(this session)"
"""What stands in the place of a distribution for a host's own objects."""

_FACTORIES = frozenset(
    {
        "broker_configure",
        "broker_client",
        "broker_orders",
        "broker_stream",
        "broker_sync",
        "broker_market_data",
        "broker_record_models",
        "broker_journal",
    }
)
_MUST: Mapping[str, tuple[str, ...]] = {
    "broker_client": ("name", "mode", "environment", "hook_api", "capabilities", "open", "close"),
    "broker_orders": ("submit", "cancel", "find", "listing"),
    "broker_stream": ("feeds",),
    "broker_sync": ("account", "positions", "open_orders"),
    "broker_market_data": ("bars", "quotes", "trades", "snapshots", "clock", "hours", "asset"),
    "broker_journal": ("append", "unfinished", "history", "close"),
}


@attrs.frozen(kw_only=True)
class PluginReport:
    """What is known of one plugin: what ``broker plugins`` and ``broker doctor`` show."""

    name: str
    state: str
    """``offers``, ``declines``, ``observes``, ``disabled`` or ``broken``."""
    version: str = ""
    distribution: str = ""
    hooks: tuple[str, ...] = ()
    reason: str | None = None
    capabilities: Capabilities | None = None
    environment: Environment | None = None
    mode: str | None = None
    hook_api: int | None = None
    notes: tuple[str, ...] = ()
    """What the offered client says about where its settings come from."""


@attrs.frozen(kw_only=True)
class Offer:
    """A client that a plugin would open."""

    plugin: str
    client: Client
    is_fallback: bool
    """Marked ``trylast`` by its plugin: taken only when there is no other."""


@attrs.frozen(kw_only=True)
class Choice:
    """The client of a session, and why it is this one."""

    client: Client
    why: str
    fell_back: bool = False


class Plugins:
    """The plugins of one session."""

    def __init__(self) -> None:
        self._manager = pluggy.PluginManager(hookspecs.NAME)
        self._manager.add_hookspecs(hookspecs)
        self._reports: dict[str, PluginReport] = {}

    @classmethod
    def load(cls, own: Iterable[object] = (), *, disabled: Sequence[str] = ()) -> Plugins:
        """Load every installed plugin that is not disabled, then the host's ``own`` objects.

        An installed plugin that fails is reported; one of the host's own raises PluginError.
        """
        plugins = cls()
        # A distribution's metadata is parsed anew whenever it is asked for anything.
        labels: dict[metadata.Distribution | None, tuple[str, str]] = {None: ("", "")}
        for entry_point in sorted(metadata.entry_points(group=hookspecs.NAME), key=lambda entry: entry.name):
            distribution = entry_point.dist
            if distribution is not None and distribution not in labels:
                described = distribution.metadata
                labels[distribution] = (described["Name"], described["Version"])
            plugins._load(entry_point, disabled, labels[distribution])
        for plugin in own:
            plugins.register(plugin)
        return plugins

    def _load(self, entry_point: metadata.EntryPoint, disabled: Sequence[str], label: tuple[str, str]) -> None:
        name, (distribution, version) = entry_point.name, label
        report = PluginReport(name=name, state="declines", version=version, distribution=distribution)
        if name in disabled:
            self._reports[name] = attrs.evolve(report, state="disabled", reason="named in BROKER_DISABLE")
            return
        if name in self._reports:
            reason = f"the name is taken by distribution {self._reports[name].distribution}"
            self._reports[f"{name} ({report.distribution})"] = attrs.evolve(report, state="broken", reason=reason)
            return
        try:
            self._register(entry_point.load(), name)
        except Exception as error:  # noqa: BLE001  # a broken plugin may raise anything; it is reported by name
            self._reports[name] = attrs.evolve(report, state="broken", reason=f"{type(error).__name__}: {error}")
            log.warning("plugin %s could not be loaded: %s: %s", name, type(error).__name__, error)
            return
        self._reports[name] = attrs.evolve(report, hooks=self._hooks_of(name))

    def register(self, plugin: object) -> None:
        """Add one object for this session. Raises PluginError where it breaks the contract of the hooks.

        An object whose ``name`` is that of an installed plugin takes its place: what a host says is stronger than what it has installed,
        and two accounts at one broker are never guessed between.
        """
        self._replace_installed(getattr(plugin, "name", None))
        wanted = str(getattr(plugin, "name", "") or getattr(plugin, "__name__", "") or type(plugin).__name__)
        name, count = wanted, 1
        while self._manager.has_plugin(name):
            count += 1
            name = f"{wanted}-{count}"
        try:
            self._register(plugin, name)
        except Exception as error:
            raise PluginError(f"plugin {name}: {error}") from error
        self._reports[name] = PluginReport(name=name, state="declines", distribution=_OWN, hooks=self._hooks_of(name))

    def _replace_installed(self, name: object) -> None:
        report = self._reports.get(name) if isinstance(name, str) else None
        if report is not None and report.distribution != _OWN and self._manager.has_plugin(report.name):
            self._manager.unregister(name=report.name)
            reason = "an object of this session has its name"
            self._reports[f"{name} ({report.distribution})"] = attrs.evolve(
                report, name=f"{name} ({report.distribution})", state="disabled", reason=reason
            )

    def _register(self, plugin: object, name: str) -> None:
        if inspect.isclass(plugin):
            raise PluginError(f"{plugin.__name__} is a class; register an instance of it")
        try:
            self._manager.register(plugin, name)
            self._check(plugin)
        except Exception:
            if self._manager.has_plugin(name):
                self._manager.unregister(name=name)
            raise

    def _check(self, plugin: object) -> None:
        callers = self._manager.get_hookcallers(plugin) or []
        if not callers:
            raise PluginError("it implements no hook; mark its functions with broker_core.hookimpl")
        for caller in callers:
            if not caller.has_spec():
                raise PluginError(f"{caller.name} is not a hook of broker_core; look for a misspelling")
            for implementation in caller.get_hookimpls():
                # A coroutine is never None, so an async factory would win every question it was asked.
                is_async = inspect.iscoroutinefunction(implementation.function)
                if implementation.plugin is plugin and caller.name in _FACTORIES and is_async:
                    raise PluginError(f"{caller.name} is async; it must answer at once with def")

    def _hooks_of(self, name: str) -> tuple[str, ...]:
        callers = self._manager.get_hookcallers(self._manager.get_plugin(name)) or []
        return tuple(sorted(caller.name for caller in callers))

    def implementations(self, hook: str) -> list[tuple[str, Callable[..., Any]]]:
        """Every plugin's function for a hook, with the plugin's name, in calling order. Each takes the hook's arguments by name."""
        caller: pluggy.HookCaller = getattr(self._manager.hook, hook)
        return [(found.plugin_name, _by_name(found)) for found in reversed(caller.get_hookimpls())]

    def configure(self, environ: Mapping[str, str]) -> None:
        """Let every plugin look at the environment and register more."""
        for name, function in self.implementations("broker_configure"):
            _ask(name, "broker_configure", function, environ=environ, register=self.register)

    def offers(self, environ: Mapping[str, str], *, only: str | None = None) -> list[Offer]:
        """Ask for clients; ``only`` asks a single plugin, and then whatever it raises is raised.

        Settings that make no sense (ConfigError) are raised in any case: they are no reason to trade elsewhere.
        """
        found = []
        caller: pluggy.HookCaller = self._manager.hook.broker_client
        for implementation in reversed(caller.get_hookimpls()):
            name = implementation.plugin_name
            if only is not None and name != only:
                continue
            try:
                client = _ask(name, "broker_client", _by_name(implementation), environ=environ)
                self._check_client(name, client)
            except ConfigError:
                raise
            except BrokerError as error:
                if only is not None:
                    raise
                self._set(name, state="broken", reason=str(error))
                log.warning("plugin %s: %s", name, error)
                continue
            if client is None:
                self._set(name, state="declines", reason="no credentials")
                continue
            self._set(
                name,
                state="offers",
                reason=None,
                capabilities=client.capabilities,
                environment=client.environment,
                mode=client.mode,
                hook_api=client.hook_api,
                notes=tuple(getattr(client, "notes", ())),
            )
            found.append(Offer(plugin=name, client=client, is_fallback=bool(implementation.trylast)))
        return found

    def _check_client(self, name: str, client: Client | None) -> None:
        if client is None:
            return
        if client.hook_api != HOOK_API:
            raise PluginError(f"plugin {name} was written for hook API {client.hook_api}, this is {HOOK_API}; install a matching version")
        if self._reports[name].distribution != _OWN and client.name != name:
            raise PluginError(f"plugin {name} offers a client named {client.name}; the two names must be one")

    def _set(self, name: str, **changes: Any) -> None:
        self._reports[name] = attrs.evolve(self._reports[name], **changes)

    def choose(self, environ: Mapping[str, str], name: str | None = None, environment: Environment | None = None) -> Choice:
        """Decide which client a session opens.

        Named: that plugin and no other. By ``environment``: the offers of that kind. Otherwise the one real offer; two are never guessed
        between, and none leaves the fallback. Raises NotConfigured, AmbiguousBroker, PluginError, ConfigError.
        """
        if name is not None:
            return Choice(client=self._named(environ, name), why=f"{name} was asked for by name")
        offers = self.offers(environ)
        if environment is not None:
            offers = [offer for offer in offers if offer.client.environment is environment]
        real = [offer for offer in offers if not offer.is_fallback]
        if len(real) > 1:
            names = " and ".join(sorted(offer.client.name for offer in real))
            raise AmbiguousBroker(f"{names} could all answer; name one with connect(name), --broker or BROKER")
        if real:
            return Choice(client=real[0].client, why=f"{real[0].client.name} is the only broker with credentials")
        if environment is not None and offers:
            return Choice(client=offers[0].client, why=f"{environment} was asked for")
        if not offers:
            raise NotConfigured(f"no broker can answer: {self._why_not()}; install one, or give one its credentials")
        return Choice(
            client=offers[0].client, why=f"no other broker has credentials ({self._why_not() or 'none is installed'})", fell_back=True
        )

    def _named(self, environ: Mapping[str, str], name: str) -> Client:
        report = self._reports.get(name)
        if report is not None and report.state == "broken":
            raise PluginError(f"plugin {name} could not be loaded: {report.reason}")
        if report is not None and report.state == "disabled":
            raise NotConfigured(f"plugin {name} is disabled by BROKER_DISABLE")
        # A plugin of this session need not be called as its broker.
        own = [known for known, other in self._reports.items() if other.distribution == _OWN and known != name]
        offers = self.offers(environ, only=name)
        for known in own:
            try:
                offers += [offer for offer in self.offers(environ, only=known) if offer.client.name == name]
            except BrokerError:
                # What goes wrong in another plugin is no obstacle, unless it may have been the one that was meant.
                if not offers:
                    raise
        if len(offers) > 1:
            names = " and ".join(offer.plugin for offer in offers)
            raise AmbiguousBroker(f"{name}: the plugins {names} could all answer; leave all but one out")
        if offers:
            return offers[0].client
        if report is not None:
            raise NotConfigured(f"broker {name} has no credentials here; give it some, or connect to another")
        known = ", ".join(sorted(self.brokers())) or "none"
        raise NotConfigured(f"there is no broker plugin named {name!r}; installed brokers: {known}")

    def brokers(self) -> list[str]:
        """The names of the plugins that can offer a client at all."""
        return [name for name, report in self._reports.items() if "broker_client" in report.hooks]

    def _why_not(self) -> str:
        return "; ".join(
            f"{report.name}: {report.reason}"
            for report in self._reports.values()
            if report.state in ("broken", "disabled") or (report.state == "declines" and "broker_client" in report.hooks)
        )

    def reports(self) -> list[PluginReport]:
        """Every plugin met so far, by name; those that make no offers and are not broken ``observe``."""
        return [
            attrs.evolve(report, state="observes")
            if report.state == "declines" and report.hooks and "broker_client" not in report.hooks
            else report
            for _, report in sorted(self._reports.items())
        ]

    def orders(self, client: Client) -> Orders | None:
        """The orders of this client, if its broker takes any."""
        return cast("Orders | None", self._first("broker_orders", client=client))

    def stream(self, client: Client) -> Stream | None:
        """The stream of this client, if its broker has one."""
        return cast("Stream | None", self._first("broker_stream", client=client))

    def sync(self, client: Client) -> Sync | None:
        """The account reads of this client, if its broker has any."""
        return cast("Sync | None", self._first("broker_sync", client=client))

    def market_data(self, client: Client) -> MarketDataSource | None:
        """The market data for this client, its broker's or a data plugin's."""
        return cast("MarketDataSource | None", self._first("broker_market_data", client=client))

    def journal(self, client: Client, connection: Connection, environ: Mapping[str, str]) -> Journal | None:
        """The place where this session's order changes are committed."""
        models = self._first("broker_record_models", client=client)
        found = self._first("broker_journal", client=client, connection=connection, environ=environ, models=models)
        return cast("Journal | None", found)

    def _first(self, hook: str, **arguments: Any) -> object | None:
        for name, function in self.implementations(hook):
            answer = _ask(name, hook, function, **arguments)
            if answer is not None:
                return cast("object", answer)
        return None


def survey(environ: Mapping[str, str], own: Iterable[object] = (), *, disabled: Sequence[str] = ()) -> tuple[list[PluginReport], Plugins]:
    """Look at every plugin without opening anything: the reports, and the loaded plugins for further questions."""
    plugins = Plugins.load(own, disabled=disabled)
    plugins.configure(environ)
    for name in plugins.brokers():
        try:
            plugins.offers(environ, only=name)
        except BrokerError as error:
            plugins._set(name, state="broken", reason=str(error))
    return plugins.reports(), plugins


def _by_name(implementation: pluggy.HookImpl) -> Callable[..., Any]:
    """A function that takes all of a hook's arguments and passes on those that the implementation asks for."""
    wanted = implementation.argnames
    function = implementation.function
    return lambda **arguments: function(*(arguments[name] for name in wanted))


def _ask(plugin: str, hook: str, function: Callable[..., _T], **arguments: Any) -> _T:
    """Call a factory hook; what goes wrong in it becomes a PluginError that names it, and its answer is checked for completeness."""
    try:
        answer = function(**arguments)
    except BrokerError:
        raise
    except Exception as error:
        raise PluginError(f"plugin {plugin}: {hook} raised {type(error).__name__}: {error}") from error
    missing = [] if answer is None else [name for name in _MUST.get(hook, ()) if not hasattr(answer, name)]
    if missing:
        raise PluginError(f"plugin {plugin}: {hook} answered an object without {', '.join(missing)}; see broker_core.families")
    return answer
