"""Wrong and idle arguments of the Python calls are refused in words; numbers come in any format."""

import numpy as np
import pytest
import torch

import difrun
from difrun.data import Dataset, GaussianMixture
from difrun.errors import ConfigError, DifrunError
from difrun.model import ExactMixture
from difrun.sampler import Adaptive
from difrun.testing import ReferenceFlow, ReferenceVP, two_classes

VP = ReferenceVP()
MIXTURE = GaussianMixture([0.3, 0.7], [[-1.0, 0.0], [1.0, 0.5]], [0.2, 0.3])
MODEL = ExactMixture(MIXTURE, VP)
X = MIXTURE.sample(60, torch.Generator().manual_seed(0)).double()


def same(one, two):
    torch.testing.assert_close(one, two, atol=0, rtol=0)


@pytest.mark.parametrize("value", [2.5, np.float64(3), "3", True, 0, -1])
@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda value: difrun.sample(MODEL, value), "n"),
        (lambda value: difrun.sample(MODEL, options={"n": value}), r"options\['n'\]"),
        (lambda value: difrun.sample(MODEL, 5, steps=value), "steps="),
        (lambda value: difrun.sample(MODEL, 5, chunk=value), "chunk="),
        (lambda value: difrun.invert(MODEL, X, steps=value), "steps="),
        (lambda value: difrun.evaluate(MODEL, n=value), "n"),
        (lambda value: difrun.compare(MODEL, n=value), "n"),
        (lambda value: difrun.compare(MODEL, steps=value), "steps"),
        (lambda value: difrun.compare(MODEL, steps=[3, value]), "steps"),
        (lambda value: difrun.tune(MODEL, value), "steps"),
        (lambda value: difrun.tune(MODEL, [3, value]), "steps"),
        (lambda value: difrun.tune(MODEL, 3, iterations=value), "iterations"),
        (lambda value: difrun.log_likelihood(MODEL, X, steps=value), "steps"),
        (lambda value: difrun.resume("gone", steps=value), "steps"),
    ],
)
def test_every_whole_number_is_checked_alike(call, name, value):
    with pytest.raises(
        ConfigError, match=f"Invalid value for {name}: (expected a whole number|must be >= 1)"
    ):
        call(value)


@pytest.mark.parametrize("value", ["1", 1.5, True, -1, 2**63])
@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda value: difrun.sample(MODEL, 5, seed=value), "seed="),
        (lambda value: difrun.compare(MODEL, seed=value), "seed"),
        (lambda value: difrun.tune(MODEL, 3, seed=value), "seed"),
        (lambda value: difrun.log_likelihood(MODEL, X, seed=value), "seed"),
    ],
)
def test_every_seed_is_checked_alike(call, name, value):
    with pytest.raises(ConfigError, match=f"Invalid value for {name}: expected a whole number"):
        call(value)


@pytest.mark.parametrize("value", ["half", True, float("nan"), [0.5], torch.tensor([0.5])])
def test_every_level_is_checked_alike(value):
    for call in (lambda: difrun.sample(MODEL, start=X, at=value), lambda: difrun.invert(MODEL, X, at=value)):
        with pytest.raises(ConfigError, match="Invalid value for at: expected a time, a number; got"):
            call()


