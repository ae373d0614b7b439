"""Transcripts, played over real sockets to a client that knows nothing of any broker."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import WSMsgType

from broker_core.clock import StillClock
from broker_core.testing.transcripts import (
    FAST,
    RECORDED,
    Delay,
    Difference,
    Drop,
    Duplicate,
    End,
    Fault,
    Garble,
    Lose,
    Mute,
    Swap,
    Transcript,
    TranscriptServer,
    Truncate,
    read,
)

AUTH = {"action": "auth", "key": "PKMADEUP", "secret": "made up"}
SUBSCRIBE = {"action": "subscribe", "quotes": ["A", "B"]}
FIRST = {"wish": {"quotes": "A B"}, "items": ["SignedIn", "Quote"]}
SAID = ["hello", "welcome", "subscribed", "one", "two", "three"]
"""What the server of ``LINES`` says; faults count from 1."""


def line(at: float, direction: str, what: Any) -> dict[str, Any]:
    return {"at": at, "dir": direction, "text": what if isinstance(what, str) else json.dumps(what)}


LINES = [
    FIRST,
    line(0.0, "in", "hello"),
    line(0.1, "out", AUTH),
    line(0.2, "in", "welcome"),
    line(0.3, "out", SUBSCRIBE),
    line(0.4, "in", "subscribed"),
    line(1.4, "in", "one"),
    line(3.4, "in", "two"),
    line(3.5, "in", "three"),
]


class Client:
    """One connection."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    async def say(self, *messages: Any) -> None:
        for message in messages:
            await self.socket.send_str(json.dumps(message))

    async def hear(self, count: int) -> list[Any]:
        return [(await self.socket.receive()).data for _ in range(count)]

    async def hear_all(self) -> list[Any]:
        """Everything up to the end of the connection; the other side's code tells how it ended."""
        heard = []
        while (message := await self.socket.receive()).type in (WSMsgType.TEXT, WSMsgType.BINARY):
            heard.append(message.data)
        return heard


@asynccontextmanager
async def client_of(server: TranscriptServer, path: str = "/") -> AsyncIterator[Client]:
    async with aiohttp.ClientSession() as session, session.ws_connect(server.url + path, autoping=False) as socket:
        yield Client(socket)


async def heard_with(*faults: Fault, end: End = End.CLOSE) -> tuple[list[Any], int | None]:
    """What a client hears that says its part, and the code with which the connection was closed."""
    async with TranscriptServer(LINES, faults=faults, end=end) as server, client_of(server) as client:
        await client.say(AUTH, SUBSCRIBE)
        heard = await client.hear_all()
        assert server.differences == []
        return heard, client.socket.close_code


async def test_a_conversation_is_held_as_it_was(tmp_path: Path):
    """From a file, on any path: every frame in its order, waiting for the client's words, and closed at the end."""
    path = tmp_path / "talk.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in LINES))
    async with TranscriptServer(path) as server, client_of(server, "/v2/iex") as client:
        assert await client.hear(1) == ["hello"]
        await client.say(AUTH)
        assert await client.hear(1) == ["welcome"]
        await client.say(SUBSCRIBE)
        assert await client.hear_all() == SAID[2:]
        await server.played()

    assert client.socket.close_code == 1000
    assert (server.connections, server.paths, server.differences) == (1, ["/v2/iex"], [])
    assert (server.transcript.wish, server.transcript.items) == (FIRST["wish"], FIRST["items"])


async def test_a_client_has_its_own_keys_and_its_own_way_of_writing():
    """Keys, the order of members and of symbols, spaces and the codec make no difference."""
    async with TranscriptServer(LINES) as server, client_of(server) as client:
        await client.socket.send_str('{"secret":"mine", "key":"PKMINE" , "action":"auth"}')
        await client.socket.send_bytes(msgspec.msgpack.encode({"quotes": ["B", "A"], "action": "subscribe"}))
        assert await client.hear_all() == SAID

    assert server.differences == []


