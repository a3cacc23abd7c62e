"""What is measured: y from files and from examples, units, shapes, and operators of a user's own."""

import math

import numpy as np
import pytest
import torch

from difrun.data import Scaling
from difrun.errors import DifrunError
from difrun.model import ConditionalModel, Counted, ExactMixture
from difrun.randomness import torch_generator
from difrun.testing import ReferenceVP, two_gaussians
from difrun_guidance.measurements.base import BLOCK
from difrun_guidance.measurements.exact_posterior import Exact
from difrun_guidance.measurements.methods import DPS, MMPS, LinearDPS, LinearMMPS, LinearPiGDM

from .problems import (
    NAMES,
    PROCESSES,
    context,
    images,
    normal,
    problem,
    scaled,
    seeded,
)


def test_y_made_from_an_example_has_its_noise_under_the_seed_of_the_run():
    """y − A x_0 is σ_y n for the n of the stream `measurement`; in the units of the data, whatever the model's."""
    model, of = images()
    shift_scale = scaled((1, 3, 4))
    units = context(of.dataset.train, scaling=shift_scale, seed=7)
    notes = []
    object.__setattr__(units, "note", notes.append)
    method = LinearMMPS(model, context=units, example=2, seen="top", sigma_y=0.2)
    clean = shift_scale.decode(units.dataset.held_out[2].double())[0, :2].flatten()
    noise = torch.randn(8, generator=torch_generator(7, "measurement"), dtype=torch.float64)
    x = units.dataset.held_out[2:3].double()
    torch.testing.assert_close(method.residual_of(x)[0], 0.2 * noise, atol=1e-12, rtol=0)
    torch.testing.assert_close(method.misfit(x)[0], noise.square().mean(), atol=1e-12, rtol=0)
    torch.testing.assert_close(method.residual_of(x)[0] + clean, clean + 0.2 * noise, atol=1e-12, rtol=0)
    assert notes == [
        "Measured: 8 of the 12 numbers of an example, of held-out example 2, with noise; σ_y = 0.2."
    ]


def test_units_of_the_data_are_those_of_y(tmp_path):
    """y of scaled data, measured in the user's units, gives the shift that the same distribution in these units
    gives."""
    distribution = two_gaussians()
    scaling = scaled((2,))
    in_units = type(distribution)(
        distribution.weights,
        scaling.decode(distribution.means),
        scaling.scale[:, None] * distribution.covs * scaling.scale,
    )
    y, matrix = torch.tensor([0.4], dtype=torch.float64), normal(1, 2, seed=0)
    np.save(tmp_path / "y.npy", y.numpy())
    process = ReferenceVP()
    at = process.at(0.7)
    x0 = distribution.sample(5, seeded(0))
    options = {"operator": "matrix", "matrix": matrix, "sigma_y": 0.3}
    ours = Exact(
        ExactMixture(distribution, process),
        context=context(distribution=distribution, scaling=scaling),
        y=tmp_path / "y.npy",
        **options,
    )
    theirs = Exact(ExactMixture(in_units, process), context=context(distribution=in_units), y=y, **options)
    posterior, wanted = ours.exact.mixture, theirs.exact.mixture
    torch.testing.assert_close(scaling.decode(posterior.means), wanted.means)
    torch.testing.assert_close(posterior.weights, wanted.weights)
    torch.testing.assert_close(scaling.scale[:, None] * posterior.covs * scaling.scale, wanted.covs)
    mmps = LinearMMPS(
        ExactMixture(distribution, process),
        context=context(distribution=distribution, scaling=scaling),
        y=tmp_path / "y.npy",
        **options,
    )
    plain = LinearMMPS(
        ExactMixture(distribution, process),
        y=y - matrix @ scaling.shift,
        **{**options, "matrix": matrix * scaling.scale},
    )
    torch.testing.assert_close(mmps.predict(x0, at, "x0"), plain.predict(x0, at, "x0"))


def float64(*numbers):
    return torch.tensor(numbers, dtype=torch.float64)


