"""A demo exchange in a process of its own, for processes that are killed: it outlives them, and remembers what they sent.

Speaks length-prefixed pickles over loopback. A request is ``(operation, arguments)``, an answer ``("ok", value)`` or ``("error", error)``;
``stream`` answers with one order event after another. Prints its port, and ends when its standard input does.
"""

import asyncio
import contextlib
import pickle
import struct
import sys
from collections import Counter

from broker_core import Channel, OrderRequest, lifecycle
from broker_core.clock import SystemClock
from broker_core.families import Orders
from broker_core.models import SignedIn
from broker_demo import plugin


async def receive(reader: asyncio.StreamReader) -> object:
    (size,) = struct.unpack("!I", await reader.readexactly(4))
    return pickle.loads(await reader.readexactly(size))  # noqa: S301  # both ends are this test's own processes


def send(writer: asyncio.StreamWriter, value: object) -> None:
    data = pickle.dumps(value)
    writer.write(struct.pack("!I", len(data)) + data)


class Server:
    def __init__(self) -> None:
        self.client = plugin.broker_client({"BROKER_DEMO_SEED": "7", "BROKER_DEMO_CASH": "1000000000"})
        self.orders: Orders = plugin.broker_orders(self.client)
        self.stream = plugin.broker_stream(self.client)
        self.posts: Counter[str] = Counter()

    async def answer(self, operation: str, arguments: tuple) -> object:
        match operation:
            case "submit":
                local_id, request = arguments
                self.posts[local_id] += 1
                return await self.orders.submit(self._order(local_id, request))
            case "cancel":
                return await self.orders.cancel(self._order(*arguments))
            case "find":
                return await self.orders.find(*arguments)
            case "listing":
                return await self.orders.listing(*arguments)
            case "fills":
                return await self.orders.fills(*arguments)
            case "posts":
                return dict(self.posts)
            case "account":
                return self.client.venue.exchange.account()
        raise ValueError(operation)

    def _order(self, local_id: str, request: OrderRequest):
        order, _ = lifecycle.create(local_id, request, SystemClock().now())
        return order

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A killed client leaves its connection in any state.
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, BrokenPipeError):
            while True:
                operation, arguments = await receive(reader)
                if operation == "stream":
                    await self._stream(writer)
                try:
                    send(writer, ("ok", await self.answer(operation, arguments)))
                except Exception as error:  # noqa: BLE001  # whatever it is, the other side raises it
                    send(writer, ("error", error))
                await writer.drain()
        writer.close()

    async def _stream(self, writer: asyncio.StreamWriter) -> None:
        (feed,) = [feed for feed in self.stream.feeds if Channel.ORDERS in feed.channels]
        async for batch in feed.connect():
            send(writer, [item for item in batch if not isinstance(item, SignedIn)])
            await writer.drain()


async def main() -> None:
    server = Server()
    await server.client.open()
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    print(listener.sockets[0].getsockname()[1], flush=True)  # noqa: T201  # the parent waits for it
    await asyncio.to_thread(sys.stdin.read)
    listener.close()
    await server.client.close()


if __name__ == "__main__":
    asyncio.run(main())
