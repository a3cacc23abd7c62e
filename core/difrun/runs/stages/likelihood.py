"""The likelihood of a run's model on held-out examples, beside what is known about their distribution."""

import copy
import json
import math
from typing import TYPE_CHECKING, Any

import attrs
import torch
from torch import Tensor

from difrun.analysis.likelihood import DEFAULT_PROBES, EXACT_DIMENSIONS
from difrun.analysis.lower_bound import elbo
from difrun.analysis.sample_density import density_of_samples, log_alpha_at_end, noiseless_at_end
from difrun.data.dataset import Dataset
from difrun.errors import DifrunError
from difrun.model.base import ScoreModel
from difrun.model.exact import ExactMixture
from difrun.model.exact_conditional import ExactConditional
from difrun.plugin.signatures import Lazy
from difrun.process.base import ForwardProcess
from difrun.process.gaussian import GaussianProcess
from difrun.randomness.generator import seed_of, torch_generator
from difrun.runs.build import grid_times
from difrun.runs.stages.data_density import entropy_of, log_density
from difrun.storage import atomic
from difrun.text import listed

if TYPE_CHECKING:
    from difrun.runs.run import Run


Content = dict[str, Any]
"""What metrics.json holds under ``likelihood``."""

CHECKED = 200
"""Examples that are solved a second time with half the steps, which shows the error of the steps."""


@attrs.frozen
class LikelihoodRequest:
    """How the likelihood is measured: see `difrun.analysis.log_likelihood` and `difrun.analysis.elbo`.

    Attributes:
        n: Held-out examples, drawn at random; None takes 1000, or all if there are fewer.
        steps: Steps of the probability flow.
        probes: Random probes of the divergence; 0 is the exact divergence, None chooses by the dimension.
        times: Times per example in the bound.
    """

    n: int | None = None
    steps: int = 100
    probes: int | None = None
    times: int = 64


def measure(run: "Run", request: LikelihoodRequest) -> Content:
    r"""Measure the likelihood of a run's model on held-out examples, and write it to metrics.json.

    Every quantity is {"nats", "nats_error", "bits_per_dim", "bits_per_dim_error"}: a mean over examples with its
    standard error, in nats per example, and the same divided by d log 2. Densities are in the user's units: for scaled
    data, log p falls by Σ log(scale) over the coordinates (`log_scale`).

    ``nll`` is −log p by the probability flow, and ``nll_bound`` its bound by the ELBO. A model of couples has no bound.
    If the distribution of the data is known, there are also its ``entropy`` and the gaps to it. If the distribution is
    a mixture, there is ``gap_noise``, the gap of the distribution noised to t_min. A gap is the mean of
    log p_distribution − log p over the same examples, so its error is smaller than that of −log p.

    Returns:
        What metrics.json then holds under ``likelihood``.

    Raises:
        DifrunError: If the model has no likelihood, or there are fewer examples than asked for.
    """
    if isinstance(run.model.process, GaussianProcess):
        measured = _of_gaussian_process(run, request)
    else:
        measured = _of_paths(run, request)
    content = {**run.folder.read_metrics(), "likelihood": measured}
    atomic.write_text(run.folder.metrics, json.dumps(content, indent=2) + "\n")
    run.tell("difrun_likelihood", likelihood=Lazy(lambda: copy.deepcopy(measured)), file=run.folder.metrics)
    return measured


