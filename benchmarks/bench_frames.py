"""Market data from the socket to a callback, beside alpaca-py and beside the floor.

    python benchmarks/bench_frames.py [--rounds N] [--json] [--only decode|blast|latency|memory]

Four measurements, each with 80 quotes, 18 trades and 2 bars in a hundred messages. **decode**: frames to typed values, in process.
**blast**: as many messages as the client takes, from a server in a process of its own on another core, through ``session.stream``'s own
machinery to a callback. **latency**: 20,000 single messages a second, from the server's send to the callback. **memory**: quotes held.

The floor decodes the same frames into dictionaries and does nothing with them; alpaca-py runs its own ``StockDataStream``, which speaks
MessagePack only. Cases take turns; medians count, and ratios are taken within a round. Every case adds up the prices it was given, and the
sums must agree.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import gc
import hashlib
import json
import os
import random
import socket
import statistics
import struct
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec
from msgspec.msgpack import Ext

from broker_alpaca.data_feed import STOCK_CHANNELS, DataFeed
from broker_alpaca.transport import Sockets
from broker_alpaca.wire.data_stream import Codec, Credentials
from broker_alpaca.wire.drift import Drift
from broker_alpaca.wire.moments import ns_to_text
from broker_alpaca.wire.stream_items import Frames
from broker_core.clock import SystemClock
from broker_core.models import Channel, Quote, Trade
from broker_core.secret import Secret
from broker_core.streaming import Streaming

SYMBOLS = [f"SYM{number}" for number in range(16)]
SIZES = (1, 10, 100)
START_NS = 1_772_463_600_123_456_789
MESSAGES = {1: 20_000, 10: 60_000, 100: 100_000}
RATE, SECONDS = 20_000, 2
HELD = 100_000


def record(number: int, moment: object) -> dict[str, object]:
    """One message; its kind and values follow from its number."""
    symbol, price = SYMBOLS[number * 7 % 16], 100 + number % 1000 / 100
    kind = number % 50
    if kind == 49:
        prices = {"o": price, "h": price, "l": price, "c": price}
        return {"T": "b", "S": symbol, **prices, "v": 100, "n": 3, "vw": price, "t": moment}
    if kind % 5 == 4:
        return {"T": "t", "S": symbol, "i": number, "x": "V", "p": price, "s": 100, "c": ["@", "I"], "t": moment, "z": "C"}
    sides = {"bx": "V", "bp": price, "bs": 2, "ax": "Q", "ap": price + 0.01, "as": 1}
    return {"T": "q", "S": symbol, **sides, "c": ["R"], "t": moment, "z": "C"}


def moment_of(moment_ns: int, codec: str) -> object:
    if codec == "json":
        return ns_to_text(moment_ns)
    seconds, rest = divmod(moment_ns, 1_000_000_000)
    return Ext(-1, (rest << 34 | seconds).to_bytes(8, "big"))


def frames_of(count: int, size: int, codec: str) -> list[bytes]:
    encode = msgspec.json.encode if codec == "json" else msgspec.msgpack.encode
    return [
        encode([record(number, moment_of(START_NS + number * 1_000_001, codec)) for number in range(first, first + size)])
        for first in range(0, count, size)
    ]


def price_of(value: Any) -> float:
    """The price that the checksum takes of one message, typed or not."""
    if isinstance(value, dict):
        return {"q": value.get("bp"), "t": value.get("p"), "b": value.get("o")}[value["T"]]
    for name in ("bid_price", "price", "open"):
        price = getattr(value, name, None)
        if price is not None:
            return price
    raise SystemExit(f"no price in {value!r}")


# ---- the server's side


def frame_head(length: int, opcode: int) -> bytes:
    if length < 126:
        return bytes((0x80 | opcode, length))
    return struct.pack(">BBH", 0x80 | opcode, 126, length) if length < 65_536 else struct.pack(">BBQ", 0x80 | opcode, 127, length)


_CLOSE = 8


class Connection:
    """One client of the server: blocking, and nothing but buffers made beforehand."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._file = sock.makefile("rb")
        head = {}
        self.path = self._file.readline().split()[1].decode()
        while (line := self._file.readline().strip()) != b"":
            name, _, value = line.partition(b": ")
            head[name.lower()] = value
        accept = base64.b64encode(hashlib.sha1(head[b"sec-websocket-key"] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
            + accept
            + b"\r\n\r\n"
        )
        self.codec = "msgpack" if head.get(b"content-type") == b"application/msgpack" else "json"

    def say(self, *messages: dict[str, object]) -> None:
        self._sock.sendall(self.framed((msgspec.json if self.codec == "json" else msgspec.msgpack).encode(messages)))

    def framed(self, payload: bytes) -> bytes:
        return frame_head(len(payload), 1 if self.codec == "json" else 2) + payload

    def hear(self) -> int:
        """One whole message of the client, in as many pieces as it likes; only its opcode matters."""
        while True:
            first, second = self._file.read(2)
            length = second & 0x7F
            if length > 125:
                length = int.from_bytes(self._file.read(2 if length == 126 else 8), "big")
            self._file.read(length + 4)
            if first & 0x80 and first & 0x0F < 9:
                return first & 0x0F

    def serve(self) -> None:
        self.say({"T": "success", "msg": "connected"})
        self.hear()
        self.say({"T": "success", "msg": "authenticated"})
        self.hear()
        self.say({"T": "subscription", "quotes": SYMBOLS, "trades": SYMBOLS, "bars": SYMBOLS})
        _, kind, size = self.path.split("/")
        if kind == "blast":
            self._sock.sendall(prepared(int(size), self.codec))
        else:
            self.pace()
        while self.hear() != _CLOSE:
            pass
        self._sock.sendall(bytes((0x80 | _CLOSE, 0)))

    def pace(self) -> None:
        """Single messages, evenly spaced, each with the moment at which it is sent."""
        templates = []
        for number in range(50):
            payload = self.framed(msgspec.msgpack.encode([record(number, moment_of(0, self.codec))]))
            templates.append(payload.partition(b"\xa1t\xd7\xff\0\0\0\0\0\0\0\0"))
        begun = time.time_ns()
        for number in range(RATE * SECONDS):
            due = begun + number * 1_000_000_000 // RATE
            while (now := time.time_ns()) < due:
                pass
            seconds, rest = divmod(now, 1_000_000_000)
            head, _, tail = templates[number % 50]
            self._sock.sendall(head + b"\xa1t\xd7\xff" + (rest << 34 | seconds).to_bytes(8, "big") + tail)


_made: dict[tuple[int, str], bytes] = {}


def prepared(size: int, codec: str) -> bytes:
    if (size, codec) not in _made:
        opcode = 1 if codec == "json" else 2
        frames = frames_of(MESSAGES[size], size, codec)
        _made[size, codec] = b"".join(frame_head(len(frame), opcode) + frame for frame in frames)
    return _made[size, codec]


def serve() -> None:
    for size in SIZES:
        for codec in ("json", "msgpack"):
            prepared(size, codec)
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    while True:
        sock, _ = listener.accept()

        def run(sock: socket.socket = sock) -> None:
            with contextlib.suppress(OSError, ValueError), sock:
                Connection(sock).serve()

        threading.Thread(target=run, daemon=True).start()


# ---- the clients' side


class Tally:
    """Counts values and adds their prices up, until there are as many as expected; every case has the same one."""

    def __init__(self, expected: int) -> None:
        self.expected = expected
        self.count = 0
        self.total = 0.0
        self.first = 0.0
        self.last = 0.0
        self.cpu = 0.0
        self.done = asyncio.Event()

    def begin(self) -> None:
        self.first, self.cpu = time.perf_counter(), time.process_time()

    def take(self, price: float) -> None:
        self.count += 1
        self.total += price
        if self.count == 1:
            self.begin()
        elif self.count == self.expected:
            self.last, self.cpu = time.perf_counter(), time.process_time() - self.cpu
            self.done.set()


async def ours(url: str, codec: str, quote: Callable[[Any], None], trade: Callable[[Any], None], bar: Callable[[Any], None]) -> Any:
    """The core's stream over our feed; returns what closes it."""
    sockets = Sockets()
    feed = DataFeed(
        "stocks",
        url,
        STOCK_CHANNELS,
        None,
        star_channels=frozenset(),
        codec=Codec(codec),
        credentials=Credentials(Secret("key"), Secret("secret")),
        sockets=sockets,
        drift=Drift(),
    )

    class Stream:
        feeds = (feed,)

    async def nothing(*_: object) -> Any:
        return (), ()

    streaming = Streaming(
        Stream(), clock=SystemClock(), random=random.Random(1), on_order=nothing, recover=nothing, changed=nothing, gap=nothing
    )
    streaming.on(Channel.QUOTES, SYMBOLS, quote)
    streaming.on(Channel.TRADES, SYMBOLS, trade)
    streaming.on(Channel.BARS, SYMBOLS, bar)
    await streaming.start()

    async def close() -> None:
        await streaming.close()
        await sockets.close()

    return close


async def alpaca_py(url: str, quote: Any, trade: Any, bar: Any) -> Any:
    from alpaca.data.live import StockDataStream

    stream = StockDataStream("key", "secret", url_override=url)
    stream.subscribe_quotes(quote, *SYMBOLS)
    stream.subscribe_trades(trade, *SYMBOLS)
    stream.subscribe_bars(bar, *SYMBOLS)
    task = asyncio.create_task(stream._run_forever())

    async def close() -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await stream.close()

    return close


async def blast_ours(port: int, size: int, codec: str) -> Tally:
    tally = Tally(MESSAGES[size])

    def quote(item: Quote) -> None:
        tally.take(item.bid_price)

    def trade(item: Trade) -> None:
        tally.take(item.price)

    def bar(item: Any) -> None:
        tally.take(item.open)

    close = await ours(f"ws://127.0.0.1:{port}/blast/{size}", codec, quote, trade, bar)
    await tally.done.wait()
    await close()
    return tally


async def blast_alpaca_py(port: int, size: int, _codec: str) -> Tally:
    tally = Tally(MESSAGES[size])

    async def quote(item: Any) -> None:
        tally.take(item.bid_price)

    async def trade(item: Any) -> None:
        tally.take(item.price)

    async def bar(item: Any) -> None:
        tally.take(item.open)

    close = await alpaca_py(f"ws://127.0.0.1:{port}/blast/{size}", quote, trade, bar)
    await tally.done.wait()
    await close()
    return tally


@asynccontextmanager
async def bare(url: str, codec: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """A signed-in socket and nothing around it."""
    async with aiohttp.ClientSession() as session, session.ws_connect(url, headers={"Content-Type": f"application/{codec}"}) as ws:
        await ws.receive()
        await ws.send_bytes(b"auth")
        await ws.receive()
        await ws.send_bytes(b"subscribe")
        await ws.receive()
        yield ws


async def blast_floor(port: int, size: int, codec: str) -> Tally:
    tally = Tally(MESSAGES[size])
    decode = (msgspec.json if codec == "json" else msgspec.msgpack).Decoder().decode
    async with bare(f"ws://127.0.0.1:{port}/blast/{size}", codec) as ws:
        for number in range(MESSAGES[size] // size):
            batch = decode((await ws.receive()).data)
            if number == 0:
                tally.begin()
            tally.count += len(batch)
        tally.last, tally.cpu = time.perf_counter(), time.process_time() - tally.cpu
    return tally


def blast(port: int, rounds: int) -> list[dict[str, object]]:
    rows = []
    cases: list[tuple[str, str, Callable[..., Awaitable[Tally]]]] = [
        ("alpaca-py", "msgpack", blast_alpaca_py),
        ("floor", "msgpack", blast_floor),
        ("ours", "msgpack", blast_ours),
        ("floor", "json", blast_floor),
        ("ours", "json", blast_ours),
    ]
    for size in SIZES:
        expected = sum(price_of(record(number, None)) for number in range(MESSAGES[size]))
        wall: dict[tuple[str, str], list[float]] = {(name, codec): [] for name, codec, _ in cases}
        cpu: dict[tuple[str, str], list[float]] = {(name, codec): [] for name, codec, _ in cases}
        for _ in range(rounds):
            for name, codec, case in cases:
                gc.collect()
                tally = asyncio.run(case(port, size, codec))
                if tally.count != MESSAGES[size] or (tally.total and abs(tally.total - expected) > 1e-3):
                    raise SystemExit(f"{name} did other work: {tally.count} messages, {tally.total} instead of {expected}")
                wall[name, codec].append((tally.last - tally.first) / tally.count * 1e6)
                cpu[name, codec].append(tally.cpu / tally.count * 1e6)
        rows += summary(wall, cpu, ("alpaca-py", "msgpack"), f"blast, {size} a frame")
    return rows


def summary(wall: Any, cpu: Any, base: tuple[str, str], title: str) -> list[dict[str, object]]:
    return [
        {
            "measured": title,
            "case": f"{case[0]}, {case[1]}",
            "microseconds": round(statistics.median(figures), 3),
            "spread": f"{min(figures):.2f}-{max(figures):.2f}",
            "cpu": round(statistics.median(cpu[case]), 3),
            "times_alpaca_py": round(statistics.median(other / one for one, other in zip(figures, wall[base], strict=True)), 2),
            "times_alpaca_py_cpu": round(statistics.median(other / one for one, other in zip(cpu[case], cpu[base], strict=True)), 2),
        }
        for case, figures in wall.items()
    ]


def decode(rounds: int) -> list[dict[str, object]]:
    import msgpack
    from alpaca.data.live import StockDataStream
    from alpaca.data.models import Bar as PeerBar
    from alpaca.data.models import Quote as PeerQuote
    from alpaca.data.models import Trade as PeerTrade

    stream = StockDataStream("key", "secret")
    got: list[float] = []

    async def handler(item: Any) -> None:
        got.append(price_of(item))

    async def counted(item: Any) -> None:
        pass

    kinds = {"q": PeerQuote, "t": PeerTrade, "b": PeerBar}

    async def dispatch(batches: list[bytes]) -> None:
        for frame in batches:
            for message in msgpack.unpackb(frame):
                await stream._dispatch(message)

    def peer(batches: list[bytes], codec: str) -> None:
        if codec == "msgpack":
            asyncio.run(dispatch(batches))
            return
        # Its models read text for moments as well; its stream does not speak JSON.
        for frame in batches:
            for message in json.loads(frame):
                kinds[message["T"]](message["S"], message)

    rows = []
    for codec in ("msgpack", "json"):
        for size in SIZES:
            count = MESSAGES[size] // 2
            batches = frames_of(count, size, codec)
            texts: list[Any] = [frame.decode() for frame in batches] if codec == "json" else list(batches)
            to_dicts = (msgspec.json if codec == "json" else msgspec.msgpack).Decoder().decode
            for each in (stream.subscribe_quotes, stream.subscribe_trades, stream.subscribe_bars):
                each(handler, *SYMBOLS)
            if codec == "msgpack":
                peer(batches[: 100 // size], codec)
                mine = [price_of(item) for frame in texts[: 100 // size] for item in Frames(Drift()).decode(frame)[0]]
                if got != mine:
                    raise SystemExit("alpaca-py and ours read different prices")
                got.clear()
            for each in (stream.subscribe_quotes, stream.subscribe_trades, stream.subscribe_bars):
                each(counted, *SYMBOLS)
            frames = Frames(Drift())

            def run_ours(frames: Frames = frames, texts: list[Any] = texts) -> None:
                for frame in texts:
                    frames.decode(frame)

            def run_floor(to_dicts: Any = to_dicts, texts: list[Any] = texts) -> None:
                for frame in texts:
                    to_dicts(frame)

            def run_peer(batches: list[bytes] = batches, codec: str = codec) -> None:
                peer(batches, codec)

            cases = {("alpaca-py", codec): run_peer, ("floor", codec): run_floor, ("ours", codec): run_ours}
            wall: dict[Any, list[float]] = {case: [] for case in cases}
            cpu: dict[Any, list[float]] = {case: [] for case in cases}
            for turn in range(rounds + 1):
                for case, run in cases.items():
                    gc.collect()
                    begun, cpu_begun = time.perf_counter(), time.process_time()
                    run()
                    if turn:
                        wall[case].append((time.perf_counter() - begun) / count * 1e6)
                        cpu[case].append((time.process_time() - cpu_begun) / count * 1e6)
            rows += summary(wall, cpu, ("alpaca-py", codec), f"decode, {size} a frame")
    return rows


def latency(port: int, rounds: int) -> list[dict[str, object]]:
    async def trial(name: str) -> list[float]:
        late: list[float] = []
        done = asyncio.Event()
        expected = RATE * SECONDS

        def note(sent: float) -> None:
            late.append(time.time() - sent)
            if len(late) == expected:
                done.set()

        def take(item: Any) -> None:
            note(item.timestamp_ns / 1e9)

        async def take_peer(item: Any) -> None:
            note(item.timestamp.timestamp())

        url = f"ws://127.0.0.1:{port}/paced/1"
        if name == "floor":
            decode = msgspec.msgpack.Decoder().decode
            async with bare(url, "msgpack") as ws:
                for _ in range(expected):
                    (message,) = decode((await ws.receive()).data)
                    note(message["t"].timestamp())
            return sorted(late[expected // 10 :])
        close = await (ours(url, "msgpack", take, take, take) if name == "ours" else alpaca_py(url, take_peer, take_peer, take_peer))
        await done.wait()
        await close()
        return sorted(late[expected // 10 :])

    figures: dict[str, list[tuple[float, float]]] = {"alpaca-py": [], "floor": [], "ours": []}
    for _ in range(rounds):
        for name, kept in figures.items():
            gc.collect()
            late = asyncio.run(trial(name))
            kept.append((late[len(late) // 2] * 1e6, late[len(late) * 99 // 100] * 1e6))
    return [
        {
            "measured": f"latency at {RATE:,} messages a second",
            "case": name,
            "p50": round(statistics.median(p50 for p50, _ in kept), 1),
            "p99": round(statistics.median(p99 for _, p99 in kept), 1),
            "p99_spread": f"{min(p99 for _, p99 in kept):.0f}-{max(p99 for _, p99 in kept):.0f}",
            "times_alpaca_py": round(statistics.median(a / b for (_, a), (_, b) in zip(figures["alpaca-py"], kept, strict=True)), 2),
        }
        for name, kept in figures.items()
    ]


def memory() -> list[dict[str, object]]:
    import msgpack
    from alpaca.data.live import StockDataStream

    def quotes(codec: str) -> list[bytes]:
        encode = msgspec.json.encode if codec == "json" else msgspec.msgpack.encode
        moments = (moment_of(START_NS + number * 1_000_001, codec) for number in range(HELD))
        batch = [record(number * 5 % 40, moment) for number, moment in enumerate(moments)]
        return [encode(batch[first : first + 10]) for first in range(0, HELD, 10)]

    def peer(batches: list[bytes]) -> list[Any]:
        stream = StockDataStream("key", "secret")
        return [stream._cast(message) for frame in batches for message in msgpack.unpackb(frame)]

    def mine(batches: list[Any]) -> list[Any]:
        frames = Frames(Drift())
        return [item for frame in batches for item in frames.decode(frame)[0]]

    rows: list[dict[str, object]] = []
    packed = quotes("msgpack")
    for name, hold, batches in (
        ("alpaca-py, msgpack", peer, packed),
        ("ours, msgpack", mine, packed),
        ("ours, json", mine, [frame.decode() for frame in quotes("json")]),
    ):
        hold(batches[:10])
        gc.collect()
        tracemalloc.start()
        held = hold(batches)
        each = tracemalloc.get_traced_memory()[0] / len(held)
        tracemalloc.stop()
        first = rows[0]["bytes"] if rows else each
        rows.append(
            {"measured": "memory, one quote", "case": name, "bytes": round(each), "share_of_alpaca_py": round(each / float(str(first)), 2)}
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only", choices=("decode", "blast", "latency", "memory"))
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if arguments.serve:
        if len(cores) > 1:
            os.sched_setaffinity(0, {cores[-1]})
        serve()
        return
    rows: list[dict[str, object]] = []
    server = subprocess.Popen([sys.executable, __file__, "--serve"], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        if len(cores) > 1:
            os.sched_setaffinity(0, {cores[0]})
        measured = {
            "decode": lambda: decode(arguments.rounds),
            "blast": lambda: blast(port, arguments.rounds),
            "latency": lambda: latency(port, arguments.rounds),
            "memory": memory,
        }
        for name, measure in measured.items():
            if arguments.only in (None, name):
                rows += measure()
    finally:
        server.terminate()
        server.wait()
    if arguments.json:
        print(json.dumps(rows))
        return
    title = None
    for row in rows:
        if row["measured"] != title:
            title = row["measured"]
            print(title)
        figures = "  ".join(f"{name} {value}" for name, value in row.items() if name not in ("measured", "case"))
        print(f"  {row['case']:<20}{figures}")


if __name__ == "__main__":
    main()
