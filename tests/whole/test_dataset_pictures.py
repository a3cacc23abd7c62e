"""Pictures that a dataset of a plugin brings: what they are made of, where they stand, and what fails in them."""

import os

import numpy as np
import pytest
import torch

from difrun import draw, reopen
from difrun.plugin import registry
from difrun.runs.rehearsal import rehearse
from difrun.runs.report.dataset_pictures import declared_pictures, scene_of

from .support import difrun, facts, plugin, samples

PLUGIN = """
import pathlib
import attrs
from difrun.api import Component, hookimpl, option

@attrs.frozen
class Options:
    fail: bool = option(False, "Whether the second picture fails.")

@hookimpl
def difrun_datasets():
    return [
        Component("tiles", "difrun_tiles_code:tiles", "Squares of 2x3 pixels", Options, provides={"real"}),
        Component("pairs", "difrun_tiles_code:pairs", "Two blobs in the plane", Options, provides={"real"}),
    ]
"""

CODE = """
import torch
from difrun.data import Dataset
from difrun.draw import forward_animation, loss_curve
from difrun.data import GaussianMixture
from difrun.randomness import torch_generator
from difrun.data import Drawing, pictured

def pictures(scene, failing):
    def fails():
        raise ZeroDivisionError("no tile")
    def curve():
        return loss_curve([1, 2, 3], scene.samples[:3].flatten(1).sum(1))
    def film():
        times, frames = scene.forward(9, frames=3)
        return forward_animation(frames.flatten(2), times)
    yield Drawing("samples", "Tiles", "Samples.", "", curve)
    yield Drawing("own", "Own", "A picture of its own.", "", fails if failing else curve)
    yield Drawing("film", "Film", "A film.", "", film)

def never(scene):
    return pictures(scene, False)

def always(scene):
    return pictures(scene, True)

def examples(shape, seed):
    return torch.randn((60, *shape), generator=torch_generator(seed, "tiles"))

@pictured(always)
def tiles(*, seed, fail=False):
    x = examples((2, 3), seed)
    return Dataset(name="tiles", train=x[:40], held_out=x[40:])

@pictured(never)
def pairs(*, seed, fail=False):
    distribution = GaussianMixture([0.5, 0.5], [[-1.0, 0.0], [1.0, 0.0]], [0.04, 0.04])
    random = torch_generator(seed, "pairs")
    train, held_out = distribution.sample(40, random), distribution.sample(20, random)
    return Dataset(name="pairs", train=train, held_out=held_out, fresh=distribution.sample, distribution=distribution)
"""

