"""`difrun compare`, whole: against closed forms, the run's own numbers, and what a signal leaves."""

import functools
import json
import math

import pytest
import torch

import difrun as package
from difrun.analysis.reference import radius
from difrun.data import GaussianMixture
from difrun.model import ExactMixture
from difrun.plugin import registry
from difrun.randomness import Generator, seed_of
from difrun.runs.build import grid_times, instantiate
from difrun.sampler import generate

from .comparisons import GMM, lines_of, rows_of
from .support import difrun, plugin, without_pictures

MEAN, COV = [1.0, -0.5], [[1.0, 0.6], [0.6, 0.5]]

PLUGIN = """
from difrun.api import Component, hookimpl


@hookimpl
def difrun_datasets():
    return [Component("tilted", "difrun_tilted_parts:tilted", "One Gaussian, longer than wide", provides={"real"})]


@hookimpl
def difrun_samplers():
    return [Component("burst", "difrun_tilted_parts:Burst", "Ends nowhere", requires={"gaussian"})]
"""
PARTS = f"""
import torch
from difrun.data import Dataset
from difrun.data import GaussianMixture
from difrun.sampler import Sampler

DISTRIBUTION = GaussianMixture([1.0], [{MEAN}], [{COV}])


def tilted(*, seed):
    train, held_out = (DISTRIBUTION.sample(500, torch.Generator().manual_seed(seed + k)) for k in (0, 1))
    return Dataset(name="tilted", train=train, held_out=held_out, fresh=DISTRIBUTION.sample, distribution=DISTRIBUTION)


class Burst(Sampler):
    order = 1

    def step(self, model, x, at, to, state, generator):
        return model.predict(x, at, "x0") / 0, None
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder, with a plugin that offers a Gaussian and a sampler that fails."""
    site = tmp_path / "site"
    site.mkdir()
    plugin(site, "difrun-tilted", PLUGIN)
    (site / "difrun_tilted_parts.py").write_text(PARTS, encoding="utf-8")
    monkeypatch.syspath_prepend(site)
    monkeypatch.setattr(registry, "_cached", None)
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return work


def endpoints(plan, n):
    """Closed form: the flow of one Gaussian is linear, x_T − E[x_T] = S_T z to x_0 − E[x_0] = S_0 z."""
    process = instantiate(plan.process)
    distribution = GaussianMixture([1.0], [MEAN], [COV])
    noise = process.prior(
        (n, 2),
        mean=distribution.mean,
        var=distribution.var,
        generator=Generator(seed_of(plan.seed, "samples")),
        dtype=torch.float32,
    ).double()
    values, axes = torch.linalg.eigh(distribution.covs[0])
    start, end = process.at(process.horizon), process.at(process.t_min)
    gain = ((end.alpha**2 * values + end.var) / (start.alpha**2 * values + start.var)).sqrt()
    true = end.alpha * distribution.mean + (noise - start.alpha * distribution.mean) @ (axes * gain) @ axes.T
    return distribution, process, true


def test_distances_from_exact_are_those_from_the_closed_form_and_fall_with_the_order(folder):
    """Euler has order 1, heun and dpmpp-2m 2. The data are one normal: in its own axes adams solves that exactly, and
    what is left is the rounding of float32."""
    steps = {"euler": (24, 48), "heun": (24, 48), "dpmpp-2m": (40, 80), "adams": (16, 24)}
    order = {"euler": 1, "heun": 2, "dpmpp-2m": 2}
    plan = package.resolve(
        {"process": "ou", "dataset": "tilted", "model": "exact", "metric": ["sliced-w2"]},
        {"sample": {"n": 300, "chunk": 128}, "": {"seed": 3, "threads": 1}},
    )
    distribution, process, true = endpoints(plan, 300)
    size = radius(instantiate(plan.dataset, seed=seed_of(3, "dataset")).var)
    assert size == pytest.approx(1.5**0.5, rel=0.1)
    for sampler, counts in steps.items():
        grid = "logsnr" if sampler == "dpmpp-2m" else "pilot"
        found = package.compare(plan, samplers=[sampler], grids=[grid], steps=counts, exact=True)
        errors = []
        for row in found.rows:
            times = grid_times(
                package.resolve({"process": "ou", "grid": grid}).grid,
                ExactMixture(distribution, process),
                row.steps,
            )
            method = instantiate(package.resolve({"process": "ou", "sampler": sampler}).sampler)
            x = generate(method, ExactMixture(distribution, process), 300, times, seed=seed_of(3, "samples"))
            gaps = (x.double() - true).square().sum(1)
            # Up to rounding in float32, in which samples are drawn.
            assert row.exact.rms == pytest.approx(float(gaps.mean().sqrt()) / size, rel=1e-2, abs=5e-6)
            assert row.exact.median == pytest.approx(float(gaps.sqrt().median()) / size, rel=1e-2, abs=5e-6)
            assert row.exact_reference_error < 1e-7
            assert row.exact.other_mode is None
            errors.append(row.exact.rms)
        if sampler not in order:
            assert max(errors) < 5e-6, (sampler, errors)
            continue
        observed = math.log(errors[0] / errors[1]) / math.log(counts[1] / counts[0])
        assert observed == pytest.approx(order[sampler], abs=0.25), (sampler, errors)


