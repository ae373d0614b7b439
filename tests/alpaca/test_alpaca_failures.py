"""Every way in which a call may go wrong, over real sockets and both transports: the right error, told once, and no secret in it."""

from __future__ import annotations

import logging
import traceback
from datetime import UTC, datetime
from typing import Any

import pytest
from accounts import KEY, SECRET, Connect
from scripted_host import Answer, Fault, Reply, Request, ScriptedHost

from broker_alpaca.client import AlpacaClient
from broker_alpaca.orders import AlpacaOrders
from broker_alpaca.wire import account, orders
from broker_core.errors import AuthError, DuplicateOrder, InDoubt, RateLimited, RemoteError, RequestRefused, Unavailable, WireError
from broker_core.lifecycle import create
from broker_core.orders import Order, State
from broker_core.requests import LimitOrder

ORDER_ID = "11111111-1111-4111-8111-111111111111"
ORDER = {"id": ORDER_ID, "client_order_id": "T1", "status": "new", "symbol": "AAPL", "side": "buy", "type": "limit", "qty": "1"}
PAGE = b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"


def an_order() -> Order:
    """An order that is about to be sent."""
    order, _ = create("T1", LimitOrder("AAPL", "buy", qty=1, limit_price=150), datetime(2026, 3, 2, 15, 0, tzinfo=UTC))
    return order


def problem(code: int, message: str, **details: Any) -> dict[str, Any]:
    """A body in the broker's own words."""
    return {"code": code, "message": message, **details}


async def read_account(client: AlpacaClient) -> object:
    """A call that changes nothing."""
    return await client.send(account.get())


async def submit(client: AlpacaClient) -> object:
    """A call that makes an order."""
    return await AlpacaOrders(client).submit(an_order())


async def cancel(client: AlpacaClient) -> object:
    """A call that ends one."""
    return await client.send(orders.cancel(ORDER_ID))


REFUSALS: list[tuple[Reply, type[RemoteError], str]] = [
    (Reply(400, problem(40010000, "failed to decode request body")), RequestRefused, "40010000 failed to decode request body"),
    (Reply(422, problem(40010001, "qty or notional is required")), RequestRefused, "40010001 qty or notional is required"),
    (Reply(422, problem(40010001, "client_order_id must be unique")), DuplicateOrder, "client_order_id must be unique"),
    (Reply(422, problem(42210000, "invalid limit_price 290.123. sub-penny increment")), RequestRefused, "42210000 invalid limit_price"),
    (
        Reply(403, problem(40310000, "insufficient buying power", buying_power="10", cost_basis="150")),
        RequestRefused,
        "40310000 insufficient buying power (buying_power 10, cost_basis 150)",
    ),
    (
        Reply(403, problem(40310000, "insufficient qty available", related_orders=["7e80", "7e81"])),
        RequestRefused,
        "related_orders 7e80 7e81",
    ),
    (Reply(404, problem(40410000, "order not found for X")), RequestRefused, "404 40410000 order not found for X"),
    (Reply(404, PAGE), RequestRefused, "404 a page, not an answer: 502 Bad Gateway"),
    (Reply(401, problem(40110000, "access key verification failed")), AuthError, "40110000 access key verification failed"),
    (Reply(401, {"message": "unauthorized."}), AuthError, "unauthorized."),
    (Reply(401, PAGE), AuthError, "a page, not an answer"),
    (Reply(401), AuthError, "an empty answer"),
    (Reply(403, {"message": "forbidden."}), AuthError, "forbidden."),
    (Reply(307, b"", {"Location": "https://elsewhere.example"}), RequestRefused, "redirects to https://elsewhere.example"),
    (Reply(422, {"code": "hard_to_borrow", "message": "text code"}), RequestRefused, "hard_to_borrow text code"),
]


