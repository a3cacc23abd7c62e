"""Lanes: sample i meets the same numbers however a run is cut."""

import itertools

import numpy as np
import pytest
import torch
from scipy import stats

from difrun.randomness import Generator, seed_of, torch_generator
from difrun.randomness.generator import LANE_NUMBERS, lane_size
from difrun.testing.rules import global_randomness_untouched

SHAPES = [(1,), (2,), (3, 5), (1, 64, 64), (3, 64, 64)]
P_VALUE = 1e-6
"""About 5 standard errors."""


def draws(distribution, shape, first, n, dtype=torch.float32, times=3):
    generator = Generator(11, first=first)
    like = torch.empty((n, *shape), dtype=dtype)
    return [getattr(generator, distribution)(like) for _ in range(times)]


@pytest.mark.parametrize("distribution", ["normal", "uniform"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_rows_are_bitwise_those_of_any_other_cut(distribution, shape):
    n = 11
    whole = draws(distribution, shape, 0, n)
    for cuts in ([0, 1, 2, 7, 11], [0, 5, 11], [0, 10, 11]):
        for first, last in itertools.pairwise(cuts):
            for part, full in zip(draws(distribution, shape, first, last - first), whole, strict=True):
                assert torch.equal(part, full[first:last])


def test_lanes_are_few_for_large_samples():
    """At least 4096 numbers, and at least 16 samples unless these are more than 2^20 numbers; always one."""
    sizes = {1: 4096, 2: 2048, 256: 16, 784: 16, 3 * 64 * 64: 16, 2**17: 8, 3 * 512 * 512: 1, 2**24: 1}
    assert {numbers: lane_size(numbers) for numbers in sizes} == sizes


def test_chunks_of_images_cut_lanes_without_changing_them():
    whole = draws("normal", (3, 16, 16), 0, 40)[0]
    for first, last in ((0, 16), (15, 17), (16, 40), (3, 37)):
        assert torch.equal(draws("normal", (3, 16, 16), first, last - first)[0], whole[first:last])


def test_cuts_across_lanes_agree():
    lane = LANE_NUMBERS // 2
    whole = draws("normal", (2,), 0, 3 * lane)[0]
    for first, n in ((lane - 3, 6), (lane, lane), (2 * lane + 5, 7), (10, 2 * lane + 20)):
        assert torch.equal(draws("normal", (2,), first, n)[0], whole[first : first + n])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_numbers_follow_their_distributions_and_do_not_repeat(dtype):
    """Kolmogorov–Smirnov over 40 000 numbers from 20 lanes; correlations of draws and of lanes within 5/√n."""
    n = 20 * LANE_NUMBERS // 2
    first, second, _ = (x.double() for x in draws("normal", (2,), 0, n, dtype))
    assert stats.kstest(first.numpy().reshape(-1), "norm").pvalue > P_VALUE
    uniform = draws("uniform", (2,), 0, n, dtype)[0]
    assert stats.kstest(uniform.double().numpy().reshape(-1), "uniform").pvalue > P_VALUE
    assert uniform.min() >= 0
    assert uniform.max() < 1
    lane = LANE_NUMBERS // 2
    for a, b in (
        (first, second),
        (first[:-lane], first[lane:]),
        (first[:-1], first[1:]),
        (first[:, 0], first[:, 1]),
    ):
        a, b = a.reshape(-1), b.reshape(-1)
        assert abs(float((a * b).mean())) < 5 / len(a) ** 0.5
    assert len(torch.unique(first)) > 0.99 * first.numel()


def test_every_source_of_randomness_becomes_a_generator():
    like = torch.empty(4, 2)
    assert torch.equal(Generator.of(5).normal(like), Generator(5).normal(like))
    assert not torch.equal(Generator.of(5).normal(like), Generator.of(6).normal(like))
    assert not torch.equal(Generator.of(None).normal(like), Generator.of(None).normal(like))
    kept = Generator(5)
    assert Generator.of(kept) is kept
    plain = torch.Generator().manual_seed(3)
    expected = torch.randn((4, 2), generator=torch.Generator().manual_seed(3))
    assert torch.equal(Generator.of(plain).normal(like), expected)


def test_empty_and_meta_tensors_draw_no_number():
    assert Generator(1).normal(torch.empty(0, 2)).shape == (0, 2)
    assert Generator(1).normal(torch.empty(3, 2, device="meta")).is_meta


def test_global_states_are_untouched():
    with global_randomness_untouched():
        Generator(1).normal(torch.empty(5, 2))
        Generator(None).uniform(torch.empty(5, 2))
        torch_generator(1, "a")


def test_named_streams_are_different_and_stable():
    assert seed_of(1, "data") == seed_of(1, "data")
    seeds = {
        seed_of(s, *path)
        for s in range(50)
        for path in ((), ("data",), ("train",), ("train", 1), ("train", 2))
    }
    assert len(seeds) == 250
    assert all(0 <= seed < 2**63 for seed in seeds)
    numbers = [torch.randn(500, generator=torch_generator(s, "x")).numpy() for s in range(40)]
    correlations = np.corrcoef(numbers)[np.triu_indices(40, 1)]
    assert np.abs(correlations).max() < 6 / 500**0.5  # 780 pairs
