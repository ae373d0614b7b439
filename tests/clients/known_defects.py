"""What the published documents get wrong, so that it is not held against the sandbox."""

from __future__ import annotations

import re

import attrs
from prisms import Violation

_NO_SUCH_STATUS = "response Unable to match the returned status code"


@attrs.frozen
class Defect:
    """A complaint that a document has no right to: about requests and statuses like these, in words like these."""

    reason: str
    request: str
    """A regular expression for method, path and query."""
    statuses: frozenset[int]
    complaint: str
    """A regular expression for the beginning of location and message."""

    def explains(self, violation: Violation) -> bool:
        """Whether this is it."""
        return (
            violation.status in self.statuses
            and re.fullmatch(self.request, violation.request) is not None
            and re.match(self.complaint, f"{violation.location} {violation.message}") is not None
        )


DEFECTS = (
    Defect(
        "the legs of a leg are an object in its schema, and null in its only example, as at the broker; the order's own may be null",
        r"(GET|POST|PATCH|DELETE) /v2/(orders|positions)\S*",
        frozenset({200, 207}),
        r"response\.body\S*\.legs\.\d+\.legs Response body property \S+ must be object",
    ),
    Defect(
        "what is not there is a 404, as the same documents have it at other addresses; these have no such status",
        r"(GET|PATCH|DELETE) /v2/(orders|positions|watchlists|corporate_actions/announcements)(/|:by_client_order_id\?|:by_name\?)\S+",
        frozenset({404}),
        _NO_SUCH_STATUS,
    ),
    Defect(
        "what makes no sense is a 422, as the same documents have it at other addresses; these have no status but 200",
        r"PATCH /v2/account/configurations|PATCH /v2/orders/\S+|POST /v2/watchlists\S*",
        frozenset({422}),
        _NO_SUCH_STATUS,
    ),
    Defect(
        "whoever has wrong keys is told so with a 401, which the documents have only at some addresses",
        r"GET /v2/account",
        frozenset({401}),
        _NO_SUCH_STATUS,
    ),
    Defect(
        "the older document names no exchange for crypto, though it has crypto; the newer one, and every client, has CRYPTO",
        r"(GET|POST|PUT) /v2/(assets|positions|watchlists)\S*",
        frozenset({200}),
        r"response\.body\S*exchange Response body property \S+ must be equal to one of the allowed values: (?!.*CRYPTO)",
    ),
    Defect(
        "the older document wants an activity to be of one kind only, and has two kinds that every object is of",
        r"GET /v2/account/activities/FILL\S*",
        frozenset({200}),
        r"response\.body\.\d+ Response body property \d+ must match exactly one schema in oneOf$",
    ),
    Defect(
        "an unknown symbol is null in the recorded map of snapshots",
        r"GET /v2/stocks/snapshots\S*UNHEARD\S*",
        frozenset({200}),
        r"response\.body\.UNHEARD Response body property UNHEARD must be object$",
    ),
    Defect(
        "an article has no content unless it is asked for, and then it is the empty text; that is what exclude_contentless is about",
        r"GET /v1beta1/news((?!include_content=true)\S)*",
        frozenset({200}),
        r"response\.body\.news\.\d+\.content Response body property \S+ must NOT have fewer than 1 characters$",
    ),
)


def of_the_documents(violation: Violation) -> bool:
    """Whether the document is to blame."""
    return any(defect.explains(violation) for defect in DEFECTS)
