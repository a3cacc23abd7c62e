"""Conjugate gradients against LAPACK, and where they stop."""

import pytest
import torch

from difrun_guidance.measurements.conjugate_gradients import conjugate_gradients

from .problems import normal


@pytest.mark.parametrize("tolerance", [1e-12, 1e-2])
def test_conjugate_gradients_solve_each_row_by_itself(tolerance):
    """Against LAPACK, with another matrix for every row; a row that is done stays as it is."""
    factors = normal(6, 5, 5, seed=0)
    matrices = factors @ factors.mT + 0.1 * torch.eye(5, dtype=torch.float64)
    b = normal(6, 5, seed=1)

    def solve(rows):
        def apply(p):
            return (matrices[rows] @ p[:, :, None])[:, :, 0]

        return conjugate_gradients(apply, b[rows], least=0.1, iterations=30, tolerance=tolerance)

    together = solve(list(range(6)))
    residual = (matrices @ together[:, :, None])[:, :, 0] - b
    assert (residual.norm(dim=1) <= 1.001 * tolerance * b.norm(dim=1)).all()
    assert tolerance > 1e-3 or torch.allclose(together, torch.linalg.solve(matrices, b), atol=1e-9)
    for row in range(6):
        torch.testing.assert_close(solve([row])[0], together[row], rtol=1e-10, atol=1e-12)


def test_conjugate_gradients_stop_where_the_matrix_cannot_be():
    """S = diag(2, 1, −3) is said to be at least 1: the row keeps what it found before; another row is not disturbed."""
    values = torch.tensor([[2.0, 1.0, -3.0], [2.0, 1.0, 3.0]], dtype=torch.float64)
    b = torch.tensor([[1.0, 1.0, 0.1], [1.0, 1.0, 0.1]], dtype=torch.float64)
    u = conjugate_gradients(lambda p: values * p, b, least=1.0, iterations=10, tolerance=1e-12)
    torch.testing.assert_close(u[1], b[1] / values[1])
    assert (u[0] * values[0] * u[0]).sum() > 0
    assert u[0].norm() < 2
    nothing = conjugate_gradients(lambda p: -p, b, least=1.0, iterations=10, tolerance=1e-12)
    assert torch.equal(nothing, torch.zeros_like(b))
