"""Which symbols Alpaca knows.

Market data says nothing of an unknown symbol and nothing of one that did not trade, and the two look the same. So a symbol of which nothing
has come yet is looked up among the assets, once; one of which something came is known.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from broker_alpaca.client import AlpacaClient
from broker_alpaca.wire import assets, symbols
from broker_alpaca.wire.assets import AlpacaAsset
from broker_alpaca.wire.symbols import Kind
from broker_core.at_once import at_once
from broker_core.errors import RequestRefused

_FEW = 10
"""How many symbols are looked up one by one; for more the whole list is fetched."""
_CLASSES = {Kind.STOCK: "us_equity", Kind.CRYPTO: "crypto"}
_NOT_FOUND = 404


class Listed:
    """What is known to exist. Options are not asked after: expired contracts are looked up in vain, though there is data of them.

    Neither are crypto pairs of another location than Alpaca's own, because its assets are only what it trades itself.
    """

    def __init__(self, client: AlpacaClient) -> None:
        self._client = client
        self._known: set[str] = set()
        self._one_at_a_time = asyncio.Lock()

    def saw(self, names: Iterable[str]) -> None:
        """Something came of these, so there are such things."""
        self._known.update(names)

    async def check(self, names: Iterable[str]) -> None:
        """Raises RequestRefused naming those among them that Alpaca does not know, and what ``AlpacaClient.send`` raises."""
        if not self._doubtful(names):
            return
        async with self._one_at_a_time:
            doubtful = self._doubtful(names)
            unknown = await (self._one_by_one(doubtful) if len(doubtful) <= _FEW else self._by_list(doubtful))
        if unknown:
            raise RequestRefused(f"alpaca: no such symbol: {', '.join(unknown)}", status=_NOT_FOUND)

    async def find(self, name: str) -> AlpacaAsset | None:
        """The asset of a symbol, or None. A crypto pair is found without its slash too."""
        try:
            found = await self._client.send(assets.get(name))
        except RequestRefused as refusal:
            if refusal.status == _NOT_FOUND:
                return None
            raise
        self._known.add(found.symbol)
        return found

    def _doubtful(self, names: Iterable[str]) -> list[str]:
        is_ours = self._client.settings.crypto_location == "us"
        checked = {Kind.STOCK, Kind.CRYPTO} if is_ours else {Kind.STOCK}
        return [name for name in names if name not in self._known and symbols.kind_of(name) in checked]

    async def _one_by_one(self, names: Sequence[str]) -> list[str]:
        found = await at_once(self.find(name) for name in names)
        # A pair without its slash has an asset, but there is no data of that name.
        return [
            name if asset is None else f"{name} (write {asset.symbol})"
            for name, asset in zip(names, found, strict=True)
            if asset is None or asset.symbol != name
        ]

    async def _by_list(self, names: Sequence[str]) -> list[str]:
        wanted = dict.fromkeys(_CLASSES[symbols.kind_of(name)] for name in names)
        for page in await at_once(self._client.send(assets.list_all(asset_class=asset_class)) for asset_class in wanted):
            self._known.update(asset.symbol for asset in page.records)
        return [name for name in names if name not in self._known]
