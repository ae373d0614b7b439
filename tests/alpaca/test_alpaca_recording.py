"""What a recording leaves out, and that what it writes can be replayed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import vcr
from accounts import KEY, SECRET, settings_for, transport_of
from cassette_scenarios import SCENARIOS, Names
from record_cassettes import main, record
from scripted_host import Reply, Request, ScriptedHost

from broker_alpaca.client import AlpacaClient
from broker_alpaca.config import AlpacaSettings, Mode
from broker_alpaca.recording.scrubbing import FAKE_ACCOUNT_NUMBER, Leak, Scrubber
from broker_core.clock import SystemClock, seeded
from broker_core.errors import RequestRefused

REAL = "6d1e1234-9f2c-4a5b-8c7d-0123456789ab"
OTHER = "7e80e4b1-0000-4abc-8000-00000000cafe"
FIRST, SECOND = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"


def interaction(
    uri: str = "https://paper-api.alpaca.markets/v2/orders", sent: Any = None, answer: Any = "", **headers: str
) -> dict[str, Any]:
    values = {name.replace("_", "-"): [value] for name, value in headers.items()}
    return {
        "request": {"method": "GET", "uri": uri, "body": sent if sent is None else json.dumps(sent), "headers": values},
        "response": {"status": {"code": 200, "message": "OK"}, "headers": dict(values), "body": {"string": json.dumps(answer)}},
    }


def scrubbed(*interactions: dict[str, Any], **replaced: str) -> list[dict[str, Any]]:
    found = Scrubber(replaced).cassette({"version": 1, "interactions": list(interactions)})
    return found["interactions"]


def test_same_id_becomes_the_same_made_up_one_everywhere():
    """An id in an answer, in the address of the next request and in its body, in any case, is one and the same afterwards."""
    first, second = scrubbed(
        interaction(answer={"id": REAL, "replaces": OTHER}),
        interaction(uri=f"https://paper-api.alpaca.markets/v2/orders/{REAL.upper()}?nested=true", sent={"order_id": OTHER}),
    )

    assert json.loads(first["response"]["body"]["string"]) == {"id": FIRST, "replaces": SECOND}
    assert second["request"]["uri"] == f"https://paper-api.alpaca.markets/v2/orders/{FIRST}?nested=true"
    assert json.loads(second["request"]["body"]) == {"order_id": SECOND}


def test_ids_agree_between_cassettes():
    """One scrubber serves a whole recording: what it made up once it makes up again."""
    scrubber = Scrubber({})

    assert scrubber.text(REAL) == FIRST
    assert scrubber.text(f"{OTHER} {REAL}") == f"{SECOND} {FIRST}"


def test_id_is_found_inside_an_activity_token():
    """The id of an activity, quoted in a query, keeps its moment and loses what names it."""
    scrubber = Scrubber({})

    assert scrubber.text(f"20260302100001000::{REAL}") == f"20260302100001000::{FIRST}"
    assert scrubber.text(f"?page_token=20260302100001000%3A%3A{REAL}") == f"?page_token=20260302100001000%3A%3A{FIRST}"


def test_id_of_nobody_stays():
    """The id that is all zeros means "none" and goes on doing so."""
    assert Scrubber({}).text("00000000-0000-0000-0000-000000000000") == "00000000-0000-0000-0000-000000000000"


def test_headers_that_sign_in_or_name_somebody_are_dropped():
    """Only what says how to read a body, and the rate limit, is kept; names of headers count in any case."""
    (found,) = scrubbed(
        interaction(
            Content_Type="application/json",
            Apca_Api_Key_Id="PK1",
            APCA_API_SECRET_KEY="s",
            Authorization="Bearer t",
            Set_Cookie="c",
            X_Request_ID="r",
            X_RateLimit_Remaining="199",
            Date="today",
            User_Agent="me",
        )
    )

    assert set(found["request"]["headers"]) == {"Content-Type"}
    assert set(found["response"]["headers"]) == {"Content-Type", "X-RateLimit-Remaining"}


def test_account_number_is_replaced_wherever_it_stands():
    """The number is learned from the account's own answer and replaced before and after it."""
    before, account = scrubbed(
        interaction(uri="https://paper-api.alpaca.markets/v2/x/PA3REAL00001", answer={"of": "PA3REAL00001"}),
        interaction(answer={"account_number": "PA3REAL00001"}),
    )

    assert before["request"]["uri"].endswith(f"/x/{FAKE_ACCOUNT_NUMBER}")
    assert json.loads(before["response"]["body"]["string"]) == {"of": FAKE_ACCOUNT_NUMBER}
    assert json.loads(account["response"]["body"]["string"]) == {"account_number": FAKE_ACCOUNT_NUMBER}


