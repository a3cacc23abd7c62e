"""Reflow: the couples, what training makes of them, and how straight the second flow is."""

from types import SimpleNamespace

import attrs
import numpy as np
import pytest
import torch

from difrun.config import resolve
from difrun.data import Dataset, GaussianMixture
from difrun.errors import DifrunError
from difrun.grid import cosine, linear, logsnr
from difrun.loss import Loss
from difrun.model import ExactMixture, NetworkModel, ScoreModel
from difrun.runs import reopen, start
from difrun.runs.build import grid_times
from difrun.runs.stages import likelihood
from difrun.runs.stages.sampling import sampler_for
from difrun.sampler import Euler, Heun, integrate
from difrun.testing import ReferenceVP, two_gaussians
from difrun.training import Batches, Trainer
from difrun_flow.loss import flow
from difrun_flow.process import RectifiedFlow
from difrun_flow.reflow import couples, reflow, straightness

FLOW = RectifiedFlow()
SMALL = {
    "model": {"width": 48, "depth": 2},
    "train": {"steps": 700, "batch": 256, "lr": 4e-3, "ema": 0.99},
    "": {"device": "cpu", "threads": 1},
}


def trained(folder, dataset, **options):
    plan = resolve({"process": "flow", "dataset": dataset}, {**SMALL, "dataset": options})
    run = start(plan, folder)
    run.train()
    return run


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run on four Gaussians, and a second on its couples."""
    folder = tmp_path_factory.mktemp("reflow")
    threads = torch.get_num_threads()
    first = trained(folder / "first", "gmm", modes=4, std=0.3)
    second = trained(folder / "second", "reflow", run=folder / "first", n=6000)
    yield first, second
    torch.set_num_threads(threads)


def rms(x):
    return x.square().sum(1).mean().sqrt().item()


def test_the_second_flow_is_straight(runs):
    """Straightness falls to a tenth, the error of one and of two steps of Euler to a third, and the samples stay right.

    Errors are distances to each flow's own fine solution, from 2000 draws of the noise. As trained here they fall to
    a two-hundredth, a ninth and a fifth.
    """
    measured = []
    for run in runs:
        x = FLOW.prior((2000, 2), generator=5)
        fine = integrate(Heun(), run.model, x, cosine(FLOW, 60))
        errors = [rms(integrate(Euler(), run.model, x, linear(FLOW, n)) - fine) for n in (1, 2)]
        measured.append((straightness(run.model, x, linear(FLOW, 60)), *errors))
        mixture = run.parts.dataset.distribution
        assert (fine.double().mean(0) - mixture.mean).abs().max() < 0.15
        assert (fine.double().var(0) / mixture.var - 1).abs().max() < 0.15
    (s1, one1, two1), (s2, one2, two2) = measured
    assert s2 < 0.1 * s1, measured
    assert one2 < one1 / 3, measured
    assert two2 < two1 / 3, measured


def test_the_couples_are_those_of_the_flow(runs):
    """`train` is where the run's own sampler and grid carry `noise`; what is known of the data stays known."""
    first, second = runs
    data = second.parts.dataset
    assert data.name == "reflow"
    assert data.noise.shape == data.train.shape == (6000, 2)
    sampler = first.plan.sampler.make()
    times = grid_times(first.plan.grid, first.model, first.plan.sample.steps, sampler)
    end = integrate(sampler, first.model, data.noise[:500], times) / FLOW.at(FLOW.t_min).alpha
    torch.testing.assert_close(data.train[:500], end, rtol=1e-4, atol=1e-4)
    assert data.noise.mean(0).abs().max() < 5 / 6000**0.5
    assert (data.noise.var(0) - 1).abs().max() < 5 * (2 / 6000) ** 0.5
    assert torch.equal(data.held_out, first.parts.dataset.held_out)
    assert data.distribution is first.parts.dataset.distribution or torch.equal(
        data.distribution.means, first.parts.dataset.distribution.means
    )


def test_no_score_is_asked_of_couples(runs):
    """Samplers that need one are refused before anything is drawn or trained, and the likelihood has no bound."""
    second = runs[1]
    sde = resolve({"process": "flow", "sampler": "ancestral"}).sampler
    with pytest.raises(
        DifrunError, match=r"'ancestral' is stochastic, and needs the score .* adams, heun or euler"
    ):
        sampler_for(sde, second.parts.dataset)
    assert sampler_for(sde, runs[0].parts.dataset).stochastic
    plan = attrs.evolve(second.plan, sampler=sde)
    with pytest.raises(DifrunError, match="needs the score"):
        start(plan, second.path.parent / "third")
    assert not (second.path.parent / "third").exists()
    found = likelihood.measure(second, likelihood.LikelihoodRequest(n=20, steps=10, times=8))
    assert "gap" in found
    assert not {"nll_bound", "gap_bound"} & set(found)


