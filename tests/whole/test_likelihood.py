"""`difrun evaluate RUN --likelihood`: every process with the exact score, units, words, and what is kept."""

import math
from unittest import mock

import numpy as np
import pytest
import torch

from difrun.analysis import log_likelihood
from difrun.data.toy import blobs
from difrun.model import ExactMixture
from difrun.plugin import get_registry

from .support import SMALL, difrun, facts, without_pictures

PROCESSES = ("ou", "vp", "ve", "ddpm", "edm", "flow")
EXACT = ("--model", "exact", "--n", "50", "--steps", "3", "--metric", "sliced-w2", "--threads", "1")


def run(folder, *flags):
    with without_pictures():
        difrun("run", *flags, "--out", folder, "--quiet")
    return folder


def likelihood(folder, *flags):
    said = difrun("evaluate", folder, "--likelihood", *flags, "--quiet")
    return facts(folder)["likelihood"], said


@pytest.mark.parametrize("process", PROCESSES)
def test_the_exact_score_reaches_the_entropy_on_every_process(tmp_path, process):
    """Blobs: log p is right to 1e-4 nats on average, and no gap is left.

    The flow: against the distribution noised to t_min (`gap_noise`), on the same examples. What differs beyond 1e-4
    is the moment-matched normal at T, right on average, 1.1e-3 on a single example. The bound: within 5 standard
    errors of 0.
    """
    folder = run(tmp_path / "run", "--process", process, "--dataset", "blobs", *EXACT)
    few = () if process == "ou" else ("--likelihood.n", "250")
    found, _ = likelihood(folder, *few)
    assert found["n"] == (250 if few else 1000)
    assert abs(found["gap"]["nats"] - found["gap_noise"]["nats"]) < 1e-4 + 5 * 1.2e-3 / found["n"] ** 0.5
    assert abs(found["gap"]["nats"]) < 5 * found["gap"]["nats_error"] + 1e-4
    assert found["gap_bound"]["nats_error"] < 0.03 * (1000 / found["n"]) ** 0.5
    # At most KL(p_T ‖ prior) = 5e-4 remains of the bound.
    assert abs(found["gap_bound"]["nats"]) < 5 * found["gap_bound"]["nats_error"] + 1e-3
    entropy = math.log(2) + math.log(2 * math.pi * math.e * 0.1)
    assert found["entropy"]["nats"] == pytest.approx(entropy, abs=1e-6)
    assert found["entropy"]["nats_error"] == 0
    assert abs(found["nll"]["nats"] - entropy) < 5 * found["nll"]["nats_error"]
    assert found["half_steps_change"] < 1e-4


@pytest.mark.parametrize("name", PROCESSES)
def test_single_examples_are_right_from_the_exact_end(name):
    """Blobs noised to t_min, 200 of them: |log p − that of the exact distribution| below 1e-6 on average, from the
    exact p_T.

    That is the error of the 100 steps alone: what the moment-matched normal at T adds, up to 0.006, is not in it.
    """
    process, distribution = get_registry().get("process", name).load()(), blobs(seed=0).distribution
    model, random = ExactMixture(distribution, process), torch.Generator().manual_seed(0)
    x = process.sample(distribution.sample(200, random), process.t_min, random)
    start, end = process.at(process.horizon), process.at(process.t_min)
    found = log_likelihood(model, x, steps=100, prior=lambda x: model.log_prob(x, start)).nats
    assert x.dtype == torch.float64
    assert (found - model.log_prob(x, end)).abs().mean() < 1e-6


def test_rings_have_their_entropy_and_numbers_agree(tmp_path):
    """−0.81816 nats; bits per dimension are nats/(2 log 2) throughout; the gap is −log p minus that of the
    distribution."""
    folder = run(tmp_path / "run", "--process", "edm", "--dataset", "rings", *EXACT)
    found, _ = likelihood(folder, "--likelihood.n", "100", "--likelihood.times", "16")
    assert found["entropy"]["nats"] == pytest.approx(-0.8181564, abs=1e-6)
    assert (found["n"], found["times"], found["steps"], found["probes"]) == (100, 16, 100, 0)
    for quantity in ("nll", "nll_bound", "entropy", "gap", "gap_bound", "gap_noise"):
        numbers = found[quantity]
        for name in ("", "_error"):
            bits = numbers[f"nats{name}"] / (2 * math.log(2))
            assert numbers[f"bits_per_dim{name}"] == pytest.approx(bits, rel=1e-12)
    own = found["nll"]["nats"] - found["gap"]["nats"]  # −log p of the distribution itself on these examples
    assert own == pytest.approx(found["nll_bound"]["nats"] - found["gap_bound"]["nats"], abs=1e-9)
    assert abs(own + 0.8181564) < 5 * found["nll"]["nats_error"]


