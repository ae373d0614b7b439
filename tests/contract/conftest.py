"""What may be skipped here: nothing of the brokers that can do everything, and of another only what its reason names."""

from __future__ import annotations

import re

import pytest
from accounts import SDK_MISSING

_FULL = ("test_contract_demo.py", "test_contract_alpaca.py")
_REASONS = re.compile(r"does not declare \w+ \w+|offers no [\w ]+;|the subject leaves out \w+|leaves out assets, which a source")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item):
    """A test that is skipped for any other reason has failed."""
    report = yield
    if report.skipped and item.path.parent.name == "contract":
        reason = str(report.longrepr)
        is_right = SDK_MISSING in reason if item.path.name in _FULL else _REASONS.search(reason)
        if not is_right:
            report.outcome = "failed"
            report.longrepr = f"{item.nodeid}: skipped, which is for what a broker does not declare: {reason}"
    return report
