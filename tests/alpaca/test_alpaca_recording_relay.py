"""The recording relay: what goes through it stays what it is, what it writes can be replayed, and nobody's secrets are in it."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
import vcr
import yaml
from accounts import FastClock, settings_for, transport_of
from cassette_scenarios import SCENARIOS, Names
from hypothesis import given, settings
from hypothesis import strategies as st
from replaying import signs_in
from sandboxes import KEY, SECRET, sandbox
from scripted_host import Fault, Reply, Request, ScriptedHost
from trading_host import Refusal, TradingHost
from yarl import URL

from broker_alpaca.client import AlpacaClient
from broker_alpaca.config import AlpacaSettings, Mode
from broker_alpaca.data_feed import data_feeds
from broker_alpaca.recording import child
from broker_alpaca.recording.relay import Addresses, Relay
from broker_alpaca.recording.scrubbing import Leak, Scrubber
from broker_alpaca.recording.shelf import Shelf
from broker_alpaca.recording.tape import word_for
from broker_alpaca.trading_feed import TradingFeed
from broker_alpaca.transport import Sockets
from broker_alpaca.wire.drift import Drift
from broker_core.cli import main
from broker_core.clock import StillClock, SystemClock, seeded
from broker_core.errors import ConfigError, StorageError, Unavailable
from broker_core.models import Channel, Environment, Wish
from broker_core.orders import TERMINAL, OrderEvent
from broker_core.testing.transcripts import Drop, End, Mute, TranscriptServer, frame_of, read

STREAMS = Path(__file__).parents[2] / "cassettes" / "stream"
NUMBER, ID = "PA3REAL00001", "6d1e1234-9f2c-4a5b-8c7d-0123456789ab"


class Recording:
    """A relay, and what it has written."""

    def __init__(self, relay: Relay, shelf: Shelf, folder: Path, scrubber: Scrubber) -> None:
        self.relay = relay
        self.shelf = shelf
        self.folder = folder
        self.scrubber = scrubber

    @property
    def addresses(self) -> Addresses:
        return self.relay.addresses

    @property
    def interactions(self) -> list[dict[str, Any]]:
        path = self.folder / "rest" / "it.yaml"
        return yaml.safe_load(path.read_text())["interactions"] if path.exists() else []

    def settings(self, **changes: Any) -> AlpacaSettings:
        """Those of a client that is pointed here."""
        found = self.addresses
        urls = {"trading_url": found.trading_url, "data_url": found.data_url, "stream_url": found.stream_url}
        return AlpacaSettings(**{"key": KEY, "secret": SECRET, **urls, "trading_stream_url": found.trading_stream_url, **changes})

    @property
    def everything(self) -> str:
        """All that is on the disk, what binary frames hold included."""
        texts = [path.read_text() for path in sorted(self.folder.rglob("*.*"))]
        for path in (self.folder / "stream").glob("*.jsonl"):
            texts += [repr(base64.b64decode(line["base64"])) for line in read(path)[1] if "base64" in line]
        return "\n".join(texts)


@asynccontextmanager
async def recorded(settings: AlpacaSettings, folder: Path, *, is_live_meant: bool = False, **replaced: str) -> AsyncIterator[Recording]:
    """A relay to where these settings lead."""
    scrubber = Scrubber(replaced)
    shelf = Shelf(folder, "it", clock=SystemClock(), scrubber=scrubber)
    async with Relay(settings, shelf, scrubber, is_live_meant=is_live_meant) as relay:
        yield Recording(relay, shelf, folder, scrubber)
    shelf.close()


def at(url: str, **changes: Any) -> AlpacaSettings:
    """The settings of a relay to one host: it has no credentials of its own."""
    return settings_for(url, **{"key": "", "secret": "", **changes})


async def events_until_the_end(feed: TradingFeed, signed_in: asyncio.Event) -> list[Any]:
    """What the trading socket brings until an order has ended."""
    items: list[Any] = []
    async with aclosing(feed.connect()) as batches:  # type: ignore[type-var]  # the feed here is a generator
        async for batch in batches:
            items += batch
            signed_in.set()
            if any(isinstance(item, OrderEvent) and item.status in TERMINAL for item in batch):
                return items
    raise AssertionError


async def hold(settings: AlpacaSettings, mode: Mode) -> dict[str, Any]:
    """Open the account and take an order from its beginning to its end."""
    client = AlpacaClient(settings, transport_of(settings, mode), clock=FastClock(), random=seeded(1))
    try:
        return {"account": await client.open(), **await SCENARIOS["orders"](client, Names())}
    finally:
        await client.close()


async def test_a_session_is_recorded_and_gives_the_same_again(mode: Mode, tmp_path: Path):
    """REST and the trading socket of the sandbox, over either transport: replayed they bring the same, and nothing names the account."""
    signed_in, sockets = asyncio.Event(), Sockets()
    async with sandbox() as box:
        found = box.addresses
        urls = {"trading_url": found.trading_url, "stream_url": found.stream_url, "trading_stream_url": found.trading_stream_url}
        async with recorded(at(found.data_url, **urls), tmp_path) as recording:
            feed = TradingFeed(recording.settings(), sockets, clock=StillClock(), drift=Drift())
            listening = asyncio.create_task(events_until_the_end(feed, signed_in))
            await signed_in.wait()
            results = await hold(recording.settings(rate_limit=1e6), mode)
            items = await listening
        number, order_id = results["account"].account_id, results["submitted"].broker_order_id
    assert not [word for word in (KEY, SECRET, number, order_id, "127.0.0.1") if word in recording.everything]

    with vcr.VCR(record_mode="none", match_on=["method", "scheme", "host", "port", "path", "query", "body"]).use_cassette(
        str(tmp_path / "rest" / "it.yaml")
    ) as played:
        again = await hold(AlpacaSettings(key="PKOTHER", secret="other", rate_limit=1e6), mode)
    assert recording.scrubber.text(repr(results)) == repr(again)
    assert played.all_played

    async with TranscriptServer(tmp_path / "stream" / "it-trading-1.jsonl") as server:
        settings = AlpacaSettings(key="PKOTHER", secret="other", trading_stream_url=f"{server.url}/stream")
        feed = TradingFeed(settings, sockets, clock=StillClock(), drift=Drift())
        same = await events_until_the_end(feed, asyncio.Event())
    await sockets.close()
    assert recording.scrubber.text(repr(items)) == repr(same)
    assert [word_for(item) for item in same] == server.transcript.items
    assert server.differences == []


@pytest.mark.parametrize("name", sorted(file.stem for file in STREAMS.iterdir()))
async def test_a_socket_that_is_recorded_is_the_one_that_was_played(name: str, tmp_path: Path):
    """Every cassette, played to a feed through the relay, is written down as it is: wish, items, and every frame."""
    first, lines = read(STREAMS / f"{name}.jsonl")
    is_live, is_trading = name == "trading_live", name.startswith("trading")
    key = signs_in(lines)[0] if is_trading else "PKMADEUP"
    environment = Environment.LIVE if is_live else Environment.PAPER
    sockets = Sockets()
    async with TranscriptServer(STREAMS / f"{name}.jsonl", strict=True) as server:
        there = at("http://127.0.0.1:9", stream_url=server.url, trading_stream_url=f"{server.url}/stream", environment=environment)
        async with recorded(there, tmp_path, is_live_meant=is_live) as recording:
            settings = recording.settings(key=key, secret="made up", environment=environment, codec=name.rpartition("_")[2])
            if is_trading:
                feed: Any = TradingFeed(settings, sockets, clock=StillClock(), drift=Drift())
            else:
                feed = next(feed for feed in data_feeds(settings, sockets, Drift()) if name.startswith(feed.name))
                feed.want(Wish({Channel(channel): frozenset(symbols.split()) for channel, symbols in first["wish"].items()}))
            with pytest.raises(Unavailable, match="closed with code 1000"):
                async for _ in feed.connect():
                    pass
    await sockets.close()
    written, frames = read(tmp_path / "stream" / f"it-{'trading' if is_trading else 'data'}-1.jsonl")

    wish = {channel: symbols for channel, symbols in first["wish"].items() if channel not in ("corrections", "cancel_errors")}
    assert written == {"wish": wish, "items": first["items"]}
    # Ids are counted anew; everything else is already what it becomes.
    again = Scrubber()
    assert [(line["dir"], frame_of(line)) for line in frames] == [(line["dir"], again.frame(frame_of(line))) for line in lines]
    assert [line["at"] for line in frames] == sorted(line["at"] for line in frames)
    assert server.differences == []


AUTOMATIC = ("Accept", "Content-Type", "User-Agent")


async def asked(url: str, method: str = "GET", **more: Any) -> tuple[int, Any, bytes]:
    """An answer as it is on the wire."""
    async with (
        aiohttp.ClientSession(auto_decompress=False) as session,
        session.request(method, URL(url, encoded=True), **more) as answer,
    ):
        return answer.status, answer.headers, await answer.read()


async def test_requests_and_answers_pass_byte_by_byte(tmp_path: Path):
    """What the host is asked through the relay is what it is asked without it, and so is its answer."""
    body = b'{"odd" : "\xc3\xa9\\u00e9", "n":1.50}\n'
    async with ScriptedHost(lambda _: Reply(207, body, {"X-Odd": "a, b", "X-RateLimit-Remaining": "7"})) as host:
        async with recorded(at(host.url), tmp_path) as recording:
            answers = [
                await asked(
                    f"{url}/v2/a%2fb/%41?q=a+b%20c&q=%C3%A9&z", "PATCH", data=body, headers={"X-Own": "mine"}, skip_auto_headers=AUTOMATIC
                )
                for url in (host.url, recording.addresses.trading_url, recording.addresses.data_url)
            ]
        direct, *relayed = [(request, request.headers) for request in host.requests]

    for request, headers in relayed:
        assert headers.keys() == direct[1].keys()
        for name, value in direct[1].items():
            if name not in ("host", "accept-encoding"):
                assert headers[name] == value
        assert (request.method, request.target, request.body) == (direct[0].method, direct[0].target, direct[0].body)
    for status, answer_headers, said in answers:
        assert (status, answer_headers["X-Odd"], said) == (207, "a, b", body)
    trading, data = recording.interactions
    assert trading["request"]["uri"] == "https://paper-api.alpaca.markets/v2/a%2fb/%41?q=a+b%20c&q=%C3%A9&z"
    assert data["request"]["uri"].startswith("https://data.alpaca.markets/v2/a%2fb/%41?")
    assert trading["request"]["body"] == trading["response"]["body"]["string"] == body.decode()
    assert trading["response"]["status"] == {"code": 207, "message": "Whatever"}
    assert trading["response"]["headers"]["X-RateLimit-Remaining"] == ["7"]


async def test_a_compressed_answer_passes_compressed_and_is_written_readable(tmp_path: Path):
    """Compressions that cannot be read here are not asked for."""
    packed = gzip.compress(b'{"a":1}')
    async with (
        ScriptedHost(lambda _: Reply(200, packed, {"Content-Encoding": "gzip"})) as host,
        recorded(at(host.url), tmp_path) as recording,
    ):
        _, headers, said = await asked(recording.addresses.data_url, headers={"Accept-Encoding": "br, gzip;q=0.5, zstd"})

    assert (headers["Content-Encoding"], said) == ("gzip", packed)
    assert host.requests[0].headers["accept-encoding"] == "gzip;q=0.5"
    assert recording.interactions[0]["response"]["body"]["string"] == '{"a":1}'


async def test_events_pass_as_they_come(tmp_path: Path):
    """A stream of events has no end to wait for: none is held back, and none is written."""
    goes_on = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\ndata: 1\n\n")
        await goes_on.wait()
        writer.write(b"data: 2\n\n")
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server, aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with (
            recorded(at(url), tmp_path) as recording,
            session.get(f"{recording.addresses.trading_url}/v2/events/trades") as answer,
        ):
            assert await answer.content.readany() == b"data: 1\n\n"
            goes_on.set()
            assert await answer.read() == b"data: 2\n\n"

    assert (recording.interactions, recording.shelf.left_out) == ([], 1)


async def test_secrets_are_taken_out_wherever_they_stand(tmp_path: Path):
    """Of headers of every kind, addresses, bodies and answers; also where one is quoted by the other side."""
    tokens = ["PKREALLYMINE", "s3cr3t/with+odd", "b4rer-token-1", "basic-user-77", "p4ssw0rd:x", "qu3ry secret", "acc3ss-token", NUMBER, ID]
    key, secret, bearer, user, password, _, access, *_ = tokens
    basic = base64.b64encode(f"{user}:{password}".encode()).decode()

    def answer(request: Request) -> Reply:
        return Reply(200, {"account_number": NUMBER, "id": ID, "access_token": access, "you": dict(request.headers), "q": request.query})

    async with ScriptedHost(answer) as host, recorded(at(host.url), tmp_path) as recording:
        url = recording.addresses.trading_url
        await asked(f"{url}/v2/account", headers={"APCA-API-KEY-ID": key, "APCA-API-SECRET-KEY": secret})
        await asked(f"{url}/v2/account", headers={"Authorization": f"Bearer {bearer}"})
        await asked(f"{url}/v2/account", headers={"Authorization": f"Basic {basic}"})
        await asked(f"{url}/v2/x?secret=qu3ry+secret&page_token=20260302%3A%3A{ID}")
        await asked(f"{url}/v2/token", "POST", json={"client_secret": secret, "of": f"{NUMBER} {access}"})

    assert len(recording.interactions) == 5
    assert not [word for word in (*tokens, basic, "s3cr3t%2Fwith", "qu3ry") if word in recording.everything]
    assert "page_token=20260302%3A%3A00000000-0000-4000-8000-000000000001" in recording.everything


@pytest.mark.parametrize("failure", [Fault.RESET, Reply(200, {"a": "b" * 5000}, cut=4000)], ids=["no answer", "half an answer"])
async def test_an_answer_that_breaks_off_breaks_off_here_too(failure: Any, tmp_path: Path):
    """It is not written down, and the next request is answered."""
    answers = [failure, Reply(200, {"fine": True})]
    async with ScriptedHost(lambda _: answers.pop(0)) as host, recorded(at(host.url), tmp_path) as recording:
        with pytest.raises((aiohttp.ServerDisconnectedError, aiohttp.ClientPayloadError, aiohttp.ClientOSError)):
            await asked(f"{recording.addresses.trading_url}/v2/orders", "POST", data=b"{}")
        assert (await asked(f"{recording.addresses.trading_url}/v2/clock"))[0] == 200

    assert len(host.requests) == 2
    assert [each["request"]["method"] for each in recording.interactions] == ["GET"]


async def test_a_host_that_is_not_there_is_a_broken_connection(tmp_path: Path):
    """No answer is made up, for requests as for sockets."""
    async with recorded(at("http://127.0.0.1:9"), tmp_path) as recording, aiohttp.ClientSession() as session:
        with pytest.raises((aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)):
            await asked(f"{recording.addresses.trading_url}/v2/clock")
        with pytest.raises((aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)):
            await session.ws_connect(recording.addresses.trading_stream_url)

    assert recording.shelf.written == {}


async def test_what_nobody_can_read_is_left_out_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    """A picture passes, and is not written."""
    picture = b"\x89PNG\xff\x00"
    reply = Reply(200, picture, {"Content-Type": "image/png"})
    async with ScriptedHost(lambda _: reply) as host, recorded(at(host.url), tmp_path) as recording:
        assert (await asked(f"{recording.addresses.data_url}/v1beta1/logos/AAPL"))[2] == picture

    assert (recording.interactions, recording.shelf.left_out) == ([], 1)
    assert "GET /v1beta1/logos/AAPL is left out: a body of 6 bytes is no text" in caplog.text


@asynccontextmanager
async def socket_through_relay(server: TranscriptServer, folder: Path) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """A client's socket, which the relay connects with a server."""
    async with (
        recorded(at("http://127.0.0.1:9", stream_url=server.url), folder) as recording,
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{recording.addresses.stream_url}/v2/iex", autoping=False) as socket,
    ):
        yield socket