def test_numbers_of_numpy_and_torch_are_numbers(tmp_path, monkeypatch):
    monkeypatch.setattr("difrun.runs.compare.results.Comparison.draw", lambda self: None)
    plain = difrun.sample(MODEL, 5, "heun", 3, grid="rho", seed=2, chunk=2)
    wide = {"n": np.int64(5), "steps": np.int32(3), "seed": torch.tensor(2), "chunk": np.array(2)}
    same(difrun.sample(MODEL, sampler="heun", grid="rho", **wide), plain)
    same(difrun.sample(MODEL, sampler="heun", grid="rho", options=wide), plain)
    of_plain = difrun.sample(MODEL, start=X, at=0.5, steps=2, grid="rho")
    for level in (np.float32(0.5), torch.tensor(0.5), np.array(0.5)):
        same(difrun.sample(MODEL, start=X, at=level, steps=2, grid="rho"), of_plain)
    found = [
        difrun.invert(MODEL, X, steps=wide["steps"], at=at, grid="rho").x for at in (0.5, np.float32(0.5))
    ]
    same(*found)
    of = {"samplers": "heun", "grids": "rho", "metrics": "energy", "dataset": X, "n": 20}
    rows = difrun.compare(MODEL, steps=np.array([2, 3]), out=tmp_path / "c", **of).rows
    assert [row.steps for row in rows] == [2, 3]
    loose = {"sampler.rtol": np.float32(0.5), "sampler.atol": 0.5}
    by_object = difrun.sample(MODEL, 5, Adaptive(rtol=np.float32(0.5), atol=0.5), 1, grid="rho")
    same(by_object, difrun.sample(MODEL, 5, "adaptive", 1, grid="rho", options=loose))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: difrun.sample(MODEL, 5, options={"train.steps": 3}),
            "train.steps'] has no effect on difrun.sample, which",
        ),
        (lambda: difrun.sample(MODEL, 5, options={"metric.w2.max_points": 3}), "no effect on difrun.sample"),
        (lambda: difrun.sample(MODEL, 5, options={"threads": 1}), "options['threads'] has no effect"),
        (lambda: difrun.sample(MODEL, 5, options={"label": "1"}), "options['sample.label'] has no effect"),
        (lambda: difrun.sample(MODEL, 5, options={"n": 7}), "options['n'] is given twice"),
        (
            lambda: difrun.invert(MODEL, X, options={"seed": 3}),
            "options['seed'] has no effect on difrun.invert",
        ),
        (lambda: difrun.invert(MODEL, X, options={"noise": "brownian"}), "no effect on difrun.invert"),
        (lambda: difrun.log_likelihood(MODEL, X, options={"steps": 3}), "no effect on difrun.log_likelihood"),
        (
            lambda: difrun.log_likelihood(MODEL, X, options={"sampler.x": 3}),
            "no effect on difrun.log_likelihood",
        ),
        (lambda: difrun.evaluate(MODEL, X, options={"sample.steps": 3}), "no effect on difrun.evaluate"),
        (
            lambda: difrun.evaluate(MODEL, X, options={"guidance.cfg.scale": 3}),
            "no effect on difrun.evaluate",
        ),
        (
            lambda: difrun.evaluate(MODEL, X, guidance="cfg"),
            "guidance draws other samples, and samples are given",
        ),
        (lambda: difrun.evaluate(MODEL, X, label=0), "the data have no classes: leave it out"),
        (lambda: difrun.evaluate(MODEL, X, condition=[0.5]), "this model takes no condition"),
        (lambda: difrun.evaluate(MODEL, X, n=70), "samples holds 60 samples, fewer than n = 70"),
        (lambda: difrun.evaluate(MODEL, "x.npy"), "a file of samples is measured against the data of a run"),
        (lambda: difrun.evaluate(MODEL, X, metric=lambda a, b: 1.0), "metric lambda needs a value for 'a'"),
        (
            lambda: difrun.evaluate(MODEL, X, metric=lambda a, b: 1.0),
            "what its parameters name, of samples, reference",
        ),
        (
            lambda: difrun.compare(MODEL, options={"sampler.rtol": 3}),
            "those of a sampler or a grid come with an object",
        ),
        (lambda: difrun.compare(MODEL, steps=None), "Invalid value for steps"),
        (lambda: difrun.compare(MODEL, steps=[]), "Invalid value for steps"),
        (lambda: difrun.compare(MODEL, steps=[[3]]), "Invalid value for steps"),
        (lambda: difrun.compare(MODEL, out=3), "Invalid value for out: expected a path"),
        (lambda: difrun.compare(MODEL, device="cpu"), "which stays where it is: model.to(device)"),
        (lambda: difrun.compare(MODEL, device="gpu"), "Invalid value for device=: expected auto, cpu, cuda"),
        (lambda: difrun.compare(MODEL, threads="x"), "Invalid value for threads="),
        (lambda: difrun.compare("gone", dataset=X), "runs and plans have their own data"),
        (
            lambda: difrun.reopen(3),
            "Invalid value for folder: expected a path, text or pathlib.Path; got int",
        ),
        (lambda: difrun.reopen("gone", device="gpu"), "Invalid value for device="),
        (lambda: difrun.reopen("gone", listener=3), "Invalid value for listener"),
        (lambda: difrun.run(config={"process": "ou"}), "Invalid value for config: expected a path"),
        (lambda: difrun.run(start_from=3), "Invalid value for start_from: expected a run, or a path"),
        (lambda: difrun.run(out=3), "Invalid value for out: expected a path"),
        (lambda: difrun.export(MODEL, "x"), "Invalid value for run: expected a trained run, or a path"),
        (lambda: difrun.resume(3), "Invalid value for run: expected a run, or a path"),
        (
            lambda: difrun.log_likelihood(MODEL, X, probes=-1),
            "Invalid value for probes: expected a whole number of at least 0",
        ),
        (lambda: difrun.sample(MODEL, start=X / 0, at=0.5), "start must hold finite numbers"),
        (lambda: difrun.sample(MODEL, data=X / 0, at=0.5), "data must be finite numbers"),
        (lambda: difrun.invert(MODEL, X / 0), "examples must be finite numbers"),
    ],
)
def test_what_is_wrong_or_has_no_effect_is_refused(call, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DifrunError) as raised:
        call()
    assert message in str(raised.value)
    assert not list(tmp_path.iterdir())


