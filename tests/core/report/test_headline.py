"""The headline of a report: situations that users are in, and the sentence that each gets."""

import math

import pytest

from difrun.report.verdict import verdict

from .numbers import HIGHER, HUMP, LOWER, NOISE, SHARP, WEAK, number

HEADLINES = {
    "well trained": (
        {"w2": SHARP},
        "The samples cannot be told from real data: w2 is 0.11, 1.1× its floor 0.1. It would show a difference above "
        "1.14× its floor.",
    ),
    "well trained, several numbers": (
        {"w2": SHARP, "recall": number(1.3, 1.0, 0.01, **HIGHER)},
        "The samples cannot be told from real data: both numbers are at their floors. The sharpest, recall, would show "
        "a difference below 0.972× its floor.",
    ),
    "better than its floor by chance": (
        {"w2": number(0.09, 0.1, 0.005, **LOWER)},
        "The samples cannot be told from real data: w2 is 0.09, 0.9× its floor 0.1. It would show a difference above "
        "1.14× its floor.",
    ),
    "16 samples of noise": (
        {"sliced-w2": number(1.2, 1.0, 0.3, n=16, **LOWER)},
        "Too weak a test to tell: with 16 samples it shows a difference only above 1.85× its floor; sliced-w2 is 1.2, "
        "1.2× its floor 1. More samples (--n) or another metric tell more.",
    ),
    "a weak test, several numbers": (
        {"w2": WEAK, "recall": number(0.9, 0.95, 0.2, **HIGHER)},
        "Too weak a test to tell: the sharpest, recall, shows a difference only below 0.405× its floor; both numbers "
        "are at their floors. More samples (--n) or another metric tell more.",
    ),
    "a weak test of shares": (
        {"recall": number(0.9, 0.95, 0.2, n=30, **HIGHER)},
        "Too weak a test to tell: with 30 samples it shows a difference only below 0.405× its floor; recall is 0.9, "
        "0.95× its floor 0.95. More samples (--n) or another metric tell more.",
    ),
    "few samples, and a floor of noise": (
        {"energy": number(0.002, -0.0004, 0.02, n=16, **NOISE)},
        "Too weak a test to tell: only 16 samples were compared, and energy is 0.002, 0.12 standard deviations above "
        "its floor −0.0004. Draw more (--n).",
    ),
    "a floor of noise": (
        {"energy": number(0.002, -0.0004, 0.002, n=10000, **NOISE)},
        "The samples cannot be told from real data: energy is 0.002, 1.2 standard deviations above its floor −0.0004. "
        "It would show a difference of 0.006.",
    ),
    "excellent, but for a share": (
        {"precision": number(0.97, 0.98, 0.002, **HIGHER), "w2": SHARP},
        "The samples are close to real data, but can be told from them: precision is 0.97, 0.99× its floor 0.98 "
        "(higher is better). Not distinguishable from its floor: w2.",
    ),
    "excellent, but for a distance": (
        {"w2": number(0.12, 0.1, 0.005, **LOWER)},
        "The samples are close to real data, but can be told from them: w2 is 0.12, 1.2× its floor 0.1.",
    ),
    "fair": (
        {"w2": number(0.2, 0.1, 0.01, **LOWER)},
        "The samples can be told from real data: w2 is 0.2, 2× its floor 0.1.",
    ),
    "fair, with few samples": (
        {"w2": number(4.5, 1.0, 0.6, n=16, **LOWER)},
        "The samples can be told from real data: w2 is 4.5, 4.5× its floor 1.",
    ),
    "fair, by a floor of noise": (
        {"w2": number(0.12, 0.1, 0.005, **LOWER), "energy": number(0.2, 0.0, 0.01, **NOISE)},
        "The samples can be told from real data: energy is 0.2, 20 standard deviations above its floor 0. Also off "
        "their floors: w2 1.2×.",
    ),
    "far": (
        {"w2": number(0.6, 0.1, 0.01, **LOWER)},
        "The samples are far from real data: w2 is 0.6, 6× its floor 0.1.",
    ),
    "two modes far apart, with a hump between": (
        HUMP,
        "The samples are far from real data: density is 0.33, 0.33× its floor 1 (higher is better). Also off their "
        "floors: energy and precision 0.51×. Not distinguishable from their floors: sliced-w2 and recall.",
    ),
    "the same in another order": (
        dict(reversed(HUMP.items())),
        "The samples are far from real data: density is 0.33, 0.33× its floor 1 (higher is better). Also off their "
        "floors: energy and precision 0.51×. Not distinguishable from their floors: recall and sliced-w2.",
    ),
    "at the exact value": (
        {"energy": number(0.9, 0.95, 0.01, exact=0.91)},
        "The samples cannot be told from real data: energy is 0.9, 1 standard error below its exact value 0.91. It "
        "would show a difference of 0.03.",
    ),
    "off the exact value by little": (
        {"energy": {"value": 0.91231, "value_sd": 1e-5, "floor": 0.9124, "floor_sd": 1e-5, "exact": 0.91247}},
        "The samples are close to real data, but can be told from them: energy is 0.9123, 16 standard errors below its "
        "exact value 0.9125.",
    ),
    "off the exact value": (
        {"energy": number(0.9, 0.9, 0.01, exact=0.95)},
        "The samples can be told from real data: energy is 0.9, 5 standard errors below its exact value 0.95.",
    ),
    "exact values beside floors": (
        {"energy": number(0.9, 0.95, 0.01, exact=0.91), "tv": number(0.04, 0.04, 0.004, **LOWER)},
        "The samples cannot be told from real data: both numbers are at their exact values or floors. The sharpest, "
        "tv, would show a difference above 1.28× its floor.",
    ),
    "nothing to compare with": ({"w2": {"value": 0.5}}, "w2 is 0.5."),
    "samples that are no numbers": (
        HUMP | {"w2": number(math.nan, 0.1)},
        "w2: not a finite number. Look at the samples.",
    ),
    "no metric": ({}, ""),
}


@pytest.mark.parametrize("situation", HEADLINES)
def test_the_headline_says_whether_samples_can_be_told_from_data_and_how_sharp_the_test_was(situation):
    metrics, headline = HEADLINES[situation]
    assert verdict(metrics) == headline
