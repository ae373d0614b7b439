import logging

import pytest

from broker_core.clock import StillClock
from broker_core.findings import Finding, Findings, Severity


@pytest.fixture
def clock():
    return StillClock()


@pytest.fixture
def findings(clock):
    return Findings(clock)


def test_a_finding_says_when_how_bad_about_what(clock, findings):
    """
    A finding carries the moment it was made, its severity, its subject and its text, and is returned to whoever made it.
    """
    made = findings.critical("AAPL", "10 expected, 7 held")

    assert made == Finding(clock.now(), Severity.CRITICAL, "AAPL", "10 expected, 7 held")
    assert [made] == list(findings)


@pytest.mark.parametrize(
    ("severity", "level"),
    [(Severity.NOTE, logging.INFO), (Severity.WARNING, logging.WARNING), (Severity.CRITICAL, logging.CRITICAL)],
)
def test_a_finding_is_logged_by_its_severity(findings, caplog, severity, level):
    """
    Every finding is logged once, at the level its severity stands for.
    """
    with caplog.at_level(logging.INFO):
        findings.add(severity, "AAPL", "look here")

    assert [(level, "AAPL: look here")] == [(record.levelno, record.getMessage()) for record in caplog.records]


def test_each_shorthand_has_its_severity(findings):
    """
    Note, warning and critical make findings of the severity they are named after.
    """
    made = [findings.note("a", "b"), findings.warning("a", "b"), findings.critical("a", "b")]

    assert list(Severity) == [finding.severity for finding in made]


def test_only_the_latest_are_kept_but_all_are_counted(clock):
    """
    Beyond the limit the oldest findings go, and the totals go on counting.
    """
    findings = Findings(clock, limit=2)
    for text in ("one", "two", "three"):
        findings.note("x", text)

    assert ["two", "three"] == [finding.text for finding in findings]
    assert len(findings) == 2
    assert findings.totals == {Severity.NOTE: 3, Severity.WARNING: 0, Severity.CRITICAL: 0}


def test_callbacks_are_told_until_they_cancel(findings):
    """
    A callback is told every finding at once, and none after it has cancelled, however often it does.
    """
    told = []
    cancel = findings.on_finding(told.append)
    first = findings.note("x", "one")
    assert told == [first]

    cancel()
    cancel()
    findings.note("x", "two")

    assert told == [first]


def test_a_raising_callback_stops_nothing(findings, caplog):
    """
    What a callback raises is logged; the next callback is told all the same.
    """
    told = []

    def broken(finding):
        raise RuntimeError("no mail today")

    findings.on_finding(broken)
    findings.on_finding(told.append)
    made = findings.warning("x", "one")

    assert told == [made]
    assert "no mail today" in caplog.text


def test_an_async_callback_is_refused(findings):
    """
    A callback that nobody could await is refused when it is given, not ignored when it matters.
    """

    async def mail(finding):
        pass

    with pytest.raises(TypeError, match="give a plain one"):
        findings.on_finding(mail)


def test_reading_while_a_finding_is_made(findings):
    """
    A loop over the findings is not disturbed by a new one.
    """
    findings.note("x", "one")
    for finding in findings:
        findings.note("x", f"after {finding.text}")

    assert len(findings) == 2
