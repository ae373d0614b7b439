"""Faults of requests: what happens to one on its way to the exchange and back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from http import HTTPStatus
from types import MappingProxyType
from typing import TypeAlias

import attrs
import msgspec
from aiohttp import web

from broker_demo.sandbox.answers import Answer, Refused
from broker_demo.sandbox.faults.changes import changed
from broker_demo.sandbox.faults.plan import Fault, Faults
from broker_demo.sandbox.faults.terms import Channel, Kind, When, Which
from broker_demo.sandbox.resets import reset

_DATA_PATHS = ("/v2/stocks", "/v1beta", "/v1/")
_TRADING_STREAM = "/stream"


async def exchange(faults: Faults, request: web.Request, act: Callable[[], Awaitable[web.StreamResponse]]) -> web.StreamResponse:
    """Have ``act`` carry the request out, and give its answer back, unless a fault says otherwise."""
    if not faults.requests and not faults.handshakes:
        return await act()
    if request.headers.get("Upgrade", "").lower() == "websocket":
        return await _handshake(faults, request, act)
    return await _spoilt(_Trip(request, act, faults))


def response(answer: Answer) -> web.Response:
    """The answer as it is sent."""
    headers = {"Content-Type": answer.content_type} if answer.body else {}
    return web.Response(status=answer.status, body=answer.body, headers=headers)


@attrs.frozen
class _Trip:
    """A request on its way."""

    request: web.Request
    act: Callable[[], Awaitable[web.StreamResponse]]
    faults: Faults

    @property
    def is_data(self) -> bool:
        """Whether it was sent to the data host."""
        return self.request.path.startswith(_DATA_PATHS)

    async def answer(self) -> Answer:
        """Carry it out."""
        done = await self.act()
        body = done.body if isinstance(done, web.Response) else None
        return Answer(done.status, body if isinstance(body, bytes) else b"", done.headers.get("Content-Type", ""))


_Spoiler: TypeAlias = Callable[[_Trip, Fault], Awaitable[web.StreamResponse]]


async def _spoilt(trip: _Trip) -> web.StreamResponse:
    """Latencies add up, and so do changes of the answer; of the rest the first that strikes is the only one."""
    late, changes, spoiler = 0.0, [], None
    for fault in trip.faults.of_request(trip.request.method, trip.request.path):
        if fault.terms.kind is Kind.LATENCY:
            if fault.terms.when is When.BEFORE:
                # It is all there, and takes effect late: also when nobody waits for the answer any more.
                with suppress(web.HTTPException, ConnectionError):
                    await trip.request.read()
                await trip.faults.clock.sleep(fault.delay)
            else:
                late += fault.delay
        elif fault.terms.kind in _CHANGES:
            changes.append(fault)
        else:
            spoiler = fault
            break
    if spoiler is not None:
        done = await _SPOILERS[spoiler.terms.kind](trip, spoiler)
    elif changes:
        answer = await trip.answer()
        for fault in changes:
            answer = attrs.evolve(answer, body=_changed(answer.body, fault))
        done = response(answer)
    else:
        done = await trip.act()
    if late:
        await trip.faults.clock.sleep(late)
    return done


async def _rate_limit(trip: _Trip, fault: Fault) -> web.StreamResponse:
    terms = fault.terms
    done = response(Refused(429, terms.message or "too many requests.", code=terms.code).answer)
    resets = trip.faults.clock.now_ns() // 1_000_000_000 + round(terms.seconds or 1)
    done.headers.update(
        {"X-RateLimit-Limit": str(terms.limit), "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(resets)},
    )
    if terms.retry_after is not None:
        done.headers["Retry-After"] = terms.retry_after
    return done


async def _error(trip: _Trip, fault: Fault) -> web.StreamResponse:
    terms = fault.terms
    if terms.when is When.AFTER:
        await trip.act()
    status = terms.status or 500
    message = terms.message or ("internal server error occurred" if status == HTTPStatus.INTERNAL_SERVER_ERROR else _phrase(status).lower())
    code = terms.code if terms.code is not None or trip.is_data else status * 100_000 + 10_000
    return response(Refused(status, message, code=code).answer)


async def _html(trip: _Trip, fault: Fault) -> web.StreamResponse:
    if fault.terms.when is When.AFTER:
        await trip.act()
    status = fault.terms.status or 502
    title = f"{status} {_phrase(status)}"
    page = (
        f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n"
        "<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
    )
    return response(Answer(status, page.encode(), "text/html"))


async def _reset(trip: _Trip, fault: Fault) -> web.StreamResponse:
    transport = trip.request.transport
    if fault.terms.when is not When.BEFORE:
        answer = await trip.answer()
        if fault.terms.when is When.DURING and transport is not None:
            transport.write(_first_half(answer))
    reset(transport)
    return web.Response()


async def _truncated(trip: _Trip, fault: Fault) -> web.StreamResponse:  # noqa: ARG001
    transport = trip.request.transport
    answer = await trip.answer()
    if transport is not None:
        transport.write(_first_half(answer))
        transport.close()
    return web.Response()


async def _empty(trip: _Trip, fault: Fault) -> web.StreamResponse:  # noqa: ARG001
    return response(attrs.evolve(await trip.answer(), body=b""))


async def _duplicate(trip: _Trip, fault: Fault) -> web.StreamResponse:
    first, second = await trip.act(), await trip.act()
    return first if fault.terms.answer is Which.FIRST else second


_SPOILERS: Mapping[Kind, _Spoiler] = MappingProxyType(
    {
        Kind.RATE_LIMIT: _rate_limit,
        Kind.ERROR: _error,
        Kind.HTML: _html,
        Kind.RESET: _reset,
        Kind.TRUNCATED: _truncated,
        Kind.EMPTY: _empty,
        Kind.DUPLICATE: _duplicate,
    }
)
_CHANGES = frozenset({Kind.UNKNOWN_VALUE, Kind.EXTRA_FIELD})


async def _handshake(faults: Faults, request: web.Request, act: Callable[[], Awaitable[web.StreamResponse]]) -> web.StreamResponse:
    channel = Channel.TRADING if request.path.rstrip("/") == _TRADING_STREAM else Channel.DATA
    fault = faults.of_handshake(channel)
    if fault is None:
        return await act()
    status = fault.terms.status or 429
    default = "too many requests." if status == HTTPStatus.TOO_MANY_REQUESTS else _phrase(status).lower()
    return response(Refused(status, fault.terms.message or default, code=fault.terms.code).answer)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown Error"


def _first_half(answer: Answer) -> bytes:
    """The answer as bytes, up to the middle of its body; of one without a body, up to the middle of its head."""
    kind = f"Content-Type: {answer.content_type}\r\n" if answer.content_type else ""
    head = f"HTTP/1.1 {answer.status} {_phrase(answer.status)}\r\n{kind}Content-Length: {len(answer.body)}\r\n\r\n".encode()
    return head + answer.body[: len(answer.body) // 2] if answer.body else head[: len(head) // 2]


def _changed(body: bytes, fault: Fault) -> bytes:
    """The body with something in it that nobody knows; one that is not JSON stays as it is."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return body
    return msgspec.json.encode(changed(found, fault.terms, "status"))
