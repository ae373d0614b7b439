"""A whole broker in thirty lines: it fills every market order at once, at 100."""

from decimal import Decimal

from broker_core import (
    HOOK_API,
    Account,
    Capabilities,
    Environment,
    EventKind,
    OrderEvent,
    OrderType,
    RequestRefused,
    Source,
    State,
    hookimpl,
)


class Acme:
    name, mode, environment, hook_api = "acme", "memory", Environment.PAPER, HOOK_API
    capabilities = Capabilities(order_types=frozenset({OrderType.MARKET}))

    def __init__(self):
        self.held = {}

    async def open(self):
        return Account(account_id="ACME-1", currency="USD", cash=Decimal(0), equity=Decimal(0), buying_power=Decimal(0))

    async def close(self): ...

    async def submit(self, order):
        done = {"status": State.FILLED, "raw_status": "done", "filled_qty": order.qty, "filled_avg_price": Decimal(100)}
        ids = {"client_order_id": order.local_id, "broker_order_id": f"acme-{order.local_id}"}
        event = OrderEvent(kind=EventKind.SNAPSHOT, source=Source.ANSWER, at=order.updated_at, request=order.request, **ids, **done)
        return self.held.setdefault(order.local_id, event)

    async def cancel(self, order):
        raise RequestRefused(f"order {order.local_id} was filled at once")

    async def find(self, client_order_id):
        return self.held.get(client_order_id)

    async def listing(self, since):
        return list(self.held.values())


@hookimpl
def broker_client(environ):
    return Acme() if environ.get("ACME_KEY") else None


@hookimpl
def broker_orders(client):
    return client if isinstance(client, Acme) else None
