"""Options of sampling from the command to the files: Brownian noise, and a sampler that counts its own evaluations."""

import json

import numpy as np
import pytest

from .support import difrun, facts, samples, without_pictures

EXACT = (
    "run",
    "--dataset",
    "blobs",
    "--model",
    "exact",
    "--threads",
    "1",
    "--metric",
    "sliced-w2",
    "--n",
    "300",
)


def run(folder, *arguments):
    with without_pictures():
        difrun(*EXACT, *arguments, "--out", folder)
    return folder


def drawn(folder, name="samples.npz"):
    with np.load(folder / name, allow_pickle=False) as file:
        return json.loads(str(file["drawn"]))


def test_evaluations_that_the_trajectory_decides_are_counted(tmp_path):
    """The mean per sample, in metrics.json and beside the samples; more for a smaller tolerance, the same in chunks."""
    loose = run(tmp_path / "loose", "--sampler", "adaptive", "--steps", 1)
    counted = facts(loose)["samples"]["evaluations"]
    assert 10 < counted < 200
    assert drawn(loose)["evaluations"] == counted
    difrun("sample", loose, "--seed", 0, "--n", 300, "--chunk", 70, "--out", tmp_path / "chunks.npz")
    assert drawn(tmp_path, "chunks.npz")["evaluations"] == pytest.approx(counted, abs=0.2)
    np.testing.assert_allclose(samples(tmp_path, "chunks.npz"), samples(loose), atol=1e-3)
    tight = ("sample", loose, "--seed", 0, "--n", 300, "--sampler.rtol", 1e-6)
    said = difrun(*tight, "--out", tmp_path / "tight.npz")
    assert "chooses its own steps" not in said
    said = difrun(*tight, "--steps", 10, "--out", tmp_path / "ten.npz")
    assert (
        "Note: sampler 'adaptive' chooses its own steps, and --steps 10 does not set its accuracy: "
        "--sampler.rtol (now 1e-06) and --sampler.atol (now 0.0001) do"
    ) in said
    assert drawn(tmp_path, "tight.npz")["evaluations"] > counted
    (loose / "metrics.json").unlink()
    with without_pictures():
        difrun("resume", loose)
    assert facts(loose)["samples"]["evaluations"] == counted


def test_brownian_noise_follows_one_path(tmp_path):
    """Twice the steps move each sample little with Brownian noise, and altogether with fresh noise; it is recorded."""
    folder = run(tmp_path / "run", "--sampler", "ancestral", "--steps", 40, "--noise", "brownian")
    assert facts(folder)["samples"]["noise"] == "brownian"
    assert 'noise = "brownian"' in (folder / "run.toml").read_text()
    difrun("sample", folder, "--seed", 0, "--n", 300, "--steps", 80, "--out", tmp_path / "finer.npz")
    difrun(
        "sample",
        folder,
        "--seed",
        0,
        "--n",
        300,
        "--steps",
        80,
        "--noise",
        "fresh",
        "--out",
        tmp_path / "fresh.npz",
    )
    coarse, finer, fresh = samples(folder), samples(tmp_path, "finer.npz"), samples(tmp_path, "fresh.npz")

    def apart(one, two):
        return np.median(np.linalg.norm(one - two, axis=1))

    assert apart(coarse, finer) < 0.2 * apart(coarse, fresh)


@pytest.mark.parametrize(
    ("sampler", "message"),
    [("heun", "this one draws no noise"), ("pc", "draws noise more than once in a step")],
)
def test_brownian_noise_without_sense_is_refused_before_there_is_a_folder(sampler, message, tmp_path):
    said = difrun(*EXACT, "--sampler", sampler, "--noise", "brownian", "--out", tmp_path / "run", code=1)
    assert message in said
    assert not (tmp_path / "run").exists()
