"""The bound of the exact model: nothing is learned, so that the gap is the error of the method."""

import pytest
import torch

from difrun.data import Dataset
from difrun.errors import DifrunError
from difrun.grid import linear
from difrun_ising.data.lattices import ising
from difrun_ising.discrete.bound import log_likelihood_bound
from difrun_ising.lattice.exact.model import ExactSpins, exact_spins
from difrun_ising.lattice.exact.sampling import exact_samples
from difrun_ising.lattice.exact.transfer import transfer_matrix
from difrun_ising.lattice.lattice import Lattice
from difrun_ising.lattice.process import Ising

from ...support import distribution

FREE = Lattice(8, 8, 0.35, periodic=False)
MASKED = {"mixing": "absorbing", "schedule": "linear"}


@pytest.mark.parametrize(
    ("options", "steps", "gap"),
    [
        ({"schedule": "flips", "steps": 44}, 44, 0.0090),
        ({}, 20, 0.0063),
        ({"order": "checkerboard", "rounds": 10}, 20, 0.0019),
        ({**MASKED}, 10, 0.0109),
        ({**MASKED, "order": "checkerboard", "rounds": 1, "share": 0.1}, 10, 0.0027),
    ],
    ids=["flips", "cosine", "checkerboard", "masked", "masked, even then odd"],
)
def test_the_gap_of_the_exact_model_is_the_known_one(options, steps, gap):
    """8x8, free boundaries, β = 0.35: mean of log p_0 − bound per spin, 1000 paths, within 4 standard errors of values
    from 1024 paths of an independent program; so that of the checkerboard is below that of 20 cosine steps."""
    process = Ising(**options)
    x0 = exact_samples(FREE, 1000, torch.Generator().manual_seed(1))
    known = -FREE.beta * FREE.energy(x0) - transfer_matrix(FREE).log_z
    bound = log_likelihood_bound(ExactSpins(FREE, process), x0, linear(process, steps), 3)
    found = (known - bound) / 64
    error = (found.var() / 1000 + found.var() / 1024).sqrt().item()
    assert found.mean().item() == pytest.approx(gap, abs=4 * error)
    assert error < 0.0009


def test_the_bound_of_two_masked_half_steps_is_known():
    """2x2, masks taken off the even sublattice and then off the odd one: the bound is log p(odd | even) + 2 log ½ path
    by path, to 1e-10, as two sites of one sublattice are independent given the other."""
    lattice = Lattice(2, 2, 0.6, periodic=False)
    process = Ising(**MASKED, order="checkerboard", rounds=1, share=0.5)
    s, _, p, _ = distribution(lattice)
    bound = log_likelihood_bound(ExactSpins(lattice, process), s, [1.0, 0.5, 0.0], 1)
    # The even sublattice is drawn first, from its marginals, which ignore how its two sites depend on each other.
    even = torch.stack([s[:, 0, 0], s[:, 1, 1]], 1)
    joint = torch.stack([p[(even == e).all(1)].sum() for e in even])
    torch.testing.assert_close(
        bound, p.log() - joint.log() + 2 * torch.tensor(0.5).double().log(), rtol=0, atol=1e-10
    )


def test_one_masked_site_after_the_other_loses_nothing():
    """A turn of its own for every site, in any order, and one step each: the bound is log p, to 1e-10."""
    lattice = Lattice(2, 3, 0.5, field=0.1, periodic=False)
    s, _, p, _ = distribution(lattice)
    process = Ising(mixing="absorbing", schedule="linear", order=(3, 0, 5, 1, 4, 2))
    bound = log_likelihood_bound(ExactSpins(lattice, process), s, linear(process, 6), 1)
    torch.testing.assert_close(bound, p.log(), rtol=0, atol=1e-10)


def test_what_the_exact_model_cannot_reach_is_refused(tmp_path):
    with pytest.raises(DifrunError, match="shorter side of 8; the lattice is 9x10"):
        exact_spins(process=Ising(), dataset=ising(seed=0, size=(9, 10), n=20, held_out=1))
    unknown = Dataset(name="mine", train=torch.ones(20, 2, 2), held_out=torch.ones(1, 2, 2))
    with pytest.raises(DifrunError, match="dataset 'mine' does not know"):
        exact_spins(process=Ising(), dataset=unknown)
