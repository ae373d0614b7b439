"""What a recording of sockets takes down and leaves out, and that what it writes can be replayed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from accounts import KEY, SECRET, settings_for
from aiohttp import web
from cassette_scenarios import Names
from paper_host import PaperHost
from record_stream_cassettes import FOLDER, PARTS, TRADING, main, record
from replaying import data_replayed, trading_replayed
from stream_host import StreamHost

from broker_alpaca.config import AlpacaSettings
from broker_alpaca.recording.scrubbing import Leak, Scrubber
from broker_alpaca.recording.tape import word_for
from broker_alpaca.wire.drift import Drift
from broker_core.errors import AuthError, ConfigError, RequestRefused, Unavailable
from broker_core.secret import Secret
from broker_core.testing.transcripts import frame_of, read

REAL, OTHER = "6d1e1234-9f2c-4a5b-8c7d-0123456789ab", "7e80e4b1-0000-4abc-8000-00000000cafe"
FIRST, SECOND = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"
ULID = "01JJ3WE73W5PG672TC4XACXH5R"
AT = "2026-03-02T15:00:00.123456789Z"
TRADE = {"T": "t", "S": "AAPL", "i": 7, "x": "V", "p": 1.5, "s": 2, "t": AT, "c": ["@"], "z": "C"}
NAMES = Names(order="cassette-order-01RUN", refused="cassette-refused-01RUN", unknown="cassette-unknown-01RUN")


class PromptHost(PaperHost):
    """A paper account that tells each order's beginning and end at once, and takes no fractions of a cent."""

    tells_of: str | None = None
    """The client order id to tell of, in the place of the order's own."""

    async def _submit(self, request: web.Request) -> web.Response:
        asked = await request.json()
        if asked["limit_price"] == "1.505":
            return web.json_response({"code": 42210000, "message": "invalid limit_price 1.505"}, status=422)
        answer = await super()._submit(request)
        if answer.status == 200:
            shown = {**self.one(), **({} if self.tells_of is None else {"client_order_id": self.tells_of})}
            await self.tell("new", shown, event_id=ULID, account_number="PA000TEST")
        return answer

    async def _cancel(self, request: web.Request) -> web.Response:
        answer = await super()._cancel(request)
        await self.end(request.match_info["order_id"], "canceled")
        return answer


@pytest.fixture
async def paper() -> AsyncIterator[PromptHost]:
    async with PromptHost() as host:
        yield host


@pytest.fixture
async def streams() -> AsyncIterator[StreamHost]:
    async with StreamHost() as host:
        yield host


def written(folder: Path) -> str:
    """Everything that was written, with what binary frames hold."""
    (file,) = folder.iterdir()
    return file.read_text() + "".join(str(frame_of(line)) for line in read(file)[1])


def files(folder: Path) -> set[str]:
    """The names of what was written."""
    return {file.name for file in folder.iterdir()}


async def test_the_trading_socket_is_recorded_and_replays(paper: PromptHost, tmp_path: Path):
    """From the sign-in to the order's end, frame by frame, with nothing in it that is the account's."""
    await record(settings_for(paper.url), NAMES, ["trading_paper"], tmp_path)
    first, lines = read(tmp_path / "trading_paper.jsonl")

    assert first == {"wish": {"orders": "*"}, "items": ["SignedIn", "accepted", "canceled"]}
    assert [(line["dir"], "base64" in line) for line in lines] == [
        ("out", False),
        ("in", True),
        ("out", False),
        ("in", True),
        ("in", True),
        ("in", True),
    ]
    assert lines[0]["at"] == 0
    assert [line["at"] for line in lines] == sorted(line["at"] for line in lines)
    real = paper.one()
    assert not [word for word in (KEY, SECRET, real["id"], "PA000TEST", "01RUN", ULID) if word in written(tmp_path)]

    drift = Drift()
    items = trading_replayed(lines, drift)
    assert [word_for(item) for item in items] == first["items"]
    assert [item.client_order_id for item in items[1:]] == ["cassette-order"] * 2
    assert {item.broker_order_id for item in items[1:]} == {FIRST}
    assert drift.counts == {}