async def test_binary_frames_keep_their_bytes():
    """MessagePack and JSON in binary frames go out as they came in."""
    packed, as_json = msgspec.msgpack.encode([{"T": "q", "bp": 1.5}]), b'{"stream" : "listening"}'
    lines = [{"at": 0, "dir": "in", "base64": base64.b64encode(frame).decode()} for frame in (packed, as_json)]
    async with TranscriptServer(lines) as server, client_of(server) as client:
        assert await client.hear_all() == [packed, as_json]


@pytest.mark.parametrize(("pace", "waits"), [(RECORDED, [0.1, 0.1, 1.0, 2.0, 0.1]), (4.0, [0.025, 0.025, 0.25, 0.5, 0.025])])
async def test_the_pace_is_the_recorded_one_or_a_multiple_of_it(pace: float, waits: list[float]):
    """By the clock that is passed in, and counted from the client's last word."""
    clock, slept = StillClock(), []
    async with TranscriptServer(LINES, pace=pace, clock=clock) as server, client_of(server) as client:
        await client.hear(1)
        await client.say(AUTH, SUBSCRIBE)
        for word in SAID[1:]:
            while not clock.sleeping:
                await clock.advance(0)
            slept += clock.sleeping
            await clock.advance(slept[-1])
            assert await client.hear(1) == [word]

    assert slept == pytest.approx(waits)


@pytest.mark.parametrize(
    ("fault", "heard"),
    [
        (Duplicate(4), [*SAID[:4], "one", "two", "three"]),
        (Lose(4), [*SAID[:3], "two", "three"]),
        (Swap(4), [*SAID[:3], "two", "one", "three"]),
        (Swap(2), ["hello", "subscribed", "welcome", "one", "two", "three"]),
        (Truncate(6), [*SAID[:5], "th"]),
        (Delay(4, 0.0), SAID),
    ],
    ids=repr,
)
async def test_a_fault_changes_one_frame(fault: Fault, heard: list[str]):
    """And nothing else; the connection ends in good order."""
    assert await heard_with(fault) == (heard, 1000)


async def test_rubbish_has_the_length_of_what_it_replaces_and_is_always_the_same():
    """Of a text it is a text, of bytes it is bytes; neither is what it was."""
    first, _ = await heard_with(Garble(6))
    second, _ = await heard_with(Garble(6))

    assert first == second
    assert first[:5] == SAID[:5]
    assert first[5] != "three"
    assert len(first[5]) == 5


@pytest.mark.parametrize("after", [0, 1, 4])
async def test_a_drop_is_a_break_without_a_word(after: int):
    """What was said before arrives; no closing code comes."""
    heard, code = await heard_with(Drop(after=after))

    assert heard == SAID[:after]
    assert code == 1006


async def test_faults_are_laid_over_each_other():
    """Each counts the frames of the recording; what comes after a break does not matter."""
    assert await heard_with(Drop(after=5), Duplicate(2), Lose(4), Lose(6)) == (["hello", "welcome", "welcome", "subscribed", "two"], 1006)


async def test_a_mute_connection_answers_no_ping():
    """It stays open until the client leaves."""
    clock = StillClock()
    async with TranscriptServer(LINES, faults=[Mute(after=1)], clock=clock) as server, client_of(server) as client:
        assert await client.hear(1) == ["hello"]
        await server.played()
        await client.say(AUTH)
        await client.socket.ping()
        hearing = asyncio.ensure_future(client.hear(1))
        await clock.advance(3600, turns=200)
        assert not hearing.done()
        hearing.cancel()

    assert server.differences == []


async def test_a_delay_is_by_the_clock_at_any_pace():
    """The frame and those after it come later; one delay is not multiplied by the pace."""
    clock = StillClock()
    async with TranscriptServer(LINES, pace=FAST, clock=clock, faults=[Delay(4, 30.0)]) as server, client_of(server) as client:
        await client.say(AUTH, SUBSCRIBE)
        assert await client.hear(3) == SAID[:3]
        while not clock.sleeping:
            await clock.advance(0)
        assert clock.sleeping == (30.0,)
        await clock.advance(30)
        assert await client.hear_all() == SAID[3:]


