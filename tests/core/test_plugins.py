"""Finding, checking and choosing plugins."""

import pytest

from broker_core import AmbiguousBroker, ConfigError, Environment, NotConfigured, PluginError, StillClock, hookimpl
from broker_core.plugins import Plugins
from broker_core.testing.scripted_broker import ScriptedBroker


class Broker(ScriptedBroker):
    def __init__(self, name: str, environment: Environment = Environment.PAPER) -> None:
        super().__init__(StillClock())
        self.name = name
        self.environment = environment


class Fallback(Broker):
    @hookimpl(trylast=True)
    def broker_client(self) -> ScriptedBroker:
        return self


class Silent:
    """Installed, but without credentials."""

    name = "silent"

    @hookimpl
    def broker_client(self, environ: dict[str, str]) -> None:
        return None


def loaded(*plugins: object) -> Plugins:
    return Plugins.load(plugins, disabled=("demo", "records"))


def test_the_one_real_offer_is_taken():
    """A real broker goes before the fallback, whoever was registered first."""
    choice = loaded(Broker("acme"), Fallback("paper"), Silent()).choose({})

    assert choice.client.name == "acme"
    assert "only broker with credentials" in choice.why
    assert not choice.fell_back


def test_two_real_offers_are_never_guessed_between():
    """Both are named, and how to name one."""
    with pytest.raises(AmbiguousBroker, match="acme and zenith could all answer; name one"):
        loaded(Broker("acme"), Broker("zenith"), Fallback("paper")).choose({})


def test_a_named_broker_is_the_only_one_asked():
    """Naming ends the ambiguity."""
    assert loaded(Broker("acme"), Broker("zenith")).choose({}, "zenith").client.name == "zenith"


def test_without_a_real_offer_the_fallback_answers_and_says_why():
    """Who declined, and why, is part of the choice."""
    choice = loaded(Silent(), Fallback("paper")).choose({})

    assert choice.fell_back
    assert "silent: no credentials" in choice.why


def test_a_named_broker_without_credentials_never_falls_back():
    """It is an error even though the fallback would answer."""
    with pytest.raises(NotConfigured, match="broker silent has no credentials"):
        loaded(Silent(), Fallback("paper")).choose({}, "silent")


def test_a_name_nobody_has_lists_the_brokers_there_are():
    """The error helps with the spelling."""
    with pytest.raises(NotConfigured, match="no broker plugin named 'acne'; installed brokers: acme"):
        loaded(Broker("acme")).choose({}, "acne")


def test_nobody_at_all_is_an_error():
    """There is no broker out of thin air."""
    with pytest.raises(NotConfigured, match=r"no broker can answer: .*silent: no credentials"):
        loaded(Silent()).choose({})


def test_an_environment_can_be_asked_for():
    """A demonstration takes the simulated broker although a real one has credentials."""
    choice = loaded(Broker("acme"), Fallback("paper", Environment.DEMO)).choose({}, environment=Environment.DEMO)

    assert choice.client.name == "paper"


def test_an_installed_plugin_can_be_disabled():
    """It is listed with the reason and asked nothing."""
    reports = {report.name: report for report in loaded().reports()}

    assert reports["demo"].state == "disabled"
    assert "BROKER_DISABLE" in str(reports["demo"].reason)
    with pytest.raises(NotConfigured, match="plugin demo is disabled"):
        loaded().choose({}, "demo")


def test_a_class_instead_of_an_object_is_recognised():
    """The most common slip gets a plain sentence."""
    with pytest.raises(PluginError, match="Silent is a class; register an instance"):
        loaded(Silent)


def test_a_misspelt_hook_is_an_error():
    """A hook that does not exist would never be called, so it is refused."""

    class Misspelt:
        @hookimpl
        def broker_clinet(self, environ: object) -> None: ...

    with pytest.raises(PluginError, match="broker_clinet is not a hook"):
        loaded(Misspelt())


def test_an_object_without_hooks_is_an_error():
    """Somebody forgot the marker."""
    with pytest.raises(PluginError, match="implements no hook"):
        loaded(object())


def test_a_wrong_argument_is_an_error():
    """A hook can only ask for the arguments it has."""

    class Wrong:
        @hookimpl
        def broker_client(self, credentials: object) -> None: ...

    with pytest.raises(PluginError, match="credentials"):
        loaded(Wrong())


def test_an_async_factory_is_refused():
    """A coroutine is never None, so it would win every question."""

    class Eager:
        @hookimpl
        async def broker_client(self, environ: object) -> None: ...

    with pytest.raises(PluginError, match="broker_client is async"):
        loaded(Eager())


def test_a_refused_plugin_leaves_nothing_behind():
    """After the error its hooks are not called."""
    plugins = loaded(Broker("acme"))

    class Half:
        @hookimpl
        def broker_client(self) -> None:
            raise AssertionError

        @hookimpl
        def broker_cleint(self) -> None: ...

    with pytest.raises(PluginError):
        plugins.register(Half())

    assert plugins.choose({}).client.name == "acme"


class Raising:
    name = "raising"

    def __init__(self, error: Exception) -> None:
        self.error = error

    @hookimpl
    def broker_client(self) -> None:
        raise self.error


def test_a_plugin_that_raises_when_asked_harms_nobody():
    """The others are asked, and its reason is kept."""
    plugins = loaded(Raising(ZeroDivisionError("oops")), Broker("acme"))

    assert plugins.choose({}).client.name == "acme"
    (report,) = [report for report in plugins.reports() if report.name == "raising"]
    assert (report.state, "ZeroDivisionError: oops" in str(report.reason)) == ("broken", True)


def test_settings_that_make_no_sense_are_no_reason_to_trade_elsewhere():
    """A broker that is configured wrongly stops the choice."""
    with pytest.raises(ConfigError, match="live key"):
        loaded(Raising(ConfigError("live key with paper address")), Fallback("paper")).choose({})


def test_an_offer_that_lacks_a_part_is_refused():
    """What a client must have is checked when it is offered."""

    class Partial:
        name = "partial"

        @hookimpl
        def broker_client(self) -> object:
            return object()

    with pytest.raises(PluginError, match="answered an object without name, mode"):
        loaded(Partial()).choose({}, "partial")


def test_a_plugin_for_another_hook_api_is_refused():
    """The two versions are named."""
    broker = Broker("acme")
    broker.hook_api = 99

    with pytest.raises(PluginError, match="hook API 99, this is 1"):
        loaded(broker).choose({}, "acme")


def test_a_plugin_may_register_more_for_this_session():
    """`broker_configure` can bring friends, and they are asked like anybody."""

    class Bringer:
        @hookimpl
        def broker_configure(self, environ: dict[str, str], register) -> None:
            if "ACME" in environ:
                register(Broker("acme"))

    plugins = loaded(Bringer())
    plugins.configure({"ACME": "1"})

    assert plugins.choose({}).client.name == "acme"


def test_families_follow_their_client():
    """Each client gets its own broker's families and nobody else's."""
    acme, zenith = Broker("acme"), Broker("zenith")
    plugins = loaded(acme, zenith)

    assert plugins.orders(acme) is acme
    assert plugins.sync(zenith) is zenith
    assert plugins.market_data(acme) is None


def test_two_plugins_of_one_name_are_both_kept():
    """Objects of the host's own need no unique names."""
    plugins = loaded(Silent(), Silent())

    assert [report.name for report in plugins.reports() if report.distribution == "(this session)"] == ["silent", "silent-2"]
