"""A secret shows itself nowhere but where it is asked to."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import traceback

import pytest

from broker_core.secret import Secret

TEXT = "s3cr3t"


def test_every_way_to_text_shows_a_mask():
    """Also inside a container, a format, a log record and a traceback."""
    secret = Secret(TEXT)
    try:
        raise ValueError(secret)
    except ValueError:
        trace = traceback.format_exc()
    record = logging.LogRecord("x", logging.INFO, "x", 1, "%s and %r", (secret, secret), None)
    shown = [
        str(secret),
        repr(secret),
        f"{secret}",
        f"{secret:>9}",
        str([secret]),
        trace,
        record.getMessage(),
        json.dumps([secret], default=str),
    ]

    assert all("***" in text for text in shown)
    assert not any(TEXT in text for text in shown)
    assert secret.reveal() == TEXT


def test_it_cannot_be_written_down_by_accident():
    """Neither JSON nor pickle takes it."""
    with pytest.raises(TypeError):
        json.dumps(Secret(TEXT))
    for write in (pickle.dumps, copy.copy):
        with pytest.raises(TypeError, match="cannot be pickled"):
            write(Secret(TEXT))


def test_it_equals_a_secret_of_the_same_text_and_no_text():
    """So it can be compared and kept in sets without being revealed."""
    assert Secret(TEXT) == Secret(TEXT)
    assert Secret(TEXT) != Secret("other")
    assert Secret(TEXT) != TEXT
    assert len({Secret(TEXT), Secret(TEXT)}) == 1
    assert bool(Secret(TEXT))
    assert not Secret("")


def test_it_masks_itself_in_another_text():
    """An empty secret masks nothing."""
    assert Secret(TEXT).mask(f"a {TEXT} b {TEXT}") == "a *** b ***"
    assert Secret("").mask("abc") == "abc"
