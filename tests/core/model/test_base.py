"""The contract of a score model: a x + b k̂(x), by the fast path of a network and by the plain one."""

import pytest
import torch
from tests.core.networks import Wave

from difrun.model import PREDICTIONS, Counted, NetworkModel, ScoreModel
from difrun.testing import ReferenceVP

X = torch.randn((50, 2), generator=torch.Generator().manual_seed(1)).double()


class Shifted(ReferenceVP):
    centre = (0.5, -1.0)


def network_model(process: ReferenceVP, scaled: bool, predicts: str) -> NetworkModel:
    moments = {"mean": torch.tensor([0.3, -0.4]), "var": torch.tensor([0.5, 1.5])} if scaled else {}
    return NetworkModel(Wave().double(), process, (2,), predicts=predicts, scaled=scaled, **moments)


@pytest.mark.parametrize("kind", PREDICTIONS)
@pytest.mark.parametrize("predicts", ["x0", "noise", "v", "edm"])
@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("process", [ReferenceVP(), Shifted()], ids=["plain", "shifted"])
def test_the_affine_prediction_of_a_network_is_a_x_plus_b_times_its_prediction(
    process, scaled, predicts, kind
):
    model = network_model(process, scaled, predicts)
    at = model.process.at(0.7)
    plain = 0.8 * X - 0.3 * model.predict(X, at, kind)
    torch.testing.assert_close(model.affine_prediction(X, at, kind, 0.8, -0.3), plain, rtol=1e-10, atol=1e-10)
    counted = Counted(model)
    torch.testing.assert_close(
        counted.affine_prediction(X, at, kind, 0.8, -0.3), plain, rtol=1e-10, atol=1e-10
    )
    assert counted.evaluations == 1


def test_the_affine_prediction_of_any_other_model_comes_from_its_prediction():
    class Constant(ScoreModel):
        def predict(self, x, at, kind):
            return torch.full_like(x, 3.0)

    assert torch.equal(Constant().affine_prediction(X, None, "x0", 2.0, -1.0), 2 * X - 3)
