"""Metrics against closed forms, SciPy and what they must say of copies, noise and wrong classes."""

import math

import attrs
import numpy as np
import pytest
import torch
from scipy import linalg, spatial

from difrun.errors import DifrunError
from difrun_images import classifier
from difrun_images.data import digits
from difrun_images.metrics import (
    class_accuracy,
    frechet,
    image_features,
    kernel_distance,
    nearest_image,
    nearest_of,
)


def random(seed):
    return torch.Generator().manual_seed(seed)


def normal(n, d, seed):
    return torch.randn((n, d), generator=random(seed), dtype=torch.float64)


def with_moments(n, mean, root, seed):
    """n points whose mean and covariance (over n − 1) are exactly `mean` and `root rootᵀ`."""
    x = normal(n, len(mean), seed)
    x = x - x.mean(0)
    x = x @ torch.linalg.inv(torch.linalg.cholesky(torch.cov(x.T))).T
    return x @ root.T + mean


def test_frechet_of_gaussians_is_the_closed_form():
    """Commuting covariances: ‖Δm‖² + Σ (√a_i − √b_i)², to 1e-9; general ones by scipy.linalg.sqrtm, to 1e-8."""
    turn = torch.linalg.qr(normal(5, 5, 0)).Q
    a, b = (
        torch.tensor([4.0, 1.0, 0.25, 9.0, 1.0]).double(),
        torch.tensor([1.0, 1.0, 4.0, 0.01, 2.0]).double(),
    )
    m = torch.arange(5).double()
    x, y = with_moments(50, m, turn * a.sqrt(), 1), with_moments(40, 0 * m, turn * b.sqrt(), 2)
    assert frechet(x, y) == pytest.approx(
        float(m.square().sum() + (a.sqrt() - b.sqrt()).square().sum()), abs=1e-9
    )
    first, second = normal(5, 5, 3), normal(5, 5, 4)
    x, y = with_moments(50, m, first, 5), with_moments(60, -m, second, 6)
    c, d = (first @ first.T).numpy(), (second @ second.T).numpy()
    expected = float((4 * m.square()).sum()) + np.trace(c + d - 2 * linalg.sqrtm(c @ d).real)
    assert frechet(x, y) == pytest.approx(expected, abs=1e-8)
    assert frechet(x, x) == pytest.approx(0, abs=1e-9)


def test_frechet_of_a_singular_covariance():
    """Points on a line: what is constant adds nothing, and nothing is NaN."""
    x = torch.zeros(30, 3, dtype=torch.float64)
    y = x.clone()
    x[:, 0], y[:, 0] = torch.arange(30), 2.0 * torch.arange(30) + 3
    std = float(x[:, 0].std())
    assert frechet(x, y) == pytest.approx((14.5 + 3) ** 2 + std**2, rel=1e-9)


def cubic_kernel_mean(m, c, n, d):
    """E (x·y/k + 1)³ for independent x ~ N(m, C) and y ~ N(n, D) in k dimensions, from moments up to the third."""
    k = len(m)

    def second(mean, cov):
        return cov + torch.outer(mean, mean)

    def third(mean, cov):
        e = torch.einsum
        return (
            e("i,j,k->ijk", mean, mean, mean)
            + e("i,jk->ijk", mean, cov)
            + e("j,ik->ijk", mean, cov)
            + e("k,ij->ijk", mean, cov)
        )

    one = m @ n / k
    two = (second(m, c) * second(n, d)).sum() / k**2
    three = (third(m, c) * third(n, d)).sum() / k**3
    return float(1 + 3 * one + 3 * two + three)


def test_the_kernel_distance_is_unbiased():
    """Mean over 400 pairs of sets of 20 points: the closed form for two Gaussians within 4 standard errors."""
    m, n = torch.tensor([0.5, -0.2, 0.1]).double(), torch.tensor([0.0, 0.4, 0.0]).double()
    first, second = torch.diag(torch.tensor([1.0, 0.7, 0.5])).double(), 0.3 * normal(3, 3, 9)
    c, d = first @ first.T, second @ second.T
    expected = (
        cubic_kernel_mean(m, c, m, c) + cubic_kernel_mean(n, d, n, d) - 2 * cubic_kernel_mean(m, c, n, d)
    )
    found = np.array(
        [
            kernel_distance(normal(20, 3, 2 * i) @ first.T + m, normal(20, 3, 2 * i + 1) @ second.T + n)
            for i in range(400)
        ]
    )
    error = found.std(ddof=1) / math.sqrt(len(found))
    assert found.mean() == pytest.approx(expected, abs=4 * error)
    assert error < 0.1 * expected