HELLO = [{"at": 0, "dir": "in", "text": "hello"}, {"at": 0, "dir": "out", "text": '{"action":"auth"}'}]


async def test_pings_are_answered_by_whom_they_are_meant_for(tmp_path: Path):
    """The relay answers none itself: a server that has gone mute is mute here, too."""
    async with TranscriptServer(HELLO, faults=[Mute(after=1, connection=2)], end=End.STAY) as server:
        async with socket_through_relay(server, tmp_path / "well") as socket:
            await socket.receive()
            await socket.ping(b"?")
            assert (await socket.receive()).type is aiohttp.WSMsgType.PONG
        async with socket_through_relay(server, tmp_path / "mute") as socket:
            await socket.receive()
            await server.played()
            await socket.ping(b"?")
            answer = asyncio.ensure_future(socket.receive())
            for _ in range(200):
                await asyncio.sleep(0)
            assert not answer.done()
            answer.cancel()


@pytest.mark.parametrize(("faults", "strict", "code"), [([], False, 1000), ([], True, 1008), ([Drop(after=1)], False, 1006)])
async def test_a_connection_ends_as_it_does_without_the_relay(faults: list[Any], strict: bool, code: int, tmp_path: Path):
    """With the same code, or without a word."""
    async with TranscriptServer(HELLO, faults=faults, strict=strict) as server, socket_through_relay(server, tmp_path) as socket:
        await socket.receive()
        await socket.send_str('{"action" : "auth"}')
        await socket.receive()

        assert socket.close_code == code


