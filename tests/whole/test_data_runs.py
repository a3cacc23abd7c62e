"""Runs on data of many kinds, from the file or the distribution to the report, against what is known of the data."""

import json
import math
import statistics

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from difrun.sampler import integration

from .support import SMALL, assert_same_result, difrun, facts, samples, without_pictures

HALF = ("--process", "ou", "--process.theta", "0.5", "--process.sigma", "0.5", "--process.horizon", "1")


@pytest.fixture
def first_states(monkeypatch):
    """The states at T from which samples of this test were drawn."""
    seen, original = [], integration.integrate

    def spy(sampler, model, x, *args, **kwargs):
        seen.append(x.clone())
        return original(sampler, model, x, *args, **kwargs)

    monkeypatch.setattr(integration, "integrate", spy)
    return seen


@pytest.mark.parametrize(
    ("flags", "alpha", "variance", "mu"),
    [
        # α = exp(−θT), σ_T² = σ²(1 − α²)/(2θ)
        ((), math.exp(-4), -math.expm1(-8), 0.0),
        (HALF, math.exp(-0.5), -0.25 * math.expm1(-1), 0.0),
        ((*HALF, "--process.mu", "3,-2"), math.exp(-0.5), -0.25 * math.expm1(-1), np.array([3.0, -2.0])),
    ],
)
def test_sampling_starts_from_the_moments_of_the_noised_data(
    tmp_path, first_states, flags, alpha, variance, mu
):
    """x_T ~ N(μ + α(m − μ), α²v + σ_T²), m and v those of the rings: within five standard errors of 20 000 draws."""
    n = 20_000
    metric = ("--metric", "sliced-w2", "--metric.sliced-w2.projections", "1", "--threads", "1")
    small = (*SMALL[2 : SMALL.index("--n")], "--steps", "1", "--grid", "logsnr", *metric)
    with without_pictures():
        difrun(
            "run", *small, *flags, "--train.steps", 1, "--n", n, "--chunk", 7000, "--out", tmp_path / "run"
        )
    from difrun import reopen

    data = reopen(tmp_path / "run").parts.dataset.train.double().numpy()
    x = torch.cat(first_states).double().numpy()
    assert x.shape == (n, 2)
    var = alpha**2 * data.var(0) + variance
    assert np.all(np.abs(x.mean(0) - (mu + alpha * (data.mean(0) - mu))) < 5 * np.sqrt(var / n))
    assert np.all(np.abs(x.var(0) / var - 1) < 5 * math.sqrt(2 / n))


def test_a_run_with_much_signal_left_says_so(tmp_path):
    """θ = σ = ½, T = 1 on the rings: 70 % of the amplitude of x_T is data.

    The prior has the mean and the variance of x_T, not its shape. What the flow makes of that is, over seeds and
    lengths of training, a mean at most 0.15 from the data's (standard error 0.02 included) and standard deviations
    within 15 %.
    """
    run = tmp_path / "run"
    sizes = ("--train.steps", 300, "--train.batch", 128, "--model.width", 32, "--n", 4000, "--steps", 10)
    with without_pictures():
        difrun("run", *HALF, *sizes, "--metric", "sliced-w2", "--threads", 1, "--out", run)
    from difrun import reopen

    data = reopen(run).parts.dataset.train.double().numpy()
    s2, alpha2 = data.var(0).mean(), math.exp(-1)
    sigma2 = 0.25 * (1 - alpha2)
    signal = facts(run)["signal"]
    assert signal["horizon"] == 1
    assert signal["alpha"] == pytest.approx(math.sqrt(alpha2), rel=1e-6)
    assert signal["sigma"] == pytest.approx(math.sqrt(sigma2), rel=1e-6)
    assert signal["snr"] == pytest.approx(alpha2 * s2 / sigma2, rel=1e-5)
    assert signal["correlation"] == pytest.approx(math.sqrt(alpha2 * s2 / (alpha2 * s2 + sigma2)), rel=1e-5)
    report = (run / "report.html").read_text(encoding="utf-8")
    assert f"At T = 1 the correlation of x_T with the data is {signal['correlation']:.2g}" in report
    assert "much of the signal is left" in report
    assert "moment-matched prior" in report
    x = samples(run).astype(float)
    assert np.all(np.abs(x.mean(0) - data.mean(0)) < 0.15)
    assert np.all(np.abs(x.std(0) / data.std(0) - 1) < 0.15)


