"""The second port: faults come and go, sockets break, and the exchange's own truth can be read."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, Self

import aiohttp
import msgspec
import pytest
from raw_http import until_asleep
from sandboxes import Reply, Visitor, sandbox
from wires import DataWire, TradingWire

from broker_core.clock import StillClock
from broker_core.requests import LimitOrder, MarketOrder
from broker_demo.sandbox.server import Sandbox
from broker_demo.sandbox.sockets.lines import GIVES_UP


class Admin:
    """Somebody at the second port, without keys."""

    def __init__(self, box: Sandbox) -> None:
        self._url = box.addresses.admin_url
        self._session = aiohttp.ClientSession()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._session.close()

    async def ask(self, method: str, path: str, body: Any = None) -> Reply:
        """Send one request. A body of bytes is sent as it is, any other as JSON."""
        content = body if body is None or isinstance(body, bytes) else msgspec.json.encode(body)
        data = None if content is None else io.BytesIO(content)
        async with self._session.request(method, self._url + path, data=data) as response:
            return Reply(response.status, await response.read(), response.headers)

    async def state(self) -> dict[str, Any]:
        """The exchange's own truth."""
        found: dict[str, Any] = (await self.ask("GET", "/state")).json
        return found


@pytest.fixture
async def admin(box: Sandbox) -> AsyncIterator[Admin]:
    """Somebody at the second port of ``box``."""
    async with Admin(box) as admin:
        yield admin


async def test_health(admin: Admin):
    """It says that it is there."""
    assert (await admin.ask("GET", "/health")).json == {"status": "ok"}


async def test_a_fault_comes_is_counted_and_goes(admin: Admin, visitor: Visitor):
    """It strikes from the moment it is posted to the moment it is deleted, and says how often it has."""
    begun = await admin.ask("POST", "/faults", {"kind": "error", "status": 503, "every": 2})
    statuses = [(await visitor.get("/v2/account")).status for _ in range(4)]
    (listed,) = (await admin.ask("GET", "/faults")).json
    ended = await admin.ask("DELETE", f"/faults/{listed['id']}")

    assert (begun.status, statuses, ended.status) == (201, [200, 503, 200, 503], 204)
    assert listed == {**begun.json[0], "seen": 4, "struck": 2}
    assert listed == {"id": listed["id"], "kind": "error", "status": 503, "every": 2, "seen": 4, "struck": 2, "is_spent": False}
    assert [(await visitor.get("/v2/account")).status for _ in range(2)] == [200, 200]
    assert (await admin.ask("GET", "/faults")).json == []


async def test_several_faults_come_at_once(admin: Admin, visitor: Visitor):
    """As a list or as a script, in their order; those that are spent stay on the list until all are deleted."""
    first = await admin.ask("POST", "/faults", [{"kind": "error", "status": 501, "count": 1}, {"kind": "error", "status": 502, "count": 1}])
    second = await admin.ask("POST", "/faults", {"fault": [{"kind": "error", "status": 503, "count": 1}]})

    statuses = [(await visitor.get("/v2/account")).status for _ in range(4)]

    assert len({fault["id"] for fault in first.json + second.json}) == 3
    assert statuses == [501, 502, 503, 200]
    assert [fault["is_spent"] for fault in (await admin.ask("GET", "/faults")).json] == [True] * 3
    assert (await admin.ask("DELETE", "/faults")).status == 204
    assert (await admin.ask("GET", "/faults")).json == []


async def test_a_fault_that_is_over_is_off_the_list(admin: Admin, visitor: Visitor, clock: StillClock):
    """Its seconds are the clock's, and counted from its beginning."""
    await admin.ask("POST", "/faults", {"kind": "error", "lasts": 10})
    await clock.advance(9)
    assert (await visitor.get("/v2/account")).status == 500
    await clock.advance(1)

    assert (await visitor.get("/v2/account")).status == 200
    assert (await admin.ask("GET", "/faults")).json == []


