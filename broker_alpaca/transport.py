"""The only place that touches aiohttp: one HTTP exchange and one WebSocket, with their errors translated at the edge.

aiohttp's errors carry the request's headers, and with them the secret; none of them leaves this file, not even as a cause.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from yarl import URL

from broker_alpaca.config import AlpacaSettings, Mode
from broker_alpaca.exchange import Lost, NotSent
from broker_alpaca.wire.answers import Answer
from broker_alpaca.wire.call import Call, Host
from broker_core.errors import AuthError, RateLimited, Unavailable

_CONNECT_SHARE = 0.6
"""Of the deadline: how long connecting may take, so that a host that cannot be reached is told from one that does not answer."""
_CONNECTIONS = 64
_KEEP_ALIVE = 50.0
_LARGEST_FRAME = 64 * 2**20
_HANDSHAKE_WAIT = 5.0
"""Seconds to stay away after a handshake was refused with 429 that names no wait."""


class HttpTransport:
    """Calls over aiohttp, on connections that are kept and shared."""

    mode = Mode.HTTP

    def __init__(self, settings: AlpacaSettings) -> None:
        self._settings = settings
        self._bases = {Host.TRADING: settings.trading_url, Host.DATA: settings.data_url}
        self._session: aiohttp.ClientSession | None = None

    async def exchange(self, call: Call[Any]) -> Answer:
        """Send one call and return what came back. Raises NotSent, Lost."""
        url = URL(f"{self._bases[call.host]}{call.path}{'?' if call.query else ''}{call.query_text}", encoded=True)
        body = call.body_bytes
        headers = {"Content-Type": "application/json"} if body is not None else None
        try:
            async with self._opened().request(call.method, url, data=body, headers=headers, allow_redirects=False) as response:
                return Answer(response.status, response.headers, await response.read())
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise NotSent(_words(error)) from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Lost(_words(error)) from None

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=_CONNECTIONS, keepalive_timeout=_KEEP_ALIVE),
                headers={**self._settings.headers, "User-Agent": "broker-core"},
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._settings.deadline * _CONNECT_SHARE),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
            # aiohttp sends a DELETE again when its connection breaks; closing part of a position twice sells twice.
            self._session._retry_connection = False
        return self._session

    async def close(self) -> None:
        """Close every connection."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()


class Socket:
    """One open WebSocket. Pings of the other side are answered while somebody receives."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._pong = asyncio.Event()

    async def send(self, message: str | bytes) -> None:
        """Send one message. Raises Unavailable when the socket is closed."""
        try:
            if isinstance(message, str):
                await self._socket.send_str(message)
            else:
                await self._socket.send_bytes(message)
        except (aiohttp.ClientError, ConnectionError) as error:
            raise Unavailable(f"alpaca: the socket is closed: {_words(error)}") from None

    async def receive(self) -> str | bytes:
        """The next message. Raises Unavailable when the socket is closed, by whomever."""
        while True:
            message = await self._socket.receive()
            match message.type:
                case aiohttp.WSMsgType.BINARY | aiohttp.WSMsgType.TEXT:
                    data: str | bytes = message.data
                    return data
                case aiohttp.WSMsgType.PING:
                    await self._socket.pong(message.data)
                case aiohttp.WSMsgType.PONG:
                    self._pong.set()
                case aiohttp.WSMsgType.ERROR:
                    raise Unavailable(f"alpaca: the socket broke: {_words(self._socket.exception())}")
                case _:
                    raise Unavailable(f"alpaca: the socket was closed with code {self._socket.close_code}")

    async def is_alive(self) -> bool:
        """True when the other side has answered a ping, False on a closed socket; somebody must be receiving meanwhile."""
        self._pong.clear()
        try:
            await self._socket.ping()
        except (aiohttp.ClientError, ConnectionError):
            return False
        await self._pong.wait()
        return True


class Sockets:
    """Opens WebSockets."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def open(self, url: str, headers: Mapping[str, str] | None = None) -> AsyncIterator[Socket]:
        """Connect, and close at the end. Raises AuthError, RateLimited and Unavailable when the handshake fails."""
        if self._session is None:
            self._session = aiohttp.ClientSession(headers={"User-Agent": "broker-core"})
        # How long a handshake may take is the caller's business: it judges the sign-in as a whole.
        timeout = aiohttp.ClientWSTimeout(ws_receive=None, ws_close=1.0)
        try:
            socket = await self._session.ws_connect(
                url, headers=headers, autoping=False, compress=15, max_msg_size=_LARGEST_FRAME, timeout=timeout
            )
        except aiohttp.WSServerHandshakeError as error:
            raise _refused(url, error) from None
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Unavailable(f"alpaca: {url}: {_words(error)}") from None
        try:
            yield Socket(socket)
        finally:
            await socket.close()

    async def close(self) -> None:
        """Close every connection."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()


def _refused(url: str, error: aiohttp.WSServerHandshakeError) -> AuthError | RateLimited | Unavailable:
    said = f"alpaca: {url}: the handshake was answered with {error.status}"
    if error.status in (401, 403):
        return AuthError(f"{said}; check the key, the secret, and what the account's plan allows")
    if error.status == 429:
        after = error.headers.get("Retry-After", "") if error.headers else ""
        return RateLimited(f"{said}: too many connections were opened", wait=float(after) if after.isdecimal() else _HANDSHAKE_WAIT)
    return Unavailable(said)


def _words(error: BaseException | None) -> str:
    """What an error says, without what it holds; aiohttp's errors hold headers."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error or "")
    if isinstance(error, aiohttp.ClientResponseError):
        text = error.message
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
