"""The number of threads that a run takes, for steps whose speed is known."""

import time

import pytest
import torch

from difrun.runs.environment.threads import fastest, threads


def sleeps(seconds):
    """A step that takes so many seconds with each number of threads."""

    def step():
        time.sleep(seconds[torch.get_num_threads()])

    return step


@pytest.mark.parametrize(
    ("seconds", "expected", "tried"),
    [
        # Each doubling twice as fast: all of them. The last step of the ladder is torch's own number, not a power of 2.
        ({1: 0.012, 2: 0.006, 4: 0.003, 6: 0.0015}, 6, [1, 2, 4, 6]),
        # Two help, four do not.
        ({1: 0.012, 2: 0.006, 4: 0.006, 6: 0.001}, 2, [1, 2, 4]),
        # Another program has the second core: twenty times slower with it, as measured on such a machine.
        ({1: 0.002, 2: 0.04, 4: 0.04, 6: 0.04}, 1, [1, 2]),
    ],
)
def test_threads_are_added_while_they_help(seconds, expected, tried):
    with threads(6):
        count, rates = fastest(sleeps(seconds))
        assert torch.get_num_threads() == 6
    assert count == expected
    assert list(rates) == tried
    for n, rate in rates.items():
        assert (
            0.3 / seconds[n] < rate <= 1 / seconds[n]
        )  # a sleep is never shorter; a busy machine makes it longer


def test_nothing_is_measured_where_there_is_nothing_to_choose():
    """One thread, or steps so long that every thread has enough to do."""
    calls = []
    with threads(1):
        assert fastest(lambda: calls.append(1)) == (1, {})
    assert calls == []
    with threads(2):
        assert fastest(lambda: calls.append(time.sleep(0.3))) == (2, {})
    assert len(calls) == 2