async def test_a_refused_handshake_is_refused_here(tmp_path: Path):
    """With its status and what it says of waiting."""
    async with TradingHost() as host:
        host.refusals.append(Refusal(429, {"Retry-After": "30"}))
        async with recorded(at(host.url), tmp_path) as recording, aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await session.ws_connect(recording.addresses.trading_stream_url)

    assert (refused.value.status, refused.value.headers["Retry-After"]) == (429, "30")


def test_a_live_account_is_refused(tmp_path: Path):
    """Unless it is said that it is meant."""
    live = AlpacaSettings(key="", secret="", environment=Environment.LIVE)
    shelf = Shelf(tmp_path, "it", clock=SystemClock(), scrubber=Scrubber())
    with pytest.raises(ConfigError, match=r"trades real money.*--yes-live"):
        Relay(live, shelf, Scrubber())

    assert Relay(live, shelf, Scrubber(), is_live_meant=True)


def test_a_symbol_is_no_live_key():
    """However it is called."""
    scrubber = Scrubber()
    scrubber.learn('{"key":"AKAM"}')
    assert not scrubber.has_met_live_key
    scrubber.learn('{"key":"AKREALLYLIVE"}')
    assert scrubber.has_met_live_key


async def test_a_live_key_ends_the_recording(tmp_path: Path):
    """It is found in headers and in frames; neither the request nor the frame is passed on."""
    signed = {"APCA-API-KEY-ID": "AKREALLYLIVE", "APCA-API-SECRET-KEY": "s"}
    async with TradingHost() as host:
        async with recorded(at(host.url), tmp_path / "rest") as recording:
            assert (await asked(f"{recording.addresses.data_url}/v2/x", headers=signed))[0] == 403
            with pytest.raises(ConfigError, match="a live account has signed in"):
                await recording.relay.run()
        async with recorded(at(host.url), tmp_path / "socket") as recording, aiohttp.ClientSession() as session:
            socket = await session.ws_connect(f"{recording.addresses.stream_url}/v2/iex")
            await socket.send_bytes(msgspec.msgpack.encode({"action": "auth", "key": "AKREALLYLIVE", "secret": "s"}))
            assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
            with pytest.raises(ConfigError, match="a live account has signed in"):
                await recording.relay.run()

    assert (host.handshakes, host.heard) == (1, [])


