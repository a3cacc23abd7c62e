"""Runge–Kutta with error control: each sample takes the steps that its own trajectory needs."""

from typing import Any

import attrs
import torch
from torch import Tensor
from typing_extensions import override

from difrun.builtin.options import AdaptiveOptions
from difrun.errors import DifrunError
from difrun.model.base import ScoreModel
from difrun.process.gaussian import GaussianProcess
from difrun.process.schedule import Instant
from difrun.randomness.generator import Generator
from difrun.sampler.base import Sampler
from difrun.sampler.runge_kutta import Table

BOGACKI_SHAMPINE = Table(
    [[], ["1/2"], [0, "3/4"], ["2/9", "1/3", "4/9"]],
    ["2/9", "1/3", "4/9", 0],
    3,
    ["7/24", "1/4", "1/3", "1/8"],
)
"""Orders 3 and 2 (Bogacki and Shampine, 1989, Appl. Math. Lett. 2, 321)."""

DORMAND_PRINCE = Table(
    [
        [],
        ["1/5"],
        ["3/40", "9/40"],
        ["44/45", "-56/15", "32/9"],
        ["19372/6561", "-25360/2187", "64448/6561", "-212/729"],
        ["9017/3168", "-355/33", "46732/5247", "49/176", "-5103/18656"],
        ["35/384", 0, "500/1113", "125/192", "-2187/6784", "11/84"],
    ],
    ["35/384", 0, "500/1113", "125/192", "-2187/6784", "11/84", 0],
    5,
    ["5179/57600", 0, "7571/16695", "393/640", "-92097/339200", "187/2100", "1/40"],
)
"""Orders 5 and 4 (Dormand and Prince, 1980, J. Comput. Appl. Math. 6, 19, RK5(4)7M)."""

PAIRS = {"bogacki-shampine": BOGACKI_SHAMPINE, "dormand-prince": DORMAND_PRINCE}

SAFETY, LEAST, MOST = 0.9, 0.2, 5.0
"""The next step is 0.9 times the longest that would have been accepted, and 0.2 to 5 times the last."""

FIRST = 0.05
"""The first step that is tried, in τ."""

ROUNDS = 20_000
"""Most steps that are tried in one interval of the grid."""


@attrs.frozen
class _State:
    """Where the next interval of the grid starts: x, the slope there, and the steps to try."""

    x: Tensor
    slope: Tensor
    lengths: Tensor