def test_a_distribution_that_is_no_mixture_has_its_entropy_too(tmp_path):
    """The checkerboard is uniform on an area of 8: entropy log 8, and every example has −log p = log 8."""
    flags = ("--model", "empirical", "--dataset.n", "500", *EXACT[2:])
    folder = run(
        tmp_path / "run",
        "--process",
        "edm",
        "--dataset",
        "checkerboard",
        "--process.noise-floor",
        "0.2",
        *flags,
    )
    found, said = likelihood(folder, "--likelihood.n", "100", "--likelihood.steps", "40")
    assert found["entropy"]["nats"] == pytest.approx(math.log(8))
    assert "gap_noise" not in found
    assert "gap of the noised distribution" not in said
    assert found["nll"]["nats"] - found["gap"]["nats"] == pytest.approx(math.log(8), abs=1e-9)
    # 500 examples blurred by 0.2: a density that is positive everywhere on the board, and worse than the distribution.
    assert 5 * found["gap"]["nats_error"] < found["gap"]["nats"] < 2


def test_densities_are_those_of_the_users_units(tmp_path, monkeypatch):
    """Columns 1024 and 2^−4 times as large: the same run, and −log p larger by log 2^10 + log 2^−4, exactly.

    And log p is that of the standardised columns less the logarithms of their scales.
    """
    monkeypatch.chdir(tmp_path)
    x = np.random.default_rng(0).normal([3.0, -1.0], [2.0, 0.5], (400, 2)).astype(np.float32)
    found = {}
    for name, factor in (("plain", [1, 1]), ("scaled", [2**10, 2**-4])):
        np.save(f"{name}.npy", x * np.array(factor, dtype=np.float32))
        run(name, *SMALL, "--process", "edm", "--dataset", f"{name}.npy")
        found[name], said = likelihood(tmp_path / name, "--likelihood.n", "50")
        assert "Densities are in the data's own units: for the scaling of the columns" in said
        assert "gap" not in found[name]
    for quantity in ("nll", "nll_bound"):
        change = found["scaled"][quantity]["nats"] - found["plain"][quantity]["nats"]
        assert change == pytest.approx(6 * math.log(2), abs=1e-6)
        assert found["scaled"][quantity]["nats_error"] == pytest.approx(
            found["plain"][quantity]["nats_error"]
        )
    from difrun import reopen
    from difrun.randomness import torch_generator

    again = reopen(tmp_path / "plain")
    dataset = again.parts.dataset
    order = torch.randperm(len(dataset.held_out), generator=torch_generator(0, "likelihood", "examples"))
    log_p = log_likelihood(again.model, dataset.held_out[order[:50]]).nats
    expected = float((-log_p).mean() + dataset.scaling.scale.log().sum())
    assert found["plain"]["nll"]["nats"] == pytest.approx(expected, abs=1e-5)
    assert found["plain"]["log_scale"] == pytest.approx(math.log(x.std(0).prod()), abs=0.1)
    # The data are two independent normals: a model of 120 steps loses something against their entropy, never gains.
    entropy = 1 + math.log(2 * math.pi) + math.log(2.0 * 0.5)
    assert found["plain"]["nll"]["nats"] > entropy - 5 * found["plain"]["nll"]["nats_error"]


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("likelihood") / "run"
    return run(folder, *SMALL, "--process", "edm", "--dataset", "gmm")


