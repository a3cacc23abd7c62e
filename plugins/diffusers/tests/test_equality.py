"""Samples through difrun are those of diffusers' own loops, to rounding in float32."""

import diffusers
import pytest
import torch

from difrun.errors import DifrunError
from difrun.grid import logsnr
from difrun.guidance.classifier_free import Extrapolated
from difrun.model import ExactMixture
from difrun.sampler import integrate
from difrun.testing import two_gaussians
from difrun.testing.references import ReferenceFlow
from difrun_diffusers import load, samplers
from difrun_diffusers.grid import scheduler_grid

from . import pipelines

STEPS = 10

# Of NumPy, about what the schedulers do with tensors.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def network():
    return pipelines.unet()


def start(n=2, channels=3, size=8):
    return torch.randn(n, channels, size, size, generator=torch.Generator().manual_seed(3))


def close(got, expected):
    """Within some roundings of the largest number that occurs."""
    scale = expected.abs().max().item()
    torch.testing.assert_close(got, expected, rtol=0, atol=4e-6 * scale)


def through_difrun(model, name, x, settings=(), generator=1):
    sampler = getattr(samplers, name)(settings=settings)
    times = scheduler_grid(model.process, STEPS, sampler)
    return integrate(sampler, model, x, times, generator=generator)


@torch.no_grad()
def loop_of_diffusers(network, scheduler, x):
    """As every pipeline does it."""
    scheduler.set_timesteps(STEPS)
    z = x * getattr(scheduler, "init_noise_sigma", 1.0)
    for t in scheduler.timesteps:
        scaled = scheduler.scale_model_input(z, t) if hasattr(scheduler, "scale_model_input") else z
        z = scheduler.step(network(scaled, t).sample, t, z).prev_sample
    return z


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("DPMSolverMultistep", {}),
        ("DPMSolverMultistep", {"solver_order": 3}),
        ("EulerDiscrete", {}),
        ("HeunDiscrete", {}),
        ("UniPCMultistep", {}),
        ("PNDM", {"skip_prk_steps": True, "steps_offset": 1}),
        ("LMSDiscrete", {}),
        ("FlowMatchEulerDiscrete", {}),
    ],
)
def test_a_deterministic_scheduler(network, tmp_path, name, options):
    scheduler = getattr(diffusers, f"{name}Scheduler")(**options)
    model = load(pipelines.saved(network, scheduler, tmp_path))
    sampler = getattr(samplers, name)(settings=tuple(f"{key}={value}" for key, value in options.items()))
    x = start()
    if sampler.entry.frame == "ve":
        first = model.process.at(scheduler_grid(model.process, STEPS, sampler)[0])
        scheduler.set_timesteps(STEPS)
        x = start() * (float(scheduler.init_noise_sigma) * first.alpha)
    expected = loop_of_diffusers(network, scheduler, start())
    close(through_difrun(model, name, x, sampler.settings), expected)


@pytest.mark.parametrize("kind", ["v_prediction", "sample"])
def test_what_the_network_predicts_follows_the_configuration(network, tmp_path, kind):
    scheduler = diffusers.DPMSolverMultistepScheduler(prediction_type=kind)
    model = load(pipelines.saved(network, scheduler, tmp_path))
    expected = loop_of_diffusers(network, scheduler, start())
    close(through_difrun(model, "DPMSolverMultistep", start(), (f"prediction_type={kind}",)), expected)
    # The sampler may ask for another kind than the network predicts.
    close(through_difrun(model, "DPMSolverMultistep", start()), expected)


@pytest.mark.parametrize(
    ("name", "pipeline", "settings", "call"),
    [
        ("DDPM", diffusers.DDPMPipeline, (), {}),
        ("DDIM", diffusers.DDIMPipeline, (), {"eta": 0.0}),
        ("DDIM", diffusers.DDIMPipeline, ("eta=1.0",), {"eta": 1.0}),
    ],
)
def test_a_pipeline_itself(network, tmp_path, name, pipeline, settings, call):
    """The pipeline itself with its own configuration, which clips x̂_0; one generator draws start and steps."""
    scheduler = getattr(diffusers, f"{name}Scheduler")()
    model = load(pipelines.saved(network, scheduler, tmp_path))
    made = pipeline(unet=network, scheduler=scheduler)
    made.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(5)
    expected = made(
        batch_size=2, generator=generator, num_inference_steps=STEPS, output_type="np", **call
    ).images
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(2, 3, 8, 8, generator=generator)
    got = through_difrun(model, name, x, ("clip_sample=true", *settings), generator)
    shown = (got / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1)
    torch.testing.assert_close(shown, torch.from_numpy(expected), rtol=0, atol=1e-5)


def test_stable_diffusion_with_guidance(tmp_path):
    """Texts, classifier-free guidance and the autoencoder of a pipeline in the form of Stable Diffusion."""
    pipeline = pipelines.stable_diffusion(tmp_path / "sd")
    pipeline.set_progress_bar_config(disable=True)
    latents = start(1, 4)
    call = {"num_inference_steps": STEPS, "guidance_scale": 3.0, "latents": latents}
    expected = pipeline("a cat", output_type="latent", **call).images
    model = load(tmp_path / "sd", prompts=["a dog", "a cat"])
    assert model.classes == 2
    guided = Extrapolated(model, torch.tensor([1]), lambda at: 3.0)
    got = through_difrun(guided, "DDIM", latents, ("set_alpha_to_one=false", "steps_offset=1"))
    # The network's two outputs nearly cancel: guidance multiplies their rounding.
    close(got, expected)
    pictures = pipeline("a cat", output_type="pt", **call).images
    shown = (model.decode(got) / 2 + 0.5).clamp(0, 1)
    torch.testing.assert_close(shown, pictures, rtol=0, atol=1e-4)
    other = through_difrun(model.condition_on(torch.tensor([0])), "DDIM", latents)
    assert (other - got).abs().max() > 1e-3 * expected.abs().max(), "the text makes no difference"


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("EulerDiscrete", ("prediction_type=v_prediction",)),
        ("EDMEuler", ()),
        ("CosineDPMSolverMultistep", ()),
        ("DDIM", ()),
    ],
)
def test_a_start_without_signal_is_refused_where_the_scheduler_divides_by_it(name, settings):
    model = ExactMixture(two_gaussians(), ReferenceFlow())
    sampler = getattr(samplers, name)(settings=settings)
    times = logsnr(model.process, 3)
    with pytest.raises(DifrunError, match=rf"{name}Scheduler divides by the signal α"):
        integrate(sampler, model, torch.zeros(1, 2), times, generator=1)
