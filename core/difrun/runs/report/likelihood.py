"""The likelihood of a run in rows and sentences, for the report and the command line."""

import math
from collections.abc import Sequence

from difrun.report.html import number
from difrun.runs.stages.likelihood import Content

ROWS = {
    "nll": ("−log p, probability flow", "under deterministic sampling; lower is better"),
    "nll_bound": ("−log p, bound (ELBO)", "under stochastic sampling: at most this"),
    "entropy": (
        "entropy of the distribution",
        "the mean of −log p under the distribution itself, which no model can beat",
    ),
    "gap": ("gap, probability flow", "how much the model loses: the divergence KL(distribution ‖ model)"),
    "gap_bound": ("gap, bound (ELBO)", "at most this much is lost by stochastic samplers"),
    "gap_train": ("gap on training examples", "if it is below the gap by more than its error: memorised"),
    "gap_noise": (
        "gap of the noised distribution",
        "what even the exact model loses, because it ends at t_min",
    ),
}
"""Quantity -> its name and what it means."""


def table_rows(facts: Content) -> list[tuple[str, str, str, str]]:
    """Return (quantity, nats per example, bits per dimension, meaning), each number with its standard error."""
    rows = []
    for key, (name, meaning) in ROWS.items():
        if key in facts:
            quantity = facts[key]
            nats = _with_error(quantity["nats"], quantity["nats_error"])
            bits = _with_error(quantity["bits_per_dim"], quantity["bits_per_dim_error"])
            rows.append((name, nats, bits, meaning))
    return rows


def sentences(facts: Content) -> list[str]:
    """Say which examples the numbers are for, and how they were computed."""
    d = facts["dimensions"]
    examples = (
        f"Of {facts['n']} held-out examples of {d} coordinate{'s' if d > 1 else ''}, in nats per example and bits per "
        "dimension, ± standard error."
    )
    if "probes" in facts:
        return [examples, *_of_flow_and_elbo(facts)]
    notes = [
        examples,
        f"Bound: one path of the forward process per example, on the {facts['steps']} steps of the run's own grid. It "
        "holds for ancestral sampling.",
    ]
    if "gap_bound" in facts:
        nats, error = (facts["gap_bound"][key] / d for key in ("nats", "nats_error"))
        notes.append(f"Per coordinate the gap is {_with_error(nats, error)} nats.")
    return notes


def _of_flow_and_elbo(facts: Content) -> list[str]:
    """How the numbers of a Gaussian process were computed."""
    probes = facts["probes"]
    divergence = "The divergence is exact."
    if probes:
        divergence = (
            f"The divergence is estimated with {probes} random probe{'s' if probes > 1 else ''} per example, "
            "whose variation the errors include."
        )
    notes = [
        f"Probability flow: {facts['steps']} steps of a fourth-order method, from t_min (noise-to-signal ratio "
        f"{facts['noise_to_signal']:g}) to T; half the steps change it by {facts['half_steps_change']:.1g} nats. "
        f"{divergence}",
        f"Bound: {facts['times']} times per example, each with a noise and its negative.",
    ]
    if "classes" in facts:
        notes.append(
            f"All numbers are given the class of each example, one of {facts['classes']}: log p(x | class)."
        )
    if facts["log_scale"]:
        notes.append(
            "Densities are in the data's own units: for the scaling of the columns "
            f"{number(facts['log_scale'])} nats have been added to −log p."
        )
    if "gap" in facts:
        notes.append(
            "A gap is the mean over these examples of log p under the distribution minus log p under the model, with "
            "the standard error of that difference."
        )
    return notes


def _with_error(value: float, error: float) -> str:
    """``1.234 ± 0.005``, to two digits of the error."""
    if not error > 0:
        return number(float(f"{value:.5g}"))
    if not (math.isfinite(value) and 1e-9 < error < 1e9 and abs(value) < 1e15):
        return f"{number(float(f'{value:.5g}'))} ± {error:.2g}"
    places = max(0, 1 - math.floor(math.log10(error)))
    return f"{value:.{places}f} ± {error:.{places}f}".replace("-", "−")


def report_rows(facts: Content | None) -> tuple[Sequence[tuple[str, str, str, str]], Sequence[str]]:
    """Return rows and sentences for the report; empty if no likelihood has been measured."""
    return (table_rows(facts), sentences(facts)) if facts else ((), ())