async def test_a_folder_that_cannot_be_written_ends_the_recording(tmp_path: Path):
    """Nothing goes on unrecorded, neither requests nor frames."""
    (tmp_path / "rest").touch()
    (tmp_path / "stream").touch()
    words = "cannot be written: (File exists|Not a directory)"
    async with ScriptedHost(lambda _: Reply(200, {})) as host, recorded(at(host.url), tmp_path) as recording:
        with pytest.raises((aiohttp.ServerDisconnectedError, aiohttp.ClientPayloadError, aiohttp.ClientOSError)):
            await asked(f"{recording.addresses.trading_url}/v2/clock")
        with pytest.raises(StorageError, match=words):
            await recording.relay.run()
    async with (
        TranscriptServer(HELLO) as server,
        aiohttp.ClientSession() as session,
        recorded(at("http://127.0.0.1:9", stream_url=server.url), tmp_path) as recording,
    ):
        socket = await session.ws_connect(f"{recording.addresses.stream_url}/v2/iex")
        assert (await socket.receive()).data == 1011
        with pytest.raises(StorageError, match=words):
            await recording.relay.run()


@pytest.mark.parametrize("name", ["", "../up", "a b", "it"])
def test_a_name_that_is_none_or_taken_is_refused(name: str, tmp_path: Path):
    """A recording never writes over another."""
    (tmp_path / "stream").mkdir()
    (tmp_path / "stream" / "it-data-1.jsonl").touch()
    with pytest.raises(ConfigError, match="--name: "):
        Shelf(tmp_path, name, clock=SystemClock(), scrubber=Scrubber())