def test_the_kernel_distance_is_the_sum_over_pairs():
    x, y = normal(4, 2, 0), normal(3, 2, 1)

    def k(a, b):
        return float((a @ b / 2 + 1) ** 3)

    within = [sum(k(z[i], z[j]) for i in range(len(z)) for j in range(len(z)) if i != j) for z in (x, y)]
    between = sum(k(a, b) for a in x for b in y)
    assert kernel_distance(x, y) == pytest.approx(
        within[0] / 12 + within[1] / 6 - 2 * between / 12, rel=1e-12
    )


def test_nearest_examples_are_those_of_a_tree(monkeypatch):
    """More training examples than are held at once; distances and indices of scipy's k-d tree, to 1e-9."""
    train, points = normal(5000, 3, 0), normal(50, 3, 1)
    distance, which = nearest_of(points, train, 2)
    expected, index = spatial.cKDTree(train.numpy()).query(points.numpy(), 2)
    assert distance.numpy() == pytest.approx(expected, abs=1e-9)
    assert np.array_equal(which.numpy(), index)


@pytest.fixture(scope="module")
def data():
    return digits(seed=0)


def test_the_classifier_knows_digits_and_is_made_once(data):
    """At least 97 % of the held-out digits; the same weights whenever it is made; global randomness untouched."""
    before = torch.get_rng_state()
    network = classifier.classifier_of(data)
    assert torch.equal(before, torch.get_rng_state())
    assert classifier.classifier_of(data) is network
    again = classifier.classifier_of(digits(seed=0))
    assert again is not network
    assert torch.equal(again.last.weight, network.last.weight)
    held = class_accuracy(data.held_out, data.held_out_labels, data, generator=random(0))
    assert held["accuracy"] >= 0.97
    assert 0.85 <= held["worst"] <= held["accuracy"]


def test_accuracy_counts(data):
    """Of examples whose predicted classes are known: the share that is asked for, and that of the worst class."""
    guess = classifier.predicted(data, data.held_out)
    chosen = torch.cat([(guess == k).nonzero()[:10, 0] for k in (1, 2)])
    labels = torch.tensor([1] * 10 + [2] * 6 + [3] * 4)
    found = class_accuracy(data.held_out[chosen], labels, data, generator=random(0))
    assert found == {"accuracy": 0.8, "worst": 0.0}


def test_features_tell_digits_from_what_are_none(data):
    """Noise, blurred digits and digits of one class are farther than held-out from training digits, which lie within
    the spread of 0 for the unbiased kernel distance."""
    held = data.held_out
    halves = image_features(held[::2], held[1::2], data, generator=random(0))
    blurred = torch.nn.functional.avg_pool2d(held, 3, 1, 1)
    ones = data.train[data.labels == 1]
    for wrong in (blurred[::2], torch.rand(180, 1, 8, 8, generator=random(1)) * 2 - 1, ones):
        found = image_features(wrong, held[1::2], data, generator=random(0))
        assert found["frechet"] > 2 * halves["frechet"]
        assert found["kernel"] > 10 * abs(halves["kernel"])


def test_flat_images_have_the_same_metrics(data):
    flat = digits(seed=0, flat=True)
    labels = data.held_out_labels
    for a, b in (
        (
            class_accuracy(data.held_out, labels, data, generator=random(0)),
            class_accuracy(flat.held_out, labels, flat, generator=random(0)),
        ),
        (
            nearest_image(data.held_out, data, generator=random(0)),
            nearest_image(flat.held_out, flat, generator=random(0)),
        ),
    ):
        assert a == b


def test_copies_are_seen(data):
    """The training set itself: distance 0 and all copies; half of it mixed with held-out digits: half."""
    train = data.train[:300]
    assert nearest_image(train, data, generator=random(0)) == {"distance": 0.0, "copies": 1.0}
    mixed = torch.cat((data.train[:150], data.held_out[:150]))
    assert nearest_image(mixed, data, generator=random(0))["copies"] == pytest.approx(0.5, abs=0.02)


def test_metrics_of_classes_need_labels(data):
    class Unlabelled:
        name, shape, labels, classes, train = "mine", (1, 8, 8), None, (), data.train

    with pytest.raises(DifrunError, match="'mine' has no labels, and this metric measures with a classifier"):
        image_features(data.train[:30], data.held_out[:30], Unlabelled(), generator=random(0))


def test_features_are_measured_by_all_classes_where_images_stand_class_by_class(data):
    """As in a folder: 100 of the sorted images give a Fréchet distance within a third of that by all of them."""
    order = data.labels.argsort(stable=True)
    rows = attrs.evolve(data, train=data.train[order], labels=data.labels[order])
    classifier._trained_classifiers[rows] = classifier.classifier_of(data)
    held = data.held_out
    sets = (held[:100], held[-100:])
    few = image_features(*sets, rows, generator=random(0), max_points=100)["frechet"]
    every = image_features(*sets, data, generator=random(0))["frechet"]
    assert few == pytest.approx(every, rel=1 / 3)
