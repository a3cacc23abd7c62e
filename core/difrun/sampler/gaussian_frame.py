"""The frame of the data's Gaussian, in which little is left for a sampler to integrate."""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from typing_extensions import override

from difrun.data.casts import CastCache
from difrun.model.base import ScoreModel
from difrun.model.predictions import data_angle, total_std
from difrun.sampler.multistep import Frame


class GaussianFrame(Frame):
    r"""The frame in which data that are N(m, σ_d² I) need no integration at all.

    With m and σ_d² the mean and the average variance of the data, and S² = α²σ_d² + σ²,

        y = (x − α m)/S,    φ = atan(σ/(α σ_d)),    −dy/dφ = q = [σ (x̂_0 − m)/σ_d − α σ_d ε̂]/S

    is the probability flow of every Gaussian process. q is the output of a network with the preconditioning of Karras
    et al.; it vanishes for N(m, σ_d² I), and is bounded at both ends. The clock is −φ.

    References:
        Karras et al. (2022), arXiv 2206.00364, table 1.
    """

    def __init__(self, model: ScoreModel):
        super().__init__(model)
        mean = torch.as_tensor(model.mean)
        # Most data are centred: without m each of the three methods below needs a kernel less.
        self.mean = None if not mean.is_meta and not mean.any() else mean
        self.std = model.data_std

    @override
    def clock(self, at: Any) -> float:
        return -data_angle(at, self.std)

    def in_data(self, y: Tensor) -> Tensor:
        """Return y in the units that it has at t = 0, those of σ_d: (n, ...)."""
        return y

    def _plus_mean(self, x: Tensor, factor: Any) -> Tensor:
        """The sum x + factor · m."""
        if self.mean is None:
            return x
        mean = self.mean.to(x)
        return torch.add(x, mean, alpha=factor) if isinstance(factor, float) else x + factor * mean

    @override
    def enter(self, x: Tensor, at: Any) -> Tensor:
        return self._plus_mean(x, -at.alpha) / total_std(at, self.std)

    @override
    def leave(self, y: Tensor, at: Any) -> Tensor:
        return self._plus_mean(total_std(at, self.std) * y, at.alpha)

    @override
    def slope(self, x: Tensor, at: Any) -> Tensor:
        """Return q = a x + b x̂_0 + c m = a′ x + b′ ε̂ + c m: each form is well conditioned at its end of time."""
        total, std = total_std(at, self.std), self.std
        if _signal_prevails(at):
            kind, a, b = "noise", at.sigma / (at.alpha * std * total), -total / (at.alpha * std)
        else:
            kind, a, b = "x0", -at.alpha * std / (at.sigma * total), total / (at.sigma * std)
        if isinstance(at.lam, float):
            q = self.model.affine_prediction(x, at, kind, a, b)
        else:
            q = a * x + b * self.model.predict(x, at, kind)
        return self._plus_mean(q, -at.sigma / (total * std))


class PrincipalFrame(GaussianFrame):
    r"""The frame in which data that are N(m, C) need no integration at all: `GaussianFrame` along every principal axis.

    With C = Q diag(s_j²) Qᵀ, along axis j

        y_j = [Qᵀ(x − α m)]_j/S_j,    S_j² = α²s_j² + σ²,    φ_j = atan(σ/(α s_j)),    q_j = −dy_j/dφ_j.

    Every axis has a clock and therefore weights of its own. y and q are (n, d), d coordinates of a flattened x. `clock`
    is that of σ_d, as in `GaussianFrame`. A change of weights (2, p) is a_0 + a_1 ln(s_j/σ_d) along axis j: wide axes
    separate components and narrow ones resolve their shapes, at different times.
    """

    change_shape = (2,)

    def __init__(self, model: ScoreModel):
        super().__init__(model)
        if model.principal is None:
            raise ValueError("this frame needs a model whose data have principal axes")
        self.axes, self.stds = model.principal
        self._logs = (self.stds / self.std).log()
        self._casts = CastCache()

    @override
    def nodes(self, clocks: Tensor) -> Tensor:
        return torch.atan2(self.std * clocks.sin()[:, None], self.stds * clocks.cos()[:, None])

    @override
    def along_axes(self, change: Tensor) -> Tensor:
        return change[0] + self._logs[:, None] * change[1]

    @override
    def in_data(self, y: Tensor) -> Tensor:
        return y * (self._like(y)[1] / self.std)

    @override
    def enter(self, x: Tensor, at: Any) -> Tensor:
        return self._rotated(self._plus_mean(x, -at.alpha)) / total_std(_columns(at), self._like(x)[1])

    @override
    def leave(self, y: Tensor, at: Any) -> Tensor:
        axes, std = self._like(y)
        x = ((total_std(_columns(at), std) * y) @ axes.mT).reshape(len(y), *self.model.shape)
        return self._plus_mean(x, at.alpha)

    @override
    def slope(self, x: Tensor, at: Any) -> Tensor:
        _, std = self._like(x)
        alpha, sigma, _ = columns = _columns(at)
        total = total_std(columns, std)
        offset = self._rotated(self._plus_mean(x, -at.alpha))
        if _signal_prevails(at):
            noise = self._rotated(self.model.predict(x, at, "noise"))
            return (sigma / total * offset - total * noise) / (alpha * std)
        data = self._rotated(self._plus_mean(self.model.predict(x, at, "x0"), -1.0))
        return (total / std * data - alpha * std / total * offset) / sigma

    def _rotated(self, x: Tensor) -> Tensor:
        return x.flatten(1) @ self._like(x)[0]

    def _like(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The matrix Q and s in the dtype and on the device of x."""
        return self._casts.like(x, lambda: (self.axes, self.stds))


def gaussian_frame(model: ScoreModel) -> GaussianFrame:
    """Return the frame of a model, along principal axes if it has any (`ScoreModel.principal`)."""
    return GaussianFrame(model) if model.principal is None else PrincipalFrame(model)


def _signal_prevails(at: Any) -> bool:
    """Whether λ > 0, one time for all."""
    return bool((at.lam if isinstance(at.lam, float) else at.lam.mean()) > 0)


class _Columns(NamedTuple):
    """Fields of an instant, ready to broadcast against (n, d)."""

    alpha: Any
    sigma: Any
    var: Any


def _columns(at: Any) -> _Columns:
    fields = at.alpha, at.sigma, at.var
    return _Columns(*(field if isinstance(field, float) else field.reshape(-1, 1) for field in fields))
