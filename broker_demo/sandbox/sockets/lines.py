"""The open sockets."""

from __future__ import annotations


class Lines:
    """Every socket that is open now."""