@pytest.mark.parametrize("method", [LinearDPS, LinearPiGDM, LinearMMPS])
def test_a_column_far_from_0_is_measured_in_float64(method):
    """Columns at 1.7·10⁹ of width 1, and of width 10⁴⁴: the shift is that in the model's own units, in float32."""
    distribution, process = two_gaussians(), ReferenceVP()
    scaling = Scaling(float64(1.7e9, 0.0), float64(1.0, 1e44))
    units = context(distribution=distribution, scaling=scaling)
    matrix = float64(1.0, 2e-44)[None]
    x = distribution.sample(5, seeded(0)).float()
    found, wanted = (
        method(ExactMixture(distribution, process), operator="matrix", sigma_y=0.3, **options).predict(
            x, process.at(0.7), "x0"
        )
        for options in (
            {"context": units, "y": float64(1.7e9 + 0.4), "matrix": matrix},
            {"y": float64(0.4), "matrix": float64(1.0, 2.0)[None]},
        )
    )
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def test_a_mask_takes_what_it_sees_or_a_whole_example():
    """Of a whole example what is hidden does not count, and need not be a number."""
    model, _ = images()
    whole = normal(1, 3, 4, seed=3)
    few = LinearDPS(model, y=whole[0, :2].flatten(), seen="top")
    whole[0, 2] = math.nan
    many = LinearDPS(model, y=whole, seen="top")
    x, at = normal(4, 1, 3, 4, seed=1), model.process.at(1.0)
    assert torch.equal(few.predict(x, at, "noise"), many.predict(x, at, "noise"))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"y": np.ones(7), "seen": "top"}, r"y has shape \(7,\); expected \(8,\)"),
        ({"y": np.ones((3, 4)), "operator": "blur"}, r"y has shape \(3, 4\); expected \(1, 3, 4\)"),
        ({"y": np.full(8, np.inf), "seen": "top"}, "not finite"),
        ({"seen": "top"}, "give y, the measurement"),
    ],
)
def test_a_measurement_that_does_not_fit_is_told(options, said):
    with pytest.raises(DifrunError, match=said):
        LinearMMPS(images()[0], **options)


def test_an_example_that_there_is_not_is_told():
    model, of = images()
    with pytest.raises(
        DifrunError, match=r"--guidance.example 20: dataset 'toy' has 20 held-out examples, numbered 0"
    ):
        LinearMMPS(model, context=of, example=20)


def test_values_out_of_range_are_refused_from_python_too():
    with pytest.raises(ValueError, match="sigma_y"):
        LinearDPS(images()[0], y=np.ones(6), sigma_y=0.0)
    with pytest.raises(ValueError, match="operator identity has no factor"):
        LinearDPS(images()[0], y=np.ones(12), operator="identity", factor=3)


class Energy(MMPS):
    """A of a user's own: half the sum of squares."""

    def measure(self, x):
        return 0.5 * x.flatten(1).square().sum(1, keepdim=True)


class Disguised(MMPS):
    """A linear A that is written as any function."""

    def measure(self, x):
        return torch.stack([x[:, 0] - x[:, 1], 2 * x[:, 1]], dim=1)


@pytest.mark.parametrize("process", PROCESSES, ids=NAMES)
def test_any_function_is_linearised_at_x0(process):
    """One step of MMPS for A(x) = ½‖x‖²: H = x̂_0ᵀ, and Δ = V H (σ_y² + Hᵀ V H)⁻¹ (y − A(x̂_0)), V by differences."""
    model = ExactMixture(two_gaussians(), process)
    method = Energy(model, y=torch.tensor([2.0]), sigma_y=0.3, iterations=1)
    at = process.at(0.4 * process.horizon)
    x = normal(3, 2, seed=0)
    x0 = model.predict(x, at, "x0")
    h = 1e-5
    ahead, behind = (
        torch.stack([model.predict(x + s * h * e, at, "x0") for e in torch.eye(2, dtype=torch.float64)])
        for s in (1, -1)
    )
    v = (at.var / at.alpha) * ((ahead - behind) / (2 * h)).permute(1, 2, 0)
    vh = (v @ x0[:, :, None])[:, :, 0]
    gain = vh / (0.09 + (vh * x0).sum(1, keepdim=True))
    expected = x0 + gain * (2 - 0.5 * x0.square().sum(1, keepdim=True))
    torch.testing.assert_close(method.predict(x, at, "x0"), expected, atol=1e-8, rtol=0)


