"""The plugin for the exchange in another process: one connection for the stream, one for each request."""

import asyncio

import exchange_server as wire

from broker_core import HOOK_API, Channel, Environment, InDoubt, SignedIn, Unavailable, hookimpl
from broker_demo.client import CAPABILITIES


class RemoteBroker:
    name, mode, environment, hook_api = "remote", "socket", Environment.DEMO, HOOK_API
    capabilities = CAPABILITIES

    def __init__(self, port: int) -> None:
        self.port = port
        self.feeds = (self,)
        self.channels = frozenset({Channel.ORDERS})

    @hookimpl
    def broker_client(self):
        return self

    @hookimpl
    def broker_orders(self):
        return self

    @hookimpl
    def broker_stream(self):
        return self

    async def open(self):
        return await self._call("account")

    async def close(self):
        return None

    async def submit(self, order):
        return await self._call("submit", order.local_id, order.request)

    async def cancel(self, order):
        return await self._call("cancel", order.local_id, order.request)

    async def find(self, client_order_id):
        return await self._call("find", client_order_id)

    async def listing(self, since):
        return await self._call("listing", since)

    async def fills(self, since):
        return await self._call("fills", since)

    def want(self, wish):
        return None

    async def probe(self):
        return True

    async def connect(self):
        reader, writer = await self._reach()
        wire.send(writer, ("stream", ()))
        yield [SignedIn()]
        try:
            while True:
                yield await wire.receive(reader)
        finally:
            writer.close()

    async def _reach(self):
        try:
            return await asyncio.open_connection("127.0.0.1", self.port)
        except OSError as error:
            raise Unavailable(f"the exchange cannot be reached: {error}") from error

    async def _call(self, operation, *arguments):
        reader, writer = await self._reach()
        try:
            wire.send(writer, (operation, arguments))
            outcome, value = await wire.receive(reader)
        except (OSError, asyncio.IncompleteReadError) as error:
            raise InDoubt(f"no answer to {operation}: {error}") from error
        finally:
            writer.close()
        if outcome == "error":
            raise value
        return value
