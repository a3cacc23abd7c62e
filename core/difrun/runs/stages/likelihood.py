"""The likelihood of a run's model on held-out examples, beside what is known of their distribution."""

import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import attrs
import torch
from torch import Tensor

from difrun.analysis.elbo import elbo
from difrun.analysis.entropy import entropy
from difrun.analysis.likelihood import DEFAULT_PROBES, EXACT_DIMENSIONS, log_likelihood
from difrun.data.dataset import Dataset
from difrun.errors import DifrunError
from difrun.model.exact import ExactMixture
from difrun.process.base import ForwardProcess
from difrun.process.gaussian import GaussianProcess
from difrun.randomness.generator import seed_of, torch_generator
from difrun.report.html import number
from difrun.runs.build import grid_times
from difrun.storage import atomic
from difrun.text import listed

if TYPE_CHECKING:
    from difrun.runs.run import Run

Content = dict[str, Any]

CHECKED = 200
"""Examples that are solved a second time with half the steps, which shows the error of the steps."""

ROWS = {
    "nll": ("−log p, probability flow", "of what deterministic samplers draw; lower is better"),
    "nll_bound": ("−log p, bound (ELBO)", "of what stochastic samplers draw: at most this"),
    "entropy": (
        "entropy of the distribution",
        "the mean of −log p under the distribution itself, which no model can beat",
    ),
    "gap": ("gap, probability flow", "how much the model loses: the divergence KL(distribution ‖ model)"),
    "gap_bound": ("gap, bound (ELBO)", "at most this much is lost by stochastic samplers"),
    "gap_train": ("gap on training examples", "below the gap by more than its error: learnt by heart"),
    "gap_noise": ("gap of the noised distribution", "what even the exact model loses, as it ends at t_min"),
}
"""Quantity -> its name and what it means."""


@attrs.frozen
class LikelihoodRequest:
    """How the likelihood is measured: see `difrun.analysis.log_likelihood` and `difrun.analysis.elbo`.

    n: held-out examples, drawn at random; None takes 1000, or all if they are fewer. steps: of the probability flow.
    probes: 0 is the exact divergence; None chooses by the dimension. times: per example, of the bound.
    """

    n: int | None = None
    steps: int = 100
    probes: int | None = None
    times: int = 64


