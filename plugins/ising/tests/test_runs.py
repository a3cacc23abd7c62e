"""Whole runs by the command line: defaults, odd sizes, the original recipe, categories, and refusals."""

import json
import math

import numpy as np
import pytest

from difrun.cli import main
from difrun.config import resolve
from difrun.plugin import Registry

SMALL = ("--threads", "1", "--train.steps", "3", "--train.batch", "16", "--n", "60", "--steps", "4")
FEW = ("--dataset.n", "60", "--dataset.held-out", "40")


def difrun(*arguments, code=0):
    with pytest.raises(SystemExit) as left:
        main([str(a) for a in arguments])
    assert left.value.code if code is None else (left.value.code or 0) == code


@pytest.mark.parametrize(
    "flags",
    [
        (),
        ("--dataset.size", "3"),
        ("--dataset.size", "5,7", "--dataset.boundary", "free"),
        ("--dataset.size", "1", "--dataset.field", "0.3"),
        ("--dataset.size", "4", "--dataset.beta", "0"),
        (
            "--dataset.size",
            "4",
            "--dataset.beta",
            "0.44068679",
            "--process.order",
            "checkerboard",
            "--sampler",
            "heat-bath",
        ),
        ("--dataset.size", "4", "--process.mixing", "absorbing", "--sampler", "flow-euler", "--loss", "elbo"),
        (
            "--dataset.size",
            "4",
            "--process.mixing",
            "0.7",
            "--sampler",
            "tau-leap",
            "--loss",
            "reverse-kernel",
        ),
        (
            "--dataset.size",
            "4",
            "--process.schedule",
            "flips",
            "--process.steps",
            "4",
            "--model",
            "reverse-mlp",
        ),
        ("--dataset.size", "4", "--model", "exact-spins"),
    ],
    ids=["default", "3x3", "5x7", "1", "beta 0", "critical", "masked", "0.7", "recipe", "exact"],
)
def test_lattices_run_to_spins_and_a_gap(flags, tmp_path, monkeypatch, capsys):
    """Samples are ±1 of the right shape, the metric is there, and the gap per spin is that of a distribution: not
    below 0."""
    monkeypatch.setenv("DIFRUN_PLUGINS", "ising")
    small = SMALL[6:] if "exact-spins" in flags else SMALL
    if "exact-spins" in flags:
        small = ("--threads", "1", *small)
    difrun("--process", "ising", *flags, *small, *FEW, "--out", tmp_path / "run")
    with np.load(tmp_path / "run" / "samples.npz") as file:
        assert set(np.unique(file["x"])) <= {-1.0, 1.0}
    difrun("evaluate", tmp_path / "run", "--likelihood")
    facts = json.loads((tmp_path / "run" / "metrics.json").read_text("utf-8"))
    assert "lattice.energy" in facts["metrics"]
    gap = facts["likelihood"]["gap_bound"]
    assert gap["nats"] > -5 * gap["nats_error"] - 1e-9
    if "exact-spins" in flags:  # what the bound has no use for is refused
        difrun("evaluate", tmp_path / "run", "--likelihood.times", "5", code=1)
        assert "whose bound takes the steps of the run" in " ".join(capsys.readouterr().err.split())
    if "reverse-mlp" in flags:
        config = (tmp_path / "run" / "run.toml").read_text("utf-8")
        assert config.count("reverse-kernel") >= 2  # the loss and the sampler that fit


def test_a_run_takes_the_settings_that_suit_spins(monkeypatch, capsys):
    """Settings that the user does not give are those of the process, in the plan and in the help."""
    monkeypatch.setenv("DIFRUN_PLUGINS", "ising")
    registry = Registry.discover()
    plan = resolve({"process": "ising"}, registry=registry)
    assert (plan.train.batch, plan.train.ema, plan.sample.steps, plan.sample.n) == (128, 0.995, 100, 5000)
    assert plan.sample.likelihood
    plan = resolve({"process": "ising"}, {"train": {"batch": 7}, "sample": {"steps": 5}}, registry=registry)
    assert (plan.train.batch, plan.sample.steps) == (7, 5)
    difrun("--process", "ising", "--help")
    text = " ".join(capsys.readouterr().out.split())
    assert "Sampling steps. [default: 100; >= 1, <= 100000]" in text
    assert "Training steps. [default: 3600; >= 0, <= 1000000000]" in text
    assert "Examples per step. [default: 128;" in text


