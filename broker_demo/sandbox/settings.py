"""What a sandbox is told when it starts."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import attrs

from broker_core.errors import ConfigError
from broker_core.secret import Secret
from broker_demo.config import DemoSettings

LOOPBACK = "127.0.0.1"


@attrs.frozen(kw_only=True)
class SandboxSettings:
    """The demo broker's own settings, and those of the wire around it.

    Raises ConfigError for a host that others could reach, unless ``reachable`` says that this is meant, and for keys that no header
    could carry.
    """

    demo: DemoSettings = attrs.field(factory=DemoSettings)
    host: str = LOOPBACK
    port: int = 0
    """0 takes any that is free."""
    admin_port: int = 0
    key: str = ""
    """Empty makes one up, as with ``secret``."""
    secret: Secret = attrs.field(factory=lambda: Secret(""))
    faults: Path | None = None
    """A script of faults, in TOML or JSON."""
    rate_limit: int | None = None
    """Requests a minute that each of the two hosts takes; None is no limit."""
    reachable: bool = False

    def __attrs_post_init__(self) -> None:
        if not self.reachable and not _is_loopback(self.host):
            raise ConfigError(
                f"host: {self.host} can be reached from other machines, and the sandbox is made to be misused; "
                "bind 127.0.0.1, or say --i-know"
            )
        for name, text in (("key", self.key), ("secret", self.secret.reveal())):
            if not all("!" <= letter <= "~" for letter in text):
                raise ConfigError(f"{name}: it holds letters that no client could send; take ASCII without blanks")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
