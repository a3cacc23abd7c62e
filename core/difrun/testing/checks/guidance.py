"""Rules for guidances of Gaussian processes, tried on the exact model of two classes."""

from typing import Any

import torch

from difrun.model.predictions import PREDICTIONS
from difrun.options.attrs_fields import values
from difrun.sampler.fixed_step import Euler
from difrun.sampler.integration import generate
from difrun.testing.checks.process import spread_times
from difrun.testing.guided import LABELS, GuidedWorld, of_rows
from difrun.testing.rules import GAUSSIAN_RUN, ComponentUnderTest, check, global_randomness_untouched
from difrun.testing.verdict import (
    NotTried,
    RuleBroken,
    ensure,
    ensure_close,
    ensure_equal,
    ensure_finite,
    ensure_in_proportion,
    name_of,
)
from difrun.text import in_one_line

USABLE = GAUSSIAN_RUN | {"exact", "network", "classes", "conditional"}
NO_NUMBERS = ("meta tensors", "item()", "data-dependent", "nonzero")
"""What an error says if a method looks at numbers, which tensors on "meta" do not have."""


def world(subject: ComponentUnderTest) -> GuidedWorld:
    """The guidance on the kit's first process."""
    return GuidedWorld(subject, subject.partners[0])


@check("guidance", alone_in=USABLE)
def passes_on_what_a_model_has(subject: ComponentUnderTest) -> None:
    """The guided model has the process and the shape of the model, a mean and variance that fit, and is a wrapper.

    A wrapper has the attribute `inner` (`difrun.model.ModelWrapper`). A guidance that is off may return the model.
    """
    here = world(subject)
    guided, model = here.guided, here.model
    if guided is model:
        return
    ensure(
        getattr(guided, "process", None) is here.process,
        "another process than the model's",
        "the same object",
    )
    ensure_equal(tuple(getattr(guided, "shape", ())), model.shape, "the shape of an example")
    for name in ("mean", "var"):
        value = torch.as_tensor(getattr(guided, name))
        ensure_finite(value, f"the {name} of the guided model")
        fits = value.ndim == 0 or tuple(value.shape) == tuple(model.shape)
        ensure(fits, f"a {name} of shape {tuple(value.shape)}", f"() or {tuple(model.shape)}")
    ensure(
        (torch.as_tensor(guided.var) > 0).any(),
        "a variance of 0",
        "that of the data, to which the prior is matched",
    )
    ensure(hasattr(guided, "inner"), f"{type(guided).__name__} has no `inner`", "a difrun.model.ModelWrapper")
    ensure(guided.kind in PREDICTIONS, f"kind = {guided.kind!r}", f"one of {', '.join(PREDICTIONS)}")


@check("guidance", alone_in=USABLE)
def predicts_finite_numbers_of_every_kind(subject: ComponentUnderTest) -> None:
    """Every kind of prediction is finite and has the shape and dtype of x, at both ends of time and between.

    Also on a rectified flow, at whose end nothing of the data is left: there for x̂_0, noise and velocity.
    """
    for process in dict.fromkeys((subject.partners[0], subject.vanishing[-1])):
        here = GuidedWorld(subject, process)
        guided = of_rows(here.guided)
        for t in (process.t_min, spread_times(process, 3)[1], process.horizon):
            at = process.at(t)
            kinds = PREDICTIONS if at.alpha > 0 else ("x0", "noise", "velocity")
            for dtype in (torch.float32, torch.float64):
                x = here.x(t).to(dtype)
                for kind in kinds:
                    got = guided.predict(x, at, kind)
                    what = f"{kind} on {name_of(process)} at t = {t:.6g}"
                    ensure_equal(tuple(got.shape), tuple(x.shape), f"the shape of {what}")
                    ensure_equal(got.dtype, dtype, f"the dtype of {what}")
                    ensure_finite(got, what)


@check("guidance", alone_in=USABLE)
def predicts_what_it_says(subject: ComponentUnderTest) -> None:
    """`forward` gives the prediction of `kind`, and all kinds come from one pair x̂_0 and ε̂ of x = α x̂_0 + σ ε̂.

    In float64, to 1e-6, for one time and for a batch of times.
    """
    here = world(subject)
    guided, process = of_rows(here.guided), here.process
    for t in spread_times(process, 4):
        at, x = process.at(t), here.x(t)
        batch = process.at(torch.full((len(x),), t, dtype=torch.float64), 2)
        x0, noise = guided.predict(x, at, "x0"), guided.predict(x, at, "noise")
        where = f"at t = {t:.6g}"
        for kind, row in PREDICTIONS.items():
            a, b = row(at)
            scale = (
                abs(a) * (x0.abs().max() + x.abs().max() / at.alpha) + abs(b) * (noise.abs().max() + 1) + 1e-9
            )
            got = guided.predict(x, at, kind)
            ensure_close(
                got / scale, (a * x0 + b * noise) / scale, f"{kind} {where}, over its size,", atol=1e-6
            )
            many = guided.predict(x, batch, kind)
            ensure_close(many / scale, got / scale, f"{kind} {where} for a batch of times", atol=1e-6)
            if kind == guided.kind:
                direct = guided(x, at)
                ensure_close(
                    direct / scale, got / scale, f"forward {where}, against {kind}, its kind", atol=1e-9
                )
        together = at.alpha * x0 + at.sigma * noise
        ensure_close(together, x, f"α x̂_0 + σ ε̂ {where}", rtol=1e-6, atol=1e-6 * float(x.abs().max()))


