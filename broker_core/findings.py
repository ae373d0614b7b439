"""What needs a person's eye: noticed by the machine, kept for a while, logged, told to whoever asked.

A finding is not an error of a call; nobody is there to catch it. It says that two things that must agree do not, or that something
happened which only a person can judge.
"""

from __future__ import annotations

import inspect
import logging
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

import attrs

from broker_core.clock import Clock

log = logging.getLogger(__name__)


class Severity(StrEnum):
    """How soon a person should look."""

    NOTE = "note"
    """For the record."""
    WARNING = "warning"
    """Today."""
    CRITICAL = "critical"
    """Now: money may be at stake."""


_LEVELS: Mapping[Severity, int] = MappingProxyType(
    {Severity.NOTE: logging.INFO, Severity.WARNING: logging.WARNING, Severity.CRITICAL: logging.CRITICAL}
)


@attrs.frozen
class Finding:
    """One thing noticed: when (aware UTC), how bad, about what (a symbol, an order's id, a feed), and a sentence that says it all."""

    at: datetime
    severity: Severity
    subject: str
    text: str


class Findings:
    """The latest findings, oldest first, and how many there ever were.

    Iterating gives at most ``limit`` findings; ``totals`` counts also those that have been pushed out.
    """

    def __init__(self, clock: Clock, *, limit: int = 1000) -> None:
        self._clock = clock
        self._latest: deque[Finding] = deque(maxlen=limit)
        self._totals = dict.fromkeys(Severity, 0)
        self._callbacks: list[Callable[[Finding], object]] = []

    def add(self, severity: Severity, subject: str, text: str) -> Finding:
        """Keep, count and log a finding, then tell the callbacks. What a callback raises is logged and stops nothing."""
        finding = Finding(self._clock.now(), severity, subject, text)
        self._latest.append(finding)
        self._totals[severity] += 1
        log.log(_LEVELS[severity], "%s: %s", subject, text)
        for callback in tuple(self._callbacks):
            try:
                callback(finding)
            except Exception:
                log.exception("%r raised on a finding about %s", callback, subject)
        return finding

    def note(self, subject: str, text: str) -> Finding:
        """Add a finding for the record."""
        return self.add(Severity.NOTE, subject, text)

    def warning(self, subject: str, text: str) -> Finding:
        """Add a finding that someone should look at today."""
        return self.add(Severity.WARNING, subject, text)

    def critical(self, subject: str, text: str) -> Finding:
        """Add a finding that someone should look at now."""
        return self.add(Severity.CRITICAL, subject, text)

    def on_finding(self, callback: Callable[[Finding], object]) -> Callable[[], None]:
        """Call ``callback`` with every finding from now on, at once and in order; returns the function that ends it.

        The callback is a plain function, because findings are also made where nothing can be awaited; TypeError for an ``async def``.
        """
        if inspect.iscoroutinefunction(callback):
            raise TypeError(f"callback: {callback!r} is an async function; give a plain one, which may start a task")
        self._callbacks.append(callback)

        def cancel() -> None:
            if callback in self._callbacks:
                self._callbacks.remove(callback)

        return cancel

    @property
    def totals(self) -> Mapping[Severity, int]:
        """How many of each severity there ever were."""
        return dict(self._totals)

    def __iter__(self) -> Iterator[Finding]:
        return iter(tuple(self._latest))

    def __len__(self) -> int:
        return len(self._latest)
