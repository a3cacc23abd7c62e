"""A trained run as a folder of diffusers: DDPMPipeline and DDIMPipeline sample what difrun samples."""

import diffusers
import numpy as np
import pytest
import torch

import difrun
from difrun.errors import DifrunError
from difrun.grid import logsnr
from difrun.process.tabulated import TabulatedProcess
from difrun.sampler import Adams, integrate
from difrun_diffusers import load, samplers
from difrun_diffusers.grid import scheduler_grid
from difrun_diffusers.loading import diffusers_model
from difrun_diffusers.of_folder import folder_process

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

STEPS = 5


def trained(place, process, predicts="noise", labels=False):
    x = np.random.default_rng(0).normal(0.3, 0.5, size=(40, 3, 8, 8))
    np.savez(place / "x.npz", x=x, **({"y": np.arange(40) % 2} if labels else {}))
    options = {
        "train": {"steps": 2, "batch": 8, "label_dropout": 0.5 if labels else 0.0},
        "model": {"width": 8, "levels": 2, "blocks": 1, "predicts": predicts},
    }
    if not labels:
        del options["train"]["label_dropout"]
    named = {"process": process, "dataset": str(place / "x.npz"), "model": "diffusers-unet"}
    run = difrun.start(difrun.resolve(named, options), place / "run")
    run.train()
    return run


def chain():
    return TabulatedProcess.from_alphas_cumprod(diffusers.DDPMScheduler().alphas_cumprod.double())


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    place = tmp_path_factory.mktemp("export")
    run = trained(place, chain())
    notes: list[str] = []
    out = difrun.export(run, place / "out", "diffusers", listener=notes.append)
    assert notes == ["the weights are the averaged ones, with which the run samples"]
    return run, out


@pytest.mark.parametrize("name", ["DDPM", "DDIM"])
def test_pipelines_load_it_and_sample_what_difrun_samples(exported, name):
    """From the same noise, to float32 rounding, the network with its averaged weights and the folder read back."""
    run, out = exported
    pipeline = getattr(diffusers, f"{name}Pipeline").from_pretrained(out)
    pipeline.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(5)
    shown = pipeline(batch_size=2, generator=generator, num_inference_steps=STEPS, output_type="np").images
    sampler = getattr(samplers, name)()
    for model in (run.parts.model, load(out)):
        times = scheduler_grid(model.process, STEPS, sampler)
        generator = torch.Generator().manual_seed(5)
        x = torch.randn(2, 3, 8, 8, generator=generator)
        got = integrate(sampler, model, x, times, generator=generator)
        seen = (got / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1)
        torch.testing.assert_close(seen, torch.from_numpy(shown), rtol=0, atol=2e-5)


def test_our_sampler_gives_for_the_folder_what_it_gives_for_the_run(exported):
    """The moments of the data, their covariance included, help the default sampler for both."""
    run, out = exported
    dataset, trained_model = run.parts.dataset, run.parts.model
    of_folder = diffusers_model(process=folder_process(folder=str(out)), dataset=dataset)
    assert of_folder.principal is not None
    times = logsnr(trained_model.process, STEPS)
    x = trained_model.prior(2, 0)
    torch.testing.assert_close(of_folder.prior(2, 0), x)
    expected = integrate(Adams(), trained_model, x, times)
    got = integrate(Adams(), of_folder, x, times)
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-4 * expected.abs().max().item())


def test_what_a_pipeline_cannot_hold_is_refused(exported, tmp_path):
    run, out = exported
    with pytest.raises(DifrunError, match="exists already"):
        difrun.export(run, out, "diffusers")
    with pytest.raises(DifrunError, match="made from the dataset and the process"):
        difrun.export(run, tmp_path / "plain")
    for name, says, options in (
        ("labels", "trained on classes, and DDPMPipeline", {"labels": True}),
        ("x0", "predicts x0 of the process", {"predicts": "x0"}),
    ):
        (tmp_path / name).mkdir()
        with pytest.raises(DifrunError, match=says):
            difrun.export(trained(tmp_path / name, chain(), **options), tmp_path / "a", "diffusers")
    assert not (tmp_path / "a").exists()