class Adaptive(AdaptiveOptions, Sampler):
    r"""An embedded Runge–Kutta pair on the probability flow, in the straight frame (`difrun.sampler.runge_kutta`).

    Within each interval of the grid a sample takes as many steps as it needs, each of its own length H. A step is
    accepted if the distance e between the two solutions of the pair is within the tolerance,

        ‖e/(atol + rtol · max(|y|, |y'|))‖ ≤ 1    (root mean square over the coordinates of that sample alone).

    The step then ends at the more accurate solution. The next H is 0.9 ‖·‖^{−1/q} times the last, within 0.2 to 5,
    with q the order of the pair. As y = x/(α + σ) is about x at the end, `atol` is in units of the data; the error at
    the end is some multiple of the tolerance. One step of the grid is enough (``--steps 1``): more steps only add
    places where the method must stop.

    No sample depends on the others, nor on the chunk. The last slope of a step is the first of the next. The number of
    evaluations is not known beforehand (`evaluations_in` returns None): a run counts them, and reports their mean per
    sample.

    Raises:
        DifrunError: If a sample needs more than 20 000 steps in one interval.

    References:
        Hairer, Nørsett and Wanner (1993), Solving Ordinary Differential Equations I, sec. II.4.
    """

    order = None
    evaluations = None
    accuracy = ("rtol", "atol")

    @property
    def table(self) -> Table:
        """The embedded pair."""
        return PAIRS[self.pair]

    @override
    def evaluations_in(self, steps: int) -> None:
        return None

    @override
    def step(
        self, model: ScoreModel, x: Tensor, at: Any, to: Any, state: Any, generator: Generator
    ) -> tuple[Tensor, Any]:
        begin, end = (i.alpha + i.sigma for i in (at, to))
        start, stop = at.sigma / begin, to.sigma / end
        # If a corrector has moved x since the last step, the stored slope is no longer that of x.
        unmoved = state is not None and state.x is x
        slope = state.slope if unmoved else model.predict(x, at, "straight")
        if x.is_meta:
            return torch.add(end / begin * x, slope, alpha=end * (stop - start)), None
        lengths = (
            torch.full((len(x),), FIRST, dtype=torch.float64) if state is None else state.lengths.clone()
        )
        place = torch.full_like(lengths, start)
        y, slope = x / begin, slope.clone()
        for _ in range(ROUNDS):
            active = (place > stop).nonzero()[:, 0]
            if not len(active):
                x = end * y
                return x, _State(x, slope, lengths)
            self._try(model, y, slope, place, lengths, active, stop)
        raise DifrunError(
            f"sampler 'adaptive' took {ROUNDS} steps from t = {at.t:g} and did not reach t = {to.t:g}. Ask for less "
            f"accuracy: a larger rtol (now {self.rtol:g}) or atol (now {self.atol:g})."
        )

    def _try(
        self,
        model: ScoreModel,
        y: Tensor,
        slope: Tensor,
        place: Tensor,
        lengths: Tensor,
        active: Tensor,
        stop: float,
    ) -> None:
        """Try one step of the samples `active`, and write the result into y, slope, place and lengths."""
        table = self.table
        rows = active.to(y.device)
        model = model.rows(rows)
        here, before, left = y[rows], place[active], place[active] - stop
        lands = lengths[active] >= left
        length = torch.where(lands, left, lengths[active])
        # dτ = −H: time runs down.
        h = -length.reshape(-1, *[1] * (y.ndim - 1)).to(y)
        slopes = [slope[rows]]
        value = here
        for weights, c in list(zip(table.a, table.nodes, strict=True))[1:]:
            value = here + h * _sum(weights, slopes)
            at = _instant(model.process, torch.where(lands & (c == 1), stop, before - float(c) * length), y)
            slopes.append(model.predict((at.alpha + at.sigma) * value, at, "straight"))
        error = h * _sum([b - other for b, other in zip(table.b, table.embedded, strict=True)], slopes)
        allowed = self.atol + self.rtol * torch.maximum(here.abs(), value.abs())
        norm = (error / allowed).flatten(1).square().mean(1).sqrt().double().cpu()
        # A sample that is not finite goes to the end as it is; `generate` reports it.
        accepted = ~(norm > 1)
        factor = (SAFETY * norm.clamp_min(1e-30) ** (-1 / table.order)).clamp(LEAST, MOST)
        # A step that was cut short by the end of the interval says little about the next.
        tried = torch.where(
            lands & accepted, torch.maximum(lengths[active], length * factor), length * factor
        )
        lengths[active] = torch.where(norm.isfinite(), tried, length)
        after = torch.where(lands | ~norm.isfinite(), stop, before - length)
        place[active] = torch.where(accepted, after, before)
        done = accepted.nonzero()[:, 0].to(y.device)
        y[rows[done]], slope[rows[done]] = value[done], slopes[-1][done]


def _sum(weights: Any, slopes: list[Tensor]) -> Tensor:
    """Σ w_j k_j."""
    parts = [float(weight) * slope for weight, slope in zip(weights, slopes, strict=True) if weight]
    return torch.stack(parts).sum(0)


def _instant(process: GaussianProcess, place: Tensor, like: Tensor) -> Instant:
    """The instants of samples at τ = `place` (n,), computed in float64, in the dtype and on the device of `like`."""
    t = process.time_at(torch.logit(1 - place))
    exact = process.instant(t, like.ndim)
    fields = {name: getattr(exact, name).to(like) for name in ("log_alpha", "alpha", "sigma", "var", "lam")}
    return Instant(process, exact.t.to(like), **fields)
