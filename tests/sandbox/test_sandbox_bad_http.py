"""What is no proper HTTP: it is refused in Alpaca's shape, quotes nothing, and troubles nobody else."""

from __future__ import annotations

import asyncio
import gzip
import logging
import zlib
from collections.abc import Mapping

import msgspec
import pytest
from raw_http import Outcome, raw_request
from sandboxes import KEY, SECRET, Visitor, sandbox

from broker_demo.sandbox.server import Sandbox

ORDER = b'{"symbol":"AAPL","qty":"1","side":"buy","type":"limit","limit_price":"5","time_in_force":"gtc"}'
SIGNED = f"Host: sandbox\r\nConnection: close\r\nAPCA-API-KEY-ID: {KEY}\r\nAPCA-API-SECRET-KEY: {SECRET}\r\n"


def get(path: str = "/v2/account", headers: str = "", *, method: str = "GET", version: str = "HTTP/1.1") -> bytes:
    return f"{method} {path} {version}\r\n{SIGNED}{headers}\r\n".encode(errors="surrogateescape")


def post(body: bytes, headers: str = "") -> bytes:
    length = "" if "Length" in headers or "Transfer" in headers else f"Content-Length: {len(body)}\r\n"
    return get("/v2/orders", f"{headers}{length}", method="POST") + body


