"""HTTP at the sandbox's door: signs a request in, makes a ``Call`` of it, and a response in Alpaca's shape of what comes back."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from http import HTTPStatus
from typing import TypeAlias

from aiohttp import web
from aiohttp.typedefs import Middleware

from broker_core.errors import ConfigError, RequestRefused, StorageError
from broker_demo.sandbox.answers import Host, Refused, missing
from broker_demo.sandbox.call import Call
from broker_demo.sandbox.desk import Desk
from broker_demo.sandbox.faults.http import exchange, response
from broker_demo.sandbox.faults.orders import attach
from broker_demo.sandbox.faults.sockets import bent
from broker_demo.sandbox.route import Route
from broker_demo.sandbox.routes import routes
from broker_demo.sandbox.signing import KeyPair
from broker_demo.sandbox.slow_work import SlowWork
from broker_demo.sandbox.sockets.endpoints import endpoints

log = logging.getLogger(__name__)

_LARGEST_BODY = 1 << 20

_Next: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]


def application(desk: Desk) -> web.Application:
    """All addresses of the two hosts, sockets included, over one desk."""
    found = web.Application(client_max_size=_LARGEST_BODY, middlewares=[_with_faults(desk)])
    found.cleanup_ctx.append(partial(_under_faults, desk))
    slow = SlowWork()
    handlers: dict[tuple[str, str], _Next] = {(route.method, route.path): partial(_handle, desk, slow, route) for route in routes()}
    for path, talk in endpoints().items():
        handlers["GET", path] = partial(_talk_or_answer, partial(talk, desk), handlers.get(("GET", path)))
    for (method, path), handler in handlers.items():
        found.router.add_route(method, path, handler)
    return found


async def _under_faults(desk: Desk, application: web.Application) -> AsyncIterator[None]:  # noqa: ARG001  # what aiohttp hands over
    attach(desk)
    async with bent(desk.faults, desk.lines):
        yield


async def _talk_or_answer(talk: _Next, answer: _Next | None, request: web.Request) -> web.StreamResponse:
    """A path may be a socket's and a request's too, as that of the news is."""
    if answer is None or request.headers.get("Upgrade", "").lower() == "websocket":
        return await talk(request)
    return await answer(request)


def _with_faults(desk: Desk) -> Middleware:
    @web.middleware
    async def carry(request: web.Request, handler: _Next) -> web.StreamResponse:
        return await exchange(desk.faults, request, partial(_answer, request, handler))

    return carry


async def _answer(request: web.Request, handler: _Next) -> web.StreamResponse:
    """Whatever the handler says, in Alpaca's shape; also where there is no handler."""
    try:
        return await handler(request)
    except Refused as refused:
        return response(refused.answer)
    except RequestRefused as error:
        return response(Refused.of(error).answer)
    except web.HTTPRequestEntityTooLarge:
        return response(Refused(413, "request body is too large", code=41310000).answer)
    except web.HTTPMethodNotAllowed:
        return response(Refused(405, "method not allowed", code=40510000).answer)
    except web.HTTPNotFound:
        return response(missing("endpoint not found").answer)
    except web.HTTPException as error:
        return response(Refused(error.status, error.reason.lower(), code=error.status * 100_000 + 10_000).answer)
    except web.RequestPayloadError:
        return response(Refused(400, "failed to decode request body", code=40010000).answer)
    except ConnectionError:
        log.debug("sandbox: %s %s was given up before all of it was here", request.method, request.path)
        return web.Response(status=HTTPStatus.BAD_REQUEST)
    except Exception:
        log.exception("sandbox: %s %s failed; this is a defect", request.method, request.path)
        return response(Refused(500, "internal server error occurred", code=50010000).answer)


async def _handle(desk: Desk, slow: SlowWork, route: Route, request: web.Request) -> web.StreamResponse:
    _let_in(desk.keys, route, request)
    limit = desk.rate_limits.get(route.host)
    if limit is None:
        return await _carry_out(desk, slow, route, request)
    count = limit.count()
    if count.is_beyond:
        done: web.StreamResponse = response(Refused(429, "too many requests.").answer)
    else:
        done = await _answer(request, partial(_carry_out, desk, slow, route))
    done.headers.update(count.headers)
    return done


async def _carry_out(desk: Desk, slow: SlowWork, route: Route, request: web.Request) -> web.StreamResponse:
    call = Call(
        method=request.method,
        path=request.path,
        host=route.host,
        parts=request.match_info,
        query=request.query,
        body=await request.read() if request.body_exists else b"",
    )
    try:
        answer = partial(route.handle, desk, call)
        return response(await slow.do(answer) if route.is_slow else answer())
    except (ConfigError, StorageError) as error:
        # A file that cannot be written, or a calendar that does not know the market's moment: no request can help that.
        log.warning("sandbox: %s %s: %s", call.method, call.path, error)
        raise Refused(503, str(error), code=None if route.host is Host.DATA else 50310000) from None


def _let_in(keys: KeyPair, route: Route, request: web.Request) -> None:
    if keys.signs(request.headers) or (route.is_open and not keys.tries(request.headers)):
        return
    if route.host is Host.DATA:
        raise Refused(403, "forbidden.")
    raise Refused(401, "request is not authorized", code=40110000)
