"""The list of the sandbox's addresses."""

from __future__ import annotations

from broker_demo.sandbox.routes import routes


def test_every_address_is_answered_in_one_place():
    """No two routes have the same method and path: the second would never be asked."""
    addresses = [(route.method, route.path) for route in routes()]

    assert sorted(addresses) == sorted(set(addresses))