NO_HTTP: Mapping[str, bytes] = {
    "another protocol": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "rubbish": b"\x00\xff\xfe rubbish\r\n\r\n",
    "no method": b"/ HTTP/1.1\r\n\r\n",
    "unknown method": get(method="BREW"),
    "endless method": get(method="A" * 9000),
    "unknown version": get(version="HTTP/1.9"),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "negative length": post(b"", "Content-Length: -1\r\n"),
    "length in words": post(b"", "Content-Length: many\r\n"),
    "two lengths": post(b"ab", "Content-Length: 1\r\nContent-Length: 2\r\n"),
    "length and chunks": post(b"0\r\n\r\n", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
    "chunks of rubbish": post(b"zz\r\nrubbish\r\n", "Transfer-Encoding: chunked\r\n"),
    "a chunk too long": post(b"5\r\nabcdeXX\r\n0\r\n\r\n", "Transfer-Encoding: chunked\r\n"),
    "a chunk without end": post(b"FFFFFFFFFFFFFFFFFFFF\r\nabc", "Transfer-Encoding: chunked\r\n"),
    "long header": get(headers=f"X: {'a' * 20_000}\r\n"),
    "long URL": get(f"/v2/assets/{'a' * 9000}"),
    "blank in the path": get("/v2/assets/a b"),
    "no colon": get(headers="rubbish\r\n"),
    "blank before the colon": get(headers="X : a\r\n"),
    "bare line feeds": get().replace(b"\r\n", b"\n"),
}
REFUSED: Mapping[str, tuple[bytes, int, int]] = {
    "gzip that is none": (post(b"rubbish", "Content-Encoding: gzip\r\n"), 400, 40010000),
    "half of a gzip": (post(gzip.compress(ORDER)[:30], "Content-Encoding: gzip\r\n"), 400, 40010000),
    "unknown encoding": (post(b"rubbish", "Content-Encoding: rot13\r\n"), 400, 40010000),
    "compressed bomb": (post(zlib.compress(b"0" * 8_000_000), "Content-Encoding: deflate\r\n"), 413, 41310000),
    "body over the limit": (post(b"x" * ((1 << 20) + 1)), 413, 41310000),
    "chunks over the limit": (post(b"110000\r\n" + b"x" * 0x110000 + b"\r\n0\r\n\r\n", "Transfer-Encoding: chunked\r\n"), 413, 41310000),
    "OPTIONS": (get(method="OPTIONS"), 405, 40510000),
    "TRACE": (get(method="TRACE"), 405, 40510000),
    "CONNECT": (get("example.com:443", method="CONNECT"), 404, 40410000),
    "everything": (get("*", method="OPTIONS"), 404, 40410000),
    "path upwards": (get("/v2/%2e%2e/v2/account"), 404, 40410000),
    "double slash": (get("//v2/account"), 404, 40410000),
    "slash at the end": (get("/v2/account/"), 404, 40410000),
    "slash in disguise": (get("/v2%2faccount"), 404, 40410000),
    "NUL in disguise": (get("/v2/assets/%00"), 404, 40410000),
    "no UTF-8 in disguise": (get("/v2/assets/%ff"), 404, 40410000),
    "lone percent": (get("/v2/assets/%zz"), 404, 40410000),
    "socket without a handshake": (get("/stream"), 400, 40010000),
    "handshake without a key": (
        get("/v2/iex", "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"),
        400,
        40010000,
    ),
}
TAKEN: Mapping[str, bytes] = {
    "HTTP/1.0": get(version="HTTP/1.0"),
    "whole URL": get("http://elsewhere.example/v2/account"),
    "fragment": get("/v2/account#there"),
    "GET with a body": get(headers="Content-Length: 9\r\n") + b"{rubbish}",
    "gzip": post(gzip.compress(ORDER), "Content-Encoding: gzip\r\n"),
    "one byte a chunk": post(b"".join(b"1\r\n%c\r\n" % byte for byte in ORDER) + b"0\r\n\r\n", "Transfer-Encoding: chunked\r\n"),
    "charset of nobody": post(ORDER, "Content-Type: application/json; charset=rubbish\r\n"),
}


async def exchange(url: str, sent: bytes) -> Outcome:
    """Send these bytes to this address, and read to the connection's end."""
    host, _, port = url.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(sent)
    try:
        return Outcome(await reader.read(), was_reset=False)
    finally:
        writer.close()


@pytest.mark.parametrize("name", NO_HTTP)
async def test_what_is_no_http_is_refused_and_quoted_nowhere(box: Sandbox, name: str, caplog: pytest.LogCaptureFixture):
    """400 with a code at both ports, one line in the log, no trace; neither holds any of what was sent, a secret least of all."""
    caplog.set_level(logging.INFO)
    for url in (box.addresses.trading_url, box.addresses.admin_url):
        caplog.clear()
        outcome = await exchange(url, NO_HTTP[name])

        assert (outcome.status, outcome.json) == (400, {"code": 40010000, "message": "bad request"})
        assert "application/json" in outcome.head
        assert [(record.levelno, record.exc_info) for record in caplog.records] == [(logging.INFO, None)]
        assert SECRET not in caplog.text


@pytest.mark.parametrize("name", REFUSED)
async def test_what_is_odd_http_is_refused_in_alpacas_shape(box: Sandbox, name: str, caplog: pytest.LogCaptureFixture):
    """A status, a code and a message, without a word of warning in the log."""
    sent, status, code = REFUSED[name]

    outcome = await exchange(box.addresses.trading_url, sent)

    assert (outcome.status, outcome.json["code"]) == (status, code)
    assert outcome.json["message"]
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize("name", TAKEN)
async def test_what_is_odd_but_proper_is_answered(box: Sandbox, name: str):
    """Old versions, whole URLs, bodies where none is needed, in pieces or compressed, are HTTP."""
    outcome = await exchange(box.addresses.trading_url, TAKEN[name])

    assert (outcome.status, "id" in outcome.json) == (200, True)


async def test_a_head_has_no_body(box: Sandbox):
    """HEAD is not among the methods, and its answer ends after the head."""
    outcome = await raw_request(box, "HEAD", "/v2/account")

    assert (outcome.status, outcome.body) == (405, b"")


async def test_pipelined_requests_are_answered_in_order(box: Sandbox):
    """Of several requests sent at once each has its answer, a bad one among them too."""
    keep, bad = get().replace(b"Connection: close\r\n", b""), post(b"{").replace(b"Connection: close\r\n", b"")

    outcome = await exchange(box.addresses.trading_url, keep + bad + keep + get("/v2/nothing"))

    assert [answer[:3] for answer in outcome.received.split(b"HTTP/1.1 ")] == [b"", b"200", b"400", b"200", b"404"]


async def test_the_second_port_reads_no_rubbish_either(box: Sandbox, caplog: pytest.LogCaptureFixture):
    """Bodies that cannot be decoded, are too large, are no JSON or are cut off are refused, and none is a defect."""
    kinds = {
        b"rubbish": "Content-Encoding: gzip\r\n",
        b"x" * ((1 << 20) + 1): "",
        b"[" * 100_000: "",
        b"\xff": "",
        b'{"kind": "error", "status": 1e400}': "",
    }
    found = [await exchange(box.addresses.admin_url, post(body, more).replace(b"/v2/orders", b"/faults")) for body, more in kinds.items()]
    cut_off = await exchange_half(box.addresses.admin_url, post(b"{", "Content-Length: 9\r\n").replace(b"/v2/orders", b"/faults"))

    assert [outcome.status for outcome in found] == [400, 413, 400, 400, 400]
    assert all(outcome.json["message"] for outcome in found)
    assert cut_off == b""
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
    assert list(box.desk.faults) == []


async def exchange_half(url: str, sent: bytes) -> bytes:
    """Send these bytes, and say that there will be no more."""
    host, _, port = url.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(sent)
    writer.write_eof()
    try:
        return await reader.read()
    finally:
        writer.close()


async def test_those_who_never_finish_hold_up_nobody():
    """Forty clients amid a head or a body: others are answered, an order is taken, and the sandbox stops within two seconds."""
    async with sandbox() as box, Visitor(box) as visitor:
        host, _, port = box.addresses.trading_url.removeprefix("http://").rpartition(":")
        halves = [get()[:40], post(ORDER, "Content-Length: 1000\r\n")] * 20
        writers = []
        for half in halves:
            _, writer = await asyncio.open_connection(host, int(port))
            writer.write(half)
            await writer.drain()
            writers.append(writer)
        order = await visitor.post("/v2/orders", msgspec.json.decode(ORDER))
        loop = asyncio.get_running_loop()
        before = loop.time()
        await box.stop()

        assert order.status == 200
        assert loop.time() - before < 2
        for writer in writers:
            writer.close()
