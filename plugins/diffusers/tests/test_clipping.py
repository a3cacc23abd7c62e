"""A folder whose scheduler clips x̂_0: the model clips it as well, and its kinds of prediction agree."""

import diffusers
import pytest
import torch

from difrun.data import Dataset
from difrun.model import PREDICTIONS
from difrun.sampler import integrate
from difrun.testing import ReferenceVE
from difrun_diffusers import load, samplers
from difrun_diffusers.clipping import Clip
from difrun_diffusers.grid import scheduler_grid
from difrun_diffusers.loading import diffusers_model

from . import pipelines

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

STEPS = 5

CLIPS = {
    "range": {"clip_sample": True, "clip_sample_range": 0.4},
    "thresholding": {"thresholding": True, "dynamic_thresholding_ratio": 0.8, "sample_max_value": 1.3},
}


@pytest.fixture(scope="module")
def network():
    return pipelines.unet()


def start():
    return torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("settings", CLIPS.values(), ids=CLIPS)
def test_ddim_of_the_clipped_model_is_that_of_diffusers(network, tmp_path, settings):
    """diffusers computes the noise from the clipped x̂_0 as well where it is told use_clipped_model_output."""
    scheduler = diffusers.DDIMScheduler(**settings)
    model = load(pipelines.saved(network, scheduler, tmp_path))
    scheduler.set_timesteps(STEPS)
    z = start()
    with torch.no_grad():
        for t in scheduler.timesteps:
            output = network(z, t).sample
            z = scheduler.step(output, t, z, use_clipped_model_output=True).prev_sample
    sampler = samplers.DDIM()
    times = scheduler_grid(model.process, STEPS, sampler)
    got = integrate(sampler, model, start(), times)
    torch.testing.assert_close(got, z, rtol=0, atol=1e-5)
    without = load(tmp_path, clip=False)
    assert without.clip is None
    assert (integrate(sampler, without, start(), times) - z).abs().max() > 0.1, "the clip makes no difference"


def test_ddpm_of_the_clipped_model_is_the_pipeline_itself(network, tmp_path):
    scheduler = diffusers.DDPMScheduler()
    model = load(pipelines.saved(network, scheduler, tmp_path))
    assert model.clip == Clip(1.0)
    pipeline = diffusers.DDPMPipeline(unet=network, scheduler=scheduler)
    pipeline.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(5)
    shown = pipeline(batch_size=2, generator=generator, num_inference_steps=STEPS, output_type="np").images
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(2, 3, 8, 8, generator=generator)
    sampler = samplers.DDPM()
    got = integrate(sampler, model, x, scheduler_grid(model.process, STEPS, sampler), generator=generator)
    seen = (got / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1)
    torch.testing.assert_close(seen, torch.from_numpy(shown), rtol=0, atol=1e-5)


@pytest.mark.parametrize("predicts", ["epsilon", "v_prediction", "sample"])
@pytest.mark.parametrize("process", [None, ReferenceVE()], ids=["own process", "another"])
def test_all_kinds_are_those_of_the_clipped_x0(network, tmp_path, predicts, process):
    folder = pipelines.saved(network, diffusers.DDPMScheduler(prediction_type=predicts), tmp_path)
    model, free = load(folder, process=process), load(folder, process=process, clip=False)
    at = model.process.at(model.process.horizon / 3)
    x = (at.alpha**2 + at.var) ** 0.5 * start()
    x0 = free.predict(x, at, "x0").clamp(-1, 1)
    assert (x0.abs() == 1).any()
    for kind in PREDICTIONS:
        expected = model.process.convert(x0, x, at, "x0", kind)
        scale = expected.abs().max().item()
        torch.testing.assert_close(model.predict(x, at, kind), expected, rtol=0, atol=1e-5 * scale)


def test_thresholding_divides_by_a_quantile_of_each_example():
    x0 = torch.tensor([[0.5, -0.25, 0.1, 0.2], [4.0, -2.0, 1.0, 0.5], [30.0, -20.0, 10.0, 5.0]])
    # The 2/3 quantiles of |x̂_0| are 0.25, 2 and 20: the first is raised to 1, the last lowered to 10.
    got = Clip(10.0, quantile=2 / 3)(x0)
    torch.testing.assert_close(got[0], x0[0])
    torch.testing.assert_close(got[1], torch.tensor([1.0, -1.0, 0.5, 0.25]))
    torch.testing.assert_close(got[2], torch.tensor([1.0, -1.0, 1.0, 0.5]))


def test_only_settings_that_the_scheduler_reads_count(network, tmp_path):
    """A scheduler made from another's configuration keeps settings that it does not read."""
    kept = diffusers.EulerDiscreteScheduler.from_config(diffusers.DDPMScheduler(clip_sample=True).config)
    assert kept.config["clip_sample"]
    assert load(pipelines.saved(network, kept, tmp_path / "euler")).clip is None
    off = diffusers.DDPMScheduler(clip_sample=False)
    assert load(pipelines.saved(network, off, tmp_path / "off")).clip is None


def test_a_run_is_told(network, tmp_path):
    folder = str(pipelines.saved(network, diffusers.DDPMScheduler(), tmp_path))
    data = Dataset(name="noise", train=torch.zeros(20, 3, 8, 8), held_out=torch.zeros(2, 3, 8, 8))
    (note,) = diffusers_model(process=ReferenceVE(), dataset=data, folder=folder).network.notes
    assert "clips x̂_0 to [−1, 1], and so does this model; --model.no-clip" in note
    free = diffusers_model(process=ReferenceVE(), dataset=data, folder=folder, clip=False)
    assert not hasattr(free.network, "notes")