async def test_the_only_order_is_one_share_far_below_the_market_and_is_cancelled(paper: PromptHost, tmp_path: Path):
    """That is what is asked of the account, and nothing stays behind."""
    await record(settings_for(paper.url), NAMES, ["trading_paper"], tmp_path)
    order = paper.one()

    assert (order["qty"], order["side"], order["limit_price"], order["status"]) == ("1", "buy", "1.50", "canceled")


async def test_orders_of_others_stop_the_recording(paper: PromptHost, tmp_path: Path):
    """What another program does with the account is not written down."""
    paper.tells_of = "somebody-else-1"
    with pytest.raises(Leak, match="another program trades with this account"):
        await record(settings_for(paper.url), NAMES, ["trading_paper"], tmp_path)

    assert files(tmp_path) == set()


async def test_an_order_that_is_refused_stops_the_recording(paper: PromptHost, tmp_path: Path):
    """Nobody waits for news of an order that there is not, and half a conversation is not kept."""
    paper.before = lambda name, _: web.json_response({"code": 40310000, "message": "no"}, status=403) if "POST" in name else None
    with pytest.raises(RequestRefused):
        await record(settings_for(paper.url), NAMES, ["trading_paper"], tmp_path)

    assert files(tmp_path) == set()


async def test_a_socket_of_market_data_is_recorded_and_replays(paper: PromptHost, streams: StreamHost, tmp_path: Path):
    """In JSON, as many frames as are enough."""
    await recorded("stocks_json", [[TRADE], [TRADE, TRADE]], 7, paper, streams, tmp_path)
    first, lines = read(tmp_path / "stocks_json.jsonl")

    assert first["items"] == ["SignedIn", "Trade", "Trade", "Trade"]
    assert [line["dir"] for line in lines] == ["in", "out", "in", "out", "in", "in", "in"]
    assert heard_again(first, lines) == first["items"]


async def test_a_packed_socket_is_recorded_byte_by_byte(paper: PromptHost, streams: StreamHost, tmp_path: Path):
    """Frames in MessagePack stay what they were, except for the one that signs in."""
    packed = msgspec.msgpack.encode([TRADE | {"S": "AAPL240315C00172500", "c": "I", "t": msgspec.msgpack.Ext(-1, b"\x65\xe2\x51\x80")}])
    await recorded("options_msgpack", [packed], 6, paper, streams, tmp_path)
    first, lines = read(tmp_path / "options_msgpack.jsonl")

    assert frame_of(lines[-1]) == packed
    assert first["items"] == ["SignedIn", "Trade"]
    assert heard_again(first, lines) == first["items"]


async def recorded(name: str, batches: list[Any], frames: int, paper: PromptHost, streams: StreamHost, folder: Path) -> None:
    """Record a socket that sends these batches once it is subscribed to."""
    settings = settings_for(paper.url, stream_url=streams.url)
    recording = asyncio.create_task(record(settings, NAMES, [name], folder, seconds=60, frames=frames))
    await streams.until(2)
    for batch in batches:
        await streams.send(batch)
    await recording
    assert streams.heard[0] == {"action": "auth", "key": KEY, "secret": SECRET}
    assert not [word for word in (KEY, SECRET) if word in written(folder)]


def heard_again(first: dict[str, Any], lines: list[dict[str, Any]]) -> list[str]:
    """What comes of a recorded conversation, every word of it known."""
    drift = Drift()
    items = data_replayed(first, lines, drift)
    assert drift.counts == {}
    return [word_for(item) for item in items]


async def test_what_fails_leaves_the_cassette_there_was(paper: PromptHost, streams: StreamHost, tmp_path: Path):
    """A cassette is replaced only by a whole one: not after a refusal, and not without a sign-in."""
    path = tmp_path / "news_json.jsonl"
    path.write_text("as it was")
    settings = settings_for(paper.url, stream_url=streams.url)
    streams.refusals.append(402)
    with pytest.raises(AuthError):
        await record(settings, NAMES, ["news_json"], tmp_path, seconds=60)
    with pytest.raises(Unavailable, match="no sign-in within 0 s"):
        await record(settings, NAMES, ["news_json"], tmp_path, seconds=0)

    assert path.read_text() == "as it was"