def test_secrets_and_names_are_replaced_the_longest_first():
    """A secret that begins with another is not left with its tail; a name that the recording made up gets its lasting one."""
    (found,) = scrubbed(
        interaction(answer=["abc", "abcdef"], sent={"client_order_id": "order-01ABC"}), abc="S1", abcdef="S2", **{"order-01ABC": "order"}
    )

    assert json.loads(found["response"]["body"]["string"]) == ["S1", "S2"]
    assert json.loads(found["request"]["body"]) == {"client_order_id": "order"}


def test_what_cannot_be_scrubbed_is_not_written():
    """A body that is no text may hold anything, and a secret that hides another shows up again: both stop the recording."""
    binary = interaction()
    binary["response"]["body"]["string"] = b"\x00PK1"
    with pytest.raises(Leak, match="no text"):
        scrubbed(binary)
    with pytest.raises(Leak, match="1 secrets or names and 0 ids are still there"):
        scrubbed(interaction(answer="s-x-ecret"), **{"-x-": "", "secret": "S"})


ACCOUNT = {"id": REAL, "account_number": "PA3REAL00001", "status": "ACTIVE", "cash": "1.5", "equity": "2"}


def answer(request: Request) -> Reply:
    """What a host says of an account that is new; it knows nothing of markets."""
    answers = {
        "/v2/account": ACCOUNT,
        "/v2/account/configurations": {"no_shorting": False},
        "/v2/account/portfolio/history": {"timestamp": [], "timeframe": "1D"},
    }
    found = answers.get(request.path)
    return Reply(404, {"message": "?"}) if found is None else Reply(200, found, {"X-Request-ID": "of nobody's business"})


async def test_recording_is_replayed(tmp_path: Path):
    """What was recorded from one host plays as Alpaca's own, without key, number or id, and gives what the host gave."""
    path = tmp_path / "account.yaml"
    async with ScriptedHost(answer) as host:
        await record(settings_for(host.url, data_url="http://127.0.0.1:1"), Names(order="real-order"), ["account"], tmp_path)
    text = path.read_text()
    assert not [word for word in (KEY, SECRET, REAL, "PA3REAL00001", host.url, "business") if word in text]

    settings = AlpacaSettings(key="PKOTHER", secret="other")
    client = AlpacaClient(settings, transport_of(settings, Mode.HTTP), clock=SystemClock(), random=seeded(1))
    try:
        with vcr.VCR(record_mode="none").use_cassette(str(path)) as played:
            found = await SCENARIOS["account"](client, Names())
    finally:
        await client.close()
    assert found["opened"].account_id == FAKE_ACCOUNT_NUMBER
    assert played.all_played


async def test_scenario_that_fails_leaves_the_cassette_there_was(tmp_path: Path):
    """A cassette is replaced only by a whole one."""
    path = tmp_path / "market.yaml"
    path.write_text("as it was")
    async with ScriptedHost(answer) as host:
        with pytest.raises(RequestRefused):
            await record(settings_for(host.url), Names(), ["market"], tmp_path)

    assert path.read_text() == "as it was"


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({}, "there are no credentials"),
        ({"APCA_API_KEY_ID": "AK1", "APCA_API_SECRET_KEY": "s", "BROKER_ALPACA_ENVIRONMENT": "live"}, "a paper account only"),
    ],
)
def test_recording_wants_a_paper_account(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], environ: dict[str, str], words: str
):
    """Without credentials, and with those of a live account, nothing is asked and nothing written."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.argv", ["record_cassettes.py"])

    assert main() == 1
    assert words in capsys.readouterr().err
