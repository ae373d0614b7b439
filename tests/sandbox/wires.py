"""A client for the sandbox's sockets without any broker's code."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

import aiohttp
import msgspec
from sandboxes import KEY, SECRET

from broker_demo.sandbox.server import Sandbox

MSGPACK = {"Content-Type": "application/msgpack"}
SIGNED = {"APCA-API-KEY-ID": KEY, "APCA-API-SECRET-KEY": SECRET}


class Wire:
    """One connection. Use it as an asynchronous context manager."""

    def __init__(self, box: Sandbox, path: str, *, headers: dict[str, str] | None = None, **options: Any) -> None:
        self.url = box.addresses.stream_url + path
        self.headers = headers or {}
        self.options = options
        self.is_msgpack = self.headers.get("Content-Type") == "application/msgpack"
        self.kind: aiohttp.WSMsgType | None = None
        """The type of the last frame."""
        self._session = aiohttp.ClientSession()

    async def __aenter__(self) -> Self:
        try:
            self.socket = await self._session.ws_connect(self.url, headers=self.headers, autoping=False, **self.options)
        except BaseException:
            await self._session.close()
            raise
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.socket.close()
        await self._session.close()

    async def say(self, message: Any) -> None:
        """Send a message; bytes and text go as they are."""
        if isinstance(message, str):
            await self.socket.send_str(message)
        elif isinstance(message, bytes):
            await self.socket.send_bytes(message)
        elif self.is_msgpack:
            await self.socket.send_bytes(msgspec.msgpack.encode(message))
        else:
            await self.socket.send_str(msgspec.json.encode(message).decode())

    async def hear(self) -> Any:
        """The next message, decoded; None when the connection has ended."""
        message = await self.socket.receive()
        self.kind = message.type
        if message.type not in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
            return None
        return msgspec.msgpack.decode(message.data) if self.is_msgpack else msgspec.json.decode(message.data)

    async def ask(self, message: Any) -> Any:
        """Send a message and hear the next one."""
        await self.say(message)
        return await self.hear()


class TradingWire(Wire):
    """The trading socket."""

    def __init__(self, box: Sandbox, path: str = "/stream", **options: Any) -> None:
        super().__init__(box, path, **options)

    async def listen(self) -> Self:
        """Sign in and listen."""
        assert (await self.ask(authenticate()))["data"]["status"] == "authorized"
        assert (await self.ask(listen("trade_updates")))["data"]["streams"] == ["trade_updates"]
        return self

    async def update(self) -> dict[str, Any]:
        """The next order event."""
        message = await self.hear()
        assert message["stream"] == "trade_updates"
        return message["data"]

    async def updates(self, count: int) -> list[dict[str, Any]]:
        """The next order events."""
        return [await self.update() for _ in range(count)]


def authenticate(key: str = KEY, secret: str = SECRET) -> dict[str, Any]:
    """The sign-in that every SDK sends to the trading socket."""
    return {"action": "authenticate", "data": {"key_id": key, "secret_key": secret}}


def listen(*streams: str) -> dict[str, Any]:
    """The choice of streams."""
    return {"action": "listen", "data": {"streams": list(streams)}}


class DataWire(Wire):
    """A data socket."""

    def __init__(self, box: Sandbox, path: str = "/v2/iex", **options: Any) -> None:
        super().__init__(box, path, **options)

    async def hear_one(self) -> Any:
        """The next frame, which must hold one message."""
        frame = await self.hear()
        if frame is None:
            return None
        assert isinstance(frame, list)
        (message,) = frame
        return message

    async def ask(self, message: Any) -> Any:
        """Send a message and hear the one that answers."""
        await self.say(message)
        return await self.hear_one()

    async def sign_in(self) -> Self:
        """Hear the welcome and sign in."""
        assert await self.hear_one() == {"T": "success", "msg": "connected"}
        assert await self.ask(auth()) == {"T": "success", "msg": "authenticated"}
        return self

    async def subscribe(self, **channels: list[str]) -> Any:
        """Subscribe, and return the acknowledgement."""
        return await self.ask({"action": "subscribe", **channels})

    async def messages(self, count: int) -> list[dict[str, Any]]:
        """Messages of as many frames as hold so many."""
        found: list[dict[str, Any]] = []
        while len(found) < count:
            found += await self.hear()
        return found


def auth(key: str = KEY, secret: str = SECRET) -> dict[str, Any]:
    """The sign-in of the data sockets."""
    return {"action": "auth", "key": key, "secret": secret}
