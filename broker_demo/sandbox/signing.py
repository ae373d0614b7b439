"""Who may come in: the one pair of keys that this sandbox was started with, in any of the forms that Alpaca takes."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from hmac import compare_digest

import attrs

from broker_core.secret import Secret


@attrs.frozen
class KeyPair:
    """The sandbox's own pair of keys. The secret also stands as an access token."""

    key: str
    secret: Secret

    @property
    def is_paper(self) -> bool:
        """Whether the trading socket answers it in binary frames: paper keys begin with PK."""
        return not self.key.startswith("AK")

    def fits(self, key: object, secret: object) -> bool:
        """Whether this is the pair."""
        return _same(key, self.key) and _same(secret, self.secret.reveal())

    def fits_token(self, token: object) -> bool:
        """Whether this is the secret, sent as an access token."""
        return _same(token, self.secret.reveal())

    def signs(self, headers: Mapping[str, str]) -> bool:
        """Whether these headers hold the pair: Alpaca's own two, Basic, or Bearer."""
        kind, _, rest = headers.get("Authorization", "").partition(" ")
        if kind.lower() == "basic":
            try:
                key, _, secret = base64.b64decode(rest, validate=True).decode().partition(":")
            except (binascii.Error, ValueError):
                return False
            return self.fits(key, secret)
        if kind.lower() == "bearer":
            return self.fits_token(rest)
        return self.fits(headers.get("APCA-API-KEY-ID"), headers.get("APCA-API-SECRET-KEY"))

    def tries(self, headers: Mapping[str, str]) -> bool:
        """Whether these headers hold credentials at all, right or wrong."""
        return "Authorization" in headers or "APCA-API-KEY-ID" in headers


def _same(told: object, known: str) -> bool:
    # A header's bytes that are no UTF-8 arrive as lone surrogates.
    return isinstance(told, str) and compare_digest(told.encode(errors="surrogatepass"), known.encode())
