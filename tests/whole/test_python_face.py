"""`difrun.run` and what follows it, against the command; and what a run folder knows of classes and objects."""

import json

import numpy as np
import pytest
import torch

import difrun as api
from difrun.analysis.sample_density import density_of_samples
from difrun.errors import ConfigError, DifrunError
from difrun_ou.process import OrnsteinUhlenbeck

from .python_calls import FLAGS, OPTIONS, SMALL, TINY, X
from .support import assert_same_result, difrun, samples, without_pictures


@pytest.fixture(scope="module")
def run(runs):
    with without_pictures():
        return api.run(process="ou", sampler="heun", dataset=X, out=runs / "named", options=OPTIONS, **SMALL)


def test_a_run_from_an_array_is_that_of_the_command_on_its_file(run, runs):
    np.save(runs / "x.npy", X)
    with without_pictures():
        difrun("run", *FLAGS, "--dataset", runs / "x.npy", "--out", runs / "command")
    assert_same_result(run.path, runs / "command")
    assert run.plan.dataset.name == "array"
    assert api.reopen(run.path).trained


def test_an_object_of_an_installed_class_is_its_name_and_options(run, runs):
    options = {key: value for key, value in OPTIONS.items() if key != "process.theta"}
    with without_pictures():
        same = api.run(
            process=OrnsteinUhlenbeck(theta=0.5),
            sampler="heun",
            dataset=X,
            out=runs / "object",
            options=options,
            **SMALL,
        )
    assert_same_result(same.path, run.path)
    assert (same.path / "run.toml").read_bytes() == (run.path / "run.toml").read_bytes()


def test_more_samples_are_those_of_the_command(run, runs):
    drawn = api.sample(run, 30, sampler="adams", steps=6)
    difrun("sample", run.path, "--n", 30, "--sampler", "adams", "--steps", 6, "--out", runs / "more.npz")
    np.testing.assert_array_equal(drawn.numpy(), samples(runs, "more.npz"))
    assert torch.equal(drawn, api.sample(run.path, 30, "adams", 6, seed=run.plan.seed + 1))
    own_again = api.sample(run, seed=run.plan.seed)
    np.testing.assert_array_equal(own_again.numpy(), samples(run.path))


@pytest.fixture(scope="module")
def with_classes(runs):
    with without_pictures():
        labels = np.array(["one", "two"])[np.arange(len(X)) % 2]
        return api.run(process="ou", dataset=(X, labels), out=runs / "classes", options=OPTIONS, **SMALL)


def same_file(mine, command):
    """Whether two files of samples hold the same arrays, `drawn` included."""
    with np.load(mine) as one, np.load(command) as other:
        assert sorted(one.files) == sorted(other.files)
        for name in one.files:
            np.testing.assert_array_equal(one[name], other[name])
        return json.loads(str(one["drawn"]))


def test_samples_are_written_as_the_command_writes_them(with_classes, runs):
    """The same arrays in the same file, and the samples themselves besides."""
    asked = {"sampler": "heun", "steps": 6, "label": "two"}
    drawn = api.sample(with_classes, 30, out=runs / "mine.npz", **asked)
    flags = ("--n", 30, "--sampler", "heun", "--steps", 6, "--label", "two", "--out", runs / "theirs.npz")
    difrun("sample", with_classes.path, *flags)
    told = same_file(runs / "mine.npz", runs / "theirs.npz")
    assert (told["n"], told["evaluations"], told["label"]) == (30, 12, "two")
    np.testing.assert_array_equal(drawn.numpy(), samples(runs, "mine.npz"))
    assert "sliced-w2" in api.evaluate(with_classes, runs / "mine.npz")
    with pytest.raises(DifrunError, match=r"out=.*mine\.npz already exists.*force=True"):
        api.sample(with_classes, 30, out=runs / "mine.npz")
    api.sample(with_classes, label=["one", "two", "two"], out=runs / "mine.npz", force=True)
    with np.load(runs / "mine.npz") as file:
        assert file["y"].tolist() == ["one", "two", "two"]
    api.sample(with_classes, data=X[:2], at=0.5, out=runs / "varied.npz")
    with np.load(runs / "varied.npz") as file:
        assert json.loads(str(file["drawn"]))["at"] == 0.5
    for wrong, message in (("x.csv", "ends in .npz"), ("none/x.npz", "there is no folder")):
        with pytest.raises(DifrunError, match=message):
            api.sample(with_classes, 30, out=runs / wrong)


def test_the_likelihood_of_a_class_is_asked_for_by_its_name(with_classes):
    """log p(x | class) is the density of the model conditioned on the number of the class, in the units of the data."""
    dataset = with_classes.parts.dataset
    x = torch.from_numpy(X[:4])
    numbers = torch.tensor([dataset.class_number(name) for name in ("two", "one", "two", "two")])
    of_class = with_classes.model.condition_on(numbers)
    nats = density_of_samples(of_class, dataset.scaling.encode(x).float(), steps=5, probes=0)
    expected = nats - float(dataset.scaling.scale.log().sum())
    each = api.log_likelihood(with_classes, X[:4], label=["two", "one", "two", "two"], steps=5)
    np.testing.assert_allclose(each, expected.numpy(), atol=1e-4)
    all_two = api.log_likelihood(with_classes, X[:4], label="two", steps=5)
    np.testing.assert_allclose(all_two[[0, 2, 3]], each[[0, 2, 3]], atol=1e-4)
    assert abs(all_two[1] - each[1]) > 1e-3
    with pytest.raises(DifrunError, match=r"no class 'three'.*2 classes: one, two"):
        api.log_likelihood(with_classes, X[:4], label="three")


