"""Times as users pass them: each form is right, or refused in words."""

import numpy as np
import pytest
import torch

from difrun.errors import DifrunError
from difrun.process.times import as_time, decreasing, times_of_rows
from difrun.testing.references import ReferenceVP

TIMES = [0.1, 0.5, 0.9]
FORMS = {
    "list": TIMES,
    "tuple": tuple(TIMES),
    "array": np.array(TIMES),
    "big-endian": np.array(TIMES, dtype=">f8"),
    "float32": torch.tensor(TIMES),
    "float64": torch.tensor(TIMES, dtype=torch.float64),
    "column": torch.tensor(TIMES)[:, None],
    "column of an array": np.array(TIMES)[:, None],
    "nested": [[t] for t in TIMES],
    "of an image": torch.tensor(TIMES)[:, None, None, None],
    "every second": torch.tensor([0.1, 9, 0.5, 9, 0.9, 9])[::2],
}


@pytest.mark.parametrize("shape", [(3,), (3, 3), (3, 1, 2)], ids=str)
@pytest.mark.parametrize("form", FORMS)
def test_a_noised_batch_is_the_same_whatever_holds_its_times(form, shape):
    """x_t = α x_0 + σ ε row by row, by the instants of single numbers; never (n, n)."""
    process, x0 = ReferenceVP(), torch.arange(1.0, 1 + np.prod(shape)).reshape(shape)
    noise = process.sample(torch.zeros(shape), 1.0, 5) / process.at(1.0).sigma
    rows = [
        process.at(t).alpha * row + process.at(t).sigma * e
        for t, row, e in zip(TIMES, x0, noise, strict=True)
    ]
    x = process.sample(x0, FORMS[form], 5)
    assert x.dtype == torch.float32
    torch.testing.assert_close(x, torch.stack(rows), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("form", FORMS)
def test_an_instant_has_one_row_per_time(form):
    at, process = ReferenceVP().at(FORMS[form], 3), ReferenceVP()
    for name in ("alpha", "sigma", "var", "lam", "f", "g2", "d_sigma"):
        truth = torch.tensor([getattr(process.at(t), name) for t in TIMES], dtype=torch.float64)
        found = getattr(at, name)
        assert found.shape == (3, 1, 1)
        torch.testing.assert_close(found.flatten().double(), truth, rtol=1e-5, atol=1e-6)


def test_whole_numbers_are_times():
    """t = 0 and 1 as int64, as integers in a list and as NumPy integers, with derivatives."""
    process = ReferenceVP()
    for t in (torch.tensor([0, 1]), [0, 1], np.array([0, 1])):
        at = process.at(t, 1)
        assert at.alpha.tolist() == pytest.approx([1, process.at(1.0).alpha])
        assert at.d_alpha.tolist() == pytest.approx(
            [process.at(0.0).d_alpha, process.at(1.0).d_alpha], abs=1e-6
        )
    assert process.at(np.int64(1)).alpha == process.at(1).alpha
    assert process.at(torch.tensor(1)).alpha.item() == pytest.approx(process.at(1).alpha)
    assert process.log_snr(1).item() == pytest.approx(process.at(1.0).lam)
    assert process.time_at([0, 1]).tolist() == pytest.approx([process.time_at(0.0), process.time_at(1.0)])


def test_a_path_takes_its_times_in_any_form():
    process, x0 = ReferenceVP(), torch.ones(4, 2)
    paths = [process.path(x0, FORMS[form], 1) for form in ("list", "float64", "column of an array", "nested")]
    assert paths[0].shape == (3, 4, 2)
    assert all(torch.equal(paths[0], path) for path in paths[1:])


@pytest.mark.parametrize(
    ("t", "said"),
    [
        ("0.5", "a time is a number; got '0.5'"),
        (None, "a time is a number; got None"),
        ([0.1, "x"], "one number per example"),
        ([[0.1], [0.2, 0.3]], "one number per example"),
        (torch.tensor([0.1 + 1j]), "a real number"),
        (torch.tensor([True]), "a real number"),
        (torch.full((3, 2), 0.5), r"\(n,\), one for each example; got \(3, 2\)"),
        ([0.1, 0.2], "3 examples take one time, or 3 times; got 2"),
        (torch.full((4, 1), 0.5), "3 examples take one time, or 3 times; got 4"),
        (float("nan"), "runs from 0"),
        (torch.tensor([0.1, float("nan"), 0.3]), "runs from 0"),
        (-0.1, "runs from 0"),
        ([0.1, 0.2, 7.0], "runs from 0"),
    ],
)
def test_what_is_no_time_is_refused_in_words(t, said):
    with pytest.raises(DifrunError, match=said):
        ReferenceVP().sample(torch.zeros(3, 2), t, 1)


@pytest.mark.parametrize(
    ("t", "said"),
    [
        ("0.5", "a time is a number; got '0.5'"),
        (True, "a time is a number; got True"),
        (1j, "a time is a number"),
        ([0.1, 0.2, 0.3], "expected one time; got 3"),
        (torch.full((3, 1), 0.5), "expected one time; got 3"),
        (np.array([]), "expected one time; got 0"),
        ([7.0], "runs from 0"),
    ],
)
def test_where_one_time_is_expected_others_are_refused(t, said):
    process, x = ReferenceVP(), torch.zeros(3, 2)
    for call in (lambda: process.prior((3, 2), t=t), lambda: process.density(x, x, t)):
        with pytest.raises(DifrunError, match=said):
            call()


@pytest.mark.parametrize(
    "t", [[0.3], np.array(0.3), np.array([[0.3]]), torch.tensor([0.3], dtype=torch.float64)], ids=str
)
def test_one_time_may_be_in_an_array(t):
    process, x = ReferenceVP(), torch.ones(3, 2)
    assert torch.equal(process.prior((3, 2), t=t, generator=1), process.prior((3, 2), t=0.3, generator=1))
    assert torch.equal(process.density(x, x, t), process.density(x, x, 0.3))


def test_one_time_is_for_all_rows():
    x = torch.ones(3, 2)
    for t in (0.5, [0.5], torch.tensor(0.5), torch.tensor([[0.5]]), np.float32(0.5)):
        assert torch.allclose(ReferenceVP().sample(x, t, 1), ReferenceVP().sample(x, 0.5, 1))
    assert times_of_rows([1], 3, x).dtype == torch.float32
    assert as_time(1) == 1.0


@pytest.mark.parametrize("times", [[1, 0.5, 0], torch.tensor([[1.0], [0.5], [0.0]]), np.array([1, 0.5, 0])])
def test_a_grid_is_a_list_of_decreasing_numbers(times):
    assert decreasing(times) == [1.0, 0.5, 0.0]


@pytest.mark.parametrize(
    ("times", "said"),
    [
        ([0.5, 1.0], "strictly decrease"),
        ([1.0, 0.5, 0.5], "strictly decrease"),
        ([1.0, 0.2, 0.4, 0.1], "strictly decrease"),
        ([1.0], "at least one step"),
        ([], "at least one step"),
        ([1.0, float("nan")], "strictly decrease"),
        (torch.ones(2, 2), r"\(steps \+ 1,\), not \(2, 2\)"),
        (1.0, "a sequence of numbers; got 1.0"),
        (None, "a sequence of numbers"),
        (["1", "0.5"], "a time is a number; got '1'"),
        ([[1.0, 0.5], [0.2, 0.1]], "a time is a number"),
    ],
)
def test_a_grid_that_does_not_decrease_is_refused(times, said):
    with pytest.raises(DifrunError, match=said):
        decreasing(times)
