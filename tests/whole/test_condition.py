"""Conditions of numbers from a file to samples, guidance and likelihood, with the command itself."""

import json

import numpy as np
import pytest
import torch

import difrun as api
from difrun.data.files import read_labelled
from difrun.errors import DifrunError
from difrun.runs.stages import labels

from .support import difrun, without_pictures

TRAINING = (
    *(
        "--train.steps",
        400,
        "--train.batch",
        128,
        "--train.lr",
        0.005,
        "--train.ema",
        0.98,
        "--model.width",
        32,
    ),
    *("--model.depth", 1, "--n", 300, "--steps", 8, "--threads", 1, "--metric", "joint-w2"),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("condition")


@pytest.fixture(scope="module")
def given(folder):
    """A run on a .csv file of x = 2a + 5 + ½ε, y = ε, with the condition a."""
    random = np.random.default_rng(0)
    a = random.normal(size=600)
    rows = np.column_stack([2 * a + 5 + 0.5 * random.normal(size=600), a, random.normal(size=600)])
    np.savetxt(folder / "t.csv", rows, delimiter=",", header="x,a,y", comments="")
    with without_pictures():
        difrun(
            "run",
            "--dataset",
            folder / "t.csv",
            "--dataset.condition",
            "a",
            *TRAINING,
            "--out",
            folder / "run",
        )
    return folder / "run"


def drawn(run, *options):
    out = run.parent / "drawn.npz"
    difrun("sample", run, *options, "--out", out, "--force")
    with np.load(out) as file:
        return {name: file[name] for name in file.files}


def test_a_run_draws_given_the_conditions_of_the_data_and_measures_pairs(given):
    with np.load(given / "samples.npz") as file:
        x, c = file["x"], file["c"]
    assert c.shape == (300, 1)
    assert np.corrcoef(x[:, 0], c[:, 0])[0, 1] > 0.9
    measured = json.loads((given / "metrics.json").read_text())["metrics"]["joint-w2"]
    assert measured["value"] < 4 * measured["floor"]


def test_values_and_files_of_conditions_are_drawn(given, folder):
    sample = drawn(given, "--condition", "-1.5", "--n", 400)
    assert np.allclose(sample["c"], -1.5)
    # E[x | a] = 2a + 5; the error of the mean is 0.025, and training adds its own.
    assert sample["x"][:, 0].mean() == pytest.approx(2, abs=0.4)
    assert sample["x"][:, 0].std() == pytest.approx(0.5, abs=0.2)
    assert json.loads(str(sample["drawn"]))["condition"] == "-1.5"
    np.savetxt(folder / "asked.csv", np.linspace(-1, 1, 50)[:, None], header="a", comments="")
    sample = drawn(given, "--condition", folder / "asked.csv")
    assert sample["x"].shape == (50, 2)
    assert np.corrcoef(sample["x"][:, 0], np.linspace(-1, 1, 50))[0, 1] > 0.8
    np.savez(folder / "asked.npz", c=np.full((2, 1), 0.3))
    assert "2 rows for 50 samples" in difrun(
        "sample", given, "--condition", folder / "asked.npz", "--n", 50, code=1
    )


def test_a_file_of_conditions_is_parsed_once(given, folder, monkeypatch):
    """For the number of samples, the samples and the name of their file; and again when it has changed."""
    parsed = []

    def counting(*arguments, **options):
        parsed.append(arguments[0])
        return read_labelled(*arguments, **options)

    monkeypatch.setattr(labels, "read_labelled", counting)
    file = folder / "once.csv"
    for rows in (3, 4):
        np.savetxt(file, np.linspace(-1, 1, rows)[:, None], header="a", comments="")
        parsed.clear()
        difrun("sample", given, "--condition", file)
        assert parsed == [file]
    file = folder / "once.npz"
    np.savez(file, c=np.zeros((5, 1)), x=np.full((2, 9), 7.0))
    parsed.clear()
    assert drawn(given, "--condition", file)["x"].shape == (5, 2)
    assert parsed == [file]


def test_a_damaged_file_of_conditions_is_refused_in_words(given, folder):
    (folder / "damaged.npz").write_bytes(b"PK\3\4 no archive")
    said = difrun("sample", given, "--condition", folder / "damaged.npz", code=1)
    assert "--condition: file" in said
    assert "damaged.npz' is damaged" in said or "is not a .npz file" in said


def test_stronger_guidance_moves_further(given):
    """Beyond the mean of all data, by classifier-free guidance."""
    plain, strong = (
        drawn(given, "--condition", "1.5", "--n", 300, "--guidance", "cfg", "--guidance.scale", scale)["x"][
            :, 0
        ].mean()
        for scale in (1, 2)
    )
    assert strong > plain + 0.2


def test_comparison_likelihood_and_metrics_are_given_the_condition(given):
    """H(x, y | a) = ln(½ · 2πe); all data have more, by ln(√4.25/½) = 1.4 nats."""
    with without_pictures():
        difrun("evaluate", given, "--likelihood", "--likelihood.steps", 10, "--likelihood.times", 4)
    likelihood = json.loads((given / "metrics.json").read_text())["likelihood"]
    assert likelihood["condition"] == 1
    assert likelihood["nll"]["nats"] == pytest.approx(np.log(0.5 * 2 * np.pi * np.e), abs=0.5)
    text = difrun(
        *("compare", given, "--out", given.parent / "compared"),
        *("--steps", 4, "--n", 100, "--sampler", "heun", "--grid", "logsnr"),
    )
    assert "joint-w2" in text
    said = difrun("evaluate", given, "--condition", "0.5", "--n", 100, "--metric", "joint-w2", code=1)
    assert "all samples have one condition" in said


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--condition", "1,2"), "2 values; the condition of these data has 1 value: a"),
        (("--condition", "one"), "'one' is not a number"),
        (("--condition", ""), "is missing"),
        (("--condition", "missing.csv"), "does not exist"),
        (("--label", "a"), "have no labels"),
        (("--label", "a", "--condition", "1"), "cannot be used together"),
    ],
)
def test_conditions_that_do_not_fit_are_refused(given, options, said):
    assert said in difrun("sample", given, *options, code=1)


