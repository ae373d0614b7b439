"""What ``broker sandbox`` holds: orders and quotes a second, each alone and both at once, and pages of bars.

    python benchmarks/bench_sandbox.py [--rounds N] [--json] [--only orders|quotes|both|pages]

The sandbox, always open and with a seed, has one core, and its client, which does as little as it can, another. **orders**: market orders
over kept connections, from the request to its answer, 1, 10 and 50 at once, with and without a listener that is told of the end of each; in
a new account, and in one with 20,000 orders that have ended and 1,000 that rest. **quotes**: the market runs so fast that 100,000 a second
are due; all are decoded, none may be missing, and the last must not have fallen behind. **both** at once. **pages** of 10,000 bars. The
floor is the same server framework giving the same bytes every time. Cases take turns; medians count, and ratios are taken within a round.
``processor`` is the sandbox's own time for one order, quote or page, which others on the same machine disturb least; with both at once, all
its time stands in either row. A sandbox that cannot keep up falls behind at once, and says that its client is slow: that row is "ended".
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from datetime import datetime
from fractions import Fraction
from typing import Any

import aiohttp
import attrs
import msgspec
from aiohttp import web
from plain_http import PlainClient

from broker_core.secret import Secret
from broker_demo.assets import LISTINGS
from broker_demo.config import DemoSettings
from broker_demo.prices import SeededPrices
from broker_demo.sandbox.server import Sandbox
from broker_demo.sandbox.settings import SandboxSettings
from broker_demo.trading_hours import AlwaysOpen

KEY, SECRET, SEED, CASH = "PKBENCHMARK", "none", 7, 10**12
HEADERS = {"APCA-API-KEY-ID": KEY, "APCA-API-SECRET-KEY": SECRET, "Content-Type": "application/json"}
LISTED = tuple(symbol for symbol, listing in LISTINGS.items() if "/" not in symbol and listing.base_price < 500)[:100]
INVENTED = tuple(f"SYM{number:04d}" for number in range(2_000))
AT_ONCE = {1: 400, 10: 1_000, 50: 1_000}
"""How many orders a case sends, by how many are under way at once."""
ENDED, RESTING = 20_000, 1_000
DUE = 100_000
"""Quotes a second."""
WATCHED = 3.0
"""Seconds for which quotes are received."""
FRAMES = 2_000
"""Of 128 quotes, from the floor."""
PAGES, BARS = 10, 10_000


@attrs.frozen(kw_only=True)
class Figures:
    """What one case came to in one round."""

    per_second: float
    processor: float
    """Seconds of the server for each piece of work."""
    late: float | None = None
    """Seconds by which the last quotes are further behind than the earliest."""
    end: Any = None
    """What was said instead of going on."""


Results = dict[str, dict[str, list[Figures]]]
"""By title and case, of each round; the first case of a title is the floor."""


# ---- the server's side


@attrs.frozen
class Server:
    """A process that serves on the other core."""

    process: subprocess.Popen[str]
    port: int

    def worked(self) -> float:
        """The seconds that it has spent on a processor, in all its threads."""
        # How Linux numbers the clock of another process: clock_getcpuclockid(3), which Python does not offer.
        return time.clock_gettime(~self.process.pid << 3 | 2)

    @contextmanager
    def client(self) -> Iterator[PlainClient]:
        client = PlainClient(self.port, HEADERS)
        try:
            yield client
        finally:
            client.close()

    @asynccontextmanager
    async def socket(self, path: str, **headers: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        url = f"http://127.0.0.1:{self.port}{path}"
        async with aiohttp.ClientSession(headers=headers) as session, session.ws_connect(url, max_msg_size=0) as socket:
            yield socket


@contextmanager
def serving(*command: str) -> Iterator[Server]:
    pin(1)
    with subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        pin(0)
        assert process.stdout is not None
        try:
            yield Server(process, int(json.loads(process.stdout.readline())["trading_url"].rpartition(":")[2]))
        finally:
            process.terminate()


def sandbox(speed: float = 1) -> Any:
    keys = ("--key", KEY, "--secret", SECRET, "--seed", str(SEED), "--cash", str(CASH))
    return serving("-m", "broker_core.cli", "sandbox", *keys, "--always-open", "--speed", str(speed))


def wide_sandbox(speed: float) -> Any:
    """One that lists invented symbols, which the command does not offer."""
    return serving(__file__, "--wide", str(speed))


def floor() -> Any:
    return serving(__file__, "--floor")


async def serve_wide(speed: str) -> None:
    demo = DemoSettings(seed=SEED, speed=Fraction(speed), symbols=INVENTED)
    async with Sandbox(SandboxSettings(demo=demo, key=KEY, secret=Secret(SECRET))) as box:
        print(box.addresses.as_json(), flush=True)
        await box.run()


async def serve_floor() -> None:
    """Answer under every path what was put there; a socket gets it many times over."""
    bodies: dict[str, bytes] = {}

    async def put(request: web.Request) -> web.Response:
        bodies[request.path] = await request.read()
        return web.Response()

    async def take(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(body=bodies[request.path], content_type="application/json")

    async def pour(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        for _ in range(FRAMES):
            await socket.send_bytes(bodies[request.path])
        return socket

    app = web.Application(client_max_size=1 << 24)
    app.add_routes([web.get("/frames", pour), web.put("/{path:.*}", put), web.route("*", "/{path:.*}", take)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(json.dumps({"trading_url": f"http://127.0.0.1:{runner.addresses[0][1]}"}), flush=True)
    await asyncio.Event().wait()


def pin(core: int) -> None:
    if hasattr(os, "sched_setaffinity") and len(CORES) > core:
        os.sched_setaffinity(0, {CORES[core]})


CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


# ---- orders


class Taken(msgspec.Struct):
    """What is read of an answer."""

    client_order_id: str
    symbol: str


class Update(msgspec.Struct):
    """What is read of an update's data."""

    event: str
    order: Taken