async def test_what_is_wrong_with_one_keeps_all_out(admin: Admin):
    """Either all faults of a request begin or none does, and the answer says which is wrong."""
    reply = await admin.ask("POST", "/faults", [{"kind": "error"}, {"kind": "eror"}])

    assert reply.status == 422
    assert reply.json["message"].startswith("body: fault 2: kind: 'eror' is unknown; did you mean error?")
    assert (await admin.ask("GET", "/faults")).json == []


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "words"),
    [
        ("GET", "/nothing", None, 404, "not found"),
        ("PUT", "/faults", None, 405, "method not allowed"),
        ("POST", "/faults", None, 400, "the body is not JSON"),
        ("POST", "/faults", b"\xff{", 400, "the body is not JSON"),
        ("POST", "/faults", b"[" * 100_000, 400, "the body is not JSON"),
        ("POST", "/faults", b"{" + b" " * (1 << 20), 413, "request body is too large"),
        ("POST", "/faults", 7, 422, "body: it is no table of terms"),
        ("POST", "/faults", {}, 422, "body: kind is missing"),
        ("POST", "/faults", {"fault": {}}, 422, "body: fault is no list"),
        ("POST", "/faults", {"fault": [], "more": 1}, 422, "body: 'more' is unknown"),
        ("POST", "/faults", {"kind": []}, 422, "body: kind: [] is unknown"),
        ("DELETE", "/faults/fault-9", None, 404, "there is no fault 'fault-9'"),
        ("POST", "/sockets/burn", None, 404, "'burn' cannot be done to sockets; known: drop, close,"),
        ("POST", "/sockets/drop?kind=telex", None, 422, "kind: 'telex' is unknown; known: trading, data"),
        ("POST", "/sockets/slow?seconds=nan", None, 422, "seconds: 'nan' is not a number from 0"),
        ("POST", "/sockets/slow?seconds=-1", None, 422, "seconds: '-1' is not a number from 0"),
        ("POST", "/bust", [], 422, "the body is no object"),
        ("POST", "/bust", {}, 422, "order_id: is missing"),
        ("POST", "/bust", {"order_id": 7}, 422, "order_id: is not a text"),
        ("POST", "/bust", {"order": "x"}, 422, "'order' is unknown; known: execution_id, order_id"),
        ("POST", "/bust", {"order_id": "x"}, 404, "there is no order 'x'"),
        ("POST", "/bust", {"execution_id": "x"}, 404, "execution not found for x"),
        ("POST", "/events", {"order_id": "x", "event": "held"}, 404, "there is no order 'x'"),
    ],
)
async def test_what_cannot_be_done_is_said_in_one_line(admin: Admin, method: str, path: str, body: Any, status: int, words: str):
    """Every refusal is JSON with a message of one line."""
    reply = await admin.ask(method, path, body)

    assert (reply.status, list(reply.json)) == (status, ["message"])
    assert reply.json["message"].startswith(words)
    assert "\n" not in reply.json["message"]


async def test_the_state_is_the_exchanges_own(admin: Admin, visitor: Visitor, box: Sandbox, clock: StillClock):
    """Every order, execution and position is there at once, whatever faults lie between the exchange and its clients."""
    await admin.ask("POST", "/faults", {"kind": "empty"})
    await visitor.post("/v2/orders", {"symbol": "AAPL", "qty": "2", "side": "buy", "type": "market", "time_in_force": "day"})
    for number in range(600):
        box.desk.exchange.submit(LimitOrder("AAPL", "buy", qty=1, limit_price="1"), f"mine-{number}", box.desk.now_ns())
    await clock.advance(1)
    async with TradingWire(box):
        state = await admin.state()

    assert state["counts"] == {"orders": 601, "executions": 1, "positions": 1, "sockets": 1}
    assert state["sockets"] == {"trading": 1, "data": 0, "opened": 1, "dropped": 0}
    assert [order["client_order_id"] for order in state["orders"][1:]] == [f"mine-{number}" for number in range(600)]
    first, (fill,), (position,) = state["orders"][0], state["executions"], state["positions"]
    assert (first["symbol"], first["side"], first["type"], first["qty"], first["filled_qty"]) == ("AAPL", "buy", "market", "2", "2")
    assert (first["status"], first["filled_avg_price"]) == ("filled", fill["price"])
    assert (fill["order_id"], fill["qty"], fill["is_busted"]) == (first["id"], "2", False)
    assert position == {"symbol": "AAPL", "qty": "2", "avg_entry_price": fill["price"]}


async def test_reading_the_state_lets_time_catch_up(box: Sandbox, admin: Admin):
    """An order that the standing quote fills is filled in the very next answer, though nobody has told the market of it."""
    order = box.desk.exchange.submit(MarketOrder("AAPL", "buy", qty=1), "mine", box.desk.now_ns())

    (told,) = (await admin.state())["orders"]

    assert (told["id"], told["status"]) == (order.order_id, "filled")


async def test_the_last_fill_of_an_order_is_taken_back_first(visitor: Visitor, admin: Admin, clock: StillClock):
    """Each further request takes back the one before it."""
    order = await visitor.order(symbol="DEMO.PARTIAL", qty="10")
    for _ in range(20):
        await clock.advance(1)
    executions = [execution["id"] for execution in (await admin.state())["executions"]]
    assert len(executions) > 1

    taken_back = [(await admin.ask("POST", "/bust", {"order_id": order["id"]})).json["execution_id"] for _ in range(2)]

    assert taken_back == executions[-1:-3:-1]


