"""News that say of themselves that they are generated."""

from __future__ import annotations

import aiohttp
import pytest
from sandboxes import Visitor, sandbox

from broker_core.clock import StillClock
from broker_demo.sandbox.data.news import EVERY_NS, article
from broker_demo.sandbox.server import Sandbox

PATH = "/v1beta1/news"


async def test_article_says_that_it_is_generated(visitor: Visitor, box: Sandbox):
    """In its headline and its source; its figures are those of the exchange."""
    (told,) = (await visitor.get(PATH, limit="1")).json["news"]
    prices = box.desk.prices
    (symbol,) = told["symbols"]
    tick = prices.tick(symbol, told["id"] * EVERY_NS)

    assert tick is not None
    assert told["headline"].startswith("Generated: ")
    assert told["headline"].endswith(f" trades at {tick.price}")
    assert told["source"] == "generated"
    assert set(told) == {
        *("id", "headline", "author", "created_at", "updated_at", "summary", "content", "url", "images", "symbols", "source"),
    }


async def test_latest_news_come_first(visitor: Visitor, clock: StillClock):
    """Ten of them unless another number is asked for, and none of the future."""
    await clock.advance(299)
    told = (await visitor.get(PATH)).json["news"]
    await clock.advance(1)
    later = (await visitor.get(PATH)).json["news"]

    times = [one["updated_at"] for one in told]
    assert (len(times), times[0]) == (10, "2026-03-02T15:00:00Z")
    assert times == sorted(times, reverse=True)
    assert later[0]["updated_at"] == "2026-03-02T15:05:00Z"
    assert later[1:] == told[:-1]


@pytest.mark.parametrize("sort", ["asc", "desc"])
async def test_pages_of_news_joined_are_the_whole(visitor: Visitor, sort: str):
    """Also about some symbols only, pairs being named without their slash."""
    query = {"symbols": "AAPL,BTCUSD", "start": "2026-02-20", "end": "2026-03-01", "sort": sort}
    whole = (await visitor.get(PATH, limit="50", **query)).json
    pages, token = [], ""
    while token is not None:
        page = (await visitor.get(PATH, limit="7", page_token=token, **query)).json
        pages.append(page["news"])
        token = page["next_page_token"]

    assert whole["next_page_token"] is None
    assert [one for page in pages for one in page] == whole["news"]
    assert {symbol for one in whole["news"] for symbol in one["symbols"]} == {"AAPL", "BTCUSD"}
    assert len(pages) > 2


async def test_span_of_news_includes_both_its_ends(visitor: Visitor):
    """And nothing before or after them."""
    query = {"start": "2026-02-20T00:00:01Z", "end": "2026-02-20T00:15:00Z", "sort": "asc"}
    told = (await visitor.get(PATH, **query)).json["news"]

    assert [one["created_at"][11:16] for one in told] == ["00:05", "00:10", "00:15"]


async def test_contents_are_told_on_request(visitor: Visitor):
    """Else they are empty."""
    (brief,) = (await visitor.get(PATH, limit="1")).json["news"]
    (full,) = (await visitor.get(PATH, limit="1", include_content="true")).json["news"]

    assert brief["content"] == ""
    assert "No number here comes from a market" in full["content"]
    assert {**full, "content": ""} == brief


async def test_news_are_the_same_in_every_sandbox_of_the_same_seed(visitor: Visitor):
    """And others in another."""
    here = (await visitor.get(PATH)).json
    async with sandbox() as twin, sandbox(seed=8) as other, Visitor(twin) as one, Visitor(other) as another:
        assert (await one.get(PATH)).json == here
        assert (await another.get(PATH)).json != here


async def test_nobody_writes_about_what_is_not_listed(visitor: Visitor):
    """There is nothing to say."""
    assert (await visitor.get(PATH, symbols="ZZZZ", start="1990-01-01")).json == {"news": [], "next_page_token": None}


async def test_address_of_the_news_is_also_that_of_their_socket(visitor: Visitor, box: Sandbox):
    """Whoever asks for a socket gets one there, whoever does not gets an answer."""
    async with aiohttp.ClientSession() as session, session.ws_connect(box.addresses.stream_url + PATH) as socket:
        greeting = await socket.receive_json()

    assert greeting == [{"T": "success", "msg": "connected"}]
    assert (await visitor.get(PATH)).status == 200


async def test_numbers_of_articles_are_their_moments(box: Sandbox):
    """Whoever knows the number of an article finds it again, and its moment follows from the number."""
    written = article(box.desk.prices, 5_908_212)

    assert written is not None
    assert (written["id"], written["created_at"]) == (5_908_212, "2026-03-02T15:00:00Z")


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"limit": "51"}, "invalid limit: 51 is not between 1 and 50"),
        ({"sort": "up"}, "invalid sort: up"),
        ({"include_content": "maybe"}, "invalid include_content: maybe"),
        ({"page_token": "x"}, "invalid page_token"),
    ],
)
async def test_questions_for_news_are_checked(visitor: Visitor, query: dict[str, str], message: str):
    """A 400 without a code says what is wrong."""
    reply = await visitor.get(PATH, **query)

    assert (reply.status, reply.json) == (400, {"message": message})