FAST = ("--metric", "sliced-w2", "--n", "40", "--steps", "5", "--threads", "1", "--sampler", "heun")
EMPIRICAL = ("--model", "empirical", *FAST)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The temporary folder as the working one, with a plugin that brings two datasets."""
    site = tmp_path / "site"
    site.mkdir()
    plugin(site, "difrun-tiles", PLUGIN)
    (site / "difrun_tiles_code.py").write_text(CODE, encoding="utf-8")
    monkeypatch.syspath_prepend(site)
    monkeypatch.setattr(registry, "_cached", None)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def drawn(folder):
    return {path.name for path in folder.iterdir() if path.suffix in (".png", ".gif")}


def test_pictures_of_examples_that_are_no_vectors_stand_in_the_place_of_the_cores(here):
    """One fails: a sentence on the terminal and in the report, which is there; it is tried again with the next report,
    and the others stay as they are. Another run in the folder takes them away."""
    said = difrun("--dataset", "tiles", *EMPIRICAL, "--out", "run")
    note = "icture 'own' is left out: dataset 'tiles' (difrun-tiles) failed: ZeroDivisionError in fails"
    assert note in said
    run = here / "run"
    assert drawn(run) == {"samples.png", "picture-film.gif"}
    page = (run / "report.html").read_text("utf-8")
    assert note in page.replace("&#39;", "'")
    assert page.index("<b>Tiles.</b>") < page.index("<b>Film.</b>")
    assert facts(run)["metrics"]
    os.utime(run / "picture-film.gif", (1, 1))
    (run / "samples.png").unlink()
    assert note in difrun("evaluate", "run")
    assert (run / "picture-film.gif").stat().st_mtime == 1
    assert drawn(run) == {"samples.png", "picture-film.gif"}
    difrun("report", "run")
    assert (run / "picture-film.gif").stat().st_mtime > 1
    difrun("--dataset", "blobs", *EMPIRICAL, "--out", "run", "--force")
    assert not {name for name in drawn(run) if name.startswith("picture-")}


def test_pictures_of_vectors_stand_beside_the_cores(here):
    """But for one of the same name; of a run that is trained the loss comes last."""
    small = ("--train.steps", "20", "--train.batch", "8", "--model.width", "8")
    said = difrun("--dataset", "pairs", *small, *FAST, "--out", "run")
    assert "left out" not in said
    others = {"forward.gif", "reverse.gif", "density.png", "score.png", "flow.png", "loss.png"}
    assert drawn(here / "run") == {"samples.png", "picture-own.png", "picture-film.gif"} | others
    page = (here / "run" / "report.html").read_text("utf-8")
    assert "Data and samples" not in page
    assert page.index("<b>Probability flow.</b>") < page.index("<b>Tiles.</b>") < page.index("<b>Loss.</b>")


def test_the_scene_is_that_of_the_run(here):
    """The last frame of `reverse` is x at t_min of the run's own samples, the first of `forward` the training
    examples; references are held out, and as many as there are."""
    difrun("--dataset", "tiles", *EMPIRICAL, "--out", "run")
    run = reopen("run")
    scene = scene_of(run.plan, run.parts, run.model, run.samples, run.device)
    assert declared_pictures(run.plan, run.parts) is not None
    assert np.array_equal(scene.samples.numpy(), samples(here / "run"))
    times, frames = scene.reverse(7)
    assert (len(times), times[0], times[-1]) == (6, scene.process.horizon, scene.process.t_min)
    assert frames.shape == (6, 7, 2, 3)
    assert torch.allclose(frames[-1], scene.samples[:7], atol=0.01)
    assert not torch.allclose(frames[0], scene.samples[:7], atol=0.5)
    times, frames = scene.forward(5, frames=4)
    assert (len(times), times[0], times[-1]) == (4, 0.0, scene.process.horizon)
    assert torch.equal(frames[0], scene.dataset.train[:5])
    reference = scene.reference(1000)
    assert torch.equal(reference.flatten(1).sort(0).values, scene.dataset.held_out.flatten(1).sort(0).values)
    assert torch.equal(reference, scene.reference(1000))


def test_doctor_finds_a_picture_that_fails(here):
    found = registry.get_registry()
    guilty, error = rehearse(found, found.get("dataset", "tiles"))
    assert (guilty.name, type(error)) == ("tiles", ZeroDivisionError)
    assert rehearse(found, found.get("dataset", "pairs")) is None


def test_a_run_with_a_condition_shows_samples_given_it(here, monkeypatch):
    """From its own sampler: of gmm-given, over the exact p(x | c), whose mean the samples have."""
    figures = {}
    save = draw.save
    monkeypatch.setattr(
        draw, "save", lambda figure, path: figures.update({path.name: figure}) or save(figure, path)
    )
    exact = ("--dataset", "gmm-given", "--model", "exact", "--metric", "energy", "--threads", "1")
    difrun("run", *exact, "--n", 200, "--steps", 12, "--out", "run")
    assert "picture-given.png" in drawn(here / "run")
    page = (here / "run" / "report.html").read_text("utf-8")
    assert page.index("<b>Data and samples.</b>") < page.index("<b>Samples given a condition.</b>")
    conditional = reopen("run").parts.dataset.conditional
    for panel in figures["picture-given.png"].axes:
        c = float(panel.get_title().removeprefix("c = ").replace("−", "-"))
        mean, var = (part[0].numpy() for part in conditional.moments(torch.tensor([[c]])))
        points = np.asarray(panel.collections[0].get_offsets())
        assert (np.abs(points.mean(0) - mean) < 5 * np.sqrt(var / len(points))).all()
        assert points.var(0) == pytest.approx(var, rel=0.25)
    difrun("run", *exact[:2], *FAST, "--train.steps", 2, "--train.label-dropout", "1", "--out", "without")
    assert "picture-given.png" not in drawn(here / "without")
