"""Exit codes, and which error ends a command with which."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType

from broker_core import errors


class Exit(IntEnum):
    """What the exit code of ``broker`` says."""

    DONE = 0
    BROKER = 1
    USAGE = 2
    REFUSED = 3
    STORAGE = 4
    AUTH = 5
    UNKNOWN = 6
    INTERRUPTED = 128 + signal.SIGINT
    PIPE = 141
    TERMINATED = 128 + signal.SIGTERM


MEANINGS: Mapping[Exit, str] = MappingProxyType(
    {
        Exit.DONE: "done",
        Exit.BROKER: "the broker, a plugin or the connection failed",
        Exit.USAGE: "the command or a setting makes no sense, or names no usable broker",
        Exit.REFUSED: "refused, by the broker or by a plugin",
        Exit.STORAGE: "the database cannot be used",
        Exit.AUTH: "the credentials are wrong",
        Exit.UNKNOWN: "the outcome is not known yet: the order is in doubt, or not done within --timeout",
        Exit.INTERRUPTED: "interrupted with Ctrl-C",
        Exit.PIPE: "whoever read the output has gone",
        Exit.TERMINATED: "terminated with SIGTERM",
    }
)

# The first match counts, so leaves stand before their branches.
_CODES: tuple[tuple[type[Exception], Exit], ...] = (
    (errors.AuthError, Exit.AUTH),
    (errors.InDoubt, Exit.UNKNOWN),
    (errors.RequestRefused, Exit.REFUSED),
    (errors.OrderVetoed, Exit.REFUSED),
    (errors.IllegalTransition, Exit.REFUSED),
    (errors.StorageError, Exit.STORAGE),
    (errors.ConfigError, Exit.USAGE),
    (errors.NotConfigured, Exit.USAGE),
    (errors.AmbiguousBroker, Exit.USAGE),
    (errors.NotSupported, Exit.USAGE),
    (errors.BrokerError, Exit.BROKER),
    (ValueError, Exit.USAGE),
)


def exit_of(error: BaseException) -> Exit:
    """The exit code for an error; what is not foreseen counts as the first kind of failure."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), Exit.BROKER)
