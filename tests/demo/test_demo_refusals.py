"""Refusals in the broker's words."""

from __future__ import annotations

from decimal import Decimal

from broker_core.errors import DuplicateOrder, RequestRefused
from broker_demo.refusals import Refusal, bad_field, broken_rule, duplicate, forbidden, not_found


def test_each_kind_has_its_status_and_code():
    """The four kinds carry the numbers the broker gives them."""
    made = [bad_field("a"), broken_rule("b"), forbidden("c"), not_found("d")]

    assert [(error.status, error.code, str(error)) for error in made] == [
        (422, 40010001, "a"),
        (422, 42210000, "b"),
        (403, 40310000, "c"),
        (404, 40410000, "d"),
    ]
    assert all(isinstance(error, RequestRefused) for error in made)


def test_figures_are_kept_apart_and_shown():
    """The message stays the broker's own, the figures are kept as plain text, and the text of the error has both in one line."""
    error = Refusal(403, 40310000, "too much", free=Decimal("1E+2"), symbol="ABC", orders=["a", "b"])

    assert (error.message, error.details) == ("too much", {"free": "100", "symbol": "ABC", "orders": ["a", "b"]})
    assert str(error) == "too much (free: 100, symbol: ABC, orders: a b)"


def test_used_id_is_its_own_kind():
    """A duplicate is proof that an earlier send took effect, so it has a class of its own."""
    error = duplicate()

    assert isinstance(error, DuplicateOrder)
    assert (error.status, error.code, str(error)) == (422, 40010001, "client_order_id must be unique")