async def test_a_fill_is_taken_back_by_its_order_or_its_own_id(visitor: Visitor, admin: Admin):
    """The last execution of an order first; one that was taken back stays so, and an order without any is refused."""
    orders = [await visitor.order() for _ in range(2)]
    executions = [execution["id"] for execution in (await admin.state())["executions"]]

    by_order = await admin.ask("POST", "/bust", {"order_id": orders[1]["id"]})
    by_id = await admin.ask("POST", "/bust", {"execution_id": executions[0]})
    again = [
        await admin.ask("POST", "/bust", {"order_id": orders[1]["id"]}),
        await admin.ask("POST", "/bust", {"execution_id": executions[0]}),
    ]

    assert (by_order.json, by_id.json) == ({"execution_id": executions[1]}, {"execution_id": executions[0]})
    assert [(reply.status, reply.json["message"]) for reply in again] == [
        (422, f"order {orders[1]['id']} has no execution to take back"),
        (422, "execution is already taken back"),
    ]
    state = await admin.state()
    assert (state["positions"], [execution["is_busted"] for execution in state["executions"]]) == ([], [True, True])


async def test_an_event_is_told_that_the_exchange_did_not_bring_about(box: Sandbox, visitor: Visitor, admin: Admin):
    """The trading sockets hear it with the order; the order itself stays as it is."""
    order = await visitor.order(type="limit", limit_price="1")
    async with TradingWire(box) as wire:
        await wire.listen()
        reply = await admin.ask("POST", "/events", {"order_id": order["id"], "event": "suspended"})
        update = await wire.update()

    assert (reply.status, update["event"], update["order"]["status"]) == (200, "suspended", "suspended")
    assert (await admin.state())["orders"][0]["status"] == "new"
    assert (await admin.ask("POST", "/events", {"order_id": order["id"]})).json == {
        "message": "event: is missing; name the one that is told"
    }


async def test_sockets_are_broken_by_kind(box: Sandbox, admin: Admin):
    """Only those of the kind that is named, and the answer says how many there were."""
    async with TradingWire(box) as trading, DataWire(box) as data:
        await trading.listen()
        await data.sign_in()

        assert (await admin.ask("POST", "/sockets/drop?kind=trading")).json == {"sockets": 1}
        assert await trading.hear() is None
        assert (await data.subscribe(trades=["AAPL"]))["T"] == "subscription"
        assert (await admin.ask("POST", "/sockets/close")).json == {"sockets": 1}
        while await data.hear() is not None:
            pass

        assert (trading.socket.close_code, data.socket.close_code) == (1006, 1000)
    sockets = (await admin.state())["sockets"]
    assert (sockets["trading"], sockets["opened"], sockets["dropped"]) == (0, 2, 1)


async def test_sockets_fall_silent(box: Sandbox, visitor: Visitor, admin: Admin, clock: StillClock):
    """A mute one answers pings still, a half-open one does not, and a slow one lags."""
    async with TradingWire(box) as mute:
        await mute.listen()
        await admin.ask("POST", "/sockets/mute")
        await visitor.order(type="limit", limit_price="1")
        await mute.socket.ping(b"there?")
        assert (await mute.socket.receive()).type is aiohttp.WSMsgType.PONG
    async with TradingWire(box) as slow:
        await slow.listen()
        await admin.ask("POST", "/sockets/slow?seconds=5")
        await visitor.order(type="limit", limit_price="1")
        await until_asleep(clock, 5)
        await clock.advance(10)
        assert [update["event"] for update in await slow.updates(2)] == ["pending_new", "new"]
        await admin.ask("POST", "/sockets/half_open?kind=trading")
        await slow.socket.ping(b"there?")
        await until_asleep(clock, GIVES_UP)
        await clock.advance(GIVES_UP)
        assert await slow.hear() is None


async def test_the_second_port_has_no_faults_and_the_first_no_administration(admin: Admin, visitor: Visitor, box: Sandbox):
    """Faults never keep anybody from ending them."""
    await admin.ask("POST", "/faults", [{"kind": "refuse_connection"}, {"kind": "error"}])

    async with Admin(box) as another:
        assert (await another.ask("DELETE", "/faults")).status == 204
    assert (await visitor.get("/faults")).status == 404


async def test_a_sandbox_begins_with_the_faults_of_its_script(tmp_path: Any):
    """They strike from the first request on."""
    script = tmp_path / "faults.toml"
    script.write_text('[[fault]]\nkind = "error"\nstatus = 503\ncount = 1\n')

    async with sandbox(settings={"faults": script}) as box, Visitor(box) as visitor:
        assert [(await visitor.get("/v2/account")).status for _ in range(2)] == [503, 200]
