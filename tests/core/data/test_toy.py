"""The synthetic datasets against their geometry, their exact distributions and known entropies."""

import importlib
import inspect
import math
import subprocess
import sys

import attrs
import numpy as np
import pytest
import torch
from scipy import stats

from difrun import builtin
from difrun.builtin.options import looks_like_file
from difrun.data import Dataset, toy
from difrun.data.toy import rings
from difrun.errors import DifrunError
from difrun.randomness import torch_generator

NAMES = ("rings", "blobs", "gmm", "moons", "checkerboard", "spiral", "bimodal_1d")
WITH_DISTRIBUTION = tuple(name for name in NAMES if name != "checkerboard")

# Differential entropies −∫ p log p in nats, integrated numerically on the exact distributions. As a check,
# blobs far apart have log 2 + 1 + log(2π · 0.1) = 1.22843915.
ENTROPIES = [
    ("rings", {"noise": 0.02}, -0.8181564229557624),
    ("rings", {"noise": 0.01}, -1.518944047392137),
    ("rings", {"noise": 0.05}, 0.12045517101986158),
    ("rings", {"noise": 0.1}, 0.8490044360504656),
    ("blobs", {}, 1.2284391539752448),
    ("gmm", {"modes": 8, "radius": 2.0, "std": 0.2}, 1.6980612031239635),
]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def make(name: str, seed: int = 0, **options) -> Dataset:
    return getattr(toy, name)(seed=seed, **options)


@pytest.mark.parametrize(("name", "options", "entropy"), ENTROPIES)
def test_mean_log_density_of_fresh_draws_is_minus_the_entropy(name, options, entropy):
    """E[log p] over 40000 draws within 5 standard errors: draws and distribution are the same, and the right one."""
    data = make(name, n=100, **options)
    log_p = data.distribution.log_prob(data.fresh(40_000, generator()).double())
    assert abs(log_p.mean() + entropy) < 5 * log_p.std() / 200


@pytest.mark.parametrize("name", WITH_DISTRIBUTION)
def test_fresh_draws_have_the_moments_of_the_distribution(name):
    n = 100_000
    data = make(name, n=100)
    x = data.fresh(n, generator()).double()
    assert ((x.mean(0) - data.distribution.mean).abs() < 5 * (data.distribution.var / n).sqrt()).all()
    squares = (x - data.distribution.mean) ** 2
    assert ((squares.mean(0) - data.distribution.var).abs() < 5 * squares.std(0) / n**0.5).all()


@pytest.mark.parametrize("name", ["rings", "moons", "spiral"])
def test_distribution_of_a_curve_is_converged(name):
    """A five times finer mixture gives the same density, beyond the ends of the curve too: everywhere to 1e-5 nats."""
    shape = {
        "rings": [
            toy.arc(1.4, (0.6, 0.2), upwards=True),
            toy.arc(0.5, (-0.5, -1.0), upwards=False),
        ],
        "moons": [
            toy.arc(1.0, (0.0, 0.0), upwards=True),
            toy.arc(1.0, (1.0, 0.5), upwards=False),
        ],
        "spiral": [toy.spiral_arm(2.0)],
    }[name]
    data = make(name, n=100)
    noise = float(data.distribution.covs[0].sqrt())
    x = data.fresh(3000, generator()).double()
    change = toy.curve_mixture(shape, noise, 0.1).log_prob(x) - data.distribution.log_prob(x)
    assert change.abs().mean() < 1e-6
    assert change.abs().max() < 1e-5


@pytest.mark.parametrize("squares", [2, 3, 4])
def test_the_density_of_the_checkerboard_is_that_of_its_squares(squares):
    """Every draw has −log p = entropy = log(area), nothing beside the squares has any; the area is an integral."""
    data = make("checkerboard", n=100, squares=squares)
    assert (data.log_density(data.held_out.double()) == -data.entropy).all()
    axis = -2.5 + (torch.arange(1000, dtype=torch.float64) + 0.5) / 200
    density = data.log_density(torch.cartesian_prod(axis, axis)).exp()
    assert float(density.sum()) / 200**2 == pytest.approx(1, abs=0.02)
    outside = torch.tensor([[-1.9, 2.1], [-2 + 6 / squares, -1.9], [-5.0, 0.0]], dtype=torch.float64)
    assert data.log_density(outside).exp().tolist() == [0.0, 0.0, 0.0]


