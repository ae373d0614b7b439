"""The relay: what it is asked on loopback it asks Alpaca, passes the answer on, and has both written down.

Bodies and messages are passed on byte for byte, pings and their answers, closing codes and refused handshakes as they come; a connection
that Alpaca breaks is broken towards the client, too. Two things are its own: the header that names the host, and that no answer is asked
for in a compression that cannot be read here.
"""

from __future__ import annotations

import asyncio
import json
import logging
from functools import partial
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import aiohttp
import attrs
from aiohttp import WSCloseCode, WSMsgType, web
from yarl import URL

from broker_alpaca.config import DATA_URL, LIVE_URL, PAPER_URL, AlpacaSettings
from broker_alpaca.recording.http import by_name, decompressed, passed_on, readable_wishes, text_of
from broker_alpaca.recording.scrubbing import Leak, Scrubber
from broker_alpaca.recording.shelf import DATA, TRADING, Conversation, Shelf
from broker_alpaca.recording.tape import IN, OUT
from broker_core.errors import BrokerError, ConfigError, StorageError
from broker_core.models import Environment

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
"""Where the relay listens; it is open to whoever reaches it, so there is no other choice."""

_LARGEST = 64 * 2**20
_CLOSING = 0.5
"""Seconds that either side has to answer the end of a connection."""
_HANDSHAKE = "sec-websocket-"
_EVENTS = "text/event-stream"
_NO_HEADERS_OF_ITS_OWN = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")


@attrs.frozen(kw_only=True)
class Addresses:
    """Where a relay is reached; the same names as those of the settings."""

    trading_url: str
    data_url: str
    stream_url: str
    """Of market data, without the feed's path."""
    trading_stream_url: str

    def as_json(self) -> str:
        """One line of JSON."""
        return json.dumps(attrs.asdict(self))


@attrs.frozen(kw_only=True)
class Side:
    """One of the two hosts that are relayed."""

    kind: str
    http: str
    """Scheme and host of its REST address."""
    socket: str
    """Scheme and host of its web sockets."""
    prefix: str
    """What the settings' address has besides scheme and host."""
    recorded: str
    """The address that stands for it in cassettes."""