def test_columns_of_very_different_scales_come_back_in_their_units(tmp_path, monkeypatch):
    """A .csv with a header and five columns, from 10⁻⁷ to 10⁴ wide, through to the report.

    The distribution is normal: column b is a/1.28 + noise in standard units, the rest independent. After so short a
    training the means are right to 0.1 and the standard deviations to 0.15 of a column's own (over seeds at
    most 0.04 and 0.09), correlations to 0.1. Training sees 1600 of the rows: its own error is 0.025.
    """
    monkeypatch.chdir(tmp_path)
    z = np.random.default_rng(5).normal(size=(2000, 5))
    z[:, 1] = (0.8 * z[:, 0] + z[:, 1]) / math.hypot(0.8, 1)
    centre, width = np.array([1e6, 0, -3e-6, 5, 200]), np.array([1e4, 1e-3, 1e-7, 1, 30])
    names = ("price", "a drift", "charge", "count", "mass (kg)")
    np.savetxt("points.csv", centre + width * z, delimiter=",", header=",".join(names), comments="")
    sizes = ("--train.steps", 600, "--train.batch", 256, "--model.width", 32, "--n", 4000, "--steps", 20)
    difrun("--dataset", "points.csv", *sizes, "--metric", "sliced-w2", "--threads", 1, "--out", "run")
    run = tmp_path / "run"
    with np.load(run / "samples.npz", allow_pickle=False) as file:
        assert tuple(file["columns"]) == names
    x = (samples(run).astype(float) - centre) / width
    assert np.all(np.abs(x.mean(0)) < 0.1)
    assert np.all(np.abs(x.std(0) - 1) < 0.15)
    np.testing.assert_allclose(np.corrcoef(x.T), np.corrcoef(z.T), atol=0.1)
    # Metrics are in standardised units, where every column counts alike: the samples are near their floor.
    metric = facts(run)["metrics"]["sliced-w2"]
    assert metric["value"] < 1.5 * metric["floor"]
    pictures = {path.name for path in run.iterdir() if path.suffix in (".png", ".gif")}
    assert pictures == {"samples.png", "forward.gif", "reverse.gif", "flow.png", "loss.png"}
    # The folder is enough from any other place.
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    difrun("sample", run, "--n", 20, "--seed", 0, "--out", "more.npz")
    np.testing.assert_allclose(samples(tmp_path / "elsewhere", "more.npz"), samples(run)[:20], rtol=1e-4)


def test_data_on_the_line_through_to_the_report(tmp_path):
    """bimodal-1d with its exact model: weights ¼ and ¾, peaks at ∓1 of width ¼, within five standard errors."""
    run, n = tmp_path / "run", 4000
    flags = ("--dataset", "bimodal-1d", "--dataset.weight", "0.25", "--model", "exact", "--steps", 60)
    difrun("run", *flags, "--n", n, "--metric", "sliced-w2", "--out", run)
    assert {path.name for path in run.iterdir()} == {
        *("run.toml", "samples.npz", "metrics.json", "report.html"),
        *("samples.png", "forward.gif", "reverse.gif", "paths.png", "density.png", "score.png"),
    }
    x = samples(run).astype(float)
    assert x.shape == (n, 1)
    right = x[x > 0]
    # P(x > 0) = ¾Φ(4) + ¼Φ(−4), both tails below 10⁻⁴.
    assert abs(len(right) / n - 0.75) < 5 * math.sqrt(0.75 * 0.25 / n) + 1e-4
    assert abs(right.mean() - 1) < 5 * 0.25 / math.sqrt(len(right))
    assert abs(right.std() / 0.25 - 1) < 5 / math.sqrt(2 * len(right))


def test_examples_of_more_axes_through_to_the_report(tmp_path, monkeypatch):
    """(N, 2, 3) means examples of shape (2, 3), each entry scaled for itself; the samples have that shape."""
    monkeypatch.chdir(tmp_path)
    width = np.arange(1, 7).reshape(2, 3) * 10.0
    data = 100 + width * np.random.default_rng(3).normal(size=(500, 2, 3))
    np.save("blocks.npy", data)
    sizes = ("--train.steps", 300, "--train.batch", 128, "--model.width", 32, "--n", 1000, "--steps", 10)
    difrun("--dataset", "blocks.npy", *sizes, "--metric", "energy", "--threads", 1, "--out", "run")
    x = samples(tmp_path / "run").astype(float)
    assert x.shape == (1000, 2, 3)
    # As above; the training's 400 rows add an error of 0.05 to the means and 0.035 to the standard deviations.
    assert np.abs((x.mean(0) - data.mean(0)) / width).max() < 0.25
    assert np.abs(x.std(0) / data.std(0) - 1).max() < 0.25
    assert (tmp_path / "run" / "report.html").is_file()


