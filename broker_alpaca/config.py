"""Alpaca's settings: keys and addresses out of the environment, a table of the settings file, or arguments.

Each setting has several names, because Alpaca's own programs never agreed on one; the first that is set wins, and
``AlpacaSettings.origins`` says which that was. ``[alpaca]`` in the settings file arrives as ``BROKER_ALPACA_…``.

Paper is the default. Live is taken only when it is asked for by name, and when nothing speaks against it: neither the address nor the
beginning of the key.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from urllib.parse import urlsplit

import attrs

from broker_core.errors import ConfigError
from broker_core.models import Environment
from broker_core.secret import Secret

PREFIX = "BROKER_ALPACA_"

LIVE_URL = "https://api.alpaca.markets"
PAPER_URL = "https://paper-api.alpaca.markets"
DATA_URL = "https://data.alpaca.markets"
STREAM_URL = "wss://stream.data.alpaca.markets"

NAMES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "key": ("BROKER_ALPACA_KEY", "APCA_API_KEY_ID", "ALPACA_API_KEY", "ALPACA_API_KEY_ID"),
        "secret": (
            "BROKER_ALPACA_SECRET",
            "APCA_API_SECRET_KEY",
            "ALPACA_SECRET_KEY",
            "ALPACA_API_SECRET",
            "ALPACA_API_SECRET_KEY",
        ),
        "oauth_token": ("BROKER_ALPACA_OAUTH_TOKEN", "APCA_API_OAUTH_TOKEN", "APCA_API_OAUTH", "ALPACA_OAUTH_TOKEN"),
        "trading_url": ("BROKER_ALPACA_TRADING_URL", "APCA_API_BASE_URL", "ALPACA_API_BASE_URL", "ALPACA_BASE_URL"),
        "data_url": ("BROKER_ALPACA_DATA_URL", "APCA_API_DATA_URL", "ALPACA_DATA_URL"),
        "stream_url": ("BROKER_ALPACA_STREAM_URL", "APCA_API_STREAM_URL", "ALPACA_STREAM_URL"),
        "trading_stream_url": ("BROKER_ALPACA_TRADING_STREAM_URL", "ALPACA_TRADING_STREAM_URL"),
        "environment": ("BROKER_ALPACA_ENVIRONMENT", "APCA_TRADING_ENVIRONMENT"),
        "paper": ("ALPACA_PAPER_TRADE", "ALPACA_IS_PAPER", "ALPACA_PAPER"),
        "mode": ("BROKER_ALPACA_MODE", "ALPACA_MODE"),
        "feed": ("BROKER_ALPACA_FEED", "ALPACA_FEED"),
        "options_feed": ("BROKER_ALPACA_OPTIONS_FEED",),
        "crypto_location": ("BROKER_ALPACA_CRYPTO_LOCATION",),
        "codec": ("BROKER_ALPACA_CODEC",),
        "rate_limit": ("BROKER_ALPACA_RATE_LIMIT",),
        "data_rate_limit": ("BROKER_ALPACA_DATA_RATE_LIMIT",),
        "deadline": ("BROKER_ALPACA_DEADLINE",),
    }
)
"""The names of each setting, the strongest first."""

_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})
_FEEDS = ("iex", "sip", "delayed_sip", "boats", "overnight", "otc", "test")
_OPTION_FEEDS = ("indicative", "opra")
_CODECS = ("json", "msgpack")


class Mode(StrEnum):
    """How calls travel."""

    HTTP = "http"
    SDK = "sdk"


def _hidden(text: str | Secret) -> Secret:
    return text if isinstance(text, Secret) else Secret(text)


def _masked(secret: Secret | None) -> str:
    return "None" if secret is None else repr(secret)


@attrs.frozen(kw_only=True)
class AlpacaSettings:
    """What the plugin needs to know. Make one yourself and hand it to ``AlpacaPlugin``, or let ``read`` find it in an environment.

    Raises ConfigError where the settings contradict each other.
    """

    key: Secret = attrs.field(converter=_hidden)
    """The key's id; with ``oauth_token`` it is empty."""
    secret: Secret = attrs.field(converter=_hidden)
    oauth_token: Secret | None = attrs.field(default=None, repr=_masked)
    environment: Environment = Environment.PAPER
    trading_url: str = ""
    """Empty means the one of the environment."""
    data_url: str = DATA_URL
    stream_url: str = STREAM_URL
    """Of market data, without the feed's path."""
    trading_stream_url: str = ""
    """Empty means the trading address with ``wss`` and ``/stream``."""
    mode: Mode | None = None
    """None takes alpaca-py where it is installed."""
    feed: str = "iex"
    """Of stocks: what the sockets and the latest prices come from; history comes from ``sip`` unless another than ``iex`` is chosen."""
    options_feed: str = "indicative"
    crypto_location: str = "us"
    codec: str = "msgpack"
    """Of the market data sockets."""
    rate_limit: float = 200.0
    """Requests a minute to the trading host until it says otherwise."""
    data_rate_limit: float = 200.0
    """Requests a minute to the data host until it says otherwise."""
    deadline: float = 15.0
    """Seconds within which a request must be answered."""
    origins: Mapping[str, str] = attrs.field(factory=dict, eq=False, repr=False)
    """For each setting that was found, the name under which."""

    def __attrs_post_init__(self) -> None:
        for name in ("trading_url", "data_url", "stream_url", "trading_stream_url"):
            object.__setattr__(self, name, _address(self._named(name), getattr(self, name), name))
        if not self.trading_url:
            object.__setattr__(self, "trading_url", LIVE_URL if self.environment is Environment.LIVE else PAPER_URL)
        if not self.trading_stream_url:
            object.__setattr__(self, "trading_stream_url", f"ws{self.trading_url.removeprefix('http')}/stream")
        self._check_environment()

    def _named(self, setting: str) -> str:
        return self.origins.get(setting, setting)

    def _check_environment(self) -> None:
        if self.environment not in (Environment.LIVE, Environment.PAPER):
            raise ConfigError(f"{self._named('environment')}: {self.environment} is neither paper nor live")
        host = urlsplit(self.trading_url).hostname or ""
        is_live = self.environment is Environment.LIVE
        if host == urlsplit(LIVE_URL).hostname and not is_live:
            raise ConfigError(
                f"{self._named('trading_url')}: {self.trading_url} trades real money, but live was not asked for; "
                "set BROKER_ALPACA_ENVIRONMENT=live as well, or use the paper address"
            )
        if host == urlsplit(PAPER_URL).hostname and is_live:
            raise ConfigError(
                f"{self._named('trading_url')}: {self.trading_url} is the paper host, but live was asked for; make them agree"
            )
        begins = self.key.reveal()[:2].upper()
        if (begins == "PK" and is_live) or (begins == "AK" and not is_live):
            kind = "a paper key" if begins == "PK" else "a live key"
            raise ConfigError(
                f"{self._named('key')}: it begins with {begins}, like {kind}, but the environment is {self.environment}; make them agree"
            )

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """Everything that must not be shown."""
        return tuple(secret for secret in (self.secret, self.key, self.oauth_token) if secret)

    @property
    def headers(self) -> dict[str, str]:
        """The headers that sign a request in."""
        if self.oauth_token is not None:
            return {"Authorization": f"Bearer {self.oauth_token.reveal()}"}
        return {"APCA-API-KEY-ID": self.key.reveal(), "APCA-API-SECRET-KEY": self.secret.reveal()}


