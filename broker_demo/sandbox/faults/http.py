"""Faults of requests: what happens to one on its way to the exchange and back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from broker_demo.sandbox.answers import Answer
from broker_demo.sandbox.faults.plan import Faults


async def exchange(faults: Faults, request: web.Request, act: Callable[[], Awaitable[web.StreamResponse]]) -> web.StreamResponse:  # noqa: ARG001
    """Have ``act`` carry the request out, and give its answer back, unless a fault says otherwise."""
    return await act()


def response(answer: Answer) -> web.Response:
    """The answer as it is sent."""
    headers = {"Content-Type": answer.content_type} if answer.body else {}
    return web.Response(status=answer.status, body=answer.body, headers=headers)
