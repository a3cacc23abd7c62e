"""L-BFGS with Gauss–Newton curvatures: exact on linear residuals, independent of scales, robust to NaN."""

import math

import pytest
import torch

from difrun.sampler.tuning.lbfgs import DAMPING, minimise, preconditioner

GENERATOR = torch.Generator().manual_seed(0)


def normal(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=GENERATOR, dtype=torch.float64)


JACOBIAN = normal(40, 5) * torch.tensor([1.0, 1e-1, 3e-2, 1e-2, 3e-3])
TARGET = normal(40)


def test_preconditioner_is_the_inverse_root_of_the_curvature():
    """T Tᵀ (JᵀJ + μ I) = I for r = J p + c, whatever the shapes of the parameters, which stay as they are."""
    parameters = [normal(2), normal(3, 1)]
    before = [p.clone() for p in parameters]
    t = preconditioner(parameters, lambda: JACOBIAN @ torch.cat([p.flatten() for p in parameters]) + TARGET)
    curvature = JACOBIAN.T @ JACOBIAN
    curvature = curvature + DAMPING * torch.linalg.eigvalsh(curvature)[-1] * torch.eye(5)
    torch.testing.assert_close(t @ t.T @ curvature, torch.eye(5).double(), rtol=0, atol=1e-4)
    assert all(torch.equal(p, b) for p, b in zip(parameters, before, strict=True))
    still = [torch.zeros(3)]
    assert torch.equal(preconditioner(still, lambda: torch.ones(4)), torch.eye(3).double())


def test_scales_of_parameters_do_not_matter_with_residuals():
    """A Huber loss of linear residuals whose columns differ 300 times: after ten iterations 1e-10 and 1e-4 are left."""
    least = torch.linalg.lstsq(JACOBIAN, -TARGET[:, None]).solution[:, 0]

    def gap(iterations, known):
        place = torch.zeros(5, dtype=torch.float64, requires_grad=True)

        def residuals():
            return JACOBIAN @ place + TARGET

        def loss():
            return (0.5 * residuals().square().sum() + 1).sqrt()

        minimise([place], loss, iterations, residuals=residuals if known else None)
        with torch.no_grad():
            return loss().item() - math.sqrt(0.5 * float((JACOBIAN @ least + TARGET).square().sum()) + 1)

    assert -1e-12 < gap(10, True) < 1e-10
    assert gap(10, False) > 1e-4


@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
@pytest.mark.parametrize("preconditioned", [False, True])
def test_a_loss_that_is_not_finite_turns_the_search_back(scale, preconditioned):
    """p⁴ − log p from 3, where a step of the first slope or curvature leads below 0; the least is at p⁴ = ¼."""
    place = torch.tensor([3.0], dtype=torch.float64, requires_grad=True)
    reported, met = [], []

    def loss():
        value = scale * (place**4 - place.log()).sum()
        met.append(value.item())
        return value

    # a curvature 10⁴ times too small
    residuals = (lambda: 0.1 * scale**0.5 * place) if preconditioned else None
    minimise([place], loss, 100, reported.append, residuals)
    assert any(math.isnan(value) for value in met) == (preconditioned or scale == 1e8)
    assert place.item() == pytest.approx(0.25**0.25, abs=1e-6)
    assert reported == sorted(reported)
    assert reported[-1] == 100
    assert len(met) < 150


def test_a_gradient_that_is_not_finite_turns_the_search_back():
    """At the second evaluation p² has a root of zero beside it: a number, without a derivative."""
    place, count = torch.tensor([1.5], dtype=torch.float64, requires_grad=True), 0

    def loss():
        nonlocal count
        count += 1
        value = place.square().sum()
        return value + (place - place.detach()).sqrt().sum() if count == 2 else value

    minimise([place], loss, 30)
    assert abs(place.item()) < 1e-3


def test_the_parameters_are_the_best_so_far_at_every_report():
    place, met, seen = torch.tensor([-1.2, 1.0], dtype=torch.float64, requires_grad=True), [], []

    def rosenbrock():
        value = (1 - place[0]) ** 2 + 100 * (place[1] - place[0] ** 2) ** 2
        met.append(value.item())
        return value

    minimise([place], rosenbrock, 50, lambda done: seen.append((min(met), rosenbrock().item())))
    assert len(seen) >= 3
    assert all(found == least for least, found in seen)
    torch.testing.assert_close(place.detach(), torch.ones(2).double(), rtol=0, atol=1e-6)
