"""Data in every format of numbers, in every public function that takes data: right, or refused in words."""

import numpy as np
import pytest
import torch
from torch import nn

from difrun.analysis import elbo, log_likelihood
from difrun.data import Condition, Dataset, GaussianMixture, Scaling
from difrun.data.casts import as_data, as_labels
from difrun.draw.arrays import as_array
from difrun.errors import DifrunError
from difrun.metric import measure
from difrun.metric.distances import density_coverage, energy, per_class, sliced_w2, w2
from difrun.model import ExactMixture, NetworkModel
from difrun.sampler import generate, integrate
from difrun.sampler.fixed_step import Heun
from difrun.testing import ReferenceVP

from .number_formats import ARRAYS, TENSORS, WHOLE

REFUSED = {
    "complex tensor": torch.from_numpy(WHOLE).to(torch.complex64),
    "complex array": WHOLE.astype(np.complex128),
    "text": WHOLE.astype(str),
    "objects": WHOLE.astype(object),
    "dates": WHOLE.astype("datetime64[s]"),
    "ragged lists": [[1.0, 2.0], [3.0]] * 20,
    "sparse tensor": torch.from_numpy(WHOLE).to_sparse(),
}

MIXTURE = GaussianMixture([0.4, 0.6], [[-1.0, 0.5], [1.5, 0.0]], [0.3, 0.8])


class OffCentre(ReferenceVP):
    """A process with a mean that is no whole number."""

    centre = 0.25


PROCESS = OffCentre()


def dataset(x):
    return Dataset(name="mine", train=x, held_out=x)


def network():
    torch.manual_seed(0)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(2, 2)

        def forward(self, x, level):
            return self.layer(x) + level[:, None]

    return NetworkModel(Net(), PROCESS, (2,), mean=0.3, var=1.0)


def numbers(found):
    found = list(found.values()) if isinstance(found, dict) else found
    return (
        torch.tensor(np.array(found)).double()
        if not isinstance(found, torch.Tensor)
        else found.detach().double()
    )


def format_of(x):
    """The format in which arrays are computed: float32 for short floats, else float64."""
    dtype = np.asarray(x).dtype
    return torch.float32 if dtype.kind == "f" and dtype.itemsize <= 4 else torch.float64


def metric(of, **options):
    def call(x):
        reference = torch.from_numpy(WHOLE).float() + 0.5
        return of(x, reference, generator=torch.Generator().manual_seed(0), **options)

    return call


def measured(x):
    found = measure(sliced_w2, x, dataset(torch.from_numpy(WHOLE + 0.5)), seed=0, projections=8)
    return [found["sliced-w2"][name] for name in ("value", "floor")]


FUNCTIONS = {
    "Dataset.train": lambda x: dataset(x).train,
    "Dataset.var": lambda x: dataset(x).var,
    "Dataset.cov": lambda x: dataset(x).cov,
    "Scaling": lambda x: Scaling.standardising(x).scale,
    "Scaling, robust": lambda x: Scaling.robust(x).scale,
    "Scaling.encode": lambda x: Scaling(torch.tensor([0.5]), torch.tensor([0.3])).encode(x),
    "Scaling.decode": lambda x: Scaling(torch.tensor([0.5]), torch.tensor([0.3])).decode(x),
    "GaussianMixture": lambda x: GaussianMixture([1 / 40] * 40, x, [0.5] * 40).var,
    "GaussianMixture.log_prob": MIXTURE.log_prob,
    "GaussianMixture.score": MIXTURE.score,
    "GaussianMixture.component": MIXTURE.component,
    "ExactMixture, score": lambda x: ExactMixture(MIXTURE, PROCESS).predict(x, PROCESS.at(0.5), "score"),
    "ExactMixture, x0": lambda x: ExactMixture(MIXTURE, PROCESS).predict(x, PROCESS.at(0.5), "x0"),
    "ExactMixture.log_prob": lambda x: ExactMixture(MIXTURE, PROCESS).log_prob(x, PROCESS.at(0.5)),
    "NetworkModel": lambda x: network().predict(x, PROCESS.at(0.5), "score"),
    "integrate": lambda x: integrate(Heun(), ExactMixture(MIXTURE, PROCESS), x, [1.0, 0.5, 0.1]),
    "log_likelihood": lambda x: log_likelihood(ExactMixture(MIXTURE, PROCESS), x, steps=4).nats,
    "elbo": lambda x: elbo(ExactMixture(MIXTURE, PROCESS), x, times=2).nats,
    "measure": measured,
    "sliced_w2": metric(sliced_w2, projections=8),
    "w2": metric(w2),
    "energy": metric(energy),
    "density_coverage": metric(density_coverage),
    "per_class": metric(per_class, labels=torch.arange(40) % 2, projections=8),
    "draw": as_array,
}
PROCESS_METHODS = {
    "sample": lambda x: PROCESS.sample(x, 0.5, 0),
    "sample at several times": lambda x: PROCESS.sample(x, np.linspace(0.1, 0.9, 40), 0),
    "path": lambda x: PROCESS.path(x, [0.1, 0.5], 0),
    "euler_maruyama": lambda x: PROCESS.euler_maruyama(x, [0.1, 0.5], 0, 2),
    "density": lambda x: PROCESS.density(x, torch.from_numpy(WHOLE + 0.5), 0.5),
}