def test_rings_are_the_two_half_circles():
    """Upper: radius 1.4 about (0.6, 0.2); lower: 0.5 about (−0.5, −1); noise 0.02; angles uniform."""
    train = make("rings").train.double()
    lower = (train - torch.tensor([-0.5, -1.0])).norm(dim=1) < 0.7
    assert lower.sum() == 5000
    for points, centre, radius, sign in (
        (train[~lower], (0.6, 0.2), 1.4, 1),
        (train[lower], (-0.5, -1.0), 0.5, -1),
    ):
        x, y = (points - torch.tensor(centre, dtype=torch.float64)).T
        angle = torch.atan2(sign * y, x)
        inside = (angle > 0.2) & (angle < math.pi - 0.2)  # away from the ends, where the noise moves angles
        uniform = stats.uniform(0.2, math.pi - 0.4)
        assert stats.kstest(angle[inside].numpy(), uniform.cdf).pvalue > 1e-4
        assert abs(inside.double().mean() - (1 - 0.4 / math.pi)) < 5 * (0.13 * 0.87 / 5000) ** 0.5
        # |c + s ε| of a ring of radius r is r + s ε₁ + s²/(2r) to second order.
        excess = (torch.hypot(x, y)[inside] - radius - 0.02**2 / (2 * radius)) / 0.02
        assert stats.kstest(excess.numpy(), "norm").pvalue > 1e-4


def test_blobs_and_gmm_have_the_stated_parameters():
    distribution = make("blobs").distribution
    assert distribution.means.tolist() == [[2, 2], [-2, -2]]
    assert distribution.covs.tolist() == [0.1, 0.1]
    assert distribution.weights.tolist() == [0.5, 0.5]
    ring = make("gmm", modes=5, radius=3.0, std=0.1).distribution
    assert torch.allclose(ring.means.norm(dim=1), torch.tensor(3.0, dtype=torch.float64))
    neighbours = (ring.means - ring.means.roll(1, 0)).norm(dim=1)
    assert torch.allclose(neighbours, torch.tensor(6 * math.sin(math.pi / 5), dtype=torch.float64))
    assert ring.means[0].tolist() == [3, 0]
    assert torch.allclose(ring.covs, torch.tensor(0.01, dtype=torch.float64))


def test_bimodal_density_in_one_dimension():
    data = make("bimodal_1d", distance=1.5, std=0.3, weight=0.25)
    assert data.shape == (1,)
    x = np.linspace(-3, 3, 41)
    expected = 0.25 * stats.norm.pdf(x, -1.5, 0.3) + 0.75 * stats.norm.pdf(x, 1.5, 0.3)
    np.testing.assert_allclose(
        data.distribution.log_prob(torch.tensor(x)[:, None]).exp(), expected, rtol=1e-10
    )
    assert (data.train < 0).sum() == 2500


def test_moons_are_two_unit_half_circles():
    train = make("moons", noise=1e-4).train
    upper = (train.norm(dim=1) - 1).abs() < 1e-3
    lower = ((train - torch.tensor([1.0, 0.5])).norm(dim=1) - 1).abs() < 1e-3
    assert (upper | lower).all()
    assert (train[upper & ~lower][:, 1] > -1e-3).all()
    assert (train[lower & ~upper][:, 1] < 0.5 + 1e-3).all()
    assert abs(int(upper.sum()) - 5000) < 20  # the moons cross twice: those points are on both


def test_spiral_radius_grows_with_the_angle_and_its_square_is_uniform():
    """r = 2v and φ = 2π · turns · v, where v² is uniform."""
    train = make("spiral", turns=3.0, noise=1e-5).train.double()
    v = train.norm(dim=1) / 2
    turn = torch.stack([(6 * math.pi * v).cos(), (6 * math.pi * v).sin()], dim=1)
    assert (train - 2 * v[:, None] * turn).norm(dim=1).max() < 1e-2
    assert stats.kstest((v**2).clamp(0, 1).numpy(), "uniform").pvalue > 1e-4