def test_a_run_ends_without_a_likelihood_that_is_not_known(tmp_path, monkeypatch, capsys):
    """Labelled spins: the bound of a model of classes is not known. The run says so and still writes its report."""
    monkeypatch.chdir(tmp_path)
    spins = np.where(np.random.default_rng(0).random((60, 3, 3)) < 0.5, -1.0, 1.0)
    np.savez("spins.npz", x=spins, y=np.arange(60) % 2)
    difrun(
        "--process", "ising", "--dataset", "spin-file", "--dataset.path", "spins.npz", *SMALL, "--out", "run"
    )
    assert (
        "the likelihood is left out: the bound of a model of classes is not known" in capsys.readouterr().err
    )
    assert (tmp_path / "run" / "report.html").is_file()
    assert "likelihood" not in json.loads((tmp_path / "run" / "metrics.json").read_text("utf-8"))


def test_strings_run(tmp_path, monkeypatch):
    monkeypatch.setenv("DIFRUN_PLUGINS", "ising")
    difrun(
        "--process",
        "categorical",
        *SMALL,
        "--dataset.n",
        "60",
        "--dataset.length",
        "5",
        "--out",
        tmp_path / "run",
    )
    with np.load(tmp_path / "run" / "samples.npz") as file:
        assert file["x"].shape == (60, 5, 4)
        assert (file["x"].sum(-1) == 1).all()


def test_samplers_of_gaussian_processes_are_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DIFRUN_PLUGINS", "ising")
    difrun("--process", "ising", "--sampler", "heun", "--out", tmp_path / "run", code=2)
    said = " ".join(capsys.readouterr().err.split())
    assert "'heun' (difrun) needs gaussian" in said
    assert (
        "Samplers that work with process 'ising': ancestral, flow-euler, heat-bath, reverse-kernel, tau-leap."
        in said
    )


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--sampler", "heat-bath"), "sampler 'heat-bath' (difrun-ising) needs x0-distribution"),
        (("--loss", "cross-entropy"), "loss 'cross-entropy' (difrun-ising) needs x0-distribution"),
        ((), "of length 1, not 0.44: sample it with --steps 44"),
        (("--process.schedule", "cosine"), "needs --process.schedule flips, without masks"),
    ],
    ids=["sampler", "loss", "steps", "schedule"],
)
def test_the_recipe_is_refused_before_it_is_trained_where_it_does_not_fit(
    flags, said, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("DIFRUN_PLUGINS", "ising")
    recipe = {
        "--process.schedule": "flips",
        "--model": "reverse-mlp",
        **dict(zip(flags[::2], flags[1::2], strict=True)),
    }
    named = [word for pair in recipe.items() for word in pair]
    difrun("--process", "ising", *named, *FEW, "--dataset.size", "4", "--out", tmp_path / "run", code=None)
    assert said in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "run").exists()


def test_a_bound_is_per_letter_and_takes_no_steps_of_its_own(tmp_path, monkeypatch, capsys):
    """Strings of 5 letters have 5 coordinates, not 20; flags of the probability flow are refused, not ignored."""
    monkeypatch.setenv("DIFRUN_PLUGINS", "ising")
    small = ("--dataset.n", "60", "--dataset.length", "5", "--dataset.held-out", "40")
    difrun("--process", "categorical", *SMALL, *small, "--out", tmp_path / "run")
    difrun("evaluate", tmp_path / "run", "--likelihood")
    facts = json.loads((tmp_path / "run" / "metrics.json").read_text("utf-8"))["likelihood"]
    assert facts["dimensions"] == 5
    bits = facts["entropy"]["nats"] / (5 * math.log(2))
    assert facts["entropy"]["bits_per_dim"] == pytest.approx(bits, rel=1e-12)
    capsys.readouterr()
    difrun("evaluate", tmp_path / "run", "--likelihood.steps", "50", "--likelihood.probes", "1", code=1)
    said = " ".join(capsys.readouterr().err.split())
    assert "--likelihood.steps and --likelihood.probes cannot be chosen for process 'categorical'" in said