def test_probes_are_used_where_they_are_asked_for(small):
    """A network of two coordinates with 8 probes: the exact −log p, to 5 standard errors of the difference."""
    exact, _ = likelihood(small, "--likelihood.n", "200", "--likelihood.steps", "30")
    found, said = likelihood(
        small, "--likelihood.n", "200", "--likelihood.steps", "30", "--likelihood.probes", "8"
    )
    assert "estimated with 8 random probes per example" in " ".join(said.split())
    assert (exact["probes"], found["probes"]) == (0, 8)
    assert found["nll"]["nats"] != exact["nll"]["nats"]
    # The examples are the same, and so is the bound; the error of the probes alone is below that of −log p.
    assert found["nll_bound"] == exact["nll_bound"]
    assert abs(found["nll"]["nats"] - exact["nll"]["nats"]) < 5 * found["nll"]["nats_error"]


def test_it_is_told_kept_and_reported(small):
    """Printed with its words; other numbers stay; metrics that are measured again leave it; the report has it."""
    before = facts(small)["metrics"]
    found, said = likelihood(small, "--likelihood.n", "50", "--likelihood.steps", "20")
    for words in (
        *(
            "−log p, probability flow",
            "bound (ELBO)",
            "entropy of the distribution",
            "gap of the noised distribution",
        ),
        *("nats per example", "bits per dimension", "Of 50 held-out examples of 2 coordinates"),
        *("20 steps of a fourth-order method", "noise-to-signal ratio 0.002", "The divergence is exact"),
    ):
        assert words in said
    assert "sliced-w2" not in said
    assert facts(small)["metrics"] == before
    said = difrun("evaluate", small, "--quiet")
    assert "sliced-w2" in said
    assert "probability flow" not in said
    assert facts(small)["likelihood"] == found
    both = difrun("evaluate", small, "--metric", "energy", "--likelihood.n", "20", "--quiet")
    assert "energy" in both
    assert "Of 20 held-out examples" in both
    with without_pictures():
        difrun("report", small, "--quiet")
    page = (small / "report.html").read_text(encoding="utf-8")
    assert '<h2 id="likelihood">Likelihood</h2>' in page
    assert "Of 20 held-out examples of 2 coordinates" in page
    assert page.count("−log p, probability flow") == 1


@pytest.mark.parametrize("columns", [80, 200])
def test_it_fits_into_the_terminal_and_says_which_part_is_at_work(small, columns):
    """No line is wider than the terminal, whether the meanings stand in the table or below; three parts are told."""
    with mock.patch("difrun.cli.likelihood.width", return_value=columns):
        said = difrun("evaluate", small, "--likelihood.n", "20", "--likelihood.steps", "4")
    lines = [line for line in said.splitlines() if not line.startswith("Report: ")]
    assert max(map(len, lines)) <= columns
    assert ("meaning" in said) == (columns == 200)
    for words in (
        "gap, probability flow",
        "how much the model loses: the divergence KL(distribution ‖ model)",
        "Likelihood: probability flow ...\n  4/4  steps\n",
        "Likelihood: bound ...\n  20/20  examples\n",
        "Likelihood: probability flow with half the steps ...\n  2/2  steps\n",
    ):
        assert " ".join(words.split()) in " ".join(said.split())


def test_a_run_measures_it_where_it_is_asked_to(tmp_path):
    """At the end, printed and kept; not again when the run is resumed."""
    flags = ("--process", "ou", "--dataset", "blobs", *EXACT, "--process.noise-floor", "0.1")
    folder = tmp_path / "run"
    with without_pictures():
        said = difrun("run", *flags, "--likelihood", "--out", folder, "--quiet")
        found = facts(folder)["likelihood"]
        assert "gap of the noised distribution" in said
        assert "gap of the noised distribution" in difrun("resume", folder, "--quiet")
    assert facts(folder)["likelihood"] == found
    assert found["n"] == 1000


def test_what_cannot_be_measured_is_refused_in_words(small, tmp_path):
    said = difrun("evaluate", small, "--likelihood.n", "10001", code=1)
    assert "has 10000 held-out examples; the likelihood of 10001 was asked for (--likelihood.n)" in said
    assert "0 is not in the range 1<=x<=100000" in difrun(
        "evaluate", small, "--likelihood.steps", "0", code=2
    )