def test_the_second_run_is_restored_from_its_folder(runs):
    """Opened again it has the same couples and holds the same model."""
    second = runs[1]
    again = reopen(second.path)
    assert again.trained
    torch.testing.assert_close(again.parts.dataset.noise, second.parts.dataset.noise, rtol=0, atol=0)
    assert torch.equal(again.parts.dataset.train, second.parts.dataset.train)
    x = FLOW.prior((20, 2), generator=1)
    at = FLOW.at(0.7)
    torch.testing.assert_close(again.model.predict(x, at, "x0"), second.model.predict(x, at, "x0"))


def test_a_second_run_does_not_need_the_first(tmp_path, monkeypatch):
    """With the first run gone: samples, metrics, distribution and couples of the second as before, and it is trained
    to its end.

    A third run on the couples of the second, and the numbers that need the distribution, work as well.
    """
    monkeypatch.setattr("difrun.runs.report.standard_pictures.draw_all", lambda run, **_: [])
    named = {"process": "flow", "sampler": "heun", "grid": "logsnr", "metric": ["sliced-w2"]}
    few = {**SMALL, "train": {"steps": 30, "batch": 64}, "sample": {"n": 200, "steps": 4}}
    first = start(resolve({**named, "dataset": "gmm"}, {**few, "dataset": {"modes": 3}}), tmp_path / "1")
    first.train()
    plan = resolve({**named, "dataset": "reflow"}, {**few, "dataset": {"run": first.path, "n": 300}})
    second = start(plan, tmp_path / "2")
    data, generator = second.parts.dataset, torch.Generator
    (tmp_path / "1").rename(tmp_path / "moved")
    again = reopen(second.path)
    kept = again.parts.dataset
    for name in ("train", "noise", "held_out"):
        assert torch.equal(getattr(kept, name), getattr(data, name)), name
    assert torch.equal(kept.fresh(50, generator().manual_seed(1)), data.fresh(50, generator().manual_seed(1)))
    assert torch.equal(kept.distribution.means, data.distribution.means)
    again.resume()
    assert again.trained
    end = reopen(second.path)
    metrics = end.metrics
    assert end.evaluate() == metrics
    drawn = np.load(end.draw_samples(200, end.plan.sampler, end.plan.grid, 4, end.plan.seed, 4096))["x"]
    np.testing.assert_array_equal(drawn, end.samples.numpy())
    third = reflow(seed=0, run=second.path, n=50)
    assert third.origin == data.origin
    assert third.origin.name == "gmm"


def test_couples_of_a_model_of_classes_have_their_labels(tmp_path):
    """Four Gaussians, trained on labels: at least 95 % of the couples lie nearest to the mode of their class, in equal
    parts; and a run on them is one of classes again."""
    plan = resolve(
        {"process": "flow", "dataset": "gmm"},
        {**SMALL, "train": {**SMALL["train"], "label_dropout": 0.1}, "dataset": {"modes": 4, "std": 0.3}},
    )
    first = start(plan, tmp_path / "first")
    first.train()
    data = reflow(seed=1, run=tmp_path / "first", n=2000)
    nearest = torch.cdist(data.train.double(), data.distribution.means).argmin(1)
    assert (nearest == data.labels).double().mean() > 0.95
    assert data.labels.bincount().tolist() == [500] * 4
    again = resolve(
        {"process": "flow", "dataset": "reflow"},
        {
            **SMALL,
            "train": {"steps": 2, "label_dropout": 0.1},
            "dataset": {"run": tmp_path / "first", "n": 100},
        },
    )
    start(again, tmp_path / "second")
    assert reopen(tmp_path / "second").model.classes == 4


def test_options_choose_how_many_and_how(runs):
    """n, sampler and steps are those that are named; the seed decides the noise."""
    folder = runs[0].path
    data = reflow(seed=3, run=folder, n=50, sampler="euler", steps=7)
    times = grid_times(runs[0].plan.grid, runs[0].model, 7)
    end = integrate(Euler(), runs[0].model, data.noise, times) / FLOW.at(FLOW.t_min).alpha
    torch.testing.assert_close(data.train, end, rtol=1e-5, atol=1e-5)
    assert len(data.train) == 50
    assert not torch.equal(reflow(seed=4, run=folder, n=50, steps=2).noise, data.noise)


