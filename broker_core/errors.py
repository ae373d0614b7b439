"""Everything that can go wrong, in one tree.

::

    BrokerError
    ├── ConfigError            a setting is unknown or makes no sense
    ├── PluginError            a plugin could not be loaded or broke the contract
    ├── NotConfigured          the named broker has no credentials, or there is no such plugin
    ├── AmbiguousBroker        more than one real broker could answer
    ├── NotSupported           this broker has no such family or capability
    ├── OrderVetoed            a plugin refused; carries the order and every reason
    ├── IllegalTransition      impossible in this state of the order
    ├── StorageError           the database cannot be used; nothing was sent on its account
    ├── WireError              the broker said something we do not understand
    └── RemoteError            the broker's side
        ├── AuthError          credentials wrong or revoked; never retried, never a fallback
        ├── RateLimited        carries the wait
        ├── RequestRefused     understood and refused; status, code, message
        │   └── DuplicateOrder the broker already holds an order with this id
        ├── Unavailable        nothing was done
        └── InDoubt            may have been done; carries the order

Whose fault it is decides the branch, and what a caller can do decides the leaf. A value that makes no sense in a request is a
plain ``ValueError`` raised by the request's constructor, before any of this.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from broker_core.orders import Order


class BrokerError(Exception):
    """Base of every error this framework raises. The text is one line that names the thing and the rule."""


class ConfigError(BrokerError):
    """A setting is unknown, unreadable or out of range. Names the file or variable it came from."""


class PluginError(BrokerError):
    """A plugin could not be loaded, or broke the contract of the hooks."""


class NotConfigured(BrokerError):
    """The named broker has no credentials, or no plugin has this name."""


class AmbiguousBroker(BrokerError):
    """More than one real broker could answer, and none was named."""


class NotSupported(BrokerError):
    """The broker has no such family or capability. Raised before anything is sent."""


class OrderVetoed(BrokerError):
    """A plugin, a limit or the gate refused the order; nothing was sent.

    ``order`` is in state ``rejected`` with the refuser as its origin; ``reasons`` holds every reason given.
    """

    def __init__(self, message: str, order: Order, reasons: Sequence[str]) -> None:
        super().__init__(message)
        self.order = order
        self.reasons = tuple(reasons)


class IllegalTransition(BrokerError):
    """The order's state does not allow what was asked of it."""


class StorageError(BrokerError):
    """The database is unreadable, read-only, locked, full or of a newer schema."""


class WireError(BrokerError):
    """The broker said something that cannot be understood."""


class RemoteError(BrokerError):
    """The broker's side of the exchange failed.

    ``order`` is set where the failure ended or endangered one order.
    """

    order: Order | None

    def __init__(self, message: str, *, order: Order | None = None) -> None:
        super().__init__(message)
        self.order = order


class AuthError(RemoteError):
    """Credentials are wrong or revoked. Never retried, never a reason for another broker."""


class RateLimited(RemoteError):
    """The broker asks for a pause of ``wait`` seconds. Nothing was done."""

    def __init__(self, message: str, *, wait: float, order: Order | None = None) -> None:
        super().__init__(message, order=order)
        self.wait = wait


class RequestRefused(RemoteError):
    """The broker understood the request and refused it. ``status`` and ``code`` are its own numbers, where it has them."""

    def __init__(self, message: str, *, status: int | None = None, code: int | str | None = None, order: Order | None = None) -> None:
        super().__init__(message, order=order)
        self.status = status
        self.code = code


class DuplicateOrder(RequestRefused):
    """The broker already holds an order with this client order id: proof that an earlier send took effect."""


class Unavailable(RemoteError):
    """The broker could not be reached; nothing was done there."""


class InDoubt(RemoteError):
    """No proof either way: the request may have taken effect."""