@pytest.mark.parametrize("form", TENSORS)
@pytest.mark.parametrize("name", [*FUNCTIONS, *PROCESS_METHODS])
def test_tensors_of_every_format_give_what_float32_gives(name, form):
    function = {**FUNCTIONS, **PROCESS_METHODS}[name]
    found, expected = (
        numbers(function(TENSORS[form](WHOLE))),
        numbers(function(torch.from_numpy(WHOLE).float())),
    )
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("form", ARRAYS)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_arrays_of_every_format_give_what_their_numbers_give(name, form):
    x = ARRAYS[form](WHOLE)
    found, expected = (numbers(FUNCTIONS[name](y)) for y in (x, torch.from_numpy(WHOLE).to(format_of(x))))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("form", ARRAYS)
@pytest.mark.parametrize("name", PROCESS_METHODS)
def test_arrays_of_every_format_go_through_a_process(name, form):
    """The noise is that of the format in which the method computes: float32 for short floats, else float64."""
    x = ARRAYS[form](WHOLE)
    found = PROCESS_METHODS[name](x)
    assert isinstance(found, np.ndarray)
    expected = PROCESS_METHODS[name](torch.from_numpy(WHOLE).to(format_of(x)))
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("what", REFUSED)
@pytest.mark.parametrize("name", [*FUNCTIONS, *PROCESS_METHODS])
def test_what_is_no_real_numbers_is_refused_in_words(name, what):
    with pytest.raises(DifrunError, match=r"expected (real numbers|an array of real numbers)"):
        {**FUNCTIONS, **PROCESS_METHODS}[name](REFUSED[what])


GAPS = np.where(np.arange(80).reshape(40, 2) == 11, np.nan, WHOLE)
"""NaN in row 6, column 2."""

WITHOUT_GAPS = (
    "integrate",
    "log_likelihood",
    "elbo",
    "measure",
)


@pytest.mark.parametrize("name", WITHOUT_GAPS)
def test_a_gap_is_named_and_not_blamed_on_model_or_sampler(name):
    """NaN, infinity, and what a masked array does not hold."""
    masked = np.ma.masked_array(WHOLE, np.isnan(GAPS))
    for x in (GAPS, np.nan_to_num(GAPS, nan=np.inf), torch.from_numpy(GAPS).float(), masked):
        with pytest.raises(DifrunError, match=r"(nan|inf) in row 6, column 2 \(1 of 40 rows hold NaN"):
            FUNCTIONS[name](x)


def test_what_is_masked_is_not_read():
    """The number under a mask was taken for data."""
    masked = np.ma.masked_array(WHOLE, np.isnan(GAPS))
    for form in (np.float64, np.float32, np.int16):
        found = as_data(masked.astype(form))
        assert torch.equal(found.isnan(), torch.from_numpy(np.isnan(GAPS)))
        assert torch.equal(found.nan_to_num(nan=9).double(), torch.from_numpy(np.nan_to_num(GAPS, nan=9)))
    assert as_data(np.ma.masked_array(WHOLE)).equal(torch.from_numpy(WHOLE))
    with pytest.raises(DifrunError, match="expected real numbers, not complex128"):
        as_data(masked.astype(complex))
    with pytest.raises(DifrunError, match="some of these are masked"):
        as_labels(np.ma.masked_array([0, 1], [False, True]))


