"""Holds the scenarios with a real paper account and writes the cassettes anew.

    python tools/record_cassettes.py            # all of them
    python tools/record_cassettes.py orders     # only these

It takes the credentials where ``broker`` finds them, refuses a live account, and writes nothing that holds a key, an account's number or
an id. Orders are for one share of AAPL at 1.50, and are cancelled.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import attrs
import vcr
import yaml
from cassette_scenarios import SCENARIOS, Names
from vcr.persisters.filesystem import FilesystemPersister
from vcr.serialize import serialize
from vcr.serializers import yamlserializer

from broker_alpaca import config
from broker_alpaca.client import AlpacaClient
from broker_alpaca.config import DATA_URL, PAPER_URL, AlpacaSettings
from broker_alpaca.recording.scrubbing import Leak, Scrubber
from broker_alpaca.transport import HttpTransport
from broker_core.clock import SystemClock, TimeSortedIds, seeded
from broker_core.errors import BrokerError, ConfigError
from broker_core.models import Environment

FOLDER = Path(__file__).parents[1] / "cassettes" / "rest"


class ScrubbingPersister(FilesystemPersister):
    """Writes cassettes scrubbed; nothing else ever reaches the disk."""

    def __init__(self, scrubber: Scrubber) -> None:
        self._scrubber = scrubber

    def save_cassette(self, cassette_path: str | Path, cassette_dict: Mapping[str, Any], serializer: object) -> None:  # noqa: ARG002
        """Scrub and write. Raises Leak."""
        recorded = yaml.safe_load(serialize(cassette_dict, yamlserializer))
        text = yaml.safe_dump(self._scrubber.cassette(recorded), sort_keys=False, allow_unicode=True, width=140)
        Path(cassette_path).parent.mkdir(parents=True, exist_ok=True)
        Path(cassette_path).write_text(text, encoding="utf-8")


def scrubber_for(settings: AlpacaSettings, names: Names) -> Scrubber:
    """A scrubber that knows the account's secrets, its hosts, and the names that this recording has made up."""
    made_up = {getattr(names, field.name): getattr(Names(), field.name) for field in attrs.fields(Names)}
    secrets = {secret.reveal(): f"SECRET{number}" for number, secret in enumerate(settings.secrets)}
    hosts = {settings.data_url: DATA_URL, settings.trading_url: PAPER_URL}
    return Scrubber({**{real: fake for real, fake in hosts.items() if real != fake}, **secrets, **made_up})


def paper_account(environ: Mapping[str, str]) -> AlpacaSettings:
    """The account to record with. Raises ConfigError where there is none, or a live one."""
    settings = config.read(environ)
    if settings is None:
        raise ConfigError("there are no credentials; set APCA_API_KEY_ID and APCA_API_SECRET_KEY of a paper account")
    if settings.environment is not Environment.PAPER:
        raise ConfigError("this places orders; it takes a paper account only")
    return settings


def names_of_this_run() -> Names:
    """Names that no recording has used before."""
    run = TimeSortedIds()()
    return Names(**{field.name: f"{getattr(Names(), field.name)}-{run}" for field in attrs.fields(Names)})


async def record(settings: AlpacaSettings, names: Names, wanted: Iterable[str], folder: Path) -> None:
    """Hold these scenarios and put their cassettes into the folder, which is there, each when it is complete. Raises Leak."""
    persister = ScrubbingPersister(scrubber_for(settings, names))
    with TemporaryDirectory() as temporary:
        for name in wanted:
            recorder = vcr.VCR(record_mode="all", decode_compressed_response=True)
            recorder.register_persister(persister)
            path = Path(temporary) / f"{name}.yaml"
            client = AlpacaClient(settings, HttpTransport(settings), clock=SystemClock(), random=seeded())
            try:
                with recorder.use_cassette(str(path)):
                    await SCENARIOS[name](client, names)
            finally:
                await client.close()
            shutil.move(path, folder / path.name)


def main() -> int:
    """Record, and say what was written."""
    parser = argparse.ArgumentParser(description="Record the cassettes with a real paper account.")
    parser.add_argument("scenario", nargs="*", choices=[*SCENARIOS, []], help="by default all of them")
    wanted = parser.parse_args().scenario or list(SCENARIOS)
    try:
        asyncio.run(record(paper_account(os.environ), names_of_this_run(), wanted, FOLDER))
    except (BrokerError, Leak) as error:
        return _fail(str(error))
    sys.stdout.write(f"written to {FOLDER}: {', '.join(wanted)}\n")
    return 0


def _fail(text: str) -> int:
    sys.stderr.write(f"record_cassettes: {text}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