def _of_gaussian_process(run: "Run", request: LikelihoodRequest) -> Content:
    """−log p by the probability flow and by the ELBO, and the gaps to the distribution of the data."""
    dataset, listener = run.parts.dataset, run.listener
    chosen = _choose_examples(dataset, request.n, run.plan.seed)
    x = dataset.held_out[chosen].to(run.device)
    model, labels = _conditioned_model(run, chosen)
    # An exact model is evaluated in float64; a network was trained in float32, and is evaluated in float32.
    if run.parts.loss is None and run.device.type != "mps":
        x = x.double()
    d, seed = x[0].numel(), seed_of(run.plan.seed, "likelihood")
    listener.stage("likelihood")
    log_p = _log_p_of_flow(run, model, x, request, request.steps, seed)
    # The bound needs the score, which does not follow from a velocity that was learned from couples.
    bound = None
    if dataset.noise is None:
        listener.stage("bound")
        bound = elbo(model, x, times=request.times, seed=seed, watch=run.likelihood_report).nats.cpu()
    listener.stage("half-steps")
    coarse = _log_p_of_flow(run, model, x[:CHECKED], request, max(1, request.steps // 2), seed)
    log_scale = 0.0 if dataset.scaling is None else float(dataset.scaling.scale.log().sum())
    default_probes = 0 if d <= EXACT_DIMENSIONS else DEFAULT_PROBES
    content: Content = {
        "n": len(x),
        "dimensions": d,
        "steps": request.steps,
        "probes": default_probes if request.probes is None else request.probes,
        "times": request.times,
        "noise_to_signal": model.process.noise_floor,
        "log_scale": log_scale,
        "half_steps_change": float((log_p[:CHECKED] - coarse).abs().mean()),
        "nll": _mean(log_scale - log_p, d),
    }
    if bound is not None:
        content["nll_bound"] = _mean(log_scale - bound, d)
    if labels is not None and dataset.condition is not None:
        content["condition"] = dataset.condition.size
    elif labels is not None:
        content["classes"] = len(dataset.classes)
    return content | _gaps(model.process, dataset, x.double().cpu(), labels, log_p, bound, log_scale)


def _log_p_of_flow(
    run: "Run", model: ScoreModel, x: Tensor, request: LikelihoodRequest, steps: int, seed: int
) -> Tensor:
    """Log p of examples x (n, ...) by the probability flow in some steps: (n,), on the CPU."""
    return density_of_samples(
        model.rows(slice(len(x))),
        x,
        steps=steps,
        probes=request.probes,
        seed=seed,
        watch=run.likelihood_report,
    )


def _conditioned_model(run: "Run", chosen: Tensor) -> tuple[ScoreModel, Tensor | None]:
    """The model given the classes or conditions of the chosen examples, and these; None if it takes none."""
    model, labels = run.model, run.parts.dataset.held_out_labels
    condition = run.parts.dataset.condition
    if model.condition_shape is not None and condition is not None:
        if condition.completes:  # p(x), as no column is given
            return model, None
        return model.condition_on(condition.held_out[chosen]), condition.held_out[chosen]
    if model.shares and not run.parts.model.shares:
        raise DifrunError(
            "the likelihood of a model that a guidance draws by classes is not known; measure a run without guidance."
        )
    if not model.shares or labels is None:
        return model, None
    return model.condition_on(labels[chosen]), labels[chosen]


def _gaps(
    process: GaussianProcess,
    dataset: Dataset,
    x: Tensor,
    labels: Tensor | None,
    log_p: Tensor,
    bound: Tensor | None,
    log_scale: float,
) -> Content:
    """The entropy of the data's distribution and the gaps of the model to it; empty if the distribution is not known.

    log_p, bound: values for the examples x under the model, (n,).
    """
    exact_log_p, d = log_density(dataset, x, labels), x[0].numel()
    if exact_log_p is None:
        return {}
    entropy_nats, error = entropy_of(dataset, labels)
    content = {
        "entropy": _both_units(entropy_nats + log_scale, error, d),
        "gap": _mean(exact_log_p - log_p, d),
    }
    if bound is not None:
        content["gap_bound"] = _mean(exact_log_p - bound, d)
    if dataset.distribution is not None:
        noised: Any = ExactMixture(dataset.distribution, process, dataset.component_labels)
        if labels is not None and dataset.conditional is not None:
            noised = ExactConditional(dataset.conditional, process)
        noised = noised if labels is None else noised.condition_on(labels)
        log_p_noised = noised.log_prob(noiseless_at_end(process, x), process.at(process.t_min))
        content["gap_noise"] = _mean(exact_log_p - log_p_noised - d * log_alpha_at_end(process), d)
    return content


def _of_paths(run: "Run", request: LikelihoodRequest) -> Content:
    """The bound of a process that is not Gaussian but has one (`ForwardProcess.bound`), on the grid of the run."""
    process, dataset, plan = run.parts.process, run.parts.dataset, run.plan
    _refuse_without_bound(run, request)
    x = dataset.held_out[_choose_examples(dataset, request.n, plan.seed)]
    d, seed = process.coordinates(dataset.shape), seed_of(plan.seed, "likelihood")
    run.listener.stage("bound")
    times = grid_times(plan.grid, run.model, plan.sample.steps)
    bound = process.bound(run.model, x.to(run.device), times, seed).cpu()
    content: Content = {"n": len(x), "dimensions": d, "steps": plan.sample.steps, "log_scale": 0.0}
    content["nll_bound"] = _mean(-bound, d)
    # Guided samples are meant to have another distribution than the data, so a gap to the data would say nothing.
    if dataset.log_density is not None and dataset.entropy is not None and not plan.guides:
        content["entropy"] = _both_units(dataset.entropy, 0.0, d)
        content["gap_bound"] = _mean(dataset.log_density(x) - bound, d)
        seen = dataset.train[: len(x)]
        bound_of_seen = process.bound(run.model, seen.to(run.device), times, seed).cpu()
        content["gap_train"] = _mean(dataset.log_density(seen) - bound_of_seen, d)
    return content


def _refuse_without_bound(run: "Run", request: LikelihoodRequest) -> None:
    """Raise DifrunError if the process or the model has no bound, or if the request sets options of another one."""
    plan = run.plan
    if type(run.parts.process).bound is ForwardProcess.bound:
        raise DifrunError(
            f"the likelihood needs a Gaussian process, which has a probability flow; '{plan.process.name}' has none."
        )
    if run.model.shares:
        raise DifrunError(
            "the bound of a model of classes is not known for this process; train without labels: "
            "--train.label-dropout 1."
        )
    default = LikelihoodRequest()
    options = ("steps", "probes", "times")
    flags = [f"--likelihood.{name}" for name in options if getattr(request, name) != getattr(default, name)]
    if flags:
        raise DifrunError(
            f"{listed(flags, ' and ')} cannot be chosen for process '{plan.process.name}', whose bound takes the "
            f"steps of the run: {plan.sample.steps}. Leave that out."
        )


def _choose_examples(dataset: Dataset, n: int | None, seed: int) -> Tensor:
    """The numbers of n held-out examples, drawn at random."""
    held_out = dataset.held_out
    if n is None:
        n = min(1000, len(held_out))
    if not 1 <= n <= len(held_out):
        raise DifrunError(
            f"dataset '{dataset.name}' has {len(held_out)} held-out examples; the likelihood of {n} was asked for "
            f"(--likelihood.n). Ask for at most {len(held_out)}."
        )
    return torch.randperm(len(held_out), generator=torch_generator(seed, "likelihood", "examples"))[:n]


def _mean(values: Tensor, d: int) -> dict[str, float]:
    """Mean and standard error."""
    error = float(values.std()) / len(values) ** 0.5 if len(values) > 1 else math.nan
    return _both_units(float(values.mean()), error, d)


def _both_units(nats: float, error: float, d: int) -> dict[str, float]:
    """A quantity in nats and in bits per dimension."""
    bits = 1 / (d * math.log(2))
    return {
        "nats": nats,
        "nats_error": error,
        "bits_per_dim": bits * nats,
        "bits_per_dim_error": bits * error,
    }