def measure(run: "Run", request: LikelihoodRequest) -> Content:
    r"""What metrics.json says under ``likelihood``; written there.

    Every quantity is {"nats", "nats_error", "bits_per_dim", "bits_per_dim_error"}: a mean over examples with its
    standard error, nats per example and the same divided by d log 2. Densities are those of the user's units: for
    scaled data log p falls by Σ log(scale) over the coordinates (`log_scale`). A run on couples has no bound.

    nll, nll_bound: −log p by the probability flow, and its bound by the ELBO. For data of known distribution also
    `entropy` and the gaps to it, and where that is a mixture `gap_noise`, the gap of the distribution noised to
    t_min. A gap is the mean of log p_distribution − log p over the same examples, so that its error is smaller than
    that of −log p. Raises DifrunError where there is no likelihood, or fewer examples than asked for.
    """
    model, dataset = run.model, run.parts.dataset
    if not isinstance(model.process, GaussianProcess):
        return _of_paths(run, request)
    chosen = _chosen(dataset, request.n, run.plan.seed)
    x, labels = dataset.held_out[chosen].to(run.device), None
    if model.shares and not run.parts.model.shares:
        raise DifrunError(
            "the likelihood of a model that a guidance draws by classes is not known; measure that of the run without."
        )
    if model.shares and dataset.held_out_labels is not None:
        labels = dataset.held_out_labels[chosen]
        model = model.condition_on(labels)
    # An exact model is worth its digits; a network has been trained in float32 and is evaluated so.
    if run.parts.loss is None and run.device.type != "mps":
        x = x.double()
    d, seed = x[0].numel(), seed_of(run.plan.seed, "likelihood")
    # Samples are x_t at t_min divided by α about μ: their density at x is that of x_t, times α^d.
    end, centre = model.process.at(model.process.t_min), model.process.centre_like(x)

    def at_end(x: Tensor) -> Tensor:
        return centre + end.alpha * (x - centre)

    def flow(x: Tensor, steps: int) -> Tensor:
        options: Any = {"steps": steps, "probes": request.probes, "seed": seed}
        found = log_likelihood(model.rows(slice(len(x))), at_end(x), watch=run.sample_report, **options)
        return found.nats.cpu() + d * math.log(end.alpha)

    run.listener.stage("likelihood")
    log_p = flow(x, request.steps)
    # The bound is of the score, and from the velocity that is learnt from couples no score follows.
    bound = None
    if dataset.noise is None:
        run.listener.stage("bound")
        bound = elbo(model, x, times=request.times, seed=seed, watch=run.sample_report).nats.cpu()
    run.listener.stage("half-steps")
    coarse = flow(x[:CHECKED], max(1, request.steps // 2))
    log_scale = 0.0 if dataset.scaling is None else float(dataset.scaling.scale.log().sum())
    found: Content = {
        "n": len(x),
        "dimensions": d,
        "steps": request.steps,
        "probes": (0 if d <= EXACT_DIMENSIONS else DEFAULT_PROBES)
        if request.probes is None
        else request.probes,
        "times": request.times,
        "noise_to_signal": model.process.noise_floor,
        "log_scale": log_scale,
        "half_steps_change": float((log_p[:CHECKED] - coarse).abs().mean()),
        "nll": _mean(log_scale - log_p, d),
    }
    if bound is not None:
        found["nll_bound"] = _mean(log_scale - bound, d)
    x = x.double().cpu()
    if labels is not None:
        found["classes"] = len(dataset.classes)
    known = _distribution(dataset, x, labels)
    if known is not None:
        value, error = _entropy(dataset, labels)
        found["entropy"] = _both(value + log_scale, error, d)
        found["gap"] = _mean(known - log_p, d)
        if bound is not None:
            found["gap_bound"] = _mean(known - bound, d)
    if dataset.distribution is not None and known is not None:
        noised: Any = ExactMixture(dataset.distribution, model.process, dataset.component_labels)
        noised = noised if labels is None else noised.condition_on(labels)
        found["gap_noise"] = _mean(known - noised.log_prob(at_end(x), end) - d * math.log(end.alpha), d)
    content = {**run.folder.read_metrics(), "likelihood": found}
    atomic.write_text(run.folder.metrics, json.dumps(content, indent=2) + "\n")
    return found


def _of_paths(run: "Run", request: LikelihoodRequest) -> Content:
    """The bound of a process that is not Gaussian but has one (`ForwardProcess.bound`), on the grid of the run."""
    process, dataset, plan = run.parts.process, run.parts.dataset, run.plan
    if type(process).bound is ForwardProcess.bound:
        raise DifrunError(
            f"the likelihood needs a Gaussian process, which has a probability flow; '{plan.process.name}' is none."
        )
    if run.model.shares:
        raise DifrunError(
            "the bound of a model of classes is not known for this process; train one without: --train.label-dropout 1."
        )
    given = [
        name
        for name in ("steps", "probes", "times")
        if getattr(request, name) != getattr(LikelihoodRequest(), name)
    ]
    if given:
        raise DifrunError(
            f"{listed([f'--likelihood.{name}' for name in given], ' and ')} cannot be chosen for process "
            f"'{plan.process.name}', whose bound is that of the steps of the run: {plan.sample.steps}. Leave that out."
        )
    x = dataset.held_out[_chosen(dataset, request.n, plan.seed)]
    d, seed = process.coordinates(dataset.shape), seed_of(plan.seed, "likelihood")
    run.listener.stage("bound")
    times = grid_times(plan.grid, run.model, plan.sample.steps)
    bound = process.bound(run.model, x.to(run.device), times, seed).cpu()
    found: Content = {"n": len(x), "dimensions": d, "steps": plan.sample.steps, "log_scale": 0.0}
    found["nll_bound"] = _mean(-bound, d)
    # What is guided is to be of another distribution than the data: a gap to theirs would tell nothing.
    if dataset.log_density is not None and dataset.entropy is not None and not plan.guidance:
        found["entropy"] = _both(dataset.entropy, 0.0, d)
        found["gap_bound"] = _mean(dataset.log_density(x) - bound, d)
        seen = dataset.train[: len(x)]
        found["gap_train"] = _mean(
            dataset.log_density(seen) - process.bound(run.model, seen.to(run.device), times, seed).cpu(), d
        )
    content = {**run.folder.read_metrics(), "likelihood": found}
    atomic.write_text(run.folder.metrics, json.dumps(content, indent=2) + "\n")
    return found


def _distribution(dataset: Dataset, x: Tensor, labels: Tensor | None) -> Tensor | None:
    """log p of the distribution at held-out examples, given their classes if there are any; None where it is not
    known."""
    if labels is None:
        return (
            dataset.distribution.log_prob(x)
            if dataset.distribution is not None
            else dataset.log_density and dataset.log_density(x)
        )
    if dataset.component_labels is None:
        return None
    found = torch.empty(len(x), dtype=x.dtype)
    for label in labels.unique().tolist():
        found[labels == label] = dataset.class_distribution(label).log_prob(x[labels == label])
    return found


def _entropy(dataset: Dataset, labels: Tensor | None) -> tuple[float, float]:
    """The entropy of the distribution and its error; with labels, averaged over the classes of the examples."""
    if dataset.distribution is None:
        assert dataset.entropy is not None  # a dataset that knows its density knows this too
        return dataset.entropy, 0.0
    if labels is None:
        return entropy(dataset.distribution)
    of_class = [entropy(dataset.class_distribution(label)) for label in range(len(dataset.classes))]
    shares = torch.bincount(labels, minlength=len(of_class)).double() / len(labels)
    value = sum(float(share) * mean for share, (mean, _) in zip(shares, of_class, strict=True))
    variance = sum((float(share) * error) ** 2 for share, (_, error) in zip(shares, of_class, strict=True))
    return value, math.sqrt(variance)


def _chosen(dataset: Dataset, n: int | None, seed: int) -> Tensor:
    """The numbers of n held-out examples, drawn at random."""
    held_out = dataset.held_out
    if n is None:
        n = min(1000, len(held_out))
    if not 1 <= n <= len(held_out):
        raise DifrunError(
            f"dataset '{dataset.name}' has {len(held_out)} held-out examples; the likelihood of {n} was asked for "
            "(--likelihood.n). Ask for at most so many."
        )
    return torch.randperm(len(held_out), generator=torch_generator(seed, "likelihood", "examples"))[:n]


def _mean(values: Tensor, d: int) -> dict[str, float]:
    """Mean and standard error."""
    error = float(values.std()) / len(values) ** 0.5 if len(values) > 1 else math.nan
    return _both(float(values.mean()), error, d)


def _both(nats: float, error: float, d: int) -> dict[str, float]:
    """A quantity in nats and in bits per dimension."""
    bits = 1 / (d * math.log(2))
    return {
        "nats": nats,
        "nats_error": error,
        "bits_per_dim": bits * nats,
        "bits_per_dim_error": bits * error,
    }


def table_rows(found: Content) -> list[tuple[str, str, str, str]]:
    """(quantity, nats per example, bits per dimension, meaning), each number with its standard error."""
    told = []
    for key, (name, meaning) in ROWS.items():
        if key in found:
            nats, bits = (
                _with_error(found[key][unit], found[key][f"{unit}_error"])
                for unit in ("nats", "bits_per_dim")
            )
            told.append((name, nats, bits, meaning))
    return told


def sentences(found: Content) -> list[str]:
    """What the numbers are of, and how they were found."""
    d = found["dimensions"]
    if "probes" not in found:
        told = [
            f"Of {found['n']} held-out examples of {d} coordinate{'s' if d > 1 else ''}, in nats per example and bits "
            "per dimension, ± standard error.",
            f"Bound: one path of the forward process per example, on the {found['steps']} steps of the run's own grid; "
            "it is that of ancestral sampling.",
        ]
        if "gap_bound" in found:
            nats, error = (found["gap_bound"][key] / d for key in ("nats", "nats_error"))
            told.append(f"Per coordinate the gap is {_with_error(nats, error)} nats.")
        return told
    probes = found["probes"]
    told = [
        f"Of {found['n']} held-out examples of {d} coordinate{'s' if d > 1 else ''}, in nats per example and bits per "
        "dimension, ± standard error.",
        f"Probability flow: {found['steps']} steps of a fourth-order method, from t_min (noise-to-signal ratio "
        f"{found['noise_to_signal']:g}) to T; half the steps change it by {found['half_steps_change']:.1g} nats. "
        + (
            f"The divergence is estimated with {probes} random probe{'s' if probes > 1 else ''} per example, "
            "whose spread the errors contain."
            if probes
            else "The divergence is exact."
        ),
        f"Bound: {found['times']} times per example, each with a noise and its negative.",
    ]
    if "classes" in found:
        told.append(f"All of it given the class of each example, of {found['classes']}: log p(x | class).")
    if found["log_scale"]:
        told.append(
            "Densities are those of the data's own units: for the scaling of the columns "
            f"{number(found['log_scale'])} nats have been added to −log p."
        )
    if "gap" in found:
        told.append(
            "A gap is the mean over these examples of log p of the distribution minus that of the model, with the "
            "error of that difference."
        )
    return told


def _with_error(value: float, error: float) -> str:
    """``1.234 ± 0.005``, to two digits of the error."""
    if not error > 0:
        return number(float(f"{value:.5g}"))
    places = max(0, 1 - math.floor(math.log10(error)))
    return f"{value:.{places}f} ± {error:.{places}f}".replace("-", "−")


def report_rows(found: Content | None) -> tuple[Sequence[tuple[str, str, str, str]], Sequence[str]]:
    """Rows and sentences for the report; empty where no likelihood has been measured."""
    return (table_rows(found), sentences(found)) if found else ((), ())