@pytest.mark.parametrize("call", [read_account, submit, cancel])
@pytest.mark.parametrize(("reply", "kind", "said"), REFUSALS, ids=[f"{reply.status} {said[:24]}" for reply, _, said in REFUSALS])
async def test_a_refusal_is_one_whatever_was_asked(connect: Connect, call: Any, reply: Reply, kind: type[RemoteError], said: str):
    """It is told once, with the broker's status, code and message; and nothing is sent again."""
    async with ScriptedHost(lambda _: reply) as host:
        with pytest.raises(kind) as caught:
            await call(connect(host.url))

    assert type(caught.value) is kind
    assert said in str(caught.value)
    assert len(host.requests) == 1
    if isinstance(caught.value, RequestRefused):
        assert caught.value.status == reply.status
        assert caught.value.code == (reply.body.get("code") if isinstance(reply.body, dict) else None)


NO_WORD: list[tuple[Answer, str]] = [
    (Reply(408, b""), "408 an empty answer"),
    (Reply(500, problem(50010000, "internal server error occurred")), "500 50010000 internal server error"),
    (Reply(502, PAGE), "502 a page, not an answer: 502 Bad Gateway"),
    (Reply(503, b""), "503 an empty answer"),
    (Reply(504, b"<html><body>Gateway Time-out</body></html>"), "504 a page, not an answer: Gateway Time-out"),
    (Reply(422, b""), "422 an empty answer"),
    (Reply(403, PAGE), "403 a page"),
    (Reply(400, b'{"code":400'), "400"),
    (Reply(200, b"x" * 100, cut=40), ""),
    (Fault.RESET, ""),
]


@pytest.mark.parametrize("call", [submit, cancel])
@pytest.mark.parametrize(("answer", "said"), NO_WORD, ids=[str(answer)[:30] for answer, _ in NO_WORD])
async def test_a_change_without_the_brokers_word_is_in_doubt(connect: Connect, call: Any, answer: Answer, said: str):
    """Whatever stands in the way of an answer, the call is sent once and says that it may have taken effect."""
    async with ScriptedHost(lambda _: answer) as host:
        with pytest.raises(InDoubt, match="may have taken effect") as caught:
            await call(connect(host.url))

    assert said in str(caught.value)
    assert len(host.requests) == 1


@pytest.mark.parametrize(("answer", "said"), NO_WORD, ids=[str(answer)[:30] for answer, _ in NO_WORD])
async def test_a_read_without_an_answer_is_repeated_and_then_unavailable(connect: Connect, answer: Answer, said: str):
    """Reading changes nothing, so it is tried three times."""
    async with ScriptedHost(lambda _: answer) as host:
        client = connect(host.url)
        with pytest.raises(Unavailable) as caught:
            await read_account(client)

    assert said in str(caught.value)
    assert len(host.requests) == 3


async def test_a_read_that_succeeds_the_second_time_is_a_success(connect: Connect):
    """One bad answer costs a repetition and nothing else."""
    answers = iter([Reply(503), Reply(200, {"id": "a", "status": "ACTIVE"})])
    async with ScriptedHost(lambda _: next(answers)) as host:
        client = connect(host.url)
        found = await client.send(account.get())

    assert found.id == "a"


@pytest.mark.parametrize("body", [b"", b"{", b'{"id":"a"', PAGE, b"[]", b"null", b"\xff\xfe"])
async def test_a_success_that_cannot_be_read(connect: Connect, body: bytes):
    """To a read it is an answer that is not understood; to an order it leaves open what happened."""
    async with ScriptedHost(lambda _: Reply(200, body)) as host:
        client = connect(host.url)
        with pytest.raises(WireError, match="account"):
            await read_account(client)
        with pytest.raises(InDoubt, match="unreadable"):
            await submit(client)

    assert [request.method for request in host.requests] == ["GET", "POST"]


async def test_a_host_that_never_answers(connect: Connect):
    """Every call has a deadline: a change is then in doubt, a read is unavailable."""
    async with ScriptedHost(lambda _: Fault.SILENT) as host:
        client = connect(host.url, deadline=10)
        with pytest.raises(InDoubt, match="may have taken effect"):
            await submit(client)
        with pytest.raises(Unavailable):
            await read_account(client)

    assert [request.method for request in host.requests] == ["POST", "GET", "GET", "GET"]