async def test_a_recording_wants_a_pair_of_keys(paper: PromptHost, tmp_path: Path):
    """What a token signs in with is no part of a cassette."""
    settings = AlpacaSettings(key="", secret="", oauth_token=Secret("t"), trading_url=paper.url)
    with pytest.raises(ConfigError, match="a pair of keys"):
        await record(settings, NAMES, ["trading_paper"], tmp_path)

    assert paper.requests == []


@pytest.mark.parametrize("is_binary", [False, True])
def test_a_frame_is_scrubbed(is_binary: bool):
    """Keys, ids of every kind and numbers are replaced, the same by the same; all else stays to the letter."""
    scrubber = Scrubber({"PKREAL": "PKMADEUP", "PA3REAL": "PA0000000001"})

    def scrubbed(text: str) -> str:
        kept = scrubber.frame(text.encode() if is_binary else text)
        assert isinstance(kept, bytes if is_binary else str)
        return kept.decode() if isinstance(kept, bytes) else kept

    assert scrubbed(f'{{"key" :"PKREAL","id":"{REAL}","of":"PA3REAL", "qty":"1.50"}}') == (
        f'{{"key" :"PKMADEUP","id":"{FIRST}","of":"PA0000000001", "qty":"1.50"}}'
    )
    assert scrubbed(f'{{"event_id":"{ULID}","id":"{OTHER}","replaces":"{REAL}"}}') == (
        f'{{"event_id":"{1:026d}","id":"{SECOND}","replaces":"{FIRST}"}}'
    )
    assert scrubbed(f'{{"event_id":"{ULID}"}}') == f'{{"event_id":"{1:026d}"}}'


def test_a_packed_frame_is_scrubbed():
    """It is packed anew only where something was taken out."""
    scrubber = Scrubber({"PKREAL": "PKMADEUP"})
    # Packed in another way than this would be done here: a short text under a long header.
    harmless = b"\x81\xa1a\xd9\x01b"
    assert scrubber.frame(harmless) == harmless
    assert scrubber.frame(msgspec.msgpack.encode({"key": "PKREAL", "id": REAL})) == msgspec.msgpack.encode({"key": "PKMADEUP", "id": FIRST})


@pytest.mark.parametrize("frame", [b"\xc1", b'{"\xff', b"\x81\xa1a\xc4\x01x", '{"a":"s-x-ecret"}', b'{"a":"s-x-ecret"}', b"\xa9s-x-ecret"])
def test_a_frame_that_cannot_be_scrubbed_is_not_written(frame: str | bytes):
    """Bytes that nobody can read, and a secret that hides another: both stop the recording."""
    with pytest.raises(Leak):
        Scrubber({"-x-": "", "secret": "S"}).frame(frame)


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({}, "there are no credentials"),
        ({"APCA_API_KEY_ID": "AK1", "APCA_API_SECRET_KEY": "s", "BROKER_ALPACA_ENVIRONMENT": "live"}, "a paper account only"),
        ({"APCA_API_KEY_ID": "PK1"}, "there is no secret"),
    ],
)
def test_recording_wants_a_paper_account(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], environ: dict[str, str], words: str
):
    """Without credentials, and with those of a live account, nothing is asked and nothing written."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.argv", ["record_stream_cassettes.py"])

    assert main() == 1
    assert words in capsys.readouterr().err


def test_every_cassette_but_the_live_one_can_be_recorded():
    """What is in the folder is what the program records, and the conversation of a live account, which it refuses."""
    assert {file.stem for file in FOLDER.iterdir()} == {*PARTS, TRADING, "trading_live"}
    for name, part in PARTS.items():
        assert read(FOLDER / f"{name}.jsonl")[0]["wish"].keys() >= part.wish.keys()