@settings(deadline=None, max_examples=50)
@given(text=st.text(), reason=st.text(max_size=5))
def test_any_text_survives_its_cassette(text: str, reason: str, tmp_path_factory: pytest.TempPathFactory):
    """What YAML cannot hold as it is is written in another way."""
    folder = tmp_path_factory.mktemp("any")
    shelf = Shelf(folder, "it", clock=SystemClock(), scrubber=Scrubber())
    request = {"method": "POST", "uri": "https://paper-api.alpaca.markets/v2/x", "body": text, "headers": {}}
    for _ in range(2):
        shelf.interaction(
            {"request": request, "response": {"status": {"code": 200, "message": reason}, "headers": {}, "body": {"string": text}}}
        )
    shelf.close()
    written = yaml.safe_load((folder / "rest" / "it.yaml").read_text(encoding="utf-8"))["interactions"]

    assert [each["response"]["body"]["string"] for each in written] == [text] * 2
    assert written[0]["request"] == request
    assert written[1]["response"]["status"] == {"code": 200, "message": reason}


ANYHOW = 'made up2 PKMADEUP2 {"action": "auth", "key": "PKREAL00", "secret": "msg": "no '
"""What stands in the frames of this test by itself: no secret can be told from it."""
SECRETS = st.text(st.characters(codec="utf-8"), min_size=6, max_size=12).filter(lambda text: text not in ANYHOW)
CODECS = st.sampled_from(
    [(json.dumps, json.loads), (partial(json.dumps, ensure_ascii=False), json.loads), (msgspec.msgpack.encode, msgspec.msgpack.decode)]
)


