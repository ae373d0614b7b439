"""Logos of companies.

Source: https://docs.alpaca.markets/reference/logos.
"""

from __future__ import annotations

from broker_alpaca.wire import data_host
from broker_alpaca.wire.call import Call, segment
from broker_alpaca.wire.drift import Drift


def _read(body: bytes, drift: Drift) -> bytes:  # noqa: ARG001  # every reader takes both
    return body


def get(symbol: str, *, placeholder: bool | None = None) -> Call[bytes]:
    """The picture as it came; where there is none a drawn one, or with ``placeholder=False`` RequestRefused with 404."""
    return data_host.get(f"/v1beta1/logos/{segment(symbol)}", _read, placeholder=placeholder)