def test_large_whole_numbers_keep_their_digits():
    """2²⁴ + 1 is no float32."""
    assert as_data(torch.tensor([2**24 + 1, -5])).dtype == torch.float64
    assert as_data(torch.tensor([2**24, -5])).dtype == torch.float32
    assert as_data(np.array([2**40 + 1])).tolist() == [2**40 + 1]
    x = torch.tensor([[1_700_000_001], [1_700_000_003]] * 20)
    assert Scaling.standardising(x).scale.tolist() == [1.0]


def test_examples_too_large_for_float32_are_refused():
    with pytest.raises(DifrunError, match=r"too large for 32-bit numbers.*difrun\.data\.Scaling"):
        dataset(np.full((30, 2), 1e44))


def test_metrics_of_float64_keep_its_digits():
    """Sets that differ by 1 at 10⁹: the distance is 1, and 0 or 64 in float32."""
    x = torch.from_numpy(1e9 + WHOLE)
    assert w2(x, x + torch.tensor([1.0, 0.0]), generator=torch.Generator())["w2"] == pytest.approx(
        1.0, abs=1e-5
    )


def test_whole_times_and_labels_of_every_format():
    x = torch.from_numpy(WHOLE).float()
    torch.testing.assert_close(
        PROCESS.sample(x, torch.ones(40, dtype=torch.int64), 0), PROCESS.sample(x, 1.0, 0)
    )
    model = ExactMixture(MIXTURE, PROCESS, torch.tensor([0, 1]))
    labels = np.array([0, 1, 1, 0])
    wanted = generate(Heun(), model, 4, [1.0, 0.5, 0.1], labels=torch.from_numpy(labels))
    for given in (labels, labels.astype(">i2"), torch.from_numpy(labels).int(), labels.tolist()):
        assert torch.equal(generate(Heun(), model, 4, [1.0, 0.5, 0.1], labels=given), wanted)
        assert (
            Dataset(
                name="mine",
                train=WHOLE,
                held_out=WHOLE,
                labels=np.tile(given, 10),
                held_out_labels=np.tile(given, 10),
                classes=("a", "b"),
            ).labels.tolist()
            == [0, 1, 1, 0] * 10
        )
    for wrong in (labels.astype(float), labels.astype(str), torch.from_numpy(labels).double(), labels > 0):
        with pytest.raises(DifrunError, match="labels are whole numbers"):
            generate(Heun(), model, 4, [1.0, 0.5, 0.1], labels=wrong)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.int64, torch.complex64])
def test_samples_are_computed_in_float32_or_float64(dtype):
    with pytest.raises(DifrunError, match=r"samples are computed in torch\.float32 or torch\.float64"):
        generate(Heun(), ExactMixture(MIXTURE, PROCESS), 4, [1.0, 0.5], dtype=dtype)


@pytest.mark.parametrize(
    ("offset", "scale", "why"), [(1.7e9, 1.0, "too far from 0"), (0.0, 1e-46, "too small")]
)
def test_examples_that_float32_does_not_tell_apart_are_refused(offset, scale, why):
    """They became one number in silence, in a `Dataset` and in a `Condition`."""
    x = offset + scale * WHOLE
    for call in (dataset, lambda x: Condition(x, x)):
        with pytest.raises(DifrunError, match=rf"{why}.* 32-bit numbers.*difrun\.data\.Scaling"):
            call(x)


@pytest.mark.parametrize(
    "name", ["log_likelihood", "elbo", "measure", "sliced_w2", "w2", "energy", "Dataset.train"]
)
def test_tensors_without_numbers_are_refused(name):
    with pytest.raises(DifrunError, match="a tensor on the device 'meta' has none"):
        FUNCTIONS[name](torch.empty(40, 2, device="meta"))