class Told(msgspec.Struct):
    """A frame of the trading socket."""

    data: Update


TAKEN, UPDATE = msgspec.json.Decoder(Taken), msgspec.json.Decoder(Told)
NUMBERS = itertools.count()


def order(name: str, number: int, **terms: str) -> bytes:
    told = {"symbol": LISTED[number % len(LISTED)], "side": "buy", "type": "market", "time_in_force": "day", "qty": "1"}
    return msgspec.json.encode({**told, "client_order_id": name, **terms})


async def send_orders(client: PlainClient, at_once: int, orders: dict[str, bytes], *, checked: bool = True) -> None:
    """Send all of them, so many at a time."""
    waiting = iter(orders.items())

    async def work() -> None:
        for name, body in waiting:
            answer = TAKEN.decode(await client.ask(b"POST /v2/orders", body))
            if checked and answer.client_order_id != name:
                raise SystemExit(f"the answer is not about the order that was sent: {answer}")

    await asyncio.gather(*(work() for _ in range(at_once)))


def new_orders(count: int, **terms: str) -> dict[str, bytes]:
    return {f"T{number:09d}": order(f"T{number:09d}", number, **terms) for number in itertools.islice(NUMBERS, count)}


class Listener:
    """Hears which orders have been filled."""

    def __init__(self) -> None:
        self._filled: set[str] = set()
        self._news = asyncio.Event()

    @asynccontextmanager
    async def hearing(self, server: Server) -> AsyncIterator[None]:
        async with server.socket("/stream") as socket:
            await socket.send_json({"action": "auth", "key": KEY, "secret": SECRET})
            await socket.send_json({"action": "listen", "data": {"streams": ["trade_updates"]}})
            for _ in range(2):
                await socket.receive()
            task = asyncio.create_task(self._hear(socket))
            try:
                yield
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def _hear(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async for message in socket:
            update = UPDATE.decode(message.data).data
            if update.event == "fill":
                self._filled.add(update.order.client_order_id)
                self._news.set()

    async def all(self, names: Iterable[str]) -> None:
        """Wait until each of these has been filled: some wait for the next tick."""
        async with asyncio.timeout(30):
            while not self._filled.issuperset(names):
                self._news.clear()
                await self._news.wait()


async def timed_orders(server: Server, at_once: int, *, heard: bool = False, checked: bool = True) -> Figures:
    orders, listener = new_orders(AT_ONCE[at_once]), Listener()
    async with AsyncExitStack() as closing:
        if heard:
            await closing.enter_async_context(listener.hearing(server))
        client = closing.enter_context(server.client())
        gc.collect()
        started, worked = time.perf_counter(), server.worked()
        await send_orders(client, at_once, orders, checked=checked)
        took, work = time.perf_counter() - started, server.worked() - worked
        if heard:
            await listener.all(orders)
    return Figures(per_second=len(orders) / took, processor=work / len(orders))


async def fill_account(server: Server) -> None:
    with server.client() as client:
        await send_orders(client, 50, new_orders(ENDED))
        await send_orders(client, 50, new_orders(RESTING, type="limit", limit_price="1.00"))


async def measure_orders(rounds: int) -> Results:
    results: Results = {}
    with ExitStack() as closing:
        plain, full = closing.enter_context(floor()), closing.enter_context(sandbox())
        await fill_account(full)
        await put_order(full, plain)
        for _ in range(rounds):
            with sandbox() as new:
                for at_once in AT_ONCE:
                    cases = {
                        "floor": await timed_orders(plain, at_once, checked=False),
                        "new account": await timed_orders(new, at_once),
                        "new account, heard": await timed_orders(new, at_once, heard=True),
                        "full account": await timed_orders(full, at_once),
                        "full account, heard": await timed_orders(full, at_once, heard=True),
                    }
                    enter(results, f"orders, {at_once} at once", cases)
    return results


async def put_order(box: Server, plain: Server) -> None:
    with box.client() as client, plain.client() as putting:
        (body,) = new_orders(1).values()
        await putting.ask(b"PUT /v2/orders", await client.ask(b"POST /v2/orders", body))


# ---- quotes


class Quote(msgspec.Struct, gc=False):
    """A quote off the socket."""

    S: str
    t: datetime
    bp: float
    ap: float
    bs: int
    as_: int = msgspec.field(name="as")


DECODERS = {
    "json": msgspec.json.Decoder(list[Quote]),
    "msgpack": msgspec.msgpack.Decoder(list[Quote]),
}


@attrs.define
class Heard:
    """The batches of quotes that came, and when."""

    batches: list[tuple[float, list[Quote]]] = attrs.field(factory=list)
    end: Any = None
    """The last words of a sandbox that has given its client up; None where it has not."""

    @property
    def count(self) -> int:
        return sum(len(quotes) for _, quotes in self.batches)

    def check(self, symbols: tuple[str, ...]) -> None:
        """Each symbol has a quote in every second of the market's time, and one symbol's are those of the seed."""
        seconds: dict[str, list[int]] = {symbol: [] for symbol in symbols}
        for _, quotes in self.batches:
            for quote in quotes:
                seconds[quote.S].append(int(quote.t.timestamp()))
        # The first and the last batch may end in the middle of a second.
        first, last = max(found[0] for found in seconds.values()), min(found[-1] for found in seconds.values())
        for symbol, found in seconds.items():
            if [second for second in found if first <= second <= last] != list(range(first, last + 1)):
                raise SystemExit(f"{symbol}: quotes are missing between {first} and {last}")
        prices, watched = SeededPrices(SEED, AlwaysOpen(), symbols), symbols[-1]
        for quote in (quote for _, quotes in self.batches for quote in quotes if watched == quote.S):
            tick = prices.tick(watched, int(quote.t.timestamp()) * 1_000_000_000)
            if tick is None or (tick.bid, tick.ask, tick.bid_size, tick.ask_size) != (quote.bp, quote.ap, quote.bs, quote.as_):
                raise SystemExit(f"{quote} is not what the seed says: {tick}")

    def late(self, speed: float) -> float:
        """By how many seconds the last tenth came later, in the market's time, than the earliest."""
        begin = self.batches[0][1][0].t
        behind = [came - (quotes[-1].t - begin).total_seconds() / speed for came, quotes in self.batches]
        return max(behind[-max(len(behind) // 10, 1) :]) - min(behind)


@asynccontextmanager
async def subscribed(server: Server, codec: str, symbols: tuple[str, ...]) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    packed = {"Content-Type": "application/msgpack"} if codec == "msgpack" else {}
    write = msgspec.msgpack.encode if packed else msgspec.json.encode
    async with server.socket("/v2/sip" if packed else "/v2/iex", **packed) as socket:
        await socket.receive()
        for said in ({"action": "auth", "key": KEY, "secret": SECRET}, {"action": "subscribe", "quotes": symbols}):
            await (socket.send_bytes(write(said)) if packed else socket.send_str(write(said).decode()))
            await socket.receive()
        yield socket


async def hear_quotes(socket: aiohttp.ClientWebSocketResponse, codec: str) -> Heard:
    """Receive and decode for as long as it is watched, once the first have come."""
    decode, heard = DECODERS[codec].decode, Heard()
    await socket.receive()
    until = time.perf_counter() + WATCHED
    while (came := time.perf_counter()) < until:
        message = await socket.receive()
        if message.type not in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
            raise SystemExit(f"the socket has ended: {message}")
        try:
            heard.batches.append((came, decode(message.data)))
        except msgspec.ValidationError:
            heard.end = msgspec.json.decode(message.data) if codec == "json" else msgspec.msgpack.decode(message.data)
            break
    return heard


async def timed_quotes(server: Server, codec: str, symbols: tuple[str, ...]) -> Figures:
    speed = DUE / len(symbols)
    async with subscribed(server, codec, symbols) as socket:
        gc.collect()
        gc.disable()
        started, worked = time.perf_counter(), server.worked()
        heard = await hear_quotes(socket, codec)
        took, work = time.perf_counter() - started, server.worked() - worked
        gc.enable()
    heard.check(symbols)
    return Figures(per_second=heard.count / took, processor=work / heard.count, late=heard.late(speed), end=heard.end)


async def timed_frames(server: Server) -> Figures:
    """The floor: the same frame many times over."""
    decode, count = DECODERS["json"].decode, 0
    async with server.socket("/frames") as socket:
        started, worked = time.perf_counter(), server.worked()
        async for message in socket:
            count += len(decode(message.data))
        took, work = time.perf_counter() - started, server.worked() - worked
    return Figures(per_second=count / took, processor=work / count)


async def measure_quotes(rounds: int) -> Results:
    results: Results = {}
    with floor() as plain, plain.client() as putting:
        record = {"T": "q", "S": "AAPL", "ax": "Q", "ap": 201.12, "as": 312, "bx": "Q", "bp": 201.1, "bs": 298, "c": ["R"], "z": "C"}
        frame = msgspec.json.encode([{**record, "t": "2026-03-02T15:00:00Z"}] * 128)
        await putting.ask(b"PUT /frames", frame)
        for _ in range(rounds):
            cases = {"floor": await timed_frames(plain)}
            for symbols in (LISTED, INVENTED):
                speed = DUE / len(symbols)
                with sandbox(speed) if symbols is LISTED else wide_sandbox(speed) as box:
                    for codec in DECODERS:
                        cases[f"{len(symbols)} symbols, {codec}"] = await timed_quotes(box, codec, symbols)
            enter(results, f"quotes, {DUE:,} a second due", cases)
    return results


# ---- both at once, and pages


async def measure_both(rounds: int) -> Results:
    results: Results = {}
    for _ in range(rounds):
        with sandbox(DUE / len(LISTED)) as box, box.client() as client:
            async with subscribed(box, "msgpack", LISTED) as socket:
                hearing = asyncio.create_task(hear_quotes(socket, "msgpack"))
                started, worked, sent = time.perf_counter(), box.worked(), 0
                while not hearing.done():
                    await send_orders(client, 10, new_orders(200))
                    sent += 200
                took, work = time.perf_counter() - started, box.worked() - worked
                heard = await hearing
            heard.check(LISTED)
            cases = {
                "orders": Figures(per_second=sent / took, processor=work / sent),
                "quotes": Figures(
                    per_second=heard.count / took, processor=work / heard.count, late=heard.late(DUE / len(LISTED)), end=heard.end
                ),
            }
            enter(results, "both at once", cases)
    return results


async def timed_pages(server: Server, path: bytes) -> Figures:
    with server.client() as client:
        started, worked = time.perf_counter(), server.worked()
        for _ in range(PAGES):
            page = await client.ask(path)
            if len(msgspec.json.decode(page)["bars"]) != BARS:
                raise SystemExit("a page is not full")
        took, work = time.perf_counter() - started, server.worked() - worked
    return Figures(per_second=PAGES / took, processor=work / PAGES)


async def measure_pages(rounds: int) -> Results:
    results: Results = {}
    path = f"GET /v2/stocks/AAPL/bars?timeframe=1Min&start=2026-01-05&limit={BARS}".encode()
    with floor() as plain, sandbox() as box:
        with box.client() as client, plain.client() as putting:
            await putting.ask(b"PUT /v2/stocks/AAPL/bars", await client.ask(path))
        for _ in range(rounds):
            enter(results, f"pages of {BARS:,} bars", {"floor": await timed_pages(plain, path), "ours": await timed_pages(box, path)})
    return results


# ---- what came of it


def enter(results: Results, title: str, cases: dict[str, Figures]) -> None:
    for name, figures in cases.items():
        results.setdefault(title, {}).setdefault(name, []).append(figures)


def report(results: Results, *, as_json: bool) -> None:
    tables: dict[str, list[dict[str, Any]]] = {}
    for title, cases in results.items():
        floor_rates = [figures.per_second for figures in cases.get("floor", ())]
        for name, rounds in cases.items():
            rates = [figures.per_second for figures in rounds]
            late = [figures.late for figures in rounds if figures.late is not None]
            row: dict[str, Any] = {
                "case": name,
                "per_second": round(statistics.median(rates)),
                "from": round(min(rates)),
                "to": round(max(rates)),
                "processor_microseconds": round(statistics.median(figures.processor for figures in rounds) * 1e6, 2),
            }
            if floor_rates:
                row["of_the_floor"] = round(statistics.median(one / other for one, other in zip(rates, floor_rates, strict=True)), 3)
            ends = [figures.end for figures in rounds if figures.end is not None]
            if ends:
                row["ended"] = ends
            if late:
                row["late_milliseconds"] = round(statistics.median(late) * 1e3, 1)
            tables.setdefault(title, []).append(row)
    if as_json:
        print(json.dumps(tables))
        return
    for title, rows in tables.items():
        print(title)
        for row in rows:
            spread = f"{row['from']:,} to {row['to']:,}"
            ratio = f"{row['of_the_floor']:>8}x" if "of_the_floor" in row else " " * 9
            late = f"   late {row['late_milliseconds']:>7} ms" if "late_milliseconds" in row else ""
            processor = f"processor {row['processor_microseconds']:>8} us"
            end = f"   ended: {row['ended']}" if "ended" in row else ""
            print(f"  {row['case']:<22}{row['per_second']:>11,}/s  {spread:<20}{ratio}   {processor}{late}{end}")


PARTS = {"orders": measure_orders, "quotes": measure_quotes, "both": measure_both, "pages": measure_pages}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only", choices=tuple(PARTS))
    parser.add_argument("--wide", metavar="SPEED", help=argparse.SUPPRESS)
    parser.add_argument("--floor", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.wide or arguments.floor:
        asyncio.run(serve_wide(arguments.wide) if arguments.wide else serve_floor())
        return
    results: Results = {}
    for name, measure in PARTS.items():
        if arguments.only in (None, name):
            results |= asyncio.run(measure(arguments.rounds))
    report(results, as_json=arguments.json)


if __name__ == "__main__":
    main()
