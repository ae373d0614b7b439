"""What is talked at the trading socket (alpaca-api 14): sign in, choose streams, and listen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from broker_demo.sandbox.desk import Desk
from broker_demo.sandbox.faults.terms import Channel
from broker_demo.sandbox.signing import KeyPair
from broker_demo.sandbox.sockets.codec import Codec, wants_msgpack
from broker_demo.sandbox.sockets.lines import Kind, Line
from broker_demo.sandbox.sockets.trade_updates import FAILED, STREAM

_SLOW = {"action": "error", "data": {"error_message": "slow client"}}
_CANNOT_READ = 1007


async def talk(desk: Desk, request: web.Request) -> web.StreamResponse:
    """Serve one client until it goes."""
    packed = wants_msgpack(request.headers)
    codec = Codec(is_msgpack=packed, is_binary=packed or desk.keys.is_paper, in_arrays=False)
    async with desk.lines.open(request, Kind.TRADING, request.path, codec, clock=desk.clock, overflow=_SLOW) as line:
        try:
            async for frame in line.hear():
                try:
                    _answer(desk, line, codec.read(frame))
                except (TypeError, ValueError):
                    line.send([dict(FAILED)])
                    line.close(_CANNOT_READ)
        finally:
            desk.updates.listen(line, wanted=False)
    return line.response


def _answer(desk: Desk, line: Line, said: Any) -> None:
    """Do as the client says. Raises TypeError and ValueError for what makes no sense."""
    if not isinstance(said, dict):
        raise TypeError("not an object")
    action, details = said.get("action"), said.get("data", {})
    if not isinstance(details, dict):
        raise TypeError("data is not an object")
    if action in ("authenticate", "auth"):
        line.is_signed_in = _fits(desk.keys, {**said, **details}) and desk.faults.of_sign_in(Channel.TRADING) is None
        if not line.is_signed_in:
            desk.updates.listen(line, wanted=False)
        line.send([_authorization("authenticate", is_granted=line.is_signed_in)])
    elif action == "listen" and not line.is_signed_in:
        line.send([_authorization("listen", is_granted=False)])
    elif action == "listen":
        streams = details.get("streams")
        if not isinstance(streams, list):
            raise TypeError("streams is not a list")
        chosen = [STREAM] if STREAM in streams else []
        desk.updates.listen(line, wanted=bool(chosen))
        line.send([{"stream": "listening", "data": {"streams": chosen}}])
    else:
        raise ValueError(f"unknown action {action!r}")


def _fits(keys: KeyPair, told: Mapping[str, Any]) -> bool:
    if "oauth_token" in told:
        return keys.fits_token(told["oauth_token"])
    return keys.fits(told.get("key_id", told.get("key")), told.get("secret_key", told.get("secret")))


def _authorization(action: str, *, is_granted: bool) -> dict[str, Any]:
    return {"stream": "authorization", "data": {"status": "authorized" if is_granted else "unauthorized", "action": action}}
