"""What somebody asks for with ``PATCH /v2/orders/{order_id}``: the body, read into new terms, and the rules of asking."""

from __future__ import annotations

from broker_core.orders import ReplaceTerms
from broker_core.requests import OrderClass, TimeInForce
from broker_demo.paper_order import PaperOrder, Status
from broker_demo.refusals import broken_rule
from broker_demo.sandbox.trading.body import Body, amount, bad_member, given, word


def replace_terms(body: Body) -> ReplaceTerms:
    """The new terms that a body holds. Raises Refused."""
    if given(body, "notional") is not None:
        raise bad_member("notional can be replaced in ipo orders only")
    return ReplaceTerms(
        qty=amount(body, "qty"),
        limit_price=amount(body, "limit_price"),
        stop_price=amount(body, "stop_price"),
        trail=amount(body, "trail"),
        time_in_force=None if given(body, "time_in_force") is None else word(body, "time_in_force", TimeInForce),
    )


def check_replaceable(order: PaperOrder) -> None:
    """Refuse to replace an order that is not at the market yet, or whose class forbids it. Raises Refusal."""
    if order.status is Status.ACCEPTED:
        raise broken_rule(f"cannot replace order in {order.status} status")
    if order.is_open and order.group_class is OrderClass.OTO:
        raise broken_rule("oto orders cannot be replaced")
