"""Folders of diffusers as models: what is loaded, and what is refused and how."""

import json

import diffusers
import pytest
import torch

from difrun.data import Dataset
from difrun.errors import DifrunError
from difrun.process import GaussianProcess
from difrun.sampler import integrate
from difrun_diffusers import export, load, samplers
from difrun_diffusers.grid import scheduler_grid
from difrun_diffusers.loading import diffusers_model
from difrun_diffusers.unet import UNet

from . import pipelines

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return pipelines.saved(
        pipelines.unet(), diffusers.DDPMScheduler(), tmp_path_factory.mktemp("model") / "m"
    )


def images(n=3, channels=3, size=8):
    return torch.randn(n, channels, size, size, generator=torch.Generator().manual_seed(3))


def test_a_prediction_is_the_network_at_its_timestep(folder):
    model, x = load(folder, clip=False), images()
    network = pipelines.unet()
    for place in (0, 1, 500, 999):
        expected = network(x, place).sample
        torch.testing.assert_close(model.predict(x, model.process.at(place + 1.0), "noise"), expected)
    table = diffusers.DDPMScheduler().alphas_cumprod
    at = model.process.at(501.0)
    assert at.alpha**2 == pytest.approx(table[500].item(), rel=1e-5)
    batch = model.process.at(torch.tensor([1.0, 501.0, 1000.0]), 4)
    expected = network(x, torch.tensor([0, 500, 999])).sample
    torch.testing.assert_close(model.predict(x, batch, "noise"), expected, rtol=1e-4, atol=1e-5)


class VarianceExploding(GaussianProcess):
    horizon = 50.0

    def log_alpha(self, t):
        return torch.zeros_like(t)

    def variance(self, t):
        return t**2


def test_the_network_works_under_another_process(folder):
    """At the level σ/α of its table: x̂_0 of the same noised example is the same, whatever the coordinates."""
    own, other = load(folder), load(folder, process=VarianceExploding())
    x0, noise = images(2), images(2).flip(0)
    at = own.process.at(301.0)
    there = other.process.at(at.sigma / at.alpha)
    expected = own.predict(at.alpha * x0 + at.sigma * noise, at, "x0")
    got = other.predict(x0 + there.sigma * noise, there, "x0")
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


def test_classes(tmp_path):
    network = pipelines.unet(num_class_embeds=4)
    model = load(pipelines.saved(network, diffusers.DDIMScheduler(), tmp_path), clip=False)
    assert model.classes == 4
    assert not model.knows_any
    x, labels = images(), torch.tensor([3, 0, 2])
    got = model.condition_on(labels).predict(x, model.process.at(101.0), "noise")
    torch.testing.assert_close(got, network(x, 100, class_labels=labels).sample)
    with pytest.raises(DifrunError, match="give every row its class"):
        model.predict(x, model.process.at(101.0), "noise")


def test_a_transformer_of_classes_and_learned_variance(tmp_path):
    torch.manual_seed(2)
    network = diffusers.DiTTransformer2DModel(
        num_attention_heads=2, attention_head_dim=4, in_channels=4, out_channels=8, num_layers=1, sample_size=8,
        patch_size=2, num_embeds_ada_norm=10,
    ).eval()  # fmt: skip
    for parameter in network.parameters():  # some start at zero
        parameter.data += 0.05 * torch.randn_like(parameter)
    network.save_pretrained(tmp_path / "transformer")
    diffusers.DDIMScheduler().save_pretrained(tmp_path / "scheduler")
    model, x = load(tmp_path / "transformer", clip=False), images(3, 4)
    assert (model.classes, model.knows_any, model.shape) == (10, True, (4, 8, 8))
    labels = torch.tensor([7, -1, 0])
    with torch.no_grad():
        expected = network(x, torch.tensor([100] * 3), torch.tensor([7, 10, 0])).sample[:, :4]
    got = model.condition_on(labels).predict(x, model.process.at(101.0), "noise")
    torch.testing.assert_close(got, expected)


def test_a_pickled_checkpoint_is_refused(tmp_path):
    pipelines.saved(pipelines.unet(), diffusers.DDPMScheduler(), tmp_path / "m")
    weights = tmp_path / "m" / "unet" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(DifrunError, match=r"pickled.*(?s:.*)safe_serialization=True"):
        load(tmp_path / "m")
    weights.with_suffix(".bin").unlink()
    with pytest.raises(DifrunError, match="no weights"):
        load(tmp_path / "m")


def test_folders_without_a_model_are_refused(tmp_path, folder):
    with pytest.raises(DifrunError, match="there is no folder"):
        load(tmp_path / "missing")
    with pytest.raises(DifrunError, match="holds no model"):
        load(tmp_path)
    (tmp_path / "file.ckpt").write_bytes(b"x")
    with pytest.raises(DifrunError, match="single file"):
        load(tmp_path / "file.ckpt")
    (tmp_path / "config.json").write_text(json.dumps({"_class_name": "VQModel"}))
    with pytest.raises(DifrunError, match="holds VQModel; UNet2DModel"):
        load(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(DifrunError, match="is not JSON"):
        load(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"_class_name": "UNet2DModel"}))
    with pytest.raises(DifrunError, match=r"scheduler_config\.json is missing"):
        load(tmp_path)
    with pytest.raises(DifrunError, match="takes no text"):
        load(folder, prompts=["a cat"])


def data(shape=(3, 8, 8), mean=0.3, std=0.5):
    x = mean + std * torch.randn(40, *shape, generator=torch.Generator().manual_seed(9))
    return Dataset(name="noise", train=x, held_out=x[:5])


def test_the_component_wants_data_of_its_shape(folder):
    made = diffusers_model(process=VarianceExploding(), dataset=data(), folder=str(folder))
    assert made.process.horizon == 50
    torch.testing.assert_close(made.mean, data().mean)
    with pytest.raises(
        DifrunError, match=r"shape \(3, 8, 8\); those of dataset 'noise' have shape \(1, 8, 8\)"
    ):
        diffusers_model(process=VarianceExploding(), dataset=data((1, 8, 8)), folder=str(folder))
    with pytest.raises(DifrunError, match=r"needs --model\.folder"):
        diffusers_model(process=VarianceExploding(), dataset=data(), folder="")


def test_an_exported_network_is_the_pipeline(tmp_path, folder):
    """A network in difrun's scaling, and the pipeline that it becomes, sample the same: DDPM, and read back."""
    process = load(folder).table
    dataset = data()
    torch.manual_seed(4)
    network = UNet((3, 8, 8), dataset, process, width=8, levels=2, blocks=1)
    model = process.denoiser(network, shape=(3, 8, 8), mean=dataset.mean, var=dataset.var, predicts="noise")
    out = export(model, tmp_path / "out")
    pipeline = diffusers.DDPMPipeline.from_pretrained(out)
    pipeline.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(5)
    shown = pipeline(batch_size=2, generator=generator, num_inference_steps=5, output_type="np").images
    sampler = samplers.DDPM()
    times = scheduler_grid(process, 5, sampler)
    for made in (model, load(out)):
        generator = torch.Generator().manual_seed(5)
        x = torch.randn(2, 3, 8, 8, generator=generator)
        got = integrate(sampler, made, x, times, generator=generator)
        seen = (got / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1)
        torch.testing.assert_close(seen, torch.from_numpy(shown), rtol=0, atol=2e-5)
    with pytest.raises(DifrunError, match="exists already"):
        export(model, out)
    with pytest.raises(DifrunError, match="--model diffusers-unet"):
        export(load(folder), tmp_path / "other")
