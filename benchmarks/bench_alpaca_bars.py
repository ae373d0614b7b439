"""Bars over HTTP into one frame, beside alpaca-py and beside fetching the same pages and nothing else.

    python benchmarks/bench_alpaca_bars.py [--rounds N] [--json]

Two downloads: 200,000 one-minute bars of one symbol in pages of 10,000, and 252 daily bars of each of 100 symbols; each from a server that
answers at once, and from one that takes 50 ms. The server runs in a process of its own, on another core, and its answers are made before
anything is measured. Ours is the whole way of ``session.market_data.bars``: requests cut into shards, rate limit, pages followed, decoding,
checks, the frame. Cases take turns; medians count, and ratios are taken within a round. All frames are compared bar by bar.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import statistics
import subprocess
import sys
import time
from bisect import bisect_left, bisect_right
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from urllib.parse import parse_qsl

import numpy as np

SINGLE, MANY = ["AAPL"], [f"SYM{number:03d}" for number in range(100)]
BARS, DAYS = 200_000, 252
START = datetime(2024, 1, 1, 5, tzinfo=UTC)
LATENCIES = (0.0, 0.05)
COLUMNS = ("open", "high", "low", "close", "volume", "trade_count", "vwap")
ROUND_TRIPS = 8


def download(symbols: Sequence[str]) -> tuple[str, timedelta, int]:
    """Of these symbols: which timeframe, how far apart the bars are, and how many."""
    return ("1Min", timedelta(minutes=1), BARS) if symbols == SINGLE else ("1Day", timedelta(days=1), DAYS)


class Server(asyncio.Protocol):
    """Answers requests for bars from rows made in advance; each page is put together once."""

    def __init__(self, latency: float) -> None:
        self._latency = latency
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while b"\r\n\r\n" in self._received:
            head, _, self._received = self._received.partition(b"\r\n\r\n")
            answer = page(head.split(b" ", 2)[1].decode().partition("?")[2])
            if self._latency:
                asyncio.get_running_loop().call_later(self._latency, self._transport.write, answer)
            else:
                self._transport.write(answer)


@cache
def rows(symbol: str) -> tuple[list[str], list[bytes]]:
    """The left edges and the bars of a symbol, as they stand on the wire."""
    _, step, count = download(SINGLE if symbol in SINGLE else MANY)
    chance = np.random.default_rng(int.from_bytes(symbol.encode()) % 2**32)
    prices = np.round(100 * np.exp(np.cumsum(chance.normal(0, 0.0005, (count, 4)), axis=0)), 4)
    edges = [(START + step * place).strftime("%Y-%m-%dT%H:%M:%SZ") for place in range(count)]
    bars = []
    for edge, (open_, high, low, close), trades, shares in zip(
        edges, prices.tolist(), chance.integers(1, 900, count).tolist(), chance.integers(1, 90_000, count).tolist(), strict=True
    ):
        bar = {"c": close, "h": high, "l": low, "n": trades, "o": open_, "t": edge, "v": shares, "vw": round((high + low) / 2, 6)}
        bars.append(json.dumps(bar, separators=(",", ":")).encode())
    return edges, bars


@cache
def page(query: str) -> bytes:
    """The whole answer to a query: at most so many bars, symbol by symbol, both ends included."""
    asked = dict(parse_qsl(query))
    start, end = (datetime.fromisoformat(asked[name]).strftime("%Y-%m-%dT%H:%M:%S.%fZ") for name in ("start", "end"))
    room, (symbol, place) = int(asked.get("limit", "1000")), (asked.get("page_token") or "|0").split("|")
    parts, token = [], None
    for name in sorted(asked["symbols"].split(",")):
        if name < symbol:
            continue
        edges, bars = rows(name)
        first = int(place) if name == symbol else bisect_left(edges, start[:19] + "Z")
        last = min(bisect_right(edges, end[:19] + "Z"), first + room)
        parts.append(f'"{name}":['.encode() + b",".join(bars[first:last]) + b"]")
        room -= last - first
        if not room:
            token = f"{name}|{last}"
            break
    body = b'{"bars":{' + b",".join(parts) + b'},"next_page_token":' + json.dumps(token).encode() + b"}"
    headers = f"Content-Type: application/json\r\nX-RateLimit-Limit: 100000\r\nContent-Length: {len(body)}"
    return f"HTTP/1.1 200 OK\r\n{headers}\r\n\r\n".encode() + body


async def serve() -> None:
    for symbol in (*SINGLE, *MANY):
        rows(symbol)
    loop = asyncio.get_running_loop()
    servers = [await loop.create_server(lambda latency=latency: Server(latency), "127.0.0.1", 0) for latency in LATENCIES]
    print(json.dumps([server.sockets[0].getsockname()[1] for server in servers]), flush=True)
    await asyncio.gather(*(server.serve_forever() for server in servers))


def pin(core: int) -> None:
    if hasattr(os, "sched_setaffinity") and len(os.sched_getaffinity(0)) > core:
        os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[core]})


def span(symbols: Sequence[str]) -> tuple[datetime, datetime]:
    _, step, count = download(symbols)
    return START, START + step * count


def fetch_only(url: str, session: Any, shards: int) -> Callable[[Sequence[str]], Awaitable[None]]:
    """The floor: the same bytes, of which nothing is read but the token at the end."""

    async def pages(symbols: Sequence[str], start: datetime, end: datetime) -> None:
        asked = {"symbols": ",".join(symbols), "timeframe": download(symbols)[0], "limit": "10000"}
        asked |= {"start": start.isoformat(), "end": end.isoformat()}
        while True:
            async with session.get(f"{url}/v2/stocks/bars", params=asked) as answer:
                body = await answer.read()
            token = body.rpartition(b":")[2].strip(b'"}')
            if token == b"null":
                return
            asked["page_token"] = token.decode()

    async def fetch(symbols: Sequence[str]) -> None:
        start, end = span(symbols)
        length = (end - start) / shards
        await asyncio.gather(
            *(pages(symbols, start + length * part, start + length * (part + 1) - timedelta(seconds=1)) for part in range(shards))
        )

    return fetch


def ours(url: str) -> tuple[Callable[[Sequence[str]], Awaitable[Any]], Callable[[], Awaitable[None]]]:
    """The way of a session, and how to close it."""
    from broker_alpaca.client import CAPABILITIES, AlpacaClient
    from broker_alpaca.config import AlpacaSettings
    from broker_alpaca.market_data import AlpacaMarketData
    from broker_alpaca.transport import HttpTransport
    from broker_core.clock import SystemClock, seeded
    from broker_core.market_data import MarketData

    settings = AlpacaSettings(key="PKTEST", secret="none", trading_url=url, data_url=url, data_rate_limit=100_000)
    clock = SystemClock()
    client = AlpacaClient(settings, HttpTransport(settings), clock=clock, random=seeded(1))
    data = MarketData(
        AlpacaMarketData(client),
        clock=clock,
        provenance={"broker": "alpaca"},
        capabilities=CAPABILITIES,
        cache_seconds=0,
        concurrency=ROUND_TRIPS,
    )

    async def frame(symbols: Sequence[str]) -> Any:
        start, end = span(symbols)
        return await data.bars(symbols, download(symbols)[0], start=start, end=end)

    return frame, client.close


def peer(url: str) -> Callable[[Sequence[str]], Any] | None:
    """The same with alpaca-py; None where it is not installed."""
    try:
        from alpaca.data.historical import StockHistoricalDataClient
        from alpaca.data.requests import StockBarsRequest
        from alpaca.data.timeframe import TimeFrame
    except ImportError:
        return None
    client = StockHistoricalDataClient("PKTEST", "none", url_override=url)

    def frame(symbols: Sequence[str]) -> Any:
        start, end = span(symbols)
        length = TimeFrame.Minute if symbols == SINGLE else TimeFrame.Day
        # alpaca-py includes the end.
        request = StockBarsRequest(symbol_or_symbols=symbols, timeframe=length, start=start, end=end - timedelta(seconds=1))
        return client.get_stock_bars(request).df

    return frame


def check(name: str, frame: Any, other: Any) -> None:
    """Ends the program unless two frames hold the same bars."""
    moments = [table.index.get_level_values("timestamp").as_unit("ns").asi8 for table in (frame, other)]
    symbols = [list(table.index.get_level_values("symbol")) for table in (frame, other)]
    is_same = symbols[0] == symbols[1] and np.array_equal(*moments)
    if not is_same or not all(np.array_equal(frame[column].to_numpy(float), other[column].to_numpy(float)) for column in COLUMNS):
        raise SystemExit(f"{name}: the two frames differ")


async def measure(urls: Sequence[str], rounds: int) -> dict[str, dict[str, list[float]]]:
    import aiohttp

    seconds: dict[str, dict[str, list[float]]] = {}
    async with aiohttp.ClientSession() as session:
        for url, latency in zip(urls, LATENCIES, strict=True):
            frame, close = ours(url)
            for symbols in (SINGLE, MANY):
                what = f"{len(symbols)} x {download(symbols)[2]:,} bars, {latency * 1e3:.0f} ms"
                cases: dict[str, Callable[..., Any]] = {
                    "fetch only, 1 at a time": fetch_only(url, session, 1),
                    f"fetch only, {ROUND_TRIPS} at once": fetch_only(url, session, ROUND_TRIPS),
                    "ours": frame,
                }
                if (theirs := peer(url)) is not None:
                    cases["alpaca-py"] = theirs
                seconds[what] = await take_turns(what, cases, symbols, rounds)
            await close()
    return seconds


async def take_turns(what: str, cases: Mapping[str, Callable[..., Any]], symbols: Sequence[str], rounds: int) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds + 1):
        frames = {}
        for name, case in cases.items():
            gc.collect()
            started = time.perf_counter()
            result = case(symbols)
            frames[name] = await result if asyncio.iscoroutine(result) else result
            seconds[name].append(time.perf_counter() - started)
        if len(frames["ours"]) != len(symbols) * download(symbols)[2]:
            raise SystemExit(f"{what}: {len(frames['ours'])} bars")
        if "alpaca-py" in frames:
            check(what, frames["ours"], frames["alpaca-py"])
    # The first round warms up.
    return {name: figures[1:] for name, figures in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    pin(1 if arguments.serve else 0)
    if arguments.serve:
        asyncio.run(serve())
        return
    with subprocess.Popen([sys.executable, __file__, "--serve"], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        urls = [f"http://127.0.0.1:{port}" for port in json.loads(server.stdout.readline())]
        try:
            seconds = asyncio.run(measure(urls, arguments.rounds))
        finally:
            server.terminate()
    report(seconds, as_json=arguments.json)


def report(seconds: Mapping[str, Mapping[str, Sequence[float]]], *, as_json: bool) -> None:
    rows = []
    for what, cases in seconds.items():
        base = cases.get("alpaca-py")
        for name, figures in cases.items():
            ratio = None if base is None else statistics.median(other / one for one, other in zip(figures, base, strict=True))
            low, middle, high = (round(value * 1e3, 1) for value in (min(figures), statistics.median(figures), max(figures)))
            rows.append({"download": what, "case": name, "milliseconds": middle, "spread": [low, high], "times_alpaca_py": ratio})
    if as_json:
        print(json.dumps(rows))
        return
    for what in seconds:
        print(what)
        for row in rows:
            if row["download"] == what:
                low, high = row["spread"]  # type: ignore[misc]  # a pair by its key
                times = "" if row["times_alpaca_py"] is None else f"{row['times_alpaca_py']:>8.1f}x"
                print(f"  {row['case']:<26}{row['milliseconds']:>9} ms ({low} to {high}){times}")


if __name__ == "__main__":
    main()