@settings(deadline=None, max_examples=50)
@given(secret=SECRETS, codec=CODECS)
def test_no_frame_keeps_a_secret_that_signed_in(secret: str, codec: tuple[Callable[[Any], Any], Callable[[Any], Any]]):
    """However it is written, in whatever place it comes up again."""
    scrubber = Scrubber()
    encode, decode = codec
    signing_in = scrubber.frame(encode({"action": "auth", "key": "PKREAL00", "secret": secret}))
    try:
        later = decode(scrubber.frame(encode({"msg": f"no {secret}!", secret: [secret]})))
    except Leak:
        later = {}

    assert decode(signing_in) == {"action": "auth", "key": "PKMADEUP", "secret": "made up"}
    assert secret not in later
    assert secret not in str(later.get("msg", ""))
    assert later == {} or list(later.values())[-1] == ["made up"]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ('{"a":1, "account_number":"PA3REAL', '{"a":1, "account_number":"PA0000000001'),
        ('{"account_number": 123456789}', '{"account_number": 111111111}'),
        (f"account {NUMBER}X is not account {NUMBER.replace('REAL', '4REA')[:12]}", f"account {NUMBER}X is not account PA0000000001"),
        ("https://example.com/?key=PKSOME1&n=1&secret=", "https://example.com/?key=PKMADEUP&n=1&secret="),
        ('{"action":"auth","key":"oauth","secret":"t0ken-of-mine"}', '{"action":"auth","key":"oauth","secret":"made up"}'),
        ('{"key":"a","secret":"b","n":"ab"}', '{"key":"PKMADEUP","secret":"made up","n":"ab"}'),
        ('{"next_page_token":"MTAw","monkey":"PK1"}', '{"next_page_token":"MTAw","monkey":"PK1"}'),
    ],
)
def test_what_is_taken_out_of_a_text(text: str, kept: str):
    """Also of one that was cut off; what only looks alike stays, and a short secret is taken out where it is named."""
    assert Scrubber().frame(text) == kept