def test_the_likelihood_is_in_the_units_of_the_data(run):
    """Its mean over all held-out examples is minus the nll that the command reports."""
    from difrun.runs.stages.likelihood import LikelihoodRequest

    dataset = run.parts.dataset
    with without_pictures():
        measured = run.likelihood(LikelihoodRequest(n=len(dataset.held_out), steps=8, times=2))
    mine = api.log_likelihood(run, dataset.decode(dataset.held_out), steps=8)
    assert float(mine.mean()) == pytest.approx(-measured["nll"]["nats"], abs=1e-4)


def test_evaluation_of_given_samples_is_that_of_the_run(run, runs):
    given = api.evaluate(run, samples(run.path))["sliced-w2"]
    assert given["value"] == pytest.approx(run.metrics["sliced-w2"]["value"], rel=1e-5)
    assert given["floor"] == run.metrics["sliced-w2"]["floor"]
    np.save(runs / "given.npy", samples(run.path))
    assert api.evaluate(run, runs / "given.npy")["sliced-w2"]["value"] == pytest.approx(given["value"])
    with without_pictures():
        assert "energy" in api.evaluate(run, metric="energy")
    with pytest.raises(DifrunError, match="do not fit a model of examples of shape"):
        api.evaluate(run, X[:, :1])


def test_inversion_and_levels_are_in_the_units_of_the_data(run):
    found = api.invert(run, X[:10], "heun", 20)
    back = api.sample(run, sampler="heun", steps=20, start=found.x, at=found.at)
    np.testing.assert_allclose(np.sqrt(np.square(back - X[:10]).mean(1)), found.error, atol=1e-5)
    near = api.sample(run, data=X[:10], at=0.01, steps=5)
    assert (
        np.abs(near - X[:10]).max() < 5
    )  # little noise, in units of the data, whose second column is 5 wide


def test_a_run_is_repeated_continued_and_taken_up(run, runs):
    with without_pictures():
        again = api.run(config=run.path, out=runs / "again")
        np.testing.assert_array_equal(samples(again.path), samples(run.path))
        from_it = api.run(start_from=run, out=runs / "from", options={"train.steps": 25})
        assert api.resume(again, steps=30).trainer.step == 30
        with pytest.raises(ConfigError, match="give one of the two"):
            api.resume(again, steps=40, finish=True)
    assert from_it.plan.train.start_from == run.path.absolute()
    assert torch.equal(from_it.parts.dataset.train, run.parts.dataset.train)


def test_conditions_are_given_as_numbers(runs):
    """As by the flag of the command, bit for bit; and one for each sample, example or row."""
    with without_pictures():
        run = api.run(dataset="gmm-given", process="ou", out=runs / "given", options=TINY, **SMALL)
    drawn = api.sample(run, 30, condition=[0.5], steps=4)
    difrun("sample", run.path, "--n", 30, "--condition", 0.5, "--steps", 4, "--out", runs / "given.npz")
    np.testing.assert_array_equal(drawn.numpy(), samples(runs, "given.npz"))
    c = np.linspace(-1, 1, 30)
    each = api.sample(run, 30, condition=c, steps=4)
    nats = api.log_likelihood(run, each[:4], condition=c[:4], steps=4)
    alone = [api.log_likelihood(run, each[i : i + 1], condition=c[i : i + 1], steps=4) for i in range(4)]
    torch.testing.assert_close(nats, torch.cat(alone), atol=1e-4, rtol=1e-4)
    assert "joint-w2" in api.evaluate(run, each, condition=c, metric="joint-w2")
    assert api.invert(run, each[:4], "heun", 10, condition=c[:4]).error.max() < 0.1
    with pytest.raises(DifrunError, match="expected one row for all or one for each"):
        api.sample(run, 30, condition=c[:7])
    with pytest.raises(ConfigError, match="give label or condition"):
        api.sample(run, 30, condition=0.5, label=1)
    assert torch.equal(api.sample(run, 30, condition=0.5, steps=4), drawn)
    assert len(api.sample(run, condition=c[:7], steps=4)) == 7
    for call in (api.sample, api.evaluate, api.compare):
        with pytest.raises(DifrunError, match=r"^condition=a: 'a' is not a number"):
            call(run, condition="a")
    with pytest.raises(DifrunError, match="condition: 3 values; the condition of these data has 1 value"):
        api.sample(run, condition=[[1, 2, 3]])
    said = difrun("sample", run.path, "--condition", "a", code=1)
    assert "--condition a: 'a' is not a number" in said
    message = (
        r"trained on examples of shape \(2,\) with a condition of 1 value.*neither classes nor a condition"
    )
    with pytest.raises(DifrunError, match=message):
        api.run(start_from=run, dataset=X, out=runs / "other")


def test_a_model_without_a_condition_refuses_one(run):
    with pytest.raises(DifrunError, match="this model takes no condition"):
        api.sample(run, 5, condition=[1.0])