@check("guidance", alone_in=USABLE)
def guides_each_row_by_itself(subject: ComponentUnderTest) -> None:
    """The prediction for a row does not depend on the rows beside it, nor on their times, to 1e-5."""
    here = world(subject)
    times = torch.tensor(spread_times(here.process, 6), dtype=torch.float64)
    x = torch.cat([here.x(float(t))[i : i + 1] for i, t in enumerate(times)])
    together = of_rows(here.guided).predict(x, here.process.at(times, 2), "x0")
    for i, t in enumerate(times):
        own = of_rows(here.guided, LABELS[i : i + 1]).predict(x[i : i + 1], here.process.at(float(t)), "x0")
        ensure_close(
            together[i : i + 1],
            own,
            f"x̂_0 at t = {t:.6g} among other times, against that alone",
            rtol=1e-5,
            atol=1e-5,
        )
    for t in spread_times(here.process, 3):
        at, x = here.process.at(t), here.x(t)
        whole = of_rows(here.guided).predict(x, at, "x0")
        alone = torch.cat(
            [of_rows(here.guided, LABELS[i : i + 1]).predict(x[i : i + 1], at, "x0") for i in range(len(x))]
        )
        ensure_close(
            whole, alone, f"x̂_0 of a batch at t = {t:.6g}, against that of each row", rtol=1e-5, atol=1e-5
        )


@check("guidance", alone_in=USABLE)
def changes_nothing_but_the_score(subject: ComponentUnderTest) -> None:
    """A prediction is the same every time; x, the model and global random states stay as they were."""
    here = world(subject)
    t = spread_times(here.process, 3)[1]
    at, x = here.process.at(t), here.x(t)
    before, plain = x.clone(), of_rows(here.model).predict(x, at, "x0")
    moments = [torch.as_tensor(value).clone() for value in (here.model.mean, here.model.var)]
    with global_randomness_untouched():
        guided = of_rows(here.guided)
        first, again = (guided.predict(x, at, "x0") for _ in range(2))
    ensure_equal(x, before, "x, after the prediction,")
    ensure_equal(again, first, "a second prediction at the same x")
    ensure_equal(
        of_rows(here.model).predict(x, at, "x0"), plain, "the prediction of the model that is guided"
    )
    for name, value in zip(("mean", "var"), moments, strict=True):
        ensure_equal(
            torch.as_tensor(getattr(here.model, name)), value, f"the {name} of the model that is guided"
        )


@check("guidance", alone_in=USABLE)
def guides_where_its_tensors_are(subject: ComponentUnderTest) -> None:
    """Predictions of x on the device "meta" are there, where a tensor made on the CPU raises."""
    here = world(subject)
    at = here.process.at(spread_times(here.process, 3)[1])
    x = torch.empty(6, 2, device="meta", dtype=torch.float64)
    try:
        got = of_rows(here.guided).predict(x, at, "x0")
    except (NotImplementedError, RuntimeError) as error:
        if subject.entry.asks_for("context"):
            raise NotTried(f"it computes on the device of its context: {in_one_line(error)}") from error
        if isinstance(error, NotImplementedError) or any(word in str(error) for word in NO_NUMBERS):
            raise NotTried(
                f"it looks at numbers, which tensors on 'meta' do not have: {in_one_line(error)}"
            ) from error
        raise RuleBroken(in_one_line(error), "tensors made on the device of x alone") from error
    ensure(got.is_meta, f"a prediction on '{got.device}'", "on 'meta', where x is")


@check("guidance", alone_in=USABLE)
def guides_in_the_precision_of_x(subject: ComponentUnderTest) -> None:
    """In float64 a change of x by 1e-10 changes x̂_0 as one by 1e-7 does, in proportion, to 1 %."""
    here = world(subject)
    t = spread_times(here.process, 3)[1]
    at, x = here.process.at(t), here.x(t)
    plain = of_rows(here.guided).predict(x, at, "x0")
    small, large = (
        (of_rows(here.guided).predict(x + change, at, "x0") - plain) / change for change in (1e-10, 1e-7)
    )
    ensure_in_proportion(small, large, "a change by 1e-10")


