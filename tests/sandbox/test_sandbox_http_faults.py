"""Faults of requests, seen from both sides: what the client gets, and what the exchange did."""

from __future__ import annotations

from sandboxes import Visitor

from broker_demo.sandbox.faults.script import read_fault
from broker_demo.sandbox.server import Sandbox


def begin(box: Sandbox, kind: str, **terms: object) -> None:
    """Have a fault strike from now on."""
    box.desk.faults.add(read_fault({"kind": kind, **terms}, "test"))


async def test_a_rate_limit_says_when_it_ends(box: Sandbox, visitor: Visitor):
    """The answer is 429 with Alpaca's headers; Retry-After is there because it was asked for."""
    begin(box, "rate_limit", count=1, retry_after=2, seconds=3)

    first, second = await visitor.get("/v2/account"), await visitor.get("/v2/account")

    assert (first.status, first.json, second.status) == (429, {"message": "too many requests."}, 200)
    assert first.headers["X-RateLimit-Remaining"] == "0"
    assert int(first.headers["X-RateLimit-Reset"]) == box.desk.now_ns() // 10**9 + 3
    assert first.headers["Retry-After"] == "2"
