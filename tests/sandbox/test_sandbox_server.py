"""The sandbox's door: who is let in, and what those are told who ask for nothing that is there."""

from __future__ import annotations

from sandboxes import Visitor

from broker_demo.sandbox.server import Sandbox


async def test_unknown_routes_are_refused_in_alpacas_shape(visitor: Visitor):
    """A path that nothing answers is a 404 with a code and a message."""
    reply = await visitor.get("/v2/nothing-here")

    assert (reply.status, reply.json["code"]) == (404, 40410000)


async def test_two_sandboxes_do_not_share_a_port(box: Sandbox):
    """Each binds ports of its own, and says which."""
    found = box.addresses

    assert len({found.trading_url, found.admin_url}) == 2
    assert found.trading_stream_url.startswith("ws://127.0.0.1:")
