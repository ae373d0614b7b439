"""A paper account of its own: Alpaca's orders over HTTP and its trading socket, simple and exact, with faults at will.

It follows the published behaviour, peculiarities included: a list of open orders that leaves out held legs, a replacement that is another
order, a cancel that is only a wish, binary frames, no replay. Prices come from the test: ``fill`` fills.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import TracebackType
from typing import Any, Self

from aiohttp import WSMsgType, web

START = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
ENDED = {"filled", "canceled", "expired", "rejected", "replaced"}
Order = dict[str, Any]
Fault = Callable[[str, web.Request], "web.StreamResponse | None"]


class PaperHost:
    """Entered with ``async with``. ``before`` and ``after`` are asked for another answer, before and after a request took effect."""

    def __init__(self) -> None:
        self.orders: dict[str, Order] = {}
        self.positions: dict[str, Decimal] = {}
        self.requests: list[str] = []
        self.sockets: set[web.WebSocketResponse] = set()
        self.before: Fault = lambda _name, _request: None
        self.after: Fault = lambda _name, _request: None
        self.is_mute = False
        """Whether events are kept from the socket, as if they had been lost."""
        self.signed_in = asyncio.Event()
        self._ticks = 0
        self._runner: web.AppRunner | None = None
        self.url = ""

    async def __aenter__(self) -> Self:
        app = web.Application(middlewares=[self._with_faults])
        app.router.add_get("/stream", self._stream)
        app.router.add_get("/v2/account", self._account)
        app.router.add_get("/v2/positions", self._list_positions)
        app.router.add_post("/v2/orders", self._submit)
        app.router.add_get("/v2/orders", self._list)
        app.router.add_get("/v2/orders:by_client_order_id", self._by_client_id)
        app.router.add_get("/v2/orders/{order_id}", self._get)
        app.router.add_patch("/v2/orders/{order_id}", self._replace)
        app.router.add_delete("/v2/orders/{order_id}", self._cancel)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        await self.drop()
        assert self._runner is not None
        await self._runner.cleanup()

    @web.middleware
    async def _with_faults(self, request: web.Request, handler: Any) -> web.StreamResponse:
        name = f"{request.method} {request.path}"
        if request.path != "/stream":
            self.requests.append(name)
        answer = self.before(name, request)
        if answer is None:
            answer = await handler(request)
            answer = self.after(name, request) or answer
        return answer

    # What the market does.

    async def fill(self, order_id: str, qty: object, price: object) -> None:
        """Fill some of an order and tell it."""
        order = self.orders[order_id]
        had, more = Decimal(order["filled_qty"]), Decimal(str(qty))
        cost = had * Decimal(order["filled_avg_price"] or 0) + more * Decimal(str(price))
        total = had + more
        self._change(
            order,
            "filled" if total == Decimal(order["qty"]) else "partially_filled",
            filled_qty=_text(total),
            filled_avg_price=_text(cost / total),
        )
        sign = 1 if order["side"] == "buy" else -1
        self.positions[order["symbol"]] = self.positions.get(order["symbol"], Decimal(0)) + sign * more
        event = "fill" if order["status"] == "filled" else "partial_fill"
        await self.tell(event, order, execution_id=_new_id(), qty=_text(more), price=str(price))
        if order["status"] == "filled":
            await self._after_fill(order)

    async def _after_fill(self, order: Order) -> None:
        for leg_id in order["_legs"]:
            leg = self.orders[leg_id]
            # The exit with the gain goes to the market; the one with the loss waits for its turn.
            self._change(leg, "new" if leg["type"] == "limit" else "held")
            if leg["status"] == "new":
                await self.tell("new", leg)
        if order["_parent"]:
            for other_id in self.orders[order["_parent"]]["_legs"]:
                other = self.orders[other_id]
                if other_id != order["id"] and other["status"] not in ENDED:
                    # Alpaca is known not to stream this one.
                    self._change(other, "canceled")

    async def end(self, order_id: str, event: str) -> None:
        """End an order: canceled, expired or rejected."""
        order = self.orders[order_id]
        self._change(order, event)
        await self.tell(event, order)

    async def replaced(self, old_id: str) -> None:
        """The venue has taken a replacement: the old order is told as replaced, the new one works."""
        old = self.orders[old_id]
        new = self.orders[old["replaced_by"]]
        self._change(old, "replaced")
        await self.tell("replaced", old)
        self._change(new, "new")
        await self.tell("new", new)

    async def tell(self, event: str, order: Order, **members: Any) -> None:
        """Send one event to every socket that listens."""
        if self.is_mute:
            return
        data = {"event": event, "timestamp": order["updated_at"], "order": _shown(order, self.orders, nested=False), **members}
        for socket in tuple(self.sockets):
            await _say(socket, "trade_updates", data)

    async def drop(self) -> None:
        """Close every socket."""
        self.signed_in.clear()
        for socket in tuple(self.sockets):
            self.sockets.discard(socket)
            await socket.close(code=1001)

    def one(self) -> Order:
        """The only order there is."""
        (order,) = self.orders.values()
        return order

    # What clients ask.

    async def _stream(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                break
            said = json.loads(message.data)
            if said["action"] == "authenticate":
                is_good = said["data"]["secret_key"] != "wrong"
                status = "authorized" if is_good else "unauthorized"
                await socket.send_bytes(
                    json.dumps({"stream": "authorization", "data": {"status": status, "action": "authenticate"}}).encode()
                )
            else:
                await _say(socket, "listening", {"streams": said["data"]["streams"]})
                self.sockets.add(socket)
                self.signed_in.set()
        self.sockets.discard(socket)
        return socket

    async def _account(self, request: web.Request) -> web.Response:
        if request.headers.get("APCA-API-SECRET-KEY") == "wrong":
            return web.json_response({"message": "unauthorized."}, status=401)
        figures = {"cash": "100000", "equity": "100000", "buying_power": "200000"}
        return web.json_response({"id": "a" * 8, "account_number": "PA000TEST", "status": "ACTIVE", "currency": "USD", **figures})

    async def _list_positions(self, _: web.Request) -> web.Response:
        held = [
            {
                "symbol": symbol,
                "qty": str(qty),
                "side": "short" if qty < 0 else "long",
                "avg_entry_price": "100",
                "asset_class": "us_equity",
            }
            for symbol, qty in self.positions.items()
            if qty
        ]
        return web.json_response(held)

    async def _submit(self, request: web.Request) -> web.Response:
        asked = await request.json()
        if any(order["client_order_id"] == asked["client_order_id"] for order in self.orders.values()):
            return _problem(422, 40010001, "client_order_id must be unique")
        if asked.get("symbol") == "NOPE":
            return _problem(422, 40010001, 'could not find asset "NOPE"')
        order = self._add(asked, asked["client_order_id"])
        if asked.get("order_class") == "mleg":
            order.update(symbol="", side="", asset_class="")
            for leg in asked["legs"]:
                self._add_leg(order, {**leg, "qty": str(int(asked["qty"]) * int(leg["ratio_qty"])), "type": ""}, order_class="mleg")
        exits = [(kind, asked[kind]) for kind in ("take_profit", "stop_loss") if kind in asked]
        for kind, terms in exits[asked.get("order_class") == "oco" :]:
            kind_of_order = "limit" if kind == "take_profit" else "stop_limit" if "limit_price" in terms else "stop"
            opposite = asked["side"] if asked["order_class"] == "oco" else {"buy": "sell", "sell": "buy"}[asked["side"]]
            self._add_leg(order, {**asked, **terms, "side": opposite, "type": kind_of_order}, order_class=asked["order_class"])
        return web.json_response(_shown(order, self.orders, nested=True))

    async def _list(self, request: web.Request) -> web.Response:
        query = request.query
        status, limit, nested = query.get("status", "open"), int(query.get("limit", 50)), query.get("nested") == "true"
        rows = [order for order in self.orders.values() if _is_listed(order, status)]
        if nested:
            listed = {order["id"] for order in rows}
            rows = [order for order in rows if order["_parent"] not in listed]
        if query.get("direction", "desc") == "desc":
            rows.reverse()
        for cursor in ("after_order_id", "before_order_id"):
            if cursor in query:
                places = [order["id"] for order in rows]
                rows = rows[places.index(query[cursor]) + 1 :]
        return web.json_response([_shown(order, self.orders, nested=nested) for order in rows[:limit]])

    async def _by_client_id(self, request: web.Request) -> web.Response:
        wanted = request.query["client_order_id"]
        found = next((order for order in self.orders.values() if order["client_order_id"] == wanted), None)
        if found is None:
            return _problem(404, 40410000, f"order not found for {wanted}")
        return web.json_response(_shown(found, self.orders, nested=False))

    async def _get(self, request: web.Request) -> web.Response:
        found = self.orders.get(request.match_info["order_id"])
        if found is None:
            return _problem(404, 40410000, "order not found")
        return web.json_response(_shown(found, self.orders, nested=request.query.get("nested") == "true"))

    async def _replace(self, request: web.Request) -> web.Response:
        old = self.orders[request.match_info["order_id"]]
        if old["status"] in ENDED:
            return _problem(422, 42210000, "order is not open")
        asked = await request.json()
        new = self._add({**old, **asked}, asked.get("client_order_id") or _new_id())
        self._change(new, "pending_new", replaces=old["id"])
        self._change(old, "pending_replace", replaced_by=new["id"])
        return web.json_response(_shown(new, self.orders, nested=True))

    async def _cancel(self, request: web.Request) -> web.Response:
        order = self.orders.get(request.match_info["order_id"])
        if order is None:
            return _problem(404, 40410000, "order not found")
        if order["status"] in ENDED:
            return _problem(422, 42210000, f'order is already in "{order["status"]}" state')
        self._change(order, "pending_cancel")
        return web.Response(status=204)

    # The books.

    def _add(self, asked: dict[str, Any], client_order_id: str) -> Order:
        now = self._now()
        order: Order = {
            **dict.fromkeys(("qty", "notional", "limit_price", "stop_price", "trail_price", "trail_percent", "replaced_by", "replaces")),
            "order_class": "",
            "extended_hours": False,
            **{name: value for name, value in asked.items() if name not in ("take_profit", "stop_loss", "legs", "client_order_id")},
            "id": _new_id(),
            "client_order_id": client_order_id,
            "asset_class": "us_equity",
            "status": "new",
            "filled_qty": "0",
            "filled_avg_price": None,
            "created_at": now,
            "submitted_at": now,
            "updated_at": now,
            "_legs": [],
            "_parent": None,
        }
        self.orders[order["id"]] = order
        return order

    def _add_leg(self, parent: Order, asked: dict[str, Any], order_class: str) -> None:
        leg = self._add({"time_in_force": parent["time_in_force"], **asked, "order_class": order_class}, _new_id())
        leg.update(status="new" if order_class == "mleg" else "held", _parent=parent["id"])
        parent["_legs"].append(leg["id"])

    def _change(self, order: Order, status: str, **members: Any) -> None:
        order.update(status=status, updated_at=self._now(), **members)

    def _now(self) -> str:
        self._ticks += 1
        return (START + timedelta(milliseconds=self._ticks)).isoformat().replace("+00:00", "Z")


async def _say(socket: web.WebSocketResponse, stream: str, data: dict[str, Any]) -> None:
    """Paper sends binary frames."""
    await socket.send_bytes(json.dumps({"stream": stream, "data": data}).encode())


def _is_listed(order: Order, status: str) -> bool:
    if status == "all":
        return True
    return (order["status"] in ENDED) == (status == "closed") and not (status == "open" and order["status"] == "held")


def _shown(order: Order, orders: dict[str, Order], *, nested: bool) -> dict[str, Any]:
    shown = {name: value for name, value in order.items() if not name.startswith("_")}
    legs = [_shown(orders[leg_id], orders, nested=False) for leg_id in order["_legs"]]
    return {**shown, "legs": legs if legs and nested else None}


def _problem(status: int, code: int, message: str) -> web.Response:
    return web.json_response({"code": code, "message": message}, status=status)


def _text(number: Decimal) -> str:
    return format(number.normalize(), "f")


def _new_id() -> str:
    return str(uuid.uuid4())
