r"""Explicit Runge–Kutta methods on the probability flow: one engine, any table.

In the straight frame (`difrun.sampler.base`) the flow is dy/dτ = u(y, τ) = ε̂ − x̂_0. With H = τ_s − τ_t, a step of the
table (a, b) with nodes c_i = Σ_j a_ij is

    k_i = u(y_i, τ_t + c_i H),    y_i = y + H Σ_{j<i} a_ij k_j,    y_s = y + H Σ_i b_i k_i.

Solving the equation of each stage for its slope, H k_j = (y_{j+1} − y − H Σ_{l<j} a_{j+1,l} k_l)/a_{j+1,j}, removes all
slopes but the last:

    y_{i+1} = v_i H k_i + Σ_{j≤i} w_ij y_j,    y_1 = y,    y_{s+1} = y_s

(Shu and Osher, 1988, J. Comput. Phys. 77, 439, eq. 2.12). A stage is then one `ScoreModel.affine_prediction`, an
evaluation of the model that returns p·x + q·u, and one sum for each other weight that is not 0: as few kernels as
possible.
"""

from collections.abc import Sequence
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from typing import Any

import attrs
import torch
from torch import Tensor
from typing_extensions import override

from difrun.model.base import ScoreModel
from difrun.process.gaussian import GaussianProcess
from difrun.randomness.generator import Generator
from difrun.sampler.base import Sampler

TableRow = tuple[Fraction, ...]

StageRow = tuple[float, float, list[tuple[int, float]]]
"""v_i, w_ii, and the other w_ij that are not 0 with their j."""


def _exact(rows: Sequence[Sequence[Any]]) -> tuple[TableRow, ...]:
    return tuple(tuple(Fraction(entry) for entry in row) for row in rows)


def _exact_row(row: Sequence[Any]) -> TableRow:
    return _exact([row])[0]


@attrs.frozen(slots=False)
class Table:
    """A Butcher table of an explicit method, in exact fractions; entries may be text, such as "1/6".

    Attributes:
        a: Row i has the weights a_ij of the slopes before stage i, so that the first row is empty.
        b: The weights of the step.
        order: The order of the method.
        embedded: The weights b̂ of a second, less accurate step made of the same slopes, whose distance from the first
            estimates its error; empty where there is none.

    Raises:
        ValueError: If the rows do not fit together or, without an embedded step, a stage does not build on the one
            before it, so that its slope cannot be removed.
    """

    a: tuple[TableRow, ...] = attrs.field(converter=_exact)
    b: TableRow = attrs.field(converter=_exact_row)
    order: int
    embedded: TableRow = attrs.field(default=(), converter=_exact_row)

    def __attrs_post_init__(self) -> None:
        stages = len(self.b)
        if [len(row) for row in self.a] != list(range(stages)) or len(self.embedded) not in (0, stages):
            raise ValueError(f"a table of {stages} stages has rows of 0, 1, ..., {stages - 1} entries")
        if not self.embedded and any(row[-1] == 0 for row in (*self.a[1:], self.b)):
            raise ValueError("the last entry of every row must not be 0: each stage builds on the one before")

    @property
    def nodes(self) -> TableRow:
        """Nodes c_i = Σ_j a_ij: where in the step the slopes are taken."""
        return tuple(sum(row, Fraction(0)) for row in self.a)

    @cached_property
    def stages(self) -> list[tuple[Fraction, TableRow]]:
        """Coefficients (v_i, w_i) of y_{i+1} = v_i H k_i + Σ_{j≤i} w_ij y_j, for i = 1 ... s."""
        rows: list[tuple[Fraction, TableRow]] = []
        slopes: list[TableRow] = []  # H k_j as weights of y_1, y_2, ...
        for row in (*self.a[1:], self.b):
            weights = [Fraction(1)] + [Fraction(0)] * (len(row) - 1)
            for share, slope in zip(row, slopes, strict=False):
                for j, weight in enumerate(slope):
                    weights[j] += share * weight
            rows.append((row[-1], tuple(weights)))
            slopes.append((*(-weight / row[-1] for weight in weights), 1 / row[-1]))
        return rows

    @cached_property
    def numbers(self) -> tuple[list[float], list[StageRow]]:
        """`nodes` and `stages` in floating point."""
        rows = []
        for i, (v, weights) in enumerate(self.stages):
            others = [(j, float(weight)) for j, weight in enumerate(weights[:i]) if weight]
            rows.append((float(v), float(weights[i]), others))
        return [float(c) for c in self.nodes], rows


Stage = tuple[Any, float, float, list[tuple[int, float]]]
"""One stage of one step: the instant of its slope, p and q of its `affine_prediction`, and the weights of the other
x_j."""


class RungeKutta(Sampler):
    """A fixed step of the method of `table`, with as many evaluations as the table has stages."""

    table: Table
    inverts = True

    @property
    @override
    def order(self) -> int:  # type: ignore[override]
        return self.table.order

    @property
    @override
    def evaluations(self) -> int:  # type: ignore[override]
        return len(self.table.b)

    @override
    def prepare(self, model: ScoreModel, instants: Sequence[Any]) -> Any:
        """Return the stages of the step from each t, with all coefficients and the instants inside the step."""
        nodes, stages = self.table.numbers
        inner = sorted({c for c in nodes if 0 < c < 1})
        places = [_place(at) + c * (_place(to) - _place(at)) for at, to in pairwise(instants) for c in inner]
        between = iter(instants_at(model.process, places))
        plan = {}
        for at, to in pairwise(instants):
            inside = {c: next(between) for c in inner}
            instant_at = {0: at, 1: to, **inside}
            plan[at.t] = _coefficients(stages, [instant_at[c] for c in nodes], to)
        return plan

    @override
    def step(
        self, model: ScoreModel, x: Tensor, at: Any, to: Any, state: Any, generator: Generator
    ) -> tuple[Tensor, Any]:
        stages = self.prepare(model, (at, to))[at.t] if state is None else state[at.t]
        values = []
        for place, p, q, others in stages:
            values.append(x)
            x = model.affine_prediction(x, place, "straight", p, q)
            for j, weight in others:
                x = torch.add(x, values[j], alpha=weight)
        return x, state


def _coefficients(rows: list[StageRow], places: list[Any], to: Any) -> tuple[Stage, ...]:
    """The stages of a step to the instant `to`, written for x = (α + σ) y."""
    scales = [at.alpha + at.sigma for at in (*places, to)]
    end = scales[-1]
    # H·(α_s + σ_s), without the rounding of the difference of two τ.
    length = to.sigma - end / scales[0] * places[0].sigma
    stages: list[Stage] = []
    for i, (v, w_ii, others) in enumerate(rows):
        ahead = scales[i + 1]
        scaled = [(j, weight * (ahead / scales[j])) for j, weight in others]
        stages.append((places[i], w_ii * (ahead / scales[i]), v * (length * (ahead / end)), scaled))
    return tuple(stages)


def _place(at: Any) -> float:
    """τ = σ/(α + σ)."""
    return at.sigma / (at.alpha + at.sigma)


def instants_at(process: GaussianProcess, places: Sequence[float]) -> list[Any]:
    """Return the instants of a Gaussian process at values of τ = σ/(α + σ) in (0, 1), where λ = log((1 − τ)/τ)."""
    if not places:
        return []
    tau = torch.tensor(list(places), dtype=torch.float64)
    return process.instants(process.time_at(torch.logit(1 - tau)).tolist())