@pytest.mark.parametrize("squares", [4, 3])
def test_checkerboard_is_uniform_on_every_second_square(squares):
    data = make("checkerboard", squares=squares)
    x = data.fresh(50_000, generator()).double()
    assert x.abs().max() <= 2
    cell = ((x + 2) * squares / 4).floor().clamp(max=squares - 1).long()
    assert (cell.sum(1) % 2 == 0).all()
    counts = (cell[:, 0] * squares + cell[:, 1]).bincount(minlength=squares**2)
    taken = counts[counts > 0]
    assert len(taken) == (squares**2 + 1) // 2
    assert stats.chisquare(taken.numpy()).pvalue > 1e-4
    within = (x + 2) * squares / 4 - cell
    assert stats.kstest(within.flatten().numpy(), "uniform").pvalue > 1e-4


@pytest.mark.parametrize("name", NAMES)
def test_a_dataset_depends_on_its_seed_alone(name):
    state = torch.get_rng_state()
    first, again, other = make(name, 7, n=500), make(name, 7, n=500), make(name, 8, n=500)
    assert torch.equal(first.train, again.train)
    assert torch.equal(first.held_out, again.held_out)
    assert not torch.equal(first.train, other.train)
    assert torch.equal(first.fresh(50, generator(1)), again.fresh(50, generator(1)))
    assert not torch.equal(first.fresh(50, generator(1)), first.fresh(50, generator(2)))
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("name", NAMES)
def test_training_examples_are_not_among_the_held_out_or_fresh_ones(name):
    data = make(name, n=500)
    assert data.train.shape == (500, *data.shape)
    assert data.train.dtype == data.held_out.dtype == data.fresh(3, generator()).dtype == torch.float32
    seen = {tuple(row) for row in data.train.tolist()}
    for others in (data.held_out, data.fresh(500, generator())):
        assert sum(tuple(row) in seen for row in others.tolist()) <= 1  # chance equality of float32 on a line


@pytest.mark.parametrize(
    "component", [*builtin.difrun_datasets(), *builtin.difrun_metrics()], ids=lambda component: component.name
)
def test_options_are_the_arguments_of_the_function_with_its_defaults(component):
    """From Python and from the command line a component is the same."""
    module, function = component.target.split(":")
    parameters = inspect.signature(getattr(importlib.import_module(module), function)).parameters
    given = {
        "seed",
        "samples",
        "labels",
        "conditions",
        "reference_conditions",
        "dataset",
        "reference",
        "generator",
    }
    arguments = {name: p.default for name, p in parameters.items() if name not in given}
    assert arguments == {field.name: field.default for field in attrs.fields(component.options)}


def test_files_are_distinguished_from_names_without_torch():
    assert all(
        map(looks_like_file, ("my.csv", "data/points", "a.b/c.npz", "..\\x.npy", "DATA.CSV", "points.txt"))
    )
    assert not any(map(looks_like_file, ("rings", "bimodal-1d", "difrun:rings", "my.dist:rings")))
    code = (
        "import sys, difrun.builtin.options\nsys.exit(bool({'torch', 'numpy', 'scipy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


def test_the_distribution_of_a_class_of_the_built_in_data():
    """Labelled draws of rings lie on their own half-circle (5 noise widths), and `class_distribution` has their
    moments."""
    data = rings(seed=0, n=400)
    for name, centre, radius in (("upper", (0.6, 0.2), 1.4), ("lower", (-0.5, -1.0), 0.5)):
        label = data.class_number(name)
        for x in (
            data.train[data.labels == label],
            data.held_out[data.held_out_labels == label],
            *data.real_pair_of(torch.full((200,), label), torch_generator(1)),
        ):
            away = (x - torch.tensor(centre)).norm(dim=1) - radius
            assert away.abs().max() < 5 * 0.02
        distribution = data.class_distribution(label)
        assert float(distribution.weights.sum()) == pytest.approx(1)
        angle = torch.tensor(math.pi)
        height = (2 / angle) * radius * (1 if name == "upper" else -1) + centre[1]
        assert float(distribution.mean[1]) == pytest.approx(float(height), abs=1e-6)
    with pytest.raises(DifrunError, match=r"no class 'left'.*2 classes: upper, lower"):
        data.class_number("left")
    assert (data.class_number("1"), data.class_number(0)) == (1, 0)