def test_a_condition_beyond_the_data_is_told(given):
    assert "column 'a' of the condition is 40" in difrun(
        "sample", given, "--condition", "40", "--n", 2, "--out", given.parent / "far.npz"
    )


def test_models_and_data_without_a_condition_refuse_one(given, folder, tmp_path):
    small = ("--train.steps", 1, "--n", 20, "--steps", 2, "--metric", "energy")
    data = ("--dataset", folder / "t.csv", "--dataset.condition", "a")
    with without_pictures():
        said = difrun("run", *data, *small, "--condition", folder / "t.csv", "--out", tmp_path / "a", code=1)
        assert "keeps no files of conditions" in said
        difrun("run", *data, *small, "--train.label-dropout", 1, "--out", tmp_path / "b")
        assert "trained without a condition" in difrun("sample", tmp_path / "b", "--condition", "1", code=1)
        difrun("run", "--dataset", "bimodal-1d", *small, "--out", tmp_path / "c")
        difrun("run", *data, *small[:-2], "--out", tmp_path / "d")
    assert next(iter(json.loads((tmp_path / "d" / "metrics.json").read_text())["metrics"])) == "joint-w2"
    assert "have no condition" in difrun("sample", tmp_path / "c", "--condition", "1", code=1)


def test_a_model_that_fills_gaps_completes_rows(given, folder, tmp_path):
    """x and y of t.csv given a, and a given x: any column given any other, from one model."""
    rows = np.loadtxt(folder / "t.csv", delimiter=",", skiprows=1)
    text = "\n".join(["x,a,y", *(",".join(map(str, row)) for row in rows), ",0.1,2", "nan,,1"])
    (tmp_path / "gaps.csv").write_text(text)
    data = ("--dataset", tmp_path / "gaps.csv", "--dataset.missing", "condition")
    with without_pictures():
        said = difrun("run", *data, *TRAINING[:-1], "sliced-w2", "--out", tmp_path / "run")
    assert "2 of 602 rows have a missing value" in said
    sample = drawn(tmp_path / "run", "--condition", ",-1,", "--n", 300)
    assert np.allclose(sample["x"][:, 1], -1)
    assert sample["x"][:, 0].mean() == pytest.approx(3, abs=0.6)
    sample = drawn(tmp_path / "run", "--condition", "7,,", "--n", 300)
    assert np.allclose(sample["x"][:, 0], 7)
    assert sample["x"][:, 1].mean() == pytest.approx(2 / 4.25 * 2, abs=0.4)
    (tmp_path / "rows.csv").write_text("a\n-1\n1\n")
    sample = drawn(tmp_path / "run", "--condition", tmp_path / "rows.csv")
    assert sample["x"][:, 1].tolist() == pytest.approx([-1, 1])
    assert np.isnan(sample["c"]).tolist() == [[True, False, True]] * 2
    with without_pictures():
        said = difrun("evaluate", tmp_path / "run", "--condition", ",-1,", "--n", 50)
    assert "all samples have one condition" in said


def test_python_calls_take_conditions_in_the_units_of_the_data(given):
    """Samples given a = −1.5 are near x = 2, and their density given that is higher than given a = 1.5."""
    x = api.sample(given, 200, condition=[-1.5])
    assert float(x[:, 0].mean()) == pytest.approx(2, abs=0.4)
    assert torch.equal(x, api.sample(given, 200, condition="-1.5"))
    assert torch.equal(x, api.sample(given, 200, condition=np.full((200, 1), -1.5)))
    near, far = (api.log_likelihood(given, x[:40], condition=[a], steps=10).mean() for a in (-1.5, 1.5))
    assert near > far + 5
    for wrong, said in (
        ([1, 2], r"shape \(2, 1\) for 200 samples"),
        (np.zeros((3, 1)), r"shape \(3, 1\) for 200"),
    ):
        with pytest.raises(DifrunError, match=said):
            api.sample(given, 200, condition=wrong)
