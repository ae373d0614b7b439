"""One request over a connection of its own, without any client's code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit


def ask(method: str, url: str, body: Any = None, headers: Mapping[str, str] | None = None) -> tuple[int, Any]:
    """The status of the answer, and its body decoded from JSON; None where there is none."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.netloc, timeout=60)
    try:
        data = None if body is None else json.dumps(body)
        connection.request(method, url.removeprefix(f"{parts.scheme}://{parts.netloc}"), data, dict(headers or {}))
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read() or b"null")
    finally:
        connection.close()
