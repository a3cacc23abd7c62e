"""Sub-sequences of the chain: every step count of every short chain, and the known ones written out."""

from itertools import pairwise

import pytest

from difrun.errors import DifrunError
from difrun_ddpm.grid import integer
from difrun_ddpm.process import DDPM


@pytest.mark.parametrize("spacing", ["trailing", "quadratic"])
def test_no_repeats_and_no_off_by_one_for_any_number_of_steps(spacing):
    """For N ≤ 40 and K ≤ N: K different integers from N down, each at least 1, then t_min; all of them if K = N."""
    for n in range(1, 41):
        process = DDPM(steps=n)
        for k in range(1, n + 1):
            *times, end = integer(process, k, spacing=spacing)
            assert end == process.t_min < 1
            assert len(times) == k
            assert times[0] == n
            assert all(t == int(t) >= 1 for t in times)
            assert all(later < t for t, later in pairwise(times))
        assert times == list(range(n, 0, -1))


@pytest.mark.parametrize(("n", "k"), [(1000, 50), (1000, 7), (100, 30), (64, 64)])
def test_strides_are_even(n, k):
    """Trailing times are N i/K to half an integer, so that strides differ by one at most."""
    *times, _ = integer(DDPM(steps=n), k)
    assert all(abs(t - n * (k - i) / k) <= 0.5 for i, t in enumerate(times))
    strides = {int(t - later) for t, later in pairwise([*times, 0])}
    assert max(strides) - min(strides) <= 1


def test_known_sub_sequences():
    *times, _ = integer(DDPM(), 10)
    assert times == [1000, 900, 800, 700, 600, 500, 400, 300, 200, 100]
    *times, _ = integer(DDPM(), 10, spacing="quadratic")
    assert times == [1000, 810, 640, 490, 360, 250, 160, 90, 40, 10]


def test_only_times_above_t_min_count():
    """noise_floor = 0.05 on N = 100, β from 1e-4: σ/α is 0.05 between n = 4 and 5."""
    process = DDPM(steps=100, noise_floor=0.05)
    assert 4 < process.t_min < 5
    *times, end = integer(process, 96)
    assert times == list(range(100, 4, -1))
    assert end == process.t_min
    with pytest.raises(DifrunError, match=r"96 times .* 97 steps need more"):
        integer(process, 97)


def test_more_steps_than_the_chain_has_are_refused():
    with pytest.raises(DifrunError, match=r"10 times .* 11 steps need more"):
        integer(DDPM(steps=10), 11)
    with pytest.raises(DifrunError, match="at least 1 step"):
        integer(DDPM(steps=10), 0)
