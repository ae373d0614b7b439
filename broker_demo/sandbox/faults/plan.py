"""Which faults there are to come."""

from __future__ import annotations


class Faults:
    """The faults to come, of requests and of sockets."""