async def test_a_connection_that_breaks_before_the_request_was_read(connect: Connect):
    """Broken while it was being made, it proves that nothing was sent; after that nobody can know, and a change is in doubt.

    A read comes through on the next connection.
    """
    async with ScriptedHost(lambda _: Reply(200, {"id": "a", "status": "ACTIVE"})) as host:
        host.unread = 1
        with pytest.raises((InDoubt, Unavailable)):
            await submit(connect(host.url))
        host.unread = 1
        client = connect(host.url)
        await read_account(client)

    assert [request.method for request in host.requests] == ["GET"]


async def test_a_host_that_is_not_there(connect: Connect):
    """A refused connection proves that nothing was sent."""
    async with ScriptedHost() as host:
        url = host.url
    client = connect(url)
    for call in (submit, cancel, read_account):
        with pytest.raises(Unavailable, match="nothing was sent"):
            await call(client)


@pytest.mark.parametrize(
    ("headers", "wait"),
    [({"Retry-After": "7"}, 7.0), ({"X-RateLimit-Reset": "1772463609", "X-Ratelimit-Remaining": "0"}, 9.0), ({}, 1.0)],
    ids=["retry-after", "reset", "no headers"],
)
async def test_a_rate_limit_is_told_with_its_wait(connect: Connect, headers: dict[str, str], wait: float):
    """An order that is refused for the rate was not placed; the error says when to come back."""
    async with ScriptedHost(lambda _: Reply(429, {"message": "too many requests."}, headers)) as host:
        client = connect(host.url)
        with pytest.raises(RateLimited, match="too many requests") as caught:
            await submit(client)

    assert caught.value.wait == pytest.approx(wait, abs=2)
    assert len(host.requests) == 1


async def test_a_delete_is_sent_once_even_on_a_connection_that_was_used_before(connect: Connect):
    """Closing part of a position twice would sell twice, so no library below may repeat it."""

    def answer(request: Request) -> Answer:
        return Reply(200, {"id": "a", "status": "ACTIVE"}) if request.method == "GET" else Fault.RESET

    async with ScriptedHost(answer) as host:
        client = connect(host.url)
        await read_account(client)
        with pytest.raises(InDoubt):
            await cancel(client)

    assert [request.method for request in host.requests] == ["GET", "DELETE"]


@pytest.mark.parametrize(
    "answer",
    [
        Reply(403, {"code": 40310000, "message": f"key {KEY} and secret {SECRET} are not allowed", "key": KEY}),
        Reply(500, f"<title>{SECRET}</title>".encode()),
        Reply(422, {"message": SECRET}),
        Reply(200, f'{{"id": "{SECRET}'.encode()),
        Fault.RESET,
    ],
)
async def test_no_secret_leaves(connect: Connect, answer: Answer, caplog: pytest.LogCaptureFixture):
    """Not in the message, the repr, the log, or the traceback with its causes; also where the other side sends them back."""
    caplog.set_level(logging.DEBUG)
    async with ScriptedHost(lambda _: answer) as host:
        client = connect(host.url)
        with pytest.raises(RemoteError) as caught:
            await submit(client)
        logging.getLogger("test").error("refused", exc_info=caught.value)

    whole = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + repr(client.settings) + caplog.text
    assert SECRET not in whole
    assert KEY not in whole
    assert caught.value.__cause__ is None
    assert host.requests[0].headers["apca-api-secret-key"] == SECRET


async def test_an_order_is_sent_as_alpaca_wants_it(connect: Connect):
    """Amounts are texts, our id goes along, and the answer is the order's state."""
    async with ScriptedHost(lambda _: Reply(200, ORDER)) as host:
        event = await AlpacaOrders(connect(host.url)).submit(an_order())

    (request,) = host.requests
    assert (request.method, request.path) == ("POST", "/v2/orders")
    assert request.json == {
        "symbol": "AAPL",
        "qty": "1",
        "side": "buy",
        "type": "limit",
        "time_in_force": "day",
        "limit_price": "150",
        "client_order_id": "T1",
    }
    assert request.headers["apca-api-key-id"] == KEY
    assert (event.status, event.broker_order_id, event.client_order_id) == (State.ACCEPTED, ORDER_ID, "T1")