def test_the_exact_model_is_at_the_floor_of_its_metric(tmp_path):
    """blobs without training: each blob has its weight and variance, and sliced-w2 is that of real data.

    The reference: the same number for 12 sets drawn from the distribution itself. Its mean and standard deviation are
    known to a third; the run's may lie four of them above.
    """
    from difrun import reopen
    from difrun.metric import measure
    from difrun.metric.distances import sliced_w2
    from difrun.randomness import seed_of, torch_generator

    run, n = tmp_path / "run", 2000
    flags = ("--metric", "sliced-w2", "--metric.sliced-w2.projections", 32, "--steps", 60, "--n", n)
    with without_pictures():
        said = difrun("run", "--model", "exact", "--dataset", "blobs", *flags, "--out", run)
    assert "Training" not in said
    assert "training" not in facts(run)
    assert not (run / "model.safetensors").exists()

    x = samples(run).astype(float)
    side = np.sign(x.sum(1))[:, None]
    assert abs(side.mean()) < 5 / math.sqrt(n)
    near = x - 2 * side
    assert np.all(np.abs(near.mean(0)) < 5 * math.sqrt(0.1 / n))
    assert np.all(np.abs(near.var(0) / 0.1 - 1) < 5 * math.sqrt(2 / n))
    assert abs(np.corrcoef(near.T)[0, 1]) < 5 / math.sqrt(n)

    dataset = reopen(run).parts.dataset
    seed = seed_of(0, "metrics")
    real = [
        measure(sliced_w2, dataset.fresh(n, torch_generator(k, "real")), dataset, seed=seed, projections=32)
        for k in range(12)
    ]
    found = json.loads((run / "metrics.json").read_text(encoding="utf-8"))["metrics"]["sliced-w2"]
    assert all(found["floor"] == numbers["sliced-w2"]["floor"] for numbers in real)
    values = [numbers["sliced-w2"]["value"] for numbers in real]
    assert found["value"] < statistics.fmean(values) + 4 * statistics.stdev(values), (found, values)


def test_a_run_keeps_the_examples_of_a_file_that_changes(tmp_path, monkeypatch):
    """Moved or edited, the file no longer matters: samples, metrics and pictures come from the folder alone."""
    monkeypatch.chdir(tmp_path)
    rows = np.random.default_rng(0).normal(3, 2, (300, 2))
    np.save("points.npy", rows)
    difrun("--dataset", "points.npy", *SMALL[2:], "--out", "run")
    before = facts(tmp_path / "run")
    np.save("points.npy", 10 * rows)
    difrun("sample", "run", "--n", 50, "--steps", 5, "--seed", 0, "--out", "edited.npz")
    (tmp_path / "points.npy").unlink()
    difrun("sample", "run", "--n", 50, "--steps", 5, "--seed", 0, "--out", "gone.npz")
    np.testing.assert_array_equal(samples(tmp_path, "edited.npz"), samples(tmp_path, "gone.npz"))
    np.testing.assert_array_equal(samples(tmp_path, "gone.npz"), samples(tmp_path / "run")[:50])
    difrun("evaluate", "run")
    assert facts(tmp_path / "run") == before
    (tmp_path / "run" / "report.html").unlink()
    difrun("report", "run")
    assert (tmp_path / "run" / "report.html").is_file()


def test_a_run_is_repeated_without_the_users_file(tmp_path, monkeypatch):
    """From its run.toml alone, bit for bit; another seed or dataset needs the file, which a message names."""
    monkeypatch.chdir(tmp_path)
    np.save("points.npy", np.random.default_rng(7).normal(size=(300, 2)) * [1e3, 1e-3])
    with without_pictures():
        difrun("--dataset", "points.npy", *SMALL, "--out", "run")
        (tmp_path / "points.npy").unlink()
        said = difrun("run", "--config", "run/run.toml", "--out", "again")
    assert "Note: the examples are those saved in run; with --dataset they are made or read again" in said
    assert_same_result(tmp_path / "run", tmp_path / "again")
    # The repeat keeps them as well.
    kept, again = (load_file(tmp_path / name / "data.safetensors") for name in ("run", "again"))
    assert kept.keys() == again.keys() >= {"train", "held_out", "shift", "scale"}
    assert all(np.array_equal(kept[name], again[name]) for name in kept)
    for other in (("--seed", 3), ("--dataset.held-out", "0.4"), ("--dataset", "points.npy")):
        said = difrun("run", "--config", "run/run.toml", *other, "--out", "other", code=1)
        assert "points.npy' does not exist" in said
    assert not (tmp_path / "other").exists()