@check("guidance", alone_in=USABLE)
def can_be_sampled(subject: ComponentUnderTest) -> None:
    """Samples of the guided model are finite and keep no graph, with gradients switched off as in every run."""
    here = world(subject)
    times = spread_times(here.process, 8)[::-1]
    labels = LABELS if here.guided.classes else None
    x = generate(Euler(), here.guided, 6, times, seed=1, labels=labels)
    ensure_finite(x, "samples in 7 steps of Euler's method")
    ensure(not x.requires_grad, "samples that require a gradient", "samples without a graph")


@check("guidance", alone_in=USABLE, once=True)
def is_off_where_it_says(subject: ComponentUnderTest) -> None:
    """With the option values that `Component.off` names, the guided model is the model, bit for bit.

    That is its prediction of the guidance's kind, and the mean and variance to which the prior is matched.
    """
    off = subject.entry.component.off
    if not off:
        raise NotTried("it declares no option values at which it is off (Component.off)")
    here = world(subject)
    options = subject.entry.component.options(**off)
    quiet = here.make(values(options))
    model = here.model.condition_on(LABELS) if quiet.classes else here.model
    guided = of_rows(quiet)
    for t in spread_times(here.process, 4):
        at, x = here.process.at(t), here.x(t)
        got, expected = guided.predict(x, at, guided.kind), model.predict(x, at, guided.kind)
        ensure_equal(
            got, expected, f"{guided.kind} at t = {t:.6g} with {_written(off)}, against the model's,"
        )
    for name, got, expected in zip(("mean", "variance"), guided.moments(), model.moments(), strict=True):
        same = torch.as_tensor(got), torch.as_tensor(expected)
        ensure_equal(*same, f"the {name} to which the prior is matched, with {_written(off)},")


def _written(off: Any) -> str:
    return ", ".join(f"{name} = {value!r}" for name, value in off.items())


@check("guidance", alone_in=USABLE)
def leads_towards_its_class(subject: ComponentUnderTest) -> None:
    """The score for one class less that for the other points from the one to the other, as with the exact models.

    Its component along the difference of the exact scores is not negative, on average over points. A wrong sign of the
    gradient is found here.
    """
    here = world(subject)
    if not here.guided.classes:
        raise NotTried("it does not guide to the class of each row")
    every, first, second = (torch.full_like(LABELS, label) for label in (-1, 0, 1))
    for t in spread_times(here.process, 6)[1:-1]:
        at, x = here.process.at(t), here.x(t)
        plain, unled = (model.condition_on(every).predict(x, at, "x0") for model in (here.model, here.guided))
        if not torch.allclose(plain, unled, rtol=1e-6, atol=1e-6):
            raise NotTried("without a class it guides by something else")
        exact, guided = (
            model.condition_on(first).predict(x, at, "score")
            - model.condition_on(second).predict(x, at, "score")
            for model in (here.model, here.guided)
        )
        along = float((guided * exact).sum() / exact.square().sum())
        what = (
            f"at t = {t:.6g} the guided scores of two classes differ by {along:.4g} of what the exact ones do"
        )
        ensure(along > -0.01, what, "at least 0 ± 0.01")


@check("guidance", alone_in=USABLE)
def has_the_exact_score_of_its_class(subject: ComponentUnderTest) -> None:
    """With exact models the score is ∇ log p(x) + c ∇ log p(class | x) with the strength c that it declares.

    To 1e-6 of its size at every row. The decorator `difrun.guidance.towards_class` declares c.
    """
    here = world(subject)
    strength = getattr(subject.target, "class_strength", None)
    if strength is None:
        raise NotTried(
            "it declares no strength with which it leads to a class (difrun.guidance.towards_class)"
        )
    guided, told = of_rows(here.guided), False
    for t in spread_times(here.process, 6)[1:-1]:
        at, x = here.process.at(t), here.x(t)
        c = strength(at.sigma / at.alpha, **values(subject.options))
        if c is None:
            continue
        plain = here.model.predict(x, at, "score")
        gradient = here.model.condition_on(LABELS).predict(x, at, "score") - plain
        size = float(gradient.norm() * (1 + abs(c)) + plain.norm())
        off = float((guided.predict(x, at, "score") - plain - c * gradient).abs().max()) / size
        what = f"the guided score at t = {t:.6g} is off by {off:.3g} of its size"
        ensure(off <= 1e-6, what, f"∇ log p + {c:g} ∇ log p(class | x), as declared, ± 1e-6")
        told = True
    if not told:
        raise NotTried("its strength is not known for these options")
