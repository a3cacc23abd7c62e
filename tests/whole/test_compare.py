"""`difrun compare`, whole: against closed forms, the run's own numbers, and what a signal leaves."""

import csv
import functools
import json
import math
import signal

import pytest
import torch

import difrun as package
from difrun.analysis.reference import radius
from difrun.data import GaussianMixture
from difrun.errors import ConfigError, Interrupted
from difrun.listener import Listener
from difrun.model import ExactMixture
from difrun.plugin import registry
from difrun.randomness import Generator, seed_of
from difrun.runs.build import grid_times, instantiate
from difrun.sampler import generate

from .support import difrun, paused, plugin, without_pictures

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

LAW = GaussianMixture([1.0], [{MEAN}], [{COV}])


def tilted(*, seed):
    train, held_out = (LAW.sample(500, torch.Generator().manual_seed(seed + k)) for k in (0, 1))
    return Dataset(name="tilted", train=train, held_out=held_out, fresh=LAW.sample, distribution=LAW)


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


GMM = ("--process", "ou", "--dataset", "gmm", "--model", "exact", "--metric", "sliced-w2", "--threads", "1")


def rows_of(folder):
    return json.loads((folder / "compare.json").read_text(encoding="utf-8"))["rows"]


def lines_of(folder):
    with (folder / "compare.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


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
    told = {
        key: six[f"sliced-w2{suffix}"]
        for key, suffix in (("value", ""), ("value_sd", "_sd"), ("floor", "_floor"))
    }
    assert told == {key: own[key] for key in told}
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


def test_pairs_that_cannot_work_are_left_out_with_the_reason_or_refused(folder):
    common = ("compare", *GMM, "--steps", "3", "--n", "40")
    said = difrun(*common, "--sampler", "heun,euler", "--grid", "integer,rho", "--out", "c")
    assert "Note: heun on integer is left out: grid 'integer' (difrun-ddpm) needs chain" in said
    assert [(row["sampler"], row["grid"]) for row in rows_of(folder / "c")] == [
        ("heun", "rho"),
        ("euler", "rho"),
    ]
    said = difrun(*common, "--sampler", "heun", "--grid", "integer", "--out", "d", code=2)
    assert "grid 'integer' (difrun-ddpm) needs chain, which process 'ou'" in said
    said = difrun(*common, "--sampler", "heun,euler", "--grid", "integer,integer", "--out", "d", code=2)
    assert "There is nothing to compare." in said
    assert not (folder / "d").exists()


def test_a_grid_that_has_no_such_steps_fails_alone(folder):
    """The chain of 8 steps has no 9 times: that row says so, the others are there."""
    chain = ("--process", "ddpm", "--process.steps", "8", "--dataset", "gmm", "--model", "exact")
    more = ("--metric", "sliced-w2", "--grid", "integer", "--n", "40", "--threads", "1", "--out", "c")
    difrun("compare", *chain, "--sampler", "ddim", "--steps", "4,9,8", *more)
    assert [bool(row["problem"]) for row in rows_of(folder / "c")] == [False, True, False]


def test_results_are_not_overwritten_unasked(folder):
    common = ("compare", *GMM, "--sampler", "euler", "--n", "40", "--out", "c")
    difrun(*common, "--steps", "2")
    assert "already holds a comparison (compare.csv)" in difrun(*common, "--steps", "3", code=1)
    assert [row["steps"] for row in rows_of(folder / "c")] == [2]
    difrun(*common, "--steps", "3", "--force")
    assert [row["steps"] for row in rows_of(folder / "c")] == [3]
    difrun("compare", *GMM, "--sampler", "euler", "--n", "40", "--steps", "2")
    difrun("compare", *GMM, "--sampler", "euler", "--n", "40", "--steps", "2")
    assert (folder / "runs" / "compare-2" / "compare.json").is_file()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("nope",), 2, "There is no run in nope: nope/run.toml does not exist. 'difrun run' prints"),
        (("--dataset", "gmm", "--model", "mlp"), 2, "model 'mlp' has to be trained first"),
        (("--dataset", "checkerboard"), 1, "needs a dataset whose distribution is a Gaussian mixture"),
        ((*GMM, "--n", "1"), 2, "--n 1: at least 2 samples"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_a_folder_is_made(folder, arguments, code, words):
    assert words in difrun("compare", *arguments, "--steps", "2", code=code)
    assert list(folder.iterdir()) == []


def test_ctrl_c_keeps_the_rows_that_are_finished(folder):
    """Stopped at the start of the third of four rows."""
    arguments = ("compare", *GMM, "--sampler", "heun,euler", "--steps", "2,3", "--n", "50", "--out", "c")
    with paused(folder, "difrun.runs.compare.compare:_row", 3, *arguments) as child:
        child.send_signal(signal.SIGINT)
        (folder / "waiting").unlink()
        _, said = child.communicate(timeout=120)
        assert child.returncode == 130, said
    assert said.splitlines()[-2:] == ["Stopped after 2 of 4 rows.", "The finished rows are in c."]
    assert [(row["sampler"], row["steps"]) for row in rows_of(folder / "c")] == [("heun", 2), ("heun", 3)]
    assert len(lines_of(folder / "c")) == 2
    assert (folder / "c" / "compare.png").is_file()


class Stopped(Listener):
    def stopping(self):
        return True


def test_from_python(folder):
    plan = package.resolve(
        {"process": "ou", "dataset": "gmm", "model": "exact", "metric": ["sliced-w2"]}, {"": {"threads": 1}}
    )
    found = package.compare(plan, samplers=["euler"], steps=[2], n=40, metrics=["energy"])
    (row,) = found.rows
    assert (row.evaluations, list(row.metrics), found.path.name) == (2, ["energy"], "compare-1")
    for wrong in ([0], [2.5], [True], []):
        with pytest.raises(ConfigError, match="number of steps"):
            package.compare(plan, steps=wrong)
    with pytest.raises(ConfigError, match=r"No sampler is called 'heum'\. Did you mean 'heun'"):
        package.compare(plan, samplers=["heum"])
    with pytest.raises(ConfigError, match="name a run"):
        package.compare()
    with pytest.raises(ConfigError, match="There is no run in"):
        package.compare("nope")
    with pytest.raises(Interrupted) as stopped:
        package.compare(plan, out="s", steps=[2], n=40, listener=Stopped())
    assert stopped.value.outcome == "Nothing was written."
    assert not (folder / "s").exists()
