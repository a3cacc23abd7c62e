"""A folder on the command line: its schedule as a process, its own scheduler as a sampler."""

import diffusers
import numpy as np
import pytest
import torch

import difrun
from difrun.errors import DifrunError
from difrun.process import GaussianProcess
from difrun.sampler import integrate
from difrun_diffusers import load
from difrun_diffusers.grid import scheduler_grid
from difrun_diffusers.of_folder import OwnScheduler, folder_process

from . import pipelines

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

SCHEDULERS = {
    # Settings of the folder that change samples: spacing, the clip of x̂_0 to [−1, 1], the method, the table of β.
    "ddim": diffusers.DDIMScheduler(timestep_spacing="trailing", beta_schedule="squaredcos_cap_v2"),
    "ddpm": diffusers.DDPMScheduler(clip_sample=True, beta_end=0.01),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    place = tmp_path_factory.mktemp("folders")
    return {
        name: pipelines.saved(pipelines.unet(), scheduler, place / name)
        for name, scheduler in SCHEDULERS.items()
    }


@pytest.mark.parametrize("name", list(SCHEDULERS))
def test_its_own_scheduler_samples_what_its_pipeline_does(folders, name):
    """With the settings of the configuration, on its own grid, from the same noise: to float32 rounding."""
    cls = {"ddim": diffusers.DDIMPipeline, "ddpm": diffusers.DDPMPipeline}[name]
    pipeline = cls.from_pretrained(folders[name])
    pipeline.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(5)
    shown = pipeline(batch_size=2, generator=generator, num_inference_steps=4, output_type="np").images
    model, sampler = load(folders[name]), OwnScheduler()
    times = scheduler_grid(model.process, 4, sampler)
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(2, 3, 8, 8, generator=generator)
    got = integrate(sampler, model, x, times, generator=generator)
    seen = (got / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1)
    torch.testing.assert_close(seen, torch.from_numpy(shown), rtol=0, atol=2e-5)


def test_the_process_is_the_schedule_of_the_folder(folders):
    process = folder_process(folder=str(folders["ddim"]))
    table = SCHEDULERS["ddim"].alphas_cumprod
    for n in (1, 400, 999):
        assert process.at(float(n)).alpha ** 2 == pytest.approx(table[n - 1].item(), rel=1e-5)
    with pytest.raises(DifrunError, match=r"needs --process\.folder"):
        folder_process()
    with pytest.raises(DifrunError, match="there is no folder"):
        folder_process(folder=str(folders["ddim"].parent / "missing"))


def test_a_comparison_of_a_folder(folders, tmp_path):
    """The model follows from the process; our sampler stands beside the folder's own, with counted evaluations."""
    x = np.random.default_rng(0).normal(0, 0.5, size=(40, 3, 8, 8))
    np.save(tmp_path / "x.npy", x)
    options = {
        "process": {"folder": str(folders["ddpm"])},
        "dataset": {"path": str(tmp_path / "x.npy"), "scale": "none"},
    }
    plan = difrun.resolve({"process": "diffusers", "dataset": "file", "grid": "logsnr"}, options)
    assert plan.model.name == "diffusers"
    table = difrun.compare(
        plan,
        samplers=["heun", "diffusers-own"],
        steps=[2, 3],
        n=4,
        metrics=["energy"],
        out=tmp_path / "out",
    )
    assert [(row.sampler, row.steps, row.evaluations) for row in table.rows] == [
        ("heun", 2, 4), ("heun", 3, 6), ("diffusers-own", 2, 2), ("diffusers-own", 3, 3)
    ]  # fmt: skip
    assert [row.problem for row in table.rows] == [""] * 4


@pytest.mark.parametrize(
    "scheduler",
    [diffusers.DDIMScheduler(), diffusers.FlowMatchEulerDiscreteScheduler()],
    ids=["table", "flow"],
)
def test_python_takes_a_loaded_model_with_its_own_scheduler(scheduler, tmp_path):
    """As the README shows it: the process of `load` says that it has a scheduler."""
    model = load(pipelines.saved(pipelines.unet(), scheduler, tmp_path / "folder"))
    x = np.random.default_rng(0).normal(0, 0.5, size=(40, 3, 8, 8))
    table = difrun.compare(
        model,
        dataset=x,
        samplers=["heun", "diffusers-own"],
        steps=[2],
        n=4,
        metrics=["energy"],
        out=tmp_path / "out",
    )
    assert [row.sampler for row in table.rows] == ["heun", "diffusers-own"]
    drawn = difrun.sample(model, 3, sampler="diffusers-own", steps=2, seed=1)
    model, sampler = load(tmp_path / "folder"), OwnScheduler()
    again = difrun.sample(
        model, 3, sampler=sampler, steps=2, seed=1, grid=scheduler_grid(model.process, 2, sampler)
    )
    torch.testing.assert_close(drawn, again)


class Other(GaussianProcess):
    horizon = 1.0


def test_another_process_has_no_scheduler_of_its_own():
    with pytest.raises(DifrunError, match="take it with --process diffusers"):
        OwnScheduler().of(Other())
