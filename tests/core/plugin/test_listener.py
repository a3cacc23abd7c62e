"""How often a listener is told."""

import pytest

from difrun.plugin import listener
from difrun.plugin.listener import Pace


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still unless it is set."""
    times = [100.0]
    monkeypatch.setattr(listener.time, "monotonic", lambda: times[0])
    return times


def told(clock, pace, seconds, took):
    """The times of the reports in so many seconds, each of which takes as long."""
    end, reports = clock[0] + seconds, []

    def report():
        reports.append(clock[0])
        clock[0] += took
        return len(reports)

    while clock[0] < end:
        if pace.is_due():
            assert pace.timed(report) == len(reports)
        clock[0] += 0.01
    return reports


def test_a_quick_listener_is_told_as_often_as_it_is_due(clock):
    reports = told(clock, Pace(0.5), 10.0, took=0.0)
    assert len(reports) == pytest.approx(20, abs=1)
    assert reports[0] == pytest.approx(100.5, abs=0.02)


@pytest.mark.parametrize("took", [0.1, 1.0, 10.0])
def test_a_slow_listener_takes_one_tenth_of_the_time(clock, took):
    reports = told(clock, Pace(0.5), 1000.0 * took, took)
    assert len(reports) * took == pytest.approx(1000.0 * took / 11, rel=0.05)


def test_the_first_report_may_be_due_at_once(clock):
    assert Pace(0.5, at_once=True).is_due()
    assert not Pace(0.5).is_due()
