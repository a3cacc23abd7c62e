"""The number of CPU threads of a run."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

ENOUGH = 1.2
"""More threads are taken only if they make a step this many times faster."""

LONG = 0.25
"""If one thread needs this many seconds for a step, all threads are useful, and nothing is measured."""

TRIAL = 0.06
"""Seconds for which a number of threads is tried, at a time."""


@contextmanager
def threads(count: int | None) -> Iterator[None]:
    """Use this number of CPU threads in the block (None leaves it as it is), and restore the old one after it."""
    before = torch.get_num_threads()
    if count is not None:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def fastest(step: Callable[[], object]) -> tuple[int, dict[int, float]]:
    """Find how many threads make `step` fast.

    The number is doubled, from 1 up to torch's own, as long as that makes a step `ENOUGH` times faster: threads that
    wait for a core that another program keeps busy make a small network many times slower, not faster.

    Returns:
        The number of threads, and the steps per second measured with each number that was tried.
    """
    most = torch.get_num_threads()
    if most == 1:
        return 1, {}
    with threads(1):
        # The first step takes longer, because it also sets things up.
        if _seconds(step) > 4 * LONG or _seconds(step) > LONG:
            return most, {}
    best, rates = 1, dict[int, float]()
    while best < most:
        doubled = min(2 * best, most)
        low, high = _rates(step, best, doubled)
        rates |= {best: low, doubled: high}
        if high < ENOUGH * low:
            break
        best = doubled
    return best, rates


def _rates(step: Callable[[], object], few: int, many: int) -> tuple[float, float]:
    """Steps per second with each number of threads, in turns, so that other programs disturb both alike."""
    done, spent = {few: 0, many: 0}, {few: 0.0, many: 0.0}
    for _ in range(2):
        for count in (few, many):
            with threads(count):
                step()  # wakes the threads
                start = time.perf_counter()
                while (passed := time.perf_counter() - start) < TRIAL:
                    step()
                    done[count] += 1
                spent[count] += passed
        if 2 * done[many] * spent[few] < done[few] * spent[many]:
            break  # half as fast or slower: no second turn needed, which could take seconds
    return done[few] / spent[few], done[many] / spent[many]


def _seconds(step: Callable[[], object]) -> float:
    start = time.perf_counter()
    step()
    return time.perf_counter() - start