def test_an_interaction_with_a_leak_is_left_out(tmp_path: Path):
    """A secret that another one hid stops it at the last moment."""
    shelf = Shelf(tmp_path, "it", clock=SystemClock(), scrubber=Scrubber({"-x-": "", "secret": "S"}))
    request = {"method": "GET", "uri": "https://paper-api.alpaca.markets/v2/x", "body": None, "headers": {}}
    response = {"status": {"code": 200, "message": ""}, "headers": {}, "body": {"string": "s-x-ecret"}}
    shelf.interaction({"request": request, "response": response})

    assert (shelf.left_out, shelf.written) == (1, {})


PATIENT = """
import signal, socket, sys, time
connection = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
signal.signal(signal.SIGTERM, lambda *_: connection.sendall(b"farewell") or sys.exit())
connection.sendall(b"here")
while True:
    time.sleep(60)
"""


async def test_a_program_is_ended_with_its_recording():
    """It is asked to, and waited for."""
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while word := await reader.read(99):
            heard.put_nowait(word)
        writer.close()
        heard.put_nowait(b"")

    async with await asyncio.start_server(listen, "127.0.0.1", 0) as server:
        command = [sys.executable, "-S", "-c", PATIENT, str(server.sockets[0].getsockname()[1])]
        running = asyncio.create_task(child.run(command, os.environ, SystemClock()))
        assert await heard.get() == b"here"
        running.cancel()
        await asyncio.wait((running,))
        assert running.cancelled()
        assert [await heard.get(), await heard.get()] == [b"farewell", b""]


async def test_a_program_that_is_not_there_is_named():
    """In place of a traceback."""
    with pytest.raises(ConfigError, match="no-such-program cannot be run: No such file or directory"):
        await child.run(["no-such-program"], os.environ, SystemClock())


PROGRAM = """
import json, os, urllib.request
url = os.environ["APCA_API_BASE_URL"]
assert url == os.environ["BROKER_ALPACA_TRADING_URL"] != os.environ["APCA_API_DATA_URL"]
assert os.environ["BROKER_ALPACA_STREAM_URL"].startswith("ws://127.0.0.1:")
assert os.environ["BROKER_ALPACA_TRADING_STREAM_URL"].endswith("/stream")
request = urllib.request.Request(url + "/v2/clock", headers={"APCA-API-KEY-ID": "PKREAL00"})
print(json.load(urllib.request.urlopen(request))["is_open"])
raise SystemExit(7)
"""


