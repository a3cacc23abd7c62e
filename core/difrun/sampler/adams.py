"""Adams methods in the frame of the data's Gaussian: the default sampler."""

from typing_extensions import override

from difrun.builtin.options import AdamsOptions
from difrun.model.base import ScoreModel
from difrun.sampler.gaussian_frame import GaussianFrame, gaussian_frame
from difrun.sampler.multistep import Multistep


class Adams(AdamsOptions, Multistep):
    r"""Adams predictor–corrector in the Gaussian frame of the data (`difrun.sampler.gaussian_frame`): the default.

    Polynomials in φ through the last slopes give Adams–Bashforth predictors and, when the slope at the new node is
    known, Adams–Moulton correctors, on any grid. One network evaluation per step.

    `order` is that of the corrected method, the predictor's plus 1. By default it grows with the number of steps n, as
    high orders pay on fine grids only: 1, without corrector, for n < 5; 2 for n < 7; 3 for n < 13; 4 for n < 50; 5 from
    n = 50 on. With exact scores one order higher is better at 5 and 6 steps and from 24 steps on; with rough networks
    it is not.
    """

    @property
    @override
    def order(self) -> int:  # type: ignore[override]
        return 5 if self.fixed_order is None else self.fixed_order

    @override
    def frame(self, model: ScoreModel) -> GaussianFrame:
        return gaussian_frame(model)

    @override
    def scheme(self, steps: int) -> tuple[int, bool]:
        if self.fixed_order is not None:
            return max(1, self.fixed_order - 1), self.fixed_order > 1
        if steps < 7:
            return 1, steps >= 5
        if steps < 13:
            return 2, True
        return (3 if steps < 50 else 4), True
