"""How a client reaches a sandbox: directly, or through Prism."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import attrs
from hosted_sandbox import HostedSandbox
from known_defects import of_the_documents
from prisms import GENERATIONS, Proxy, Violation, free_port


@attrs.frozen
class Between:
    """Prism for each of the two hosts, in front of whatever listens at ``port``."""

    port: int
    trading: Proxy
    data: Proxy

    def faults(self) -> list[Violation]:
        """What was wrong with the answers since the last time, without what is wrong with the documents."""
        found = [*self.trading.violations(), *self.data.violations()]
        return [violation for violation in found if violation.is_of_answer and not of_the_documents(violation)]


@attrs.frozen
class Way:
    """A sandbox, and where its client asks for it."""

    box: HostedSandbox
    trading_url: str
    data_url: str


@contextmanager
def between_with(prism: str, generation: str) -> Iterator[Between]:
    """Prism, with the documents of a generation, as long as this lasts."""
    port = free_port()
    upstream = f"http://127.0.0.1:{port}"
    of_trading, of_data = GENERATIONS[generation]
    with Proxy(prism, of_trading, upstream) as trading, Proxy(prism, of_data, upstream) as data:
        trading.wait()
        data.wait()
        yield Between(port, trading, data)