def test_evaluation_draws_with_the_options_that_it_is_given():
    """Its numbers are those of samples drawn by the same options, and not those of the defaults."""
    options = {"steps": 1, "seed": 3, "n": 60, "sampler.fixed_order": 1}
    drawn = difrun.sample(MODEL, options=options)
    data = MIXTURE.sample(300, torch.Generator().manual_seed(1))

    def measured(samples, options):
        return difrun.evaluate(MODEL, samples, metric="energy", options=options, dataset=data)["energy"]

    found = measured(None, options)
    assert found["value"] == measured(drawn, {"seed": 3})["value"]
    assert found["n"] == 60
    assert found["value"] != measured(None, {"n": 60, "seed": 3})["value"]


def test_the_classes_of_given_samples_are_heeded():
    """Samples of one class beside data of that class are near; those of the other are not."""
    mixture, classes = two_classes()
    model = ExactMixture(mixture, VP, classes)
    generator = torch.Generator().manual_seed(1)
    of_class = [difrun.sample(model, 200, "heun", 10, label=label, seed=4).double() for label in (0, 1)]
    data = torch.cat([difrun.sample(model, 400, "heun", 10, label=label, seed=5) for label in (0, 1)])
    y = torch.arange(2).repeat_interleave(400)
    order = torch.randperm(800, generator=generator)

    def distance(samples, reference, labels):
        return {"distance": float((samples.mean(0) - reference.mean(0)).norm())}

    def measured(label):
        found = difrun.evaluate(
            model, of_class[0], metric=distance, label=label, dataset=(data[order], y[order])
        )
        return found["distance"]["value"]

    assert measured(0) < 0.5 < 2 * measured(0) + 0.5 < measured(1)
    assert measured([0] * 200) == measured(0)
    with pytest.raises(DifrunError, match="there is no class '2': dataset 'array' has 2 classes"):
        measured(2)


def test_labels_of_rows_are_compared_with_names_as_a_single_one_is():
    """Classes "1" and "0": [1, 1] drew class number 1, which is "0"."""
    mixture, classes = two_classes()
    model = ExactMixture(mixture, VP, classes)
    y = torch.arange(2).repeat(60)
    x = mixture.sample(120, torch.Generator().manual_seed(0)).float()
    named = Dataset(
        name="odd",
        train=x[:100],
        held_out=x[100:],
        labels=y[:100],
        held_out_labels=y[100:],
        classes=("1", "0"),
    )

    def drawn(label):
        return difrun.sample(model, 4, "heun", 5, label=label, seed=4, dataset=named)

    for forms in (1, "1", "01", np.int64(1), [1] * 4, ("1.0",) * 4, np.array([1] * 4), torch.tensor([1] * 4)):
        same(drawn(forms), drawn("1"))
    assert not torch.equal(drawn("1"), drawn("0"))
    same(drawn([1, 0, 1, 0])[::2], drawn("1")[::2])
    same(drawn([1, 0, 1, 0])[1::2], drawn("0")[1::2])
    same(drawn([-1] * 4), difrun.sample(model, 4, "heun", 5, seed=4))  # any class
    with pytest.raises(DifrunError, match="there is no class '2'"):
        drawn([0, 2, 0, 2])
    with pytest.raises(DifrunError, match="label: expected real numbers; a tensor on the device 'meta'"):
        drawn(torch.ones(4, dtype=torch.int64, device="meta"))


def test_the_likelihood_gives_its_guidances_the_data():
    seen = []

    def watched(model, dataset):
        seen.append(dataset.shape)
        return model

    plain = difrun.log_likelihood(
        difrun.wrap(lambda x, t: 0 * x, VP, (2,), "x0", "t", check=False), X, steps=3
    )
    model = difrun.wrap(lambda x, t: 0 * x, VP, (2,), "x0", "t", check=False)
    same(difrun.log_likelihood(model, X, steps=3, guidance=watched, dataset=X), plain)
    assert seen == [(2,)]
    with pytest.raises(ConfigError, match="asks for the data, and this model has none: give dataset"):
        difrun.log_likelihood(model, X, steps=3, guidance=watched)


def test_a_guidance_of_the_model_alone_needs_no_data():
    """As guidance without a classifier on a network trained elsewhere: its samples are those of the exact model."""
    mixture, classes = two_classes()
    flow = ReferenceFlow()  # its prior is the same for every class
    exact = ExactMixture(mixture, flow, classes)

    def network(x, t, y):
        asked = exact.condition_on(torch.where(y == 9, -1, y))
        return asked.predict(x.double(), flow.at(t.double(), 2), "straight").to(x.dtype)

    def towards_one(model, *, scale: float = 2.0):
        return flow.extrapolate(model, torch.ones(40, dtype=torch.int64), lambda at: scale)

    model = difrun.wrap(network, flow, (2,), "straight", "t", classes=2, null=9, check=False)
    wishes = {"guidance": towards_one, "grid": "rho", "label": 1, "dtype": torch.float64}
    drawn, right = (difrun.sample(m, 40, "heun", 6, **wishes) for m in (model, exact))
    torch.testing.assert_close(drawn, right, atol=1e-4, rtol=1e-4)
    plain = difrun.sample(model, 40, "heun", 6, grid="rho", label=1, dtype=torch.float64)
    assert (drawn - plain).abs().max() > 0.01
