"""Labels: spread over samples, understood by exact models, and passed on by wrappers."""

import math

import pytest
import torch
from tests.core.mixtures import CLASS_OF_COMPONENT, MIXTURE

from difrun.data.toy import gmm
from difrun.errors import DifrunError
from difrun.model import (
    MLP,
    PREDICTIONS,
    Centred,
    Counted,
    ExactEmpirical,
    ExactMixture,
    ModelWrapper,
    NetworkModel,
    proportional_labels,
)
from difrun.randomness import torch_generator
from difrun.testing.references import ReferenceVE, ReferenceVP

PROCESSES = {"vp": ReferenceVP(), "ve": ReferenceVE()}


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.7, 0.2, 0.1), (1.0,), (1 / 3, 2 / 3, 0.0)])
def test_labels_are_in_proportion_from_the_first_on(shares):
    """After m labels class k has been met m·share_k times, to less than 2; more labels begin with the same."""
    labels = proportional_labels(shares, 500)
    assert labels.dtype == torch.int64
    for m in (1, 7, 100, 500):
        assert torch.equal(proportional_labels(shares, m), labels[:m])
        counts = torch.bincount(labels[:m], minlength=len(shares))
        assert ((counts - m * torch.tensor(shares)).abs() < 2).all()


@pytest.mark.parametrize("shares", [(0.7, 0.2, 0.1), (0.1, 0.6, 0.3), (2**-0.5, 1 - 2**-0.5)])
def test_the_next_label_is_of_the_class_that_is_furthest_behind(shares):
    """The method of Webster and Sainte-Laguë: the class with the largest share/(2s + 1), s the labels it has so far."""
    counts = [0] * len(shares)
    for label in proportional_labels(shares, 60).tolist():
        claims = [share / (2 * count + 1) for share, count in zip(shares, counts, strict=True)]
        assert claims[label] == pytest.approx(max(claims), rel=1e-12)
        counts[label] += 1


@pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_the_exact_model_of_a_class_is_that_of_its_components(process, dtype):
    model = ExactMixture(MIXTURE, process, CLASS_OF_COMPONENT)
    x = MIXTURE.sample(9, torch_generator(0)).to(dtype)
    labels = torch.tensor([0, 1, -1] * 3)
    alone = {
        0: ExactMixture(MIXTURE.part(CLASS_OF_COMPONENT == 0), process),
        1: ExactMixture(MIXTURE.part(CLASS_OF_COMPONENT == 1), process),
    }
    alone[-1] = ExactMixture(MIXTURE, process)
    accuracy = 1e-11 if dtype == torch.float64 else 1e-5
    for t in (process.t_min, 0.4 * process.horizon, process.horizon):
        batch = process.at(torch.full((9,), t, dtype=dtype), 2)
        for at in (process.at(t), batch):
            for kind in PREDICTIONS:
                got = model.condition_on(labels).predict(x, at, kind)
                for label, truth in alone.items():
                    rows = labels == label
                    here = process.at(t) if at is not batch else process.at(batch.t[rows].reshape(-1), 2)
                    want = truth.predict(x[rows], here, kind)
                    scale = want.abs().max() + 1
                    torch.testing.assert_close(got[rows] / scale, want / scale, rtol=0, atol=accuracy)
    assert model.labels is None


def test_the_posterior_of_a_class_is_that_of_bayes():
    """p(c | x_t) = share_c p_t(x | c)/p_t(x), to 1e-12; it sums to 1, and so does that of the examples themselves."""
    process = ReferenceVP()
    model, at = ExactMixture(MIXTURE, process, CLASS_OF_COMPONENT), process.at(0.3)
    x = MIXTURE.sample(50, torch_generator(1))
    labels = torch.full((50,), 1)
    want = math.log(0.5) + model.condition_on(labels).log_prob(x, at) - model.log_prob(x, at)
    torch.testing.assert_close(model.log_posterior(x, at)[:, 1], want, rtol=0, atol=1e-12)
    data = gmm(seed=0, n=200, modes=3)
    empirical = ExactEmpirical(data.train, process, data.labels)
    total = empirical.log_posterior(data.held_out[:5].double(), at).exp().sum(1)
    torch.testing.assert_close(total, torch.ones_like(total))


class Wrapper(ModelWrapper):
    """A guidance that changes nothing, as a stranger would write it."""

    kind = "x0"

    def forward(self, x, at):
        return self.inner.predict(x, at, "x0")


def test_wrappers_pass_labels_on():
    process = ReferenceVP()
    exact = ExactMixture(MIXTURE, process, CLASS_OF_COMPONENT)
    x, labels = MIXTURE.sample(6, torch_generator(0)), torch.tensor([0, 1, 0, 1, -1, 0])
    at = process.at(0.4)
    want = exact.condition_on(labels).predict(x, at, "x0")
    counted = Counted(exact)
    for wrapper in (Wrapper(exact), counted, Centred(exact, x), Wrapper(Counted(Wrapper(exact)))):
        conditioned = wrapper.condition_on(labels)
        assert torch.equal(conditioned.predict(x, at, "x0"), want)
        assert torch.equal(conditioned.rows(torch.tensor([1, 4])).predict(x[[1, 4]], at, "x0"), want[[1, 4]])
        assert torch.equal(conditioned.rows(slice(2, 5)).predict(x[2:5], at, "x0"), want[2:5])
        assert wrapper.labels is None
        assert wrapper.classes == 2
        assert wrapper.rows(slice(2)) is wrapper
    assert (counted.evaluations, counted.examples) == (3, 6 + 2 + 3)


def test_labels_that_do_not_fit_are_refused():
    process = ReferenceVP()
    x, at = MIXTURE.sample(3, torch_generator(0)), process.at(0.4)
    with pytest.raises(DifrunError, match="knows no classes"):
        ExactMixture(MIXTURE, process).condition_on(torch.zeros(3, dtype=torch.int64))
    with pytest.raises(DifrunError, match="knows no classes"):
        Wrapper(NetworkModel(MLP((2,)), process, (2,))).condition_on(torch.zeros(3, dtype=torch.int64))
    model = ExactMixture(MIXTURE, process, CLASS_OF_COMPONENT)
    for labels, match in (
        (torch.tensor([0, 1, 2]), "no class number 2"),
        (torch.tensor([0, -2, 0]), "no class number -2"),
        (torch.tensor([0.0, 1.0, 0.0]), "int64"),
    ):
        with pytest.raises(DifrunError, match=match):
            model.condition_on(labels)
    with pytest.raises(DifrunError, match="the classes of 2 rows is asked about 3"):
        model.condition_on(torch.tensor([0, 1])).predict(x, at, "x0")
