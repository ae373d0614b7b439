"""What is talked at a data socket (alpaca-api 13): sign in, subscribe, and listen."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from aiohttp import web

from broker_core.clock import Clock
from broker_core.errors import ConfigError
from broker_demo.sandbox.desk import Desk
from broker_demo.sandbox.faults.terms import Channel
from broker_demo.sandbox.faults.terms import Kind as Fault
from broker_demo.sandbox.sockets.codec import Codec, wants_msgpack
from broker_demo.sandbox.sockets.feeds import FEEDS, Market
from broker_demo.sandbox.sockets.lines import Kind, Line
from broker_demo.sandbox.sockets.subscriptions import INVALID, Subscriptions, Unwanted

log = logging.getLogger(__name__)

SIGN_IN_WITHIN = 10.0
"""Seconds that a client has for signing in."""
_REFUSED = 1008
_SLOW: Mapping[str, Any] = MappingProxyType({"T": "error", "code": 407, "msg": "slow client"})


async def talk(desk: Desk, request: web.Request) -> web.StreamResponse:
    """Serve one client until it goes."""
    packed = wants_msgpack(request.headers)
    codec = Codec(is_msgpack=packed, is_binary=packed, in_arrays=True)
    async with desk.lines.open(request, Kind.DATA, request.path, codec, clock=desk.clock, overflow=dict(_SLOW)) as line:
        talk = _Talk(desk, line)
        limit = asyncio.create_task(talk.expect_sign_in(desk.clock), name="sandbox sign-in")
        try:
            talk.welcome(request)
            async for frame in line.hear():
                talk.answer(frame)
        finally:
            desk.tape.leave(line)
            limit.cancel()
            await asyncio.gather(limit, return_exceptions=True)
    return line.response


class _Talk:
    """One client's conversation."""

    def __init__(self, desk: Desk, line: Line) -> None:
        self._desk = desk
        self._line = line
        self._subscriptions = Subscriptions(FEEDS[line.path])

    def welcome(self, request: web.Request) -> None:
        """Greet, and sign in whoever sent keys with the handshake."""
        self._say(T="success", msg="connected")
        if self._desk.keys.tries(request.headers):
            self._sign_in(fits=self._desk.keys.signs(request.headers))

    async def expect_sign_in(self, clock: Clock) -> None:
        """End the conversation with one who does not sign in."""
        await clock.sleep(SIGN_IN_WITHIN)
        if not self._line.is_signed_in:
            self._end(404, "auth timeout")

    def answer(self, frame: str | bytes) -> None:
        """Do as the client says."""
        try:
            said = self._line.codec.read(frame)
        except ValueError:
            said = None
        action = said.get("action") if isinstance(said, dict) else None
        if action == "auth":
            self._authenticate(said)
        elif action not in ("subscribe", "unsubscribe"):
            self._error(*INVALID)
        elif not self._line.is_signed_in:
            self._error(401, "not authenticated")
        else:
            self._subscribe(said)

    def _authenticate(self, said: Mapping[str, Any]) -> None:
        keys, key, secret = self._desk.keys, said.get("key"), said.get("secret")
        if self._line.is_signed_in:
            self._error(403, "already authenticated")
        else:
            self._sign_in(fits=keys.fits_token(secret) if key == "oauth" else keys.fits(key, secret))

    def _sign_in(self, *, fits: bool) -> None:
        line, limits = self._line, self._desk.lines.limits
        others = sum(other.is_signed_in for other in self._desk.lines.of(Kind.DATA, line.path))
        fault = self._desk.faults.of_sign_in(Channel.DATA) if fits else None
        if not fits or (fault is not None and fault.terms.kind is Fault.REFUSE_SIGN_IN):
            self._end(402, "auth failed")
        elif fault is not None or (limits.connections is not None and others >= limits.connections):
            self._end(406, "connection limit exceeded")
        elif limits.feeds is not None and line.path not in limits.feeds:
            self._end(409, "insufficient subscription")
        else:
            line.is_signed_in = True
            self._say(T="success", msg="authenticated")

    def _subscribe(self, said: Mapping[str, Any]) -> None:
        subscriptions = self._subscriptions
        if subscriptions.feed.market is Market.OPTIONS and not self._line.codec.is_msgpack:
            self._error(412, "option messages are only available in MsgPack format")
            return
        try:
            # What happened before is nobody's who had not subscribed to it.
            self._desk.settled()
            subscriptions.change(said, most=self._desk.lines.limits.symbols)
        except Unwanted as unwanted:
            self._error(unwanted.code, str(unwanted))
            return
        except ConfigError as error:
            # A calendar that does not know the market's moment.
            log.warning("sandbox: %s: %s", self._line.path, error)
            self._error(500, "internal error")
            return
        self._line.send([subscriptions.acknowledged()])
        self._desk.tape.route(self._line, subscriptions.feed, subscriptions.wish, self._desk.prices, self._desk.exchange.now_ns)
        self._desk.venue.wake()

    def _end(self, code: int, message: str) -> None:
        self._error(code, message)
        self._line.close(_REFUSED)

    def _error(self, code: int, message: str) -> None:
        self._say(T="error", code=code, msg=message)

    def _say(self, **members: Any) -> None:
        self._line.send([members])
