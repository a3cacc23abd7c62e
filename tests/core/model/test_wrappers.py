"""What a wrapper hands on, and the prior that every model draws."""

import pytest
import torch
from tests.core.mixtures import CLASS_OF_COMPONENT, MIXTURE

from difrun.errors import DifrunError
from difrun.model import Centred, Counted, ExactMixture, ModelWrapper, ScoreModel, innermost
from difrun.testing import ReferenceVP

X = MIXTURE.means[:2].double()


class Clip(ModelWrapper):
    kind = "x0"

    def forward(self, x, at):
        return self.inner.predict(x, at, "x0").clamp(-0.1, 0.1)


def exact():
    return ExactMixture(MIXTURE, ReferenceVP(), CLASS_OF_COMPONENT)


def test_a_wrapper_hands_on_what_it_does_not_change():
    """Of covariance and tunings only a wrapper that samples the same distribution says anything."""
    model = exact()
    model.tunings = {5: "a tuning"}
    for wrapper in (Clip(model), Counted(model), Centred(model, X)):
        assert (wrapper.process, wrapper.shape, wrapper.classes) == (model.process, model.shape, 2)
        assert torch.equal(torch.as_tensor(wrapper.var), torch.as_tensor(model.var))
        assert innermost(Clip(wrapper)) is model
    assert Clip(model).cov is None
    assert Clip(model).tunings == {}
    assert Counted(model).cov is model.cov
    assert Counted(model).tunings == model.tunings


def test_the_one_prediction_that_a_wrapper_writes_becomes_every_kind():
    model, at = Clip(exact()), ReferenceVP().at(0.6)
    x0 = model.predict(X, at, "x0")
    assert x0.abs().max() <= 0.1
    torch.testing.assert_close(model.predict(X, at, "noise"), (X - at.alpha * x0) / at.sigma)


def test_a_model_must_write_one_of_its_two_predictions():
    with pytest.raises(NotImplementedError, match="forward"):
        ScoreModel()(X, ReferenceVP().at(0.6))


def test_the_prior_is_that_of_the_process_for_the_moments_of_each_row():
    model, labels = exact(), torch.tensor([0, 1, -1])
    for asked in (model, model.condition_on(labels), Clip(model).condition_on(labels)):
        mean, var = asked.moments()
        expected = model.process.prior((3, 2), mean=mean, var=var, generator=7, dtype=torch.float64)
        assert torch.equal(asked.prior(3, 7, dtype=torch.float64), expected)


def test_a_model_without_classes_has_none_to_be_asked_for():
    model = ScoreModel()
    assert (model.classes, model.shares, model.labels, model.knows_any) == (0, (), None, True)
    assert model.rows(slice(2)) is model
    with pytest.raises(DifrunError, match="knows no classes"):
        model.condition_on(torch.zeros(2, dtype=torch.int64))