@pytest.fixture
def record(tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Start ``broker record`` in a process of its own."""
    started: list[asyncio.subprocess.Process] = []

    async def start(host_url: str, *arguments: str, **environ: str) -> asyncio.subprocess.Process:
        urls = ("--trading-url", host_url, "--data-url", host_url, "--stream-url", host_url.replace("http", "ws"))
        command = (sys.executable, "-m", "broker_core.cli", "record", "--name", "it", "--out", str(tmp_path), *urls, *arguments)
        pipe = asyncio.subprocess.PIPE
        started.append(await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe, env=os.environ | environ))
        return started[-1]

    yield start
    for process in started:
        if process.returncode is None:
            process.kill()


async def test_a_command_is_run_with_the_relays_addresses(record: Callable[..., Any], tmp_path: Path):
    """Its output is the output, its exit code the exit code, and what it said is written."""
    async with ScriptedHost(lambda _: Reply(200, {"is_open": True})) as host:
        process = await record(host.url, "--", sys.executable, "-c", PROGRAM)
        out, error = await process.communicate()

    assert (process.returncode, out) == (7, b"True\n"), error
    addresses, report = error.decode().splitlines()
    assert json.loads(addresses).keys() == {"trading_url", "data_url", "stream_url", "trading_stream_url"}
    assert report == f"broker: {tmp_path}/rest/it.yaml: 1 requests"


async def test_a_signal_ends_a_recording_in_good_order(record: Callable[..., Any], tmp_path: Path):
    """With open sockets it is over within two seconds, and the files are complete."""
    frames = [{"at": 0, "dir": "in", "text": '[{"T":"success","msg":"connected"}]'}]
    async with TranscriptServer(frames, end=End.STAY) as server, aiohttp.ClientSession() as session:
        process = await record(server.url.replace("ws", "http"))
        addresses = json.loads(await process.stdout.readline())
        socket = await session.ws_connect(f"{addresses['stream_url']}/v2/iex")
        assert "connected" in (await socket.receive()).data
        begin = SystemClock().monotonic()
        process.send_signal(signal.SIGTERM)
        farewell = await socket.receive()
        _, error = await process.communicate()

    assert SystemClock().monotonic() - begin < 2
    assert (farewell.type, farewell.data) == (aiohttp.WSMsgType.CLOSE, 1001)
    assert process.returncode == 143, error
    assert read(tmp_path / "stream" / "it-data-1.jsonl")[0] == {"wish": {}, "items": []}


async def test_a_recording_that_is_killed_leaves_whole_lines(record: Callable[..., Any], tmp_path: Path):
    """In the middle of a flood of frames; what came of it is not known then, and said to be so."""
    frames = [{"at": 0, "dir": "in", "text": f'[{{"T":"q","S":"A","n":{number}}}]'} for number in range(50)]
    async with TranscriptServer(frames, end=End.LOOP) as server, aiohttp.ClientSession() as session:
        process = await record(server.url.replace("ws", "http"))
        addresses = json.loads(await process.stdout.readline())
        socket = await session.ws_connect(f"{addresses['stream_url']}/v2/iex")
        for _ in range(200):
            await socket.receive()
        process.kill()
        await process.wait()
    first, lines = read(tmp_path / "stream" / "it-data-1.jsonl")

    assert first == {"wish": {}, "items": None}
    assert len(lines) >= 200


def test_a_live_account_is_refused_by_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """In one line, with the exit code of a setting that makes no sense."""
    monkeypatch.setenv("BROKER_ALPACA_ENVIRONMENT", "live")

    assert main(["record", "--out", str(tmp_path)]) == 2
    assert "broker: error: https://api.alpaca.markets trades real money" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
