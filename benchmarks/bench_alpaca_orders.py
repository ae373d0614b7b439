"""Orders at Alpaca from the call to the broker's answer, and from the stream's bytes to the order's state, beside alpaca-py.

    python benchmarks/bench_alpaca_orders.py [--rounds N] [--json] [--only submit|update]

**submit**: orders over kept connections to a server in a process of its own on another core, 1, 10 and 50 at once: the plugin alone, and
a session's whole ``orders.submit`` with its id, its vetoes and two commits in SQLite. alpaca-py sends from as many threads. The floors
send the same bytes: ``http.client`` in threads and a protocol on bare asyncio, which read the answers with msgspec into dictionaries.
**update**: frames of the trading stream (new, part filled, filled) to a typed event and on to the order's new state. alpaca-py's event is
put into a dictionary; the floors only decode. Cases take turns; medians count, and ratios are taken within a round, of the time on the
clock and of this process's time on the processor, which others on the same machine disturb less.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import http.client
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from plain_http import PlainClient, length_of

from broker_alpaca.client import AlpacaClient
from broker_alpaca.config import AlpacaSettings, Mode
from broker_alpaca.orders import AlpacaOrders
from broker_alpaca.plugin import AlpacaPlugin
from broker_alpaca.transport import HttpTransport
from broker_alpaca.wire.drift import Drift
from broker_alpaca.wire.trade_stream import TradeConversation
from broker_core import EventKind, LimitOrder, OrderEvent, Source, State, connect, hookimpl, lifecycle
from broker_core.clock import SystemClock, seeded
from broker_core.config import Settings
from broker_core.secret import Secret

AT_ONCE = {1: 400, 10: 1_000, 50: 1_500}
"""How many orders a case sends, by how many are under way at once."""
LIVES = 700
START = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
HEADERS = {"APCA-API-KEY-ID": "PKTEST", "APCA-API-SECRET-KEY": "none", "Content-Type": "application/json"}
TERMS = {"symbol": "AAPL", "side": "buy", "type": "limit", "time_in_force": "day", "qty": "10", "limit_price": "150.25"}
ORDER: dict[str, Any] = {
    "id": "",
    "client_order_id": "",
    "created_at": "2026-03-02T15:00:00.123456789Z",
    "updated_at": "2026-03-02T15:00:00.124456789Z",
    "submitted_at": "2026-03-02T15:00:00.123456789Z",
    "filled_at": None,
    "expired_at": None,
    "canceled_at": None,
    "failed_at": None,
    "replaced_at": None,
    "replaced_by": None,
    "replaces": None,
    "asset_id": "b0b6dd9d-8b9b-48a9-ba46-b9d54906e415",
    "symbol": "AAPL",
    "asset_class": "us_equity",
    "notional": None,
    "qty": "10",
    "filled_qty": "0",
    "filled_avg_price": None,
    "order_class": "",
    "order_type": "limit",
    "type": "limit",
    "side": "buy",
    "position_intent": "buy_to_open",
    "time_in_force": "day",
    "limit_price": "150.25",
    "stop_price": None,
    "status": "pending_new",
    "extended_hours": False,
    "legs": None,
    "trail_percent": None,
    "trail_price": None,
    "hwm": None,
    "subtag": None,
    "source": None,
    "expires_at": "2026-03-02T21:00:00Z",
}
ACCOUNT = {"id": str(uuid.UUID(int=1)), "account_number": "PA0000000001", "status": "ACTIVE", "currency": "USD", "cash": "1000"}

Case = Callable[[list[str]], Awaitable[list[str]]]
"""Sends an order under each of these ids; the ids in the answers."""
Seconds = tuple[float, float]
"""What one piece of work took in one round, on the clock and on the processor."""


# ---- the server's side


class Named(msgspec.Struct):
    """What the server reads of an order."""

    client_order_id: str


class Server(asyncio.Protocol):
    """Answers at once, on one connection, one request at a time."""

    numbers = itertools.count(1)
    template = msgspec.json.encode({**ORDER, "id": "<id>", "client_order_id": "<name>"})
    name_of = msgspec.json.Decoder(Named)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self._heard = b""

    def data_received(self, data: bytes) -> None:
        self._heard += data
        head, end, body = self._heard.partition(b"\r\n\r\n")
        if not end or len(body) < length_of(head):
            return
        self._heard = b""
        self._transport.write(answer(self._order(body) if head.startswith(b"POST") else self._other(head)))

    def _order(self, body: bytes) -> bytes:
        order_id = str(uuid.UUID(int=next(self.numbers)))
        return self.template.replace(b"<id>", order_id.encode()).replace(b"<name>", self.name_of.decode(body).client_order_id.encode())

    def _other(self, head: bytes) -> bytes:
        return msgspec.json.encode(ACCOUNT) if b"/account " in head else b"[]"


def answer(body: bytes) -> bytes:
    """An answer as Alpaca sends it."""
    limits = "X-RateLimit-Limit: 1000000\r\nX-RateLimit-Remaining: 999000\r\nX-RateLimit-Reset: 1772463660"
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=UTF-8\r\n{limits}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def serve() -> None:
    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def pin(core: int) -> None:
    if hasattr(os, "sched_setaffinity") and len(os.sched_getaffinity(0)) > core:
        os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[core]})


# ---- orders sent, each way


async def at_once(count: int, names: list[str], send: Callable[[str], Awaitable[str]]) -> list[str]:
    """Send all, so many at a time; what each sending returned, in order."""
    found = {}
    waiting = iter(names)

    async def work() -> None:
        for name in waiting:
            found[name] = await send(name)

    await asyncio.gather(*(work() for _ in range(count)))
    return [found[name] for name in names]


def settings_of(port: int) -> AlpacaSettings:
    return AlpacaSettings(key="PKTEST", secret="none", trading_url=f"http://127.0.0.1:{port}", rate_limit=1e6, mode=Mode.HTTP)


def plugin_alone(port: int, closing: AsyncExitStack) -> Callable[[str], Awaitable[str]]:
    settings = settings_of(port)
    client = AlpacaClient(settings, HttpTransport(settings), clock=SystemClock(), random=seeded(1))
    closing.push_async_callback(client.close)
    orders = AlpacaOrders(client)

    async def send(name: str) -> str:
        order, _ = lifecycle.create(name, LimitOrder("AAPL", "buy", qty="10", limit_price="150.25"), START)
        event = await orders.submit(order)
        if event.request is None or event.request.limit_price != Decimal("150.25"):
            raise SystemExit(f"the answer is not about the order that was sent: {event}")
        return event.client_order_id or ""

    return send


class OrdersAlone:
    """The plugin without its streams and its reads of the account, which this server does not offer."""

    name = "alpaca"

    def __init__(self, settings: AlpacaSettings) -> None:
        self._whole = AlpacaPlugin(settings)

    @hookimpl
    def broker_client(self, environ: Mapping[str, str]) -> object:
        return self._whole.broker_client(environ)

    @hookimpl
    def broker_orders(self, client: Any) -> object:
        return self._whole.broker_orders(client)


async def whole_session(port: int, database: Path, closing: AsyncExitStack) -> Callable[[str], Awaitable[str]]:
    names: deque[str] = deque()
    environ = {"BROKER_DATABASE": str(database)}
    settings = Settings(disable=("demo", "alpaca"), database=str(database))
    session = await closing.enter_async_context(
        connect("alpaca", plugins=[OrdersAlone(settings_of(port))], environ=environ, settings=settings, ids=names.popleft)
    )
    if session.journal is None:
        raise SystemExit("the session keeps nothing")
    await session.gate.wait("AAPL", 10)

    async def send(name: str) -> str:
        names.append(name)
        order = await session.orders.submit(LimitOrder("AAPL", "buy", qty="10", limit_price="150.25"))
        if order.in_doubt or order.state is not State.SUBMITTED or not order.broker_ids:
            raise SystemExit(f"the order was not taken: {order}")
        return order.local_id

    return send


def with_alpaca_py(port: int) -> Callable[[str], str] | None:
    """None where it is not installed."""
    try:
        from alpaca.trading.client import TradingClient
        from alpaca.trading.enums import OrderSide, TimeInForce
        from alpaca.trading.requests import LimitOrderRequest
    except ImportError:
        return None
    client = TradingClient("PKTEST", "none", paper=True, url_override=f"http://127.0.0.1:{port}")

    def send(name: str) -> str:
        request = LimitOrderRequest(
            symbol="AAPL", side=OrderSide.BUY, qty=10, limit_price=150.25, time_in_force=TimeInForce.DAY, client_order_id=name
        )
        return client.submit_order(request).client_order_id

    return send


class PlainThreads:
    """The floor in threads: a connection for each, kept."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[http.client.HTTPConnection] = []

    def send(self, name: str) -> str:
        connection = self._idle.pop() if self._idle else http.client.HTTPConnection("127.0.0.1", self._port)
        connection.request("POST", "/v2/orders", msgspec.json.encode({**TERMS, "client_order_id": name}), HEADERS)
        found = msgspec.json.decode(connection.getresponse().read())
        self._idle.append(connection)
        return found["client_order_id"]

    def close(self) -> None:
        for connection in self._idle:
            connection.close()


