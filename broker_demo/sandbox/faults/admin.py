"""The second port, through which faults come and go while the sandbox runs."""

from __future__ import annotations

from aiohttp import web

from broker_demo.sandbox.desk import Desk


def admin_app(desk: Desk) -> web.Application:  # noqa: ARG001
    """What answers on the second port."""
    return web.Application()
