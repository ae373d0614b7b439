"""The demo exchange served on loopback over Alpaca's own wire, so that anything written for Alpaca runs against it unmodified.

What happens to a request: ``application`` signs it in and makes a ``Call`` of it; ``routes`` names the function that
answers it, which lives in ``trading`` or ``data`` and sees only the call and the ``Desk``; ``faults`` may bend all of it on the way. What
the exchange tells of itself goes out through ``sockets``.

This package reads and writes the wire by itself and shares nothing with the plugin for Alpaca: each is the other's test.
"""