def read(environ: Mapping[str, str]) -> AlpacaSettings | None:
    """Find the settings in an environment; None where there are no credentials at all. Empty values count as not set.

    Raises ConfigError for half a pair of credentials, for values that make no sense, and for unknown names that begin with the prefix.
    """
    found, origins = _found(environ)
    return _settings(found, origins) if _has_credentials(found, origins) else None


def without_credentials(environ: Mapping[str, str]) -> AlpacaSettings:
    """The same for somebody who has no credentials and only needs to know the rest: where Alpaca is, and whether it is live.

    Raises ConfigError as ``read`` does, but not for credentials.
    """
    found, origins = _found(environ)
    kept = {setting: text for setting, text in found.items() if setting not in ("key", "secret", "oauth_token")}
    return _settings(kept, origins)


def _found(environ: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Values and the names under which they were found, by setting."""
    found: dict[str, str] = {}
    origins: dict[str, str] = {}
    for setting, names in NAMES.items():
        name = next((name for name in names if environ.get(name, "").strip()), None)
        if name is not None:
            found[setting], origins[setting] = environ[name].strip(), name
    _refuse_unknown(environ)
    return found, origins


def _settings(found: dict[str, str], origins: dict[str, str]) -> AlpacaSettings:
    values: dict[str, object] = {"origins": origins, "environment": _environment(found, origins)}
    values["key"], values["secret"] = Secret(found.pop("key", "")), Secret(found.pop("secret", ""))
    if "oauth_token" in found:
        values["oauth_token"] = Secret(found.pop("oauth_token"))
    for setting in ("environment", "paper"):
        found.pop(setting, None)
    for setting, text in found.items():
        values[setting] = _value(setting, text, origins[setting])
    return AlpacaSettings(**values)  # type: ignore[arg-type]  # each value was made for its field


def _has_credentials(found: Mapping[str, str], origins: Mapping[str, str]) -> bool:
    if "oauth_token" in found:
        return True
    missing = [setting for setting in ("key", "secret") if setting not in found]
    if len(missing) == 1:
        there = next(origins[setting] for setting in ("key", "secret") if setting in found)
        raise ConfigError(f"{there} is set, but there is no {missing[0]}; set {' or '.join(NAMES[missing[0]][:3])} too, or neither")
    return not missing


def _environment(found: Mapping[str, str], origins: Mapping[str, str]) -> Environment:
    """Live only where it is asked for; two answers that contradict each other are an error."""
    asked: dict[str, Environment] = {}
    if "environment" in found:
        text = found["environment"].lower()
        if text not in (Environment.LIVE, Environment.PAPER):
            raise ConfigError(f"{origins['environment']}: {found['environment']!r} is neither paper nor live")
        asked[origins["environment"]] = Environment(text)
    if "paper" in found:
        text = found["paper"].lower()
        if text not in _TRUE | _FALSE:
            raise ConfigError(f"{origins['paper']}: {found['paper']!r} is neither true nor false")
        asked[origins["paper"]] = Environment.PAPER if text in _TRUE else Environment.LIVE
    if len(set(asked.values())) > 1:
        raise ConfigError(f"{' and '.join(asked)} contradict each other: one says paper, the other live")
    return next(iter(asked.values()), Environment.PAPER)


def _value(setting: str, text: str, name: str) -> object:
    choices = {"feed": _FEEDS, "options_feed": _OPTION_FEEDS, "codec": _CODECS, "mode": tuple(Mode)}.get(setting)
    if choices is not None:
        if text.lower() not in choices:
            raise ConfigError(f"{name}: {text!r} is not one of {', '.join(choices)}")
        return Mode(text.lower()) if setting == "mode" else text.lower()
    if setting in ("rate_limit", "data_rate_limit", "deadline"):
        try:
            number = float(text)
        except ValueError:
            number = 0.0
        if not 0 < number < 1e9:
            raise ConfigError(f"{name}: {text!r} is not a number above zero")
        return number
    return text


def _address(name: str, url: str, setting: str) -> str:
    """The address without what people leave at its end: slashes, and of a REST host the version. Raises ConfigError."""
    if not url:
        return ""
    url = url.rstrip("/")
    schemes = ("ws", "wss") if "stream" in setting else ("http", "https")
    if setting == "stream_url":
        for version in ("/v2", "/v1beta3", "/v1beta1"):
            url = url.removesuffix(version)
    elif setting != "trading_stream_url":
        url = url.removesuffix("/v2").rstrip("/")
    parts = urlsplit(url)
    if parts.scheme not in schemes or not parts.hostname:
        raise ConfigError(f"{name}: {url!r} is not an address that begins with {schemes[-1]}://")
    if parts.scheme in ("http", "ws") and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
        raise ConfigError(f"{name}: {url!r} would send the secret unencrypted; use {schemes[-1]}://")
    if parts.username or parts.password or parts.query:
        raise ConfigError(f"{name}: the address holds more than a host and a path; credentials have settings of their own")
    return url


def _refuse_unknown(environ: Mapping[str, str]) -> None:
    known = [name for names in NAMES.values() for name in names]
    for name in environ:
        if name.startswith(PREFIX) and name not in known:
            own = [known_name.removeprefix(PREFIX) for known_name in known if known_name.startswith(PREFIX)]
            near = difflib.get_close_matches(name.removeprefix(PREFIX), own, 1)
            advice = f"did you mean {PREFIX}{near[0]}?" if near else f"known are {', '.join(PREFIX + ending for ending in own)}"
            raise ConfigError(f"{name} is unknown; {advice}")