def test_what_cannot_be_straightened_is_refused(runs, tmp_path):
    with pytest.raises(DifrunError, match=r"needs a trained run: --dataset\.run RUN"):
        reflow(seed=0)
    with pytest.raises(DifrunError, match=r"There is no run in .*missing"):
        reflow(seed=0, run=tmp_path / "missing")
    with pytest.raises(DifrunError, match=r"'ancestral' is stochastic.*--dataset\.sampler heun"):
        reflow(seed=0, run=runs[0].path, sampler="ancestral")
    with pytest.raises(DifrunError, match=r"Did you mean 'heun'"):
        reflow(seed=0, run=runs[0].path, sampler="heum")
    plan = resolve({"process": "flow", "dataset": "gmm"}, SMALL)
    start(plan, tmp_path / "untrained")
    with pytest.raises(DifrunError, match=r"has not been trained to the end\. Run 'difrun resume"):
        reflow(seed=0, run=tmp_path / "untrained")


def test_noise_of_a_process_that_keeps_some_data():
    """On α = e^−t to T = 4 a couple starts at x_T = α m + √(α² v + σ²) ε and ends where its flow does; chunked too."""
    process = ReferenceVP()
    model = ExactMixture(two_gaussians(), process)
    run = SimpleNamespace(
        model=model,
        parts=SimpleNamespace(process=process),
        device=torch.device("cpu"),
        plan=SimpleNamespace(
            sampler=SimpleNamespace(make=Heun, name="heun", kind="sampler"),
            grid=SimpleNamespace(
                kind="grid",
                make=lambda *, process, steps, **_: logsnr(process, steps),
                entry=SimpleNamespace(component=SimpleNamespace(provides=frozenset())),
            ),
            sample=SimpleNamespace(steps=10),
        ),
    )
    noise, x0 = couples(run, 5000, seed=1)
    at = process.at(4.0)
    top = at.alpha * model.mean + (at.alpha**2 * model.var + at.var).sqrt() * noise
    expected = integrate(Heun(), model, top.float(), logsnr(process, 10)) / process.at(process.t_min).alpha
    torch.testing.assert_close(x0, expected, rtol=1e-5, atol=1e-5)
    assert len(noise.unique(dim=0)) == 5000


class Zero(ScoreModel):
    process, shape = FLOW, (1,)

    def predict(self, x, at, kind):
        return torch.zeros_like(x)


def test_batches_keep_couples_together():
    """Example i of data i with noise 2i: the target is i, and x_t = i (1 + t), in every batch of every epoch."""
    data = torch.arange(1.0, 101.0)[:, None]
    batches = Batches(Zero(), flow(), data, 32, 7, 2 * data)
    seen = []
    for step in range(10):
        drawn = batches[step]
        torch.testing.assert_close(drawn["x"], drawn["target"] * (1 + drawn["t"][:, None]))
        seen += drawn["target"].flatten().tolist()
    assert sorted(round(value) for value in seen[:100]) == list(range(1, 101))


def test_a_loss_that_draws_its_own_noise_is_refused():
    class IndependentNoise(Loss):
        def draw(self, model, x0, generator):
            return {}

    data = torch.zeros(30, 2)
    model = NetworkModel(torch.nn.Linear(2, 2), FLOW, (2,))
    with pytest.raises(DifrunError, match=r"the loss IndependentNoise draws new noise.*--loss flow"):
        Trainer(
            model, IndependentNoise(), data, SimpleNamespace(batch=4, clip=1.0, ema=0.0), seed=0, noise=data
        )
    with pytest.raises(
        DifrunError, match=r"noise of shape \(29, 2\) for training examples of shape \(30, 2\)"
    ):
        Dataset(name="it", train=data, held_out=data, noise=data[1:])


def test_straightness_is_its_closed_form():
    """For N(m, v I) x_t = α m + S w with w fixed: it is E|w|² ∫ (ΔS/Δt − dS/dt)² dt; and 0 for a single point."""
    v = 0.3
    mixture = GaussianMixture([1.0], [[1.0, -0.5]], [v])
    x = torch.randn(500, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    t = torch.linspace(1, FLOW.t_min, 2001, dtype=torch.float64)
    spread = ((1 - t) ** 2 * v + t**2).sqrt()
    span = 1 - FLOW.t_min
    slope = (t - (1 - t) * v) / spread
    gap = ((spread[0] - spread[-1]) / span - slope).square()
    expected = x.square().sum(1).mean() * -torch.trapezoid(gap, t) / span
    assert straightness(ExactMixture(mixture, FLOW), x, t.tolist()) == pytest.approx(
        expected.item(), rel=5e-3
    )
    point = GaussianMixture([1.0], [[1.0, -0.5]], [0.0])
    assert straightness(ExactMixture(point, FLOW), x, linear(FLOW, 20)) < 1e-20