async def send_plainly(client: PlainClient, name: str) -> str:
    """The floor on the loop."""
    found = msgspec.json.decode(await client.ask(b"POST /v2/orders", msgspec.json.encode({**TERMS, "client_order_id": name})))
    return found["client_order_id"]


def on_loop(count: int, send: Callable[[str], Awaitable[str]]) -> Case:
    return lambda names: at_once(count, names, send)


def in_threads(count: int, send: Callable[[str], str], pool: ThreadPoolExecutor) -> Case:
    async def run(names: list[str]) -> list[str]:
        if count == 1:
            return [send(name) for name in names]
        return await asyncio.get_running_loop().run_in_executor(None, lambda: list(pool.map(send, names)))

    return run


async def measure_submit(port: int, rounds: int) -> dict[str, dict[str, list[Seconds]]]:
    seconds: dict[str, dict[str, list[Seconds]]] = {}
    numbers = itertools.count(1)
    async with AsyncExitStack() as closing:
        folder = closing.enter_context(tempfile.TemporaryDirectory())
        threads, plain = PlainThreads(port), PlainClient(port, HEADERS)
        closing.callback(threads.close)
        closing.callback(plain.close)
        peer = with_alpaca_py(port)
        alone = plugin_alone(port, closing)
        whole = await whole_session(port, Path(folder) / "orders.sqlite3", closing)
        for count, orders in AT_ONCE.items():
            pool = closing.enter_context(ThreadPoolExecutor(count))
            cases = {} if peer is None else {"alpaca-py": in_threads(count, peer, pool)}
            cases |= {
                "ours": on_loop(count, alone),
                "ours, whole session": on_loop(count, whole),
                "floor: http.client": in_threads(count, threads.send, pool),
                "floor: asyncio": on_loop(count, partial(send_plainly, plain)),
            }
            figures = seconds[f"order submit, {count} at once"] = {name: [] for name in cases}
            for turn in range(rounds + 1):
                for name, case in cases.items():
                    # The first round warms up.
                    names = [f"T{next(numbers):09d}" for _ in range(orders if turn else orders // 4)]
                    gc.collect()
                    started, worked = time.perf_counter(), time.process_time()
                    answered = await case(names)
                    took = (time.perf_counter() - started) / len(names), (time.process_time() - worked) / len(names)
                    if answered != names:
                        raise SystemExit(f"{name}: the answers do not belong to the orders")
                    if turn:
                        figures[name].append(took)
    return seconds


# ---- news from the trading stream


def frames() -> list[bytes]:
    """The lives of many orders in turn: new, 4 of 10 filled, the other 6."""
    encode = msgspec.json.encode
    lives: list[list[bytes]] = [[], [], []]
    for number in range(LIVES):
        order = {**ORDER, "id": str(uuid.UUID(int=number)), "client_order_id": f"T{number:09d}"}
        news = {"timestamp": "2026-03-02T15:00:00.125456789Z", "event_id": "01KJQT"}
        steps: list[dict[str, Any]] = [
            {**news, "event": "new", "execution_id": str(uuid.uuid4()), "order": {**order, "status": "new"}},
            {
                **news,
                "event": "partial_fill",
                "execution_id": str(uuid.uuid4()),
                "qty": "4",
                "price": "150.20",
                "position_qty": "4",
                "order": {**order, "status": "partially_filled", "filled_qty": "4", "filled_avg_price": "150.20"},
            },
            {
                **news,
                "event": "fill",
                "execution_id": str(uuid.uuid4()),
                "qty": "6",
                "price": "150.25",
                "position_qty": "10",
                "order": {
                    **order,
                    "status": "filled",
                    "filled_qty": "10",
                    "filled_avg_price": "150.23",
                    "filled_at": "2026-03-02T15:00:00.125456789Z",
                },
            },
        ]
        for kept, step in zip(lives, steps, strict=True):
            kept.append(encode({"stream": "trade_updates", "data": step}))
    return [frame for kept in lives for frame in kept]


def our_updates() -> Callable[[list[bytes]], Decimal]:
    request = LimitOrder("AAPL", "buy", qty="10", limit_price="150.25")
    sent = OrderEvent(kind=EventKind.SUBMITTED, source=Source.LOCAL, at=START, status=State.SUBMITTED)
    submitted = {name: lifecycle.apply(lifecycle.create(name, request, START)[0], sent).order for name in NAMES}

    def run(messages: list[bytes]) -> Decimal:
        talk = TradeConversation(Secret("PKTEST"), Secret("none"), None, Drift())
        orders = dict(submitted)
        for message in messages:
            for event in talk.hear(message, START)[1]:
                name = event.client_order_id
                orders[name] = lifecycle.apply(orders[name], event).order
        return sum((order.filled_qty * order.filled_avg_price for order in orders.values() if order.state is State.FILLED), Decimal(0))

    return run


def their_updates() -> Callable[[list[bytes]], Decimal] | None:
    """None where alpaca-py is not installed."""
    try:
        from alpaca.trading.stream import TradingStream
    except ImportError:
        return None
    cast = TradingStream("PKTEST", "none")._cast

    def run(messages: list[bytes]) -> Decimal:
        orders = {name: {"status": "submitted", "filled": 0.0} for name in NAMES}
        for message in messages:
            update = cast(json.loads(message))
            order = orders[update.order.client_order_id]
            order["status"] = update.order.status.value
            if update.qty is not None:
                order["filled"] += update.qty * update.price
        return Decimal(str(round(sum(order["filled"] for order in orders.values() if order["status"] == "filled"), 2)))

    return run


def decode_only(decode: Callable[[bytes], Any]) -> Callable[[list[bytes]], Decimal]:
    def run(messages: list[bytes]) -> Decimal:
        filled = 0.0
        for message in messages:
            data = decode(message)["data"]
            if "qty" in data:
                filled += float(data["qty"]) * float(data["price"])
        return Decimal(str(round(filled, 2)))

    return run


NAMES = [f"T{number:09d}" for number in range(LIVES)]


def measure_updates(rounds: int) -> dict[str, dict[str, list[Seconds]]]:
    messages = frames()
    peer = their_updates()
    cases = {} if peer is None else {"alpaca-py": peer}
    cases |= {
        "ours": our_updates(),
        "floor: json to dict": decode_only(json.loads),
        "floor: msgspec to dict": decode_only(msgspec.json.decode),
    }
    seconds: dict[str, list[Seconds]] = {name: [] for name in cases}
    for _ in range(rounds + 1):
        for name, case in cases.items():
            gc.collect()
            started, worked = time.perf_counter(), time.process_time()
            filled = case(messages)
            took = (time.perf_counter() - started) / len(messages), (time.process_time() - worked) / len(messages)
            seconds[name].append(took)
            if filled != LIVES * (4 * Decimal("150.20") + 6 * Decimal("150.25")):
                raise SystemExit(f"{name}: {filled} was filled")
    # The first round warms up.
    return {"trade update to state": {name: figures[1:] for name, figures in seconds.items()}}


def report(seconds: dict[str, dict[str, list[Seconds]]], *, as_json: bool) -> None:
    results = {}
    for title, cases in seconds.items():
        base = next(iter(cases.values()))
        results[title] = [
            {
                "case": name,
                "microseconds": round(statistics.median(clock for clock, _ in figures) * 1e6, 1),
                "from": round(min(figures)[0] * 1e6, 1),
                "to": round(max(figures)[0] * 1e6, 1),
                "times_as_fast": round(statistics.median(other[0] / one[0] for one, other in zip(figures, base, strict=True)), 2),
                "processor": round(statistics.median(processor for _, processor in figures) * 1e6, 1),
                "times_less_processor": round(statistics.median(other[1] / one[1] for one, other in zip(figures, base, strict=True)), 2),
            }
            for name, figures in cases.items()
        ]
    if as_json:
        print(json.dumps(results))
        return
    for title, rows in results.items():
        print(f"{title} ({rows[0]['case']} = 1x)")
        for row in rows:
            spread = f"{row['from']:.1f} to {row['to']:.1f}"
            clock = f"{row['microseconds']:>9} us  {spread:<20}{1e6 / row['microseconds']:>9,.0f}/s{row['times_as_fast']:>8}x"
            print(f"  {row['case']:<24}{clock}   processor {row['processor']:>8} us{row['times_less_processor']:>8}x")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only", choices=("submit", "update"))
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    pin(1 if arguments.serve else 0)
    if arguments.serve:
        asyncio.run(serve())
        return
    seconds: dict[str, dict[str, list[Seconds]]] = {}
    if arguments.only != "submit":
        seconds |= measure_updates(arguments.rounds)
    if arguments.only != "update":
        with subprocess.Popen([sys.executable, __file__, "--serve"], stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            try:
                seconds |= asyncio.run(measure_submit(int(server.stdout.readline()), arguments.rounds))
            finally:
                server.terminate()
    report(seconds, as_json=arguments.json)


if __name__ == "__main__":
    main()
