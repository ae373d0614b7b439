"""The account's papers across restarts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sandboxes import Visitor, sandbox

from broker_core.errors import ConfigError, StorageError
from broker_demo.sandbox.papers import Configurations, Papers, Watchlist
from broker_demo.sandbox.profile import Profile
from broker_demo.sandbox.profile_file import FORMAT, VERSION, ProfileFile

HEAD = {"format": FORMAT, "version": VERSION}
OWN = {"account_id": "DEMO-1", "account_number": "PA1", "created_at_ns": 1}


async def test_papers_survive_a_restart_with_their_account(tmp_path: Path):
    """Number, beginning, choices and lists are the same in the next session."""

    async def told(visitor: Visitor) -> list[Any]:
        replies = [await visitor.get(path) for path in ("/v2/account", "/v2/account/configurations", "/v2/watchlists:by_name?name=mine")]
        return [reply.json for reply in replies]

    async with sandbox(state=tmp_path / "account.json") as box, Visitor(box) as visitor:
        await visitor.ask("PATCH", "/v2/account/configurations", {"no_shorting": True})
        await visitor.post("/v2/watchlists", {"name": "mine", "symbols": ["MSFT", "AAPL"]})
        before = await told(visitor)
    async with sandbox(state=tmp_path / "account.json") as box, Visitor(box) as visitor:
        assert await told(visitor) == before

    assert before[1]["no_shorting"] is True
    assert [asset["symbol"] for asset in before[2]["assets"]] == ["MSFT", "AAPL"]


async def test_another_account_does_not_inherit_papers(tmp_path: Path):
    """Where the account's file was removed, the new account begins with papers of its own."""
    path = tmp_path / "account.json"
    async with sandbox(state=path) as box, Visitor(box) as visitor:
        await visitor.post("/v2/watchlists", {"name": "mine"})
    path.unlink()
    beside = ProfileFile.beside(path)
    content = msgspec.json.decode(beside.path.read_bytes())
    beside.path.write_bytes(msgspec.json.encode({**content, "account_id": "DEMO-other"}))

    async with sandbox(state=path) as box, Visitor(box) as visitor:
        assert (await visitor.get("/v2/watchlists")).json == []


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "damaged"),
        (b"[]", "damaged"),
        (b'{"format":"broker demo account","version":1}', "its format is unknown"),
        (msgspec.json.encode({**HEAD, **OWN, "watchlists": [{"name": ""}]}), "damaged"),
        (msgspec.json.encode({**HEAD, **OWN, "configurations": {"max_margin_multiplier": "8"}}), "max_margin_multiplier"),
        (msgspec.json.encode({**HEAD, **OWN, "version": VERSION + 1}), "update broker-core"),
    ],
)
def test_a_file_that_makes_no_sense_is_named_in_one_line(tmp_path: Path, content: bytes, reason: str):
    """The error says which file it is, what is wrong, and what to do."""
    file = ProfileFile(tmp_path / "profile.json")
    file.path.write_bytes(content)

    with pytest.raises(ConfigError) as caught:
        file.load()

    assert str(caught.value).startswith(f"{file.path}: the sandbox's profile ")
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_a_file_lacks_has_its_default(tmp_path: Path):
    """Files of earlier and later releases are read: members that are missing or unheard of do no harm."""
    file = ProfileFile(tmp_path / "profile.json")
    file.path.write_bytes(msgspec.json.encode({**HEAD, **OWN, "configurations": {"no_shorting": True}, "unheard_of": [1]}))

    assert file.load() == Papers(**OWN, configurations=Configurations(no_shorting=True))


def test_a_change_that_cannot_be_written_does_not_count(tmp_path: Path):
    """The papers stay as they were, in the file and in memory."""
    file = ProfileFile(tmp_path / "profile.json")
    profile = Profile.open("DEMO-1", 1, file)
    before = file.path.read_bytes()
    (tmp_path / "profile.json.new").mkdir()

    with pytest.raises(StorageError):
        profile.configure(Configurations(suspend_trade=True))

    assert profile.configurations == Configurations()
    assert file.path.read_bytes() == before


WATCHLISTS = st.builds(
    Watchlist,
    watchlist_id=st.uuids().map(str),
    name=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=64),
    symbols=st.lists(st.sampled_from(["AAPL", "BTC/USD", "BRK.B"]), unique=True).map(tuple),
    created_at_ns=st.integers(0, 2**62),
    updated_at_ns=st.integers(0, 2**62),
)
CONFIGURATIONS = st.builds(
    Configurations,
    suspend_trade=st.booleans(),
    max_options_trading_level=st.sampled_from([None, 0, 3]),
    pdt_check=st.sampled_from(["entry", "both"]),
)


@settings(max_examples=25)
@given(
    papers=st.builds(
        Papers,
        account_id=st.just("DEMO-1"),
        account_number=st.just("PA1"),
        created_at_ns=st.integers(0, 2**62),
        configurations=CONFIGURATIONS,
        watchlists=st.lists(WATCHLISTS, max_size=3).map(tuple),
    )
)
def test_what_is_written_is_what_is_read(tmp_path_factory: pytest.TempPathFactory, papers: Papers):
    """No papers are too odd to be kept."""
    file = ProfileFile(tmp_path_factory.getbasetemp() / "kept-profile.json")

    file.save(papers)

    assert file.load() == papers
