"""The second port, through which faults come and go while the sandbox runs, and through which the exchange's own truth can be read.

It asks for no keys. JSON in, JSON out; what cannot be done is answered with 400, 404, 405, 413, 422 or 503 and ``{"message": …}``.

=================================== ==================================================================================================
``GET /health``                     ``{"status": "ok"}``
``GET /state``                      all orders, executions and positions, the cash, and how many sockets are open (see ``state``)
``GET /faults``                     all faults, each with its ``id``, its terms, and how often it was ``seen`` and has ``struck``
``POST /faults``                    one fault, a list of them, or a whole script (see ``script``); answers like ``GET``, the new ones only
``DELETE /faults``                  ends all of them; those under way end with what they strike
``DELETE /faults/{id}``             ends one
``POST /sockets/{act}``             does to all open sockets, or to those of ``?kind=trading`` or ``data``, what ``act`` says: ``drop``
                                    (reset), ``close`` (in good order), ``mute``, ``half_open``, ``slow`` (with ``?seconds=``; 0 ends it)
``POST /bust``                      takes back the execution ``execution_id``, or the last one of ``order_id``
``POST /events``                    tells the trading sockets ``event`` of ``order_id``; the order itself stays as it is
=================================== ==================================================================================================
"""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, TypeAlias

import msgspec
from aiohttp import web

from broker_core.errors import ConfigError, RequestRefused, StorageError
from broker_demo.paper_order import PaperOrder
from broker_demo.sandbox.answers import Answer, Refused, found
from broker_demo.sandbox.call import Call
from broker_demo.sandbox.desk import Desk
from broker_demo.sandbox.faults.http import response
from broker_demo.sandbox.faults.orders import take_back
from broker_demo.sandbox.faults.plan import described
from broker_demo.sandbox.faults.script import read_fault, read_faults
from broker_demo.sandbox.faults.state import state
from broker_demo.sandbox.sockets.lines import Kind, Line

log = logging.getLogger(__name__)

_LARGEST_BODY = 1 << 20
_WHERE = "body"
_Handler: TypeAlias = Callable[[Desk, Call], Answer]
_Next: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]


def admin_app(desk: Desk) -> web.Application:
    """What answers on the second port."""
    application = web.Application(client_max_size=_LARGEST_BODY, middlewares=[_in_json])
    for method, path, handler in _ROUTES:
        application.router.add_route(method, path, partial(_handle, desk, handler))
    return application


@web.middleware
async def _in_json(request: web.Request, handler: _Next) -> web.StreamResponse:
    try:
        return await handler(request)
    except Refused as refused:
        return response(refused.answer)
    except RequestRefused as error:
        return response(Refused(error.status or 422, str(error)).answer)
    except web.HTTPRequestEntityTooLarge:
        return response(Refused(413, "request body is too large").answer)
    except web.HTTPException as error:
        return response(Refused(error.status, error.reason.lower()).answer)
    except web.RequestPayloadError:
        return response(Refused(400, "the body cannot be decoded").answer)
    except (ConfigError, StorageError) as error:
        return response(Refused(503, str(error)).answer)
    except ConnectionError:
        log.debug("sandbox: %s %s was given up before all of it was here", request.method, request.path)
        return web.Response(status=HTTPStatus.BAD_REQUEST)
    except Exception:
        log.exception("sandbox: %s %s failed on the second port; this is a defect", request.method, request.path)
        return response(Refused(500, "internal error; the log says more").answer)


async def _handle(desk: Desk, handler: _Handler, request: web.Request) -> web.StreamResponse:
    body = await request.read() if request.body_exists else b""
    call = Call(method=request.method, path=request.path, parts=request.match_info, query=request.query, body=body)
    return response(handler(desk, call))


def _health(desk: Desk, call: Call) -> Answer:  # noqa: ARG001
    return found({"status": "ok"})


def _state(desk: Desk, call: Call) -> Answer:  # noqa: ARG001
    return found(state(desk))


def _faults(desk: Desk, call: Call) -> Answer:  # noqa: ARG001
    return found([described(fault) for fault in desk.faults])


