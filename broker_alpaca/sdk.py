"""The same exchange through alpaca-py: its client, its session and its way of signing requests, in threads, with a deadline.

alpaca-py sends anything again that was answered with 429 or 504, orders too. Here that is switched off: who repeats what, and when, is
decided in one place for both transports.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.util import find_spec
from typing import Any

from broker_alpaca.config import AlpacaSettings, Mode
from broker_alpaca.exchange import Lost, NotSent
from broker_alpaca.wire.answers import Answer
from broker_alpaca.wire.call import Call, Host

_THREADS = 8
# No answer has this status, so nothing is sent again; the constructor takes an empty list for "the usual ones".
_NEVER = [0]


def is_installed() -> bool:
    """Whether alpaca-py is there; it is not loaded by asking."""
    return find_spec("alpaca") is not None


class SdkTransport:
    """Calls through alpaca-py. Each thread has clients of its own, because a ``requests`` session belongs to one thread."""

    mode = Mode.SDK

    def __init__(self, settings: AlpacaSettings) -> None:
        self._settings = settings
        self._bases = {Host.TRADING: settings.trading_url, Host.DATA: settings.data_url}
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="alpaca-py")
        self._own = threading.local()
        self._sessions: list[tuple[Any, list[Any]]] = []

    async def exchange(self, call: Call[Any]) -> Answer:
        """Send one call in a thread and return what came back. Raises NotSent, Lost."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, partial(self._send, call))

    def _send(self, call: Call[Any]) -> Answer:
        import requests
        from alpaca.common.exceptions import APIError

        _, version, path = call.path.split("/", 2)
        client, kept = self._client(call.host, version)
        kept.clear()
        send: Callable[..., object] = getattr(client, call.method.lower())
        try:
            # The query stands in the path, because alpaca-py takes either a query or a body.
            send(f"/{path}{'?' if call.query else ''}{call.query_text}", call.body)
        except (requests.exceptions.ConnectTimeout, requests.exceptions.InvalidURL) as error:
            raise NotSent(_words(error)) from None
        except requests.exceptions.ConnectionError as error:
            if _never_connected(error):
                raise NotSent(_words(error)) from None
            raise Lost(_words(error)) from None
        except (APIError, requests.exceptions.JSONDecodeError):
            # Both are opinions about an answer that is kept below as it came.
            pass
        except (requests.exceptions.RequestException, OSError) as error:
            raise Lost(_words(error)) from None
        if not kept:
            raise Lost("alpaca-py returned without an answer")
        response = kept[-1]
        return Answer(response.status_code, dict(response.headers), response.content)

    def _client(self, host: Host, version: str) -> tuple[Any, list[Any]]:
        clients: dict[tuple[Host, str], tuple[Any, list[Any]]] = self._own.__dict__.setdefault("clients", {})
        if (host, version) not in clients:
            clients[host, version] = self._make(host, version)
        return clients[host, version]

    def _make(self, host: Host, version: str) -> tuple[Any, list[Any]]:
        from alpaca.common.rest import RESTClient

        settings = self._settings
        if settings.oauth_token is not None:
            credentials = {"oauth_token": settings.oauth_token.reveal()}
        else:
            credentials = {"api_key": settings.key.reveal(), "secret_key": settings.secret.reveal()}
        client: Any = RESTClient(self._bases[host], **credentials, api_version=version, raw_data=True, retry_exception_codes=_NEVER)
        kept: list[Any] = []
        session = client._session
        session.hooks["response"].append(lambda response, **_: kept.append(response))
        # alpaca-py sets no time limit, and a thread that waits for ever cannot be ended from outside.
        session.request = partial(session.request, timeout=settings.deadline)
        self._sessions.append((session, kept))
        return client, kept

    async def close(self) -> None:
        """Close the connections; a thread that still waits ends by its own time limit."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for session, kept in self._sessions:
            # Its sockets are closed when nothing refers to them any more, and a kept answer does.
            kept.clear()
            session.close()


def _never_connected(error: BaseException) -> bool:
    """Whether a connection error came before anything was sent: urllib3 says so with the reason it wraps."""
    import ssl

    import urllib3.exceptions as urllib3

    # An error of encryption in general may come in the middle of an answer; a wrong certificate comes before the first byte.
    before = (urllib3.NewConnectionError, urllib3.NameResolutionError, urllib3.ConnectTimeoutError, ssl.SSLCertVerificationError)
    return any(isinstance(cause, before) for cause in _causes(error))


def _causes(error: BaseException) -> Iterable[BaseException]:
    for cause in (*error.args, getattr(error, "reason", None)):
        if isinstance(cause, BaseException):
            yield cause
            yield from _causes(cause)


def _words(error: BaseException) -> str:
    causes = list(_causes(error))
    return f"{type(error).__name__}: {causes[-1] if causes else error}"