class Relay:
    """Relays REST and sockets of one account. Use it as an asynchronous context manager; ``addresses`` are known inside.

    Raises ConfigError for a live account, unless ``is_live_meant``.
    """

    def __init__(self, settings: AlpacaSettings, shelf: Shelf, scrubber: Scrubber, *, is_live_meant: bool = False) -> None:
        is_live = settings.environment is Environment.LIVE
        if is_live and not is_live_meant:
            raise ConfigError(
                f"{settings.trading_url} trades real money, and a recording is made to be shown; say --yes-live if it is meant"
            )
        self._settings = settings
        self._shelf = shelf
        self._scrubber = scrubber
        self._is_live_meant = is_live_meant
        self._sides = (
            _side(TRADING, settings.trading_url, settings.trading_stream_url, LIVE_URL if is_live else PAPER_URL),
            _side(DATA, settings.data_url, settings.stream_url, DATA_URL),
        )
        self._session: aiohttp.ClientSession | None = None
        self._runners: list[web.AppRunner] = []
        self._open: set[web.WebSocketResponse] = set()
        self._ended: asyncio.Future[None] | None = None
        self._addresses: Addresses | None = None

    @property
    def addresses(self) -> Addresses:
        """Where it is reached."""
        assert self._addresses is not None, "the relay is not started"  # noqa: S101  # a mistake in the code that uses it
        return self._addresses

    async def __aenter__(self) -> Self:
        self._ended = asyncio.get_running_loop().create_future()
        self._session = aiohttp.ClientSession(
            auto_decompress=False,
            connector=aiohttp.TCPConnector(limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=_NO_HEADERS_OF_ITS_OWN,
            timeout=aiohttp.ClientTimeout(total=None),
        )
        # aiohttp sends some requests again when a connection breaks; what is repeated is for the client to decide.
        self._session._retry_connection = False
        try:
            trading, data = [await self._listen(side) for side in self._sides]
        except BaseException:
            await self.close()
            raise
        settings = self._settings
        self._addresses = Addresses(
            trading_url=_moved(settings.trading_url, f"http://{trading}"),
            data_url=_moved(settings.data_url, f"http://{data}"),
            stream_url=_moved(settings.stream_url, f"ws://{data}"),
            trading_stream_url=_moved(settings.trading_stream_url, f"ws://{trading}"),
        )
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    async def run(self) -> None:
        """Wait for what ends a recording from within.

        Raises ConfigError when a live account signs in and is not meant, StorageError when nothing more can be written.
        """
        if self._ended is not None:
            await asyncio.shield(self._ended)

    async def close(self) -> None:
        """End all connections. Files stay as they are."""
        await asyncio.gather(*(socket.close(code=WSCloseCode.GOING_AWAY) for socket in tuple(self._open)))
        runners, self._runners = self._runners, []
        for runner in runners:
            await runner.cleanup()
        session, self._session = self._session, None
        if session is not None:
            await session.close()
        # Whoever has not asked what ended it does not want to know.
        if self._ended is not None and not self._ended.cancel() and not self._ended.cancelled():
            self._ended.exception()

    async def _listen(self, side: Side) -> str:
        application = web.Application(client_max_size=_LARGEST)
        application.router.add_route("*", "/{path:.*}", partial(self._relay, side))
        runner = web.AppRunner(application, access_log=None, handle_signals=False, shutdown_timeout=_CLOSING)
        self._runners.append(runner)
        await runner.setup()
        await web.TCPSite(runner, HOST, 0).start()
        return f"{HOST}:{runner.addresses[0][1]}"

    async def _relay(self, side: Side, request: web.Request) -> web.StreamResponse:
        self._scrubber.learn_headers(request.headers)
        self._scrubber.learn(request.raw_path)
        if self._is_unwelcome():
            return web.Response(status=403, text="a live account is not recorded without --yes-live")
        assert self._session is not None  # noqa: S101  # it listens only while there is one
        is_socket = request.headers.get("Upgrade", "").lower() == "websocket"
        try:
            if is_socket:
                return await self._talk(self._session, side, request)
            return await self._exchange(self._session, side, request)
        except (aiohttp.ClientError, OSError) as error:
            # Errors of aiohttp hold headers, and with them the secret.
            what = f"{request.method} {self._scrubber.text(request.path)}"
            log.warning("record: %s was not answered, and is not in the cassette (%s)", what, type(error).__name__)
        except StorageError as error:
            self._end(error)
        if request.transport is not None:
            request.transport.close()
        return web.Response()

    def _is_unwelcome(self) -> bool:
        """Whether a live account has shown itself, and nobody said that this is meant; then the recording ends."""
        is_unwelcome = self._scrubber.has_met_live_key and not self._is_live_meant
        if is_unwelcome:
            self._end(ConfigError("a live account has signed in, and is not recorded; say --yes-live if it is meant"))
        return is_unwelcome

    def _end(self, error: BrokerError) -> None:
        if self._ended is not None and not self._ended.done():
            self._ended.set_exception(error)

    async def _exchange(self, session: aiohttp.ClientSession, side: Side, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        url = URL(f"{side.http}{request.raw_path}", encoded=True)
        headers = passed_on(request.headers, "content-length", "accept-encoding")
        headers += [("Accept-Encoding", text) for text in readable_wishes(request.headers.getall("Accept-Encoding", ()))]
        async with session.request(request.method, url, data=body or None, headers=headers, allow_redirects=False) as answer:
            response = web.StreamResponse(status=answer.status, reason=answer.reason, headers=passed_on(answer.headers))
            await response.prepare(request)
            is_kept = answer.content_type != _EVENTS
            kept, last = bytearray(), b""
            async for piece in answer.content.iter_any():
                if last:
                    await response.write(last)
                if is_kept:
                    kept += piece
                    last = piece
                else:
                    await response.write(piece)
            if is_kept:
                self._keep(side, request, body, answer, bytes(kept))
            else:
                self._shelf.leave_out(f"{request.method} {self._scrubber.text(request.path)}", "events without an end are no answer")
            # Nobody has the whole answer before it is written down: what follows from it is written after it.
            await response.write(last)
            await response.write_eof()
            return response

    def _keep(self, side: Side, request: web.Request, body: bytes, answer: aiohttp.ClientResponse, said: bytes) -> None:
        try:
            text = text_of(decompressed(said, answer.headers.get("Content-Encoding", "")))
            asked = text_of(body) if body else None
        except Leak as leak:
            self._shelf.leave_out(f"{request.method} {self._scrubber.text(request.path)}", leak)
            return
        self._shelf.interaction(
            {
                "request": {
                    "method": request.method,
                    "uri": side.recorded + request.raw_path.removeprefix(side.prefix),
                    "body": asked,
                    "headers": by_name(request.headers),
                },
                "response": {
                    "status": {"code": answer.status, "message": answer.reason or ""},
                    "headers": by_name(answer.headers),
                    "body": {"string": text},
                },
            }
        )

    async def _talk(self, session: aiohttp.ClientSession, side: Side, request: web.Request) -> web.StreamResponse:
        is_compressed = "permessage-deflate" in request.headers.get("Sec-WebSocket-Extensions", "")
        protocols = [name.strip() for name in request.headers.get("Sec-WebSocket-Protocol", "").split(",") if name.strip()]
        try:
            alpaca = await session.ws_connect(
                URL(f"{side.socket}{request.raw_path}", encoded=True),
                headers=[(name, text) for name, text in passed_on(request.headers) if not name.lower().startswith(_HANDSHAKE)],
                protocols=protocols,
                autoping=False,
                compress=15 if is_compressed else 0,
                max_msg_size=_LARGEST,
                timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSING),
            )
        except aiohttp.WSServerHandshakeError as error:
            return web.Response(status=error.status, headers=passed_on(error.headers or {}, "content-length", "content-type"))
        client = web.WebSocketResponse(autoping=False, compress=is_compressed, max_msg_size=_LARGEST, timeout=_CLOSING, protocols=protocols)
        try:
            await client.prepare(request)
            self._open.add(client)
            await self._pass_on_all(client, alpaca, self._shelf.conversation(side.kind), request)
        finally:
            self._open.discard(client)
            await alpaca.close(code=WSCloseCode.GOING_AWAY)
        return client

    async def _pass_on_all(
        self, client: web.WebSocketResponse, alpaca: aiohttp.ClientWebSocketResponse, talk: Conversation, request: web.Request
    ) -> None:
        """Until one of the two leaves; then the other is left in the same way."""
        ways = [asyncio.create_task(self._pass_on(client, alpaca, OUT, talk)), asyncio.create_task(self._pass_on(alpaca, client, IN, talk))]
        try:
            done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            farewell = next((task.result() for task in ways if task in done and task.exception() is None), None)
        finally:
            for task in ways:
                task.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            talk.close()
        if farewell is None:
            if request.transport is not None:
                request.transport.close()
            return
        code, message = farewell
        await asyncio.gather(client.close(code=code, message=message), alpaca.close(code=code, message=message))

    async def _pass_on(
        self,
        source: web.WebSocketResponse | aiohttp.ClientWebSocketResponse,
        sink: web.WebSocketResponse | aiohttp.ClientWebSocketResponse,
        direction: str,
        talk: Conversation,
    ) -> tuple[int, bytes] | None:
        """Pass messages on until one says goodbye, and return code and reason; None where the connection broke."""
        while True:
            message = await source.receive()
            match message.type:
                case WSMsgType.TEXT | WSMsgType.BINARY:
                    try:
                        talk.add(direction, message.data)
                    except StorageError as error:
                        self._end(error)
                        return WSCloseCode.INTERNAL_ERROR, b"the recording cannot be written"
                    if self._is_unwelcome():
                        return WSCloseCode.POLICY_VIOLATION, b"a live account is not recorded without --yes-live"
                    await (sink.send_str(message.data) if message.type is WSMsgType.TEXT else sink.send_bytes(message.data))
                case WSMsgType.PING:
                    await sink.ping(message.data)
                case WSMsgType.PONG:
                    await sink.pong(message.data)
                case WSMsgType.CLOSE:
                    return message.data or WSCloseCode.OK, (message.extra or "").encode()
                case _:
                    return None


def _side(kind: str, http: str, socket: str, recorded: str) -> Side:
    parts = urlsplit(http)
    return Side(kind=kind, http=_origin(http), socket=_origin(socket), prefix=parts.path, recorded=recorded)


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _moved(url: str, origin: str) -> str:
    return origin + url.removeprefix(_origin(url))