def _begin(desk: Desk, call: Call) -> Answer:
    told = _body(call)
    try:
        if isinstance(told, list):
            terms = read_faults({"fault": told}, _WHERE)
        elif isinstance(told, dict) and "fault" in told:
            terms = read_faults(told, _WHERE)
        else:
            terms = [read_fault(told, _WHERE)]
    except ConfigError as error:
        raise Refused(422, str(error)) from None
    return found([described(desk.faults.add(each)) for each in terms], 201)


def _end_all(desk: Desk, call: Call) -> Answer:  # noqa: ARG001
    desk.faults.clear()
    return Answer(204)


def _end(desk: Desk, call: Call) -> Answer:
    if not desk.faults.remove(call.parts["id"]):
        raise Refused(404, f"there is no fault {call.parts['id']!r}; GET /faults lists them")
    return Answer(204)


def _sockets(desk: Desk, call: Call) -> Answer:
    act = _ACTS.get(call.parts["act"])
    if act is None:
        raise Refused(404, f"{call.parts['act']!r} cannot be done to sockets; known: {', '.join(_ACTS)}")
    seconds = _seconds(call)
    kind = call.text("kind")
    if kind is not None and kind not in list(Kind):
        raise Refused(422, f"kind: {kind!r} is unknown; known: {', '.join(Kind)}")
    lines = [line for line in desk.lines if kind in (None, line.kind)]
    for line in lines:
        act(line, seconds)
    return found({"sockets": len(lines)})


def _seconds(call: Call) -> float:
    text = call.text("seconds") or "0"
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds) or seconds < 0:
        raise Refused(422, f"seconds: {text!r} is not a number from 0")
    return seconds


def _bust(desk: Desk, call: Call) -> Answer:
    told = _members(call, "execution_id", "order_id")
    execution_id = told.get("execution_id")
    if execution_id is None:
        order = _order(desk, told.get("order_id"))
        ledger = desk.exchange.state.ledger
        left = [fill.execution_id for fill in ledger.fills if fill.order_id == order.order_id and not ledger.is_busted(fill.execution_id)]
        if not left:
            raise Refused(422, f"order {order.order_id} has no execution to take back")
        execution_id = left[-1]
    take_back(desk, execution_id)
    return found({"execution_id": execution_id})


def _tell(desk: Desk, call: Call) -> Answer:
    told = _members(call, "order_id", "event")
    order = _order(desk, told.get("order_id"))
    if "event" not in told:
        raise Refused(422, "event: is missing; name the one that is told")
    desk.updates.announce(told["event"], order)
    return found({"order_id": order.order_id, "event": told["event"]})


def _body(call: Call) -> Any:
    try:
        return msgspec.json.decode(call.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Refused(400, "the body is not JSON") from None


def _members(call: Call, *names: str) -> dict[str, str]:
    told = _body(call)
    if not isinstance(told, dict):
        raise Refused(422, "the body is no object")
    for name, value in told.items():
        if name not in names:
            raise Refused(422, f"{name!r} is unknown; known: {', '.join(names)}")
        if not isinstance(value, str) or not value:
            raise Refused(422, f"{name}: is not a text")
    return told


def _order(desk: Desk, order_id: str | None) -> PaperOrder:
    if order_id is None:
        raise Refused(422, "order_id: is missing")
    order = desk.settled().order(order_id)
    if order is None:
        raise Refused(404, f"there is no order {order_id!r}; GET /state lists them")
    return order


_ACTS: Mapping[str, Callable[[Line, float], None]] = MappingProxyType(
    {
        "drop": lambda line, _: line.drop(),
        "close": lambda line, _: line.close(),
        "mute": lambda line, _: line.mute(),
        "half_open": lambda line, _: line.half_open(),
        "slow": lambda line, seconds: line.slow(seconds),
    }
)
_ROUTES: tuple[tuple[str, str, _Handler], ...] = (
    ("GET", "/health", _health),
    ("GET", "/state", _state),
    ("GET", "/faults", _faults),
    ("POST", "/faults", _begin),
    ("DELETE", "/faults", _end_all),
    ("DELETE", "/faults/{id}", _end),
    ("POST", "/sockets/{act}", _sockets),
    ("POST", "/bust", _bust),
    ("POST", "/events", _tell),
)