def test_a_linear_function_is_as_good_as_its_matrix():
    model = ExactMixture(two_gaussians(), ReferenceVP())
    y = torch.tensor([0.3, -1.0])
    matrix = torch.tensor([[1.0, -1.0], [0.0, 2.0]])
    options = {"y": y, "sigma_y": 0.1, "iterations": 2, "tolerance": 1e-14}
    x, at = normal(6, 2, seed=1), model.process.at(0.5)
    ours = Disguised(model, **options).predict(x, at, "v")
    theirs = LinearMMPS(model, operator="matrix", matrix=matrix, **options).predict(x, at, "v")
    torch.testing.assert_close(ours, theirs, atol=1e-12, rtol=0)


def test_functions_that_cannot_be_measured_by_are_told():
    model = ExactMixture(two_gaussians(), ReferenceVP())

    class NoGradient(DPS):
        def measure(self, x):
            return x.detach()

    class NoBatch(DPS):
        def measure(self, x):
            return x.sum()

    with pytest.raises(DifrunError, match="no gradient comes through the measurement"):
        NoGradient(model, y=np.ones(2)).predict(normal(1, 2, seed=0), model.process.at(1.0), "x0")
    with pytest.raises(DifrunError, match="its first axis must count examples"):
        NoBatch(model, y=np.ones(1))
    with pytest.raises(NotImplementedError, match="must define measure"):
        DPS(model, y=np.ones(1))


def test_large_batches_are_cut_and_answer_the_same():
    """Rows do not depend on each other, nor on where the batch is cut, at one instant or at one for each."""
    process = ReferenceVP()
    distribution, options = problem(4, 2, 2, 0.2, seed=3)
    counted = Counted(ExactMixture(distribution, process))
    method = LinearMMPS(counted, **options)
    x = normal(BLOCK // 4 + 5, 4, seed=0)
    at = process.at(0.5)
    whole = method.predict(x, at, "noise")
    assert counted.evaluations == 2
    some = [0, 7, BLOCK // 4 + 2]
    torch.testing.assert_close(whole[some], method.predict(x[some], at, "noise"), atol=1e-12, rtol=0)
    times = torch.linspace(0.1, 3.9, len(x), dtype=torch.float64)
    many = method.predict(x, process.instant(times, 2), "noise")
    for k in some:
        one = method.predict(x[k : k + 1], process.at(times[k].item()), "noise")
        torch.testing.assert_close(many[k : k + 1], one, atol=1e-10, rtol=0)


def test_it_needs_no_gradients_to_be_switched_on_and_leaves_none():
    process = ReferenceVP()
    distribution, options = problem(4, 2, 2, 0.2, seed=3)
    method = LinearPiGDM(ExactMixture(distribution, process), **options)
    x, at = normal(3, 4, seed=0), process.at(0.5)
    with torch.inference_mode():
        inside = method.predict(x.clone(), at, "x0")
    outside = method.predict(x, at, "x0")
    assert torch.equal(inside, outside)
    assert not outside.requires_grad


def test_samples_are_of_the_classes_that_y_allows():
    """A model of classes is asked for any of them, not for those of the data in their proportion; `condition_on`
    asks for one.

    A model that cannot do without a class keeps its shares.
    """
    model = ConditionalModel()
    model.process, model.shape = ReferenceVP(), (2,)
    model.set_classes((0.3, 0.7))
    method = LinearMMPS(model, y=np.ones(1))
    assert method.shares == ()
    assert method.classes == 2
    one = method.condition_on(torch.tensor([1, 0]))
    assert one.inner.labels.tolist() == [1, 0]
    assert method.labels is None
    model.knows_any = False
    assert method.shares == (0.3, 0.7)
