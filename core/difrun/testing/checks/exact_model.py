"""Rules for exact models of Gaussian processes."""

from typing import Any

import torch

from difrun.data.dataset import Dataset
from difrun.data.mixture import GaussianMixture
from difrun.model.exact import ExactMixture
from difrun.model.predictions import PREDICTIONS
from difrun.process.base import ForwardProcess
from difrun.testing.checks.process import spread_times
from difrun.testing.references import two_gaussians
from difrun.testing.rules import GAUSSIAN_RUN, ComponentUnderTest, check
from difrun.testing.verdict import ensure, ensure_close, ensure_equal, ensure_finite, name_of

EXACT = {"exact"}


def exact_model(subject: ComponentUnderTest, process: ForwardProcess) -> Any:
    """The exact model of two Gaussians, or of examples from them."""
    data = kit_data()
    return subject.made(process=process, dataset=data, shape=data.shape, classes=0)


def kit_data() -> Dataset:
    """50 examples of two Gaussians, with their distribution."""
    mixture = two_gaussians()
    draw = torch.Generator().manual_seed(1)
    return Dataset(
        name="two", train=mixture.sample(50, draw), held_out=mixture.sample(20, draw), distribution=mixture
    )


@check("model", provides=EXACT, alone_in=GAUSSIAN_RUN)
def predicts_one_answer_in_every_kind(subject: ComponentUnderTest) -> None:
    """All kinds come from one pair x̂_0 and ε̂ with x = μ + α(x̂_0 − μ) + σε̂, from t_min to T.

    This holds for a number and for a batch of times.
    """
    for process in subject.partners:
        model = exact_model(subject, process)
        data = two_gaussians().sample(6, torch.Generator().manual_seed(2))
        for t in spread_times(process, 5):
            x = process.sample(data, t, 3)
            at = process.at(t)
            batch = process.at(torch.full((6,), t, dtype=torch.float64), 2)
            centre = process.centre_like(x)
            x0, noise = model.predict(x, at, "x0") - centre, model.predict(x, at, "noise")
            here = f"on {name_of(process)} at t = {t:.6g}"
            ensure_equal(x0.dtype, torch.float64, f"the dtype of x̂_0 {here}")
            ensure_close(
                at.alpha * x0 + at.sigma * noise, x - centre, f"α x̂_0 + σ ε̂ {here}", rtol=1e-9, atol=1e-9
            )
            for kind, row in PREDICTIONS.items():
                a, b = row(at)
                expected = a * x0 + b * noise + (centre if kind == "x0" else 0)
                scale = abs(a) + abs(b) + 1
                got = model.predict(x, at, kind)
                ensure_close(got / scale, expected / scale, f"{kind} {here}", rtol=1e-7, atol=1e-7)
                many = model.predict(x, batch, kind) / scale
                ensure_close(many, got / scale, f"{kind} for a batch of times {here}", rtol=1e-7, atol=1e-7)


@check("model", provides=EXACT, alone_in=GAUSSIAN_RUN)
def is_finite_in_float32_at_both_ends(subject: ComponentUnderTest) -> None:
    """At t_min and at T the score and x̂_0 of float32 points are finite float32, and x̂_0 is right to 1e-3."""
    for process in subject.partners:
        model = exact_model(subject, process)
        for t in (process.t_min, process.horizon):
            at = process.at(t)
            x = process.sample(two_gaussians().sample(6, torch.Generator().manual_seed(2)), t, 3)
            for kind in ("x0", "score"):
                got = model.predict(x.float(), at, kind)
                ensure_equal(got.dtype, torch.float32, f"the dtype of {kind} for float32")
                ensure_finite(got, f"{kind} on {name_of(process)} at t = {t:.6g}")
            truth = model.predict(x.float().double(), at, "x0")
            single = model.predict(x.float(), at, "x0").double()
            ensure_close(single, truth, f"x̂_0 in float32 on {name_of(process)} at t = {t:.6g}", atol=1e-3)


@check("model", provides=EXACT, alone_in=GAUSSIAN_RUN)
def predicts_where_its_tensors_are(subject: ComponentUnderTest) -> None:
    """Predictions of x on the device "meta" are there; a tensor that the model keeps on the CPU and uses raises."""
    process = subject.partners[0]
    model = exact_model(subject, process)
    x = torch.empty(3, 2, device="meta")
    for kind in ("x0", "score"):
        ensure(
            model.predict(x, process.at(0.5 * process.horizon), kind).is_meta,
            f"{kind} is not on 'meta'",
            "there",
        )


@check("model", provides=EXACT, alone_in=GAUSSIAN_RUN)
def predicts_each_row_by_itself(subject: ComponentUnderTest) -> None:
    """The prediction for a row does not depend on the rows beside it, and x stays as it was."""
    process = subject.partners[0]
    model, at = exact_model(subject, process), process.at(0.3 * process.horizon)
    x = process.sample(two_gaussians().sample(5, torch.Generator().manual_seed(2)), at.t, 3)
    before = x.clone()
    whole = model.predict(x, at, "x0")
    alone = torch.cat([model.predict(x[i : i + 1], at, "x0") for i in range(5)])
    ensure_close(whole, alone, "x̂_0 of a batch, against that of each row", rtol=1e-9, atol=1e-9)
    ensure_equal(x, before, "x, after the prediction,")


@check("model", provides=EXACT, alone_in=GAUSSIAN_RUN)
def is_exact(subject: ComponentUnderTest) -> None:
    """x̂_0 is that of the distribution of the data, or of its training examples, to 1e-6; likewise mean and variance.

    The kit's data are two Gaussians, and 50 examples of them. The truth is Bayes' theorem over their parts.
    """
    process = subject.partners[0]
    mixture = two_gaussians()
    model, data = exact_model(subject, process), kit_data()
    points = data.train.double()
    few = GaussianMixture(
        torch.full((50,), 0.02, dtype=torch.float64), points, torch.full((50,), 1e-12).double()
    )
    truths = {
        "the distribution": ExactMixture(mixture, process),
        "the training examples": ExactMixture(few, process),
    }
    off = dict.fromkeys(truths, 0.0)
    for t in spread_times(process, 5):
        at, x = process.at(t), process.sample(points[:8], t, 3)
        got = model.predict(x, at, "x0")
        for name, truth in truths.items():
            off[name] = max(off[name], float((got - truth.predict(x, at, "x0")).abs().max()))
    said = ", ".join(f"{gap:.3g} from that of {name}" for name, gap in off.items())
    ensure(min(off.values()) <= 1e-6, f"x̂_0 on {name_of(process)} is off by {said}", "one of them, ± 1e-6")
    of = min(off, key=off.__getitem__)
    true = (
        (mixture.mean, mixture.var)
        if of == "the distribution"
        else (points.mean(0), points.var(0, correction=0))
    )
    for name, value, right in zip(("mean", "var"), (model.mean, model.var), true, strict=True):
        ensure_close(
            torch.as_tensor(value).double(), right.double(), f"the {name} of the model", rtol=0.03, atol=1e-6
        )