async def test_a_client_that_comes_back_finds_a_server_that_works():
    """Faults befall the first connection; with another number that one, with None every one."""
    faults = [Drop(after=1), Drop(after=2, connection=2), Lose(1, connection=None)]
    async with TranscriptServer(LINES, faults=faults) as server:
        heard = []
        for _ in range(3):
            async with client_of(server) as client:
                await client.say(AUTH, SUBSCRIBE)
                heard.append(await client.hear_all())
        await server.connected(3)

    assert heard == [[], ["welcome"], SAID[1:]]


async def test_what_is_not_in_the_script_is_named():
    """A word of another action is not the answer; one of the same action is, and its difference is kept. Keys are not shown."""
    async with TranscriptServer(LINES, end=End.STAY) as server, client_of(server) as client:
        await client.say({"action": "listen"}, AUTH, {"action": "subscribe", "trades": ["A"]})
        assert await client.hear(6) == SAID
        await client.say({"action": "auth", "key": "PK1", "secret": "s"})
        await client.socket.close()

    hidden = {"action": "auth", "key": "***", "secret": "***"}
    assert server.differences == [
        Difference(1, {"action": "listen"}, hidden),
        Difference(1, {"action": "subscribe", "trades": ["A"]}, SUBSCRIBE),
        Difference(1, hidden),
    ]
    assert str(server.differences[0]) == (
        "connection 1: the client said {'action': 'listen'}, the script has {'action': 'auth', 'key': '***', 'secret': '***'}"
    )


async def test_strictness_wants_the_very_bytes():
    """The same meaning in other bytes is turned away."""
    async with TranscriptServer(LINES, strict=True) as server, client_of(server) as client:
        await client.say(AUTH)
        await client.socket.send_str(json.dumps(SUBSCRIBE).replace(" ", ""))
        assert await client.hear_all() == SAID[:2]

    assert client.socket.close_code == 1008
    assert len(server.differences) == 1


async def test_a_conversation_can_stay_open():
    """After its end pings are answered."""
    async with TranscriptServer(LINES, end=End.STAY) as server, client_of(server) as client:
        await client.say(AUTH, SUBSCRIBE)
        await client.hear(6)
        await client.socket.ping(b"?")
        answer = await client.socket.receive()

    assert (answer.type, answer.data) == (WSMsgType.PONG, b"?")


async def test_a_conversation_can_go_round():
    """What follows the answer to the client's last word comes again and again."""
    async with TranscriptServer(LINES, end=End.LOOP) as server, client_of(server) as client:
        await client.say(AUTH, SUBSCRIBE)
        assert await client.hear(12) == [*SAID, *SAID[3:], *SAID[3:]]


async def test_every_line_is_one_line(tmp_path: Path):
    """Characters at which some programs break lines belong to the frame."""
    path = tmp_path / "talk.jsonl"
    path.write_text(json.dumps({"wish": {}, "items": None}) + "\n" + json.dumps(line(0, "in", "a\u2028b\x85c"), ensure_ascii=False) + "\n")

    assert read(path)[1][0]["text"] == "a\u2028b\x85c"
    assert Transcript.of(path).items is None


@pytest.mark.parametrize(
    ("text", "words"), [('{"wish":{}}\n{"at":0,"di', "line 2 is no JSON; the recording was cut off"), ("", "there is nothing in it")]
)
def test_what_is_no_transcript_is_refused(tmp_path: Path, text: str, words: str):
    """With the file and the line."""
    path = tmp_path / "talk.jsonl"
    path.write_text(text)
    with pytest.raises(ValueError, match=rf"talk\.jsonl: {words}"):
        TranscriptServer(path)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"faults": [Lose(7)]}, "there is no frame 7 of the server"),
        ({"faults": [Swap(6)]}, "there is no frame 7"),
        ({"faults": [Lose(2), Duplicate(2)]}, "an earlier fault has taken it away"),
        ({"faults": [Drop(after=7)]}, "there is no frame 7"),
        ({"pace": 0}, "not above zero"),
    ],
)
def test_what_does_not_fit_is_refused_at_once(wrong: dict[str, Any], words: str):
    """Nobody waits for a fault that can never happen."""
    with pytest.raises(ValueError, match=words):
        TranscriptServer(LINES, **wrong)
