"""Tell observers and ask vetoes: the only place where hook results are awaited.

Observers fail open: one that raises or hangs is logged, and the next one is told all the same. Vetoes fail closed: one that raises or
hangs has refused.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from broker_core.clock import Clock, within
from broker_core.plugins import Plugins
from broker_core.requests import OrderRequest

if TYPE_CHECKING:
    from broker_core.session import Session

log = logging.getLogger(__name__)


class Notifier:
    """Calls the plugins of one session one by one. ``patience`` is how many seconds an ``async def`` may take."""

    def __init__(self, plugins: Plugins, *, clock: Clock, patience: float = 10.0) -> None:
        self._plugins = plugins
        self._clock = clock
        self._patience = patience
        self._resolved: dict[str, list[tuple[str, Callable[..., Any]]]] = {}

    async def tell(self, hook: str, **facts: Any) -> None:
        """Tell every observer of a hook, in order. Never raises what an observer raised."""
        for plugin, function in self._implementations(hook):
            try:
                await self._answer(function, facts)
            except Exception:
                log.exception("plugin %s raised in %s; it was told, the others are told too", plugin, hook)

    async def vetoes(self, session: Session, request: OrderRequest) -> list[tuple[str, str]]:
        """Ask every plugin whether it refuses the order: pairs of plugin and reason, empty when nobody does."""
        refusals = []
        for plugin, function in self._implementations("broker_veto_order"):
            try:
                reason = await self._answer(function, {"session": session, "request": request})
            except Exception as error:
                log.exception("plugin %s raised in broker_veto_order; the order is refused", plugin)
                reason = f"the veto itself failed with {type(error).__name__}: {error}"
            if reason is not None:
                refusals.append((plugin, str(reason)))
        return refusals

    def _implementations(self, hook: str) -> list[tuple[str, Callable[..., Any]]]:
        if hook not in self._resolved:
            self._resolved[hook] = self._plugins.implementations(hook)
        return self._resolved[hook]

    async def _answer(self, function: Callable[..., Any], facts: dict[str, Any]) -> Any:
        answer = function(**facts)
        if inspect.isawaitable(answer):
            return await within(self._clock, self._patience, answer)
        return answer