def test_counted_evaluations_are_the_declared_ones_for_every_sampler(folder):
    difrun(
        "compare", *GMM, "--sampler", "all", "--steps", "3,7", "--n", "40", "--exact", "--out", "all", code=0
    )
    plan = package.resolve({"process": "ou"})
    rows = {(row["sampler"], row["steps"]): row for row in rows_of(folder / "all")}
    names = {name for name, _ in rows}
    assert {"adams", "heun", "euler", "ddim", "ancestral", "edm", "pc", "sde", "burst"} <= names
    assert "tuned" not in names  # nothing is tuned
    for (name, steps), row in rows.items():
        if name == "burst":
            assert row["evaluations"] is None
            assert "40 of 40 samples are not finite" in row["problem"]
            continue
        method = instantiate(package.resolve({"process": plan.process.name, "sampler": name}).sampler)
        declared = method.evaluations_in(steps)
        if declared is None:  # it is decided by each sample, and the mean over them is told
            declared = pytest.approx(60, abs=40)
        assert (row["evaluations"], row["problem"]) == (declared, ""), name
        assert (row["exact_rms"] is None) == bool(method.stochastic), name
        assert bool(row["exact_note"]) == bool(method.stochastic), name


def test_the_csv_says_what_the_json_says(folder):
    said = difrun(
        *(
            "compare",
            *GMM,
            "--sampler",
            "heun,burst,pc",
            "--grid",
            "rho,pilot",
            "--steps",
            "3,6",
            "--n",
            "60",
        ),
        *("--metric", "energy", "--exact", "--out", "c"),
    )
    rows, lines = rows_of(folder / "c"), lines_of(folder / "c")
    assert len(rows) == len(lines) == 12
    for row, line in zip(rows, lines, strict=True):
        assert {key: "" if value is None else str(value) for key, value in row.items()} == line
    assert (folder / "c" / "compare.png").read_bytes().startswith(b"\x89PNG")
    few = ("--sampler", "heun", "--steps", "2", "--n", "40", "--metric", "energy")
    difrun("compare", *GMM, *few, "--out", "plain")
    assert list(lines_of(folder / "plain")[0]) == list(
        lines[0]
    )  # without --exact, and where no row needs a note
    assert "failed" in said
    assert "burst on rho, 3 steps: 60 of 60 samples are not finite" in said


def test_a_row_of_the_run_itself_has_the_runs_own_numbers(folder):
    """Same noise, same reference data, same metric: equal to the last bit to what the run says of its samples."""
    with without_pictures():
        difrun("run", *GMM, "--n", "300", "--steps", "6", "--seed", "7", "--grid", "logsnr", "--out", "r")
    difrun("compare", "r", "--steps", "4,6", "--sampler", "adams", "--out", "c")
    own = json.loads((folder / "r" / "metrics.json").read_text(encoding="utf-8"))["metrics"]["sliced-w2"]
    four, six = rows_of(folder / "c")
    assert (six["run"], six["grid"]) == ("r", "logsnr")
    row_numbers = {
        key: six[f"sliced-w2{suffix}"]
        for key, suffix in (("value", ""), ("value_sd", "_sd"), ("floor", "_floor"))
    }
    assert row_numbers == {key: own[key] for key in row_numbers}
    assert four["sliced-w2_floor"] == own["floor"]
    assert four["sliced-w2"] != own["value"]


def test_floors_are_computed_once(folder, monkeypatch):
    from difrun.metric import distances

    calls, own = [], distances.sliced_w2

    @functools.wraps(own)
    def counting(*args, **kwargs):
        calls.append(1)
        return own(*args, **kwargs)

    monkeypatch.setattr(distances, "sliced_w2", counting)
    difrun("compare", *GMM, "--sampler", "heun,euler", "--steps", "2,3", "--n", "50", "--out", "c")
    assert len(calls) == 6 * 4 + 6  # six repetitions for each row, and six for the floor


def test_runs_stand_beside_each_other_and_share_the_noise(folder):
    with without_pictures():
        for name, seed in (("a", 1), ("b", 2)):
            difrun("run", *GMM, "--n", "50", "--steps", "3", "--seed", seed, "--out", name)
    common = ("compare", "a", "b", "--sampler", "euler", "--steps", "4")
    said = difrun(*common, "--exact", "--out", "d")
    assert said.count("Note: the exact endpoints of 50 samples of every run are computed") == 1
    assert "There is no run in nope: nope/run.toml does not exist." in difrun("compare", "a", "nope", code=2)
    said = difrun(*common, "--out", "c")
    first, second = rows_of(folder / "c")
    assert (first["run"], second["run"]) == ("a", "b")
    # An exact model does not depend on the seed of its run, and the noise is that of the first.
    del first["run"], second["run"], first["seconds"], second["seconds"]
    assert first == second
    assert "run  sampler  grid" in said
