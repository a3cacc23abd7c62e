"""Samplers of diffusers, k-diffusion and azula as methods that carry a state of one process along any levels."""

import importlib.util
import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import attrs
import torch
from torch import Tensor

from difrun.model import ScoreModel
from difrun.randomness import Generator
from difrun.sampler import integrate
from difrun_diffusers import samplers
from difrun_diffusers.rebound import brownian, drawing_from
from difrun_diffusers.table import SCHEDULERS


@attrs.frozen
class Method:
    """A sampler of a package of samplers.

    Attributes:
        package: The package it comes from.
        name: Its name there.
        settings: What differs from its defaults.
        claim: The order that it claims; None for none.
        stochastic: Whether it draws noise.
        run: (model, x, times, generator) -> x at the last of the times.
        sampler: As a sampler of difrun, where it is one.
    """

    package: str
    name: str
    settings: str
    claim: int | None
    stochastic: bool
    run: Callable[[ScoreModel, Tensor, list[float], Generator | None], Tensor]
    sampler: Any = None


VARIANTS: dict[str, tuple[str, ...]] = {
    "ddpm": ("variance_type=fixed_large", "timestep_spacing=trailing", "timestep_spacing=linspace"),
    "ddim": ("eta=1.0", "timestep_spacing=trailing", "timestep_spacing=linspace"),
    "pndm": ("timestep_spacing=linspace", "timestep_spacing=trailing"),
    "cogvideox-ddim": ("timestep_spacing=trailing",),
    "euler": ("s_churn=10.0", "use_karras_sigmas=true", "timestep_spacing=trailing", "timestep_spacing=leading"),
    "euler-ancestral": ("timestep_spacing=trailing",),
    "heun": ("use_karras_sigmas=true", "timestep_spacing=trailing"),
    "lms": ("order=1", "order=2", "order=3", "use_karras_sigmas=true"),
    "kdpm2": ("use_karras_sigmas=true",),
    "dpmsolver": (
        "solver_order=1", "solver_order=3", "solver_type=heun", "algorithm_type=dpmsolver,final_sigmas_type=sigma_min",
        "algorithm_type=dpmsolver,solver_order=3,final_sigmas_type=sigma_min", "algorithm_type=sde-dpmsolver++",
        "algorithm_type=sde-dpmsolver++,solver_order=3", "algorithm_type=sde-dpmsolver,final_sigmas_type=sigma_min",
        "algorithm_type=sde-dpmsolver,solver_order=3,final_sigmas_type=sigma_min", "use_karras_sigmas=true",
        "solver_order=3,use_karras_sigmas=true", "use_lu_lambdas=true", "timestep_spacing=trailing",
    ),
    "dpmsolver-singlestep": (
        "solver_order=1", "solver_order=3", "algorithm_type=sde-dpmsolver++", "use_karras_sigmas=true",
    ),
    "deis": ("solver_order=1", "solver_order=3", "use_karras_sigmas=true"),
    "unipc": (
        "solver_order=1", "solver_order=3", "solver_type=bh1", "predict_x0=false", "use_karras_sigmas=true",
        "solver_order=3,use_karras_sigmas=true",
    ),
    "sasolver": (
        "predictor_order=1,corrector_order=1", "predictor_order=3,corrector_order=3",
        "algorithm_type=noise_prediction", "use_karras_sigmas=true",
    ),
    "edm-dpmsolver": ("solver_order=1", "solver_order=3", "algorithm_type=sde-dpmsolver++"),
    "cosine-dpmsolver": ("solver_order=1",),
    "flow-euler": ("shift=3.0", "stochastic_sampling=true", "s_churn=10.0", "use_karras_sigmas=true"),
    "flow-heun": ("shift=3.0",),
    "ltx-euler-ancestral": ("eta=0.0",),
    "tcd": ("eta=0.0",),
}  # fmt: skip
"""Name of a scheduler -> its main settings, beside its defaults."""


def diffusers() -> Iterator[Method]:
    """Every scheduler of the plugin, with its defaults and with its main settings."""
    for name, entry in SCHEDULERS.items():
        make = getattr(samplers, entry.cls.removesuffix("Scheduler"))
        for settings in ("", *VARIANTS.get(name, ())):
            sampler = make(settings=tuple(filter(None, settings.split(","))))

            def run(
                model: ScoreModel,
                x: Tensor,
                times: list[float],
                generator: Generator | None,
                sampler: Any = sampler,
            ) -> Tensor:
                return integrate(sampler, model, x, times, generator=generator)

            yield Method("diffusers", entry.cls, settings, sampler.order, sampler.stochastic, run, sampler)


def _levels(model: ScoreModel, times: list[float]) -> tuple[list[Any], Tensor]:
    """The instants of times, and their σ/α."""
    instants = model.process.instants(times)
    return instants, torch.tensor([at.sigma / at.alpha for at in instants], dtype=torch.float64)


def k_diffusion() -> Iterator[Method]:
    """Samplers of k-diffusion, in x/α."""
    from peers import _sampling_of_k_diffusion

    sampling = _sampling_of_k_diffusion()

    def run(
        method: Callable, model: ScoreModel, x: Tensor, times: list[float], generator: Generator | None
    ) -> Tensor:
        instants, sigmas = _levels(model, times)
        process = model.process

        def denoise(z: Tensor, sigma: Tensor) -> Tensor:
            at = process.at(process.time_at(-math.log(float(sigma[0]))))
            return model.predict(at.alpha * z, at, "x0")

        with drawing_from(generator or Generator(0), x):
            z = method(denoise, x / instants[0].alpha, sigmas, disable=True)
        return z * instants[-1].alpha

    noisy = {"noise_sampler": brownian}
    rows: list[tuple[str, str, int | None, bool, dict[str, Any]]] = [
        ("sample_euler", "", 1, False, {}),
        ("sample_heun", "", 2, False, {}),
        ("sample_dpm_2", "", 2, False, {}),
        ("sample_lms", "", 4, False, {}),
        ("sample_lms", "order=2", 2, False, {"order": 2}),
        ("sample_dpmpp_2m", "", 2, False, {}),
        ("sample_dpmpp_2s_ancestral", "eta=0", 2, False, {"eta": 0.0, **noisy}),
        ("sample_dpmpp_2m_sde", "eta=0", 2, False, {"eta": 0.0, **noisy}),
        ("sample_dpmpp_3m_sde", "eta=0", 3, False, {"eta": 0.0, **noisy}),
        ("sample_dpmpp_sde", "eta=0", 2, False, {"eta": 0.0, **noisy}),
        ("sample_euler_ancestral", "", 1, True, noisy),
        ("sample_dpm_2_ancestral", "", 2, True, noisy),
        ("sample_dpmpp_2s_ancestral", "", 2, True, noisy),
        ("sample_dpmpp_sde", "", 2, True, noisy),
        ("sample_dpmpp_2m_sde", "", 2, True, noisy),
        ("sample_dpmpp_2m_sde", "solver_type=heun", 2, True, {"solver_type": "heun", **noisy}),
        ("sample_dpmpp_3m_sde", "", 3, True, noisy),
    ]
    for name, settings, claim, stochastic, options in rows:
        method = partial(getattr(sampling, name), **options)
        yield Method("k-diffusion", name, settings, claim, stochastic, partial(run, method))


class _Torch:
    """torch, whose `randn_like` draws from the generator of the run."""

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)

    @staticmethod
    def randn_like(like: Tensor) -> Tensor:
        return brownian(0.0, -1.0)


def _azula_alone() -> Any:
    """A copy of azula's module `sample` that draws its noise from difrun."""
    found = importlib.util.find_spec("azula.sample")
    if found is None:
        raise ModuleNotFoundError("No module named 'azula'")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    module.torch = _Torch()
    return module


def azula() -> Iterator[Method]:
    """Samplers of azula, on the schedule of the process."""
    sample = _azula_alone()
    from azula.denoise import Denoiser, DiracPosterior

    class Exact(Denoiser):
        def __init__(self, model: ScoreModel, times: list[float]):
            super().__init__()
            self.model, self.times = model, times

        def schedule(self, t: Tensor) -> tuple[Tensor, Tensor]:
            at = self.model.process.at(t.reshape(-1))
            return at.alpha.reshape(t.shape), at.sigma.reshape(t.shape)

        def forward(self, x: Tensor, t: Tensor, **_: Any) -> Any:
            return DiracPosterior(self.model.predict(x, self.model.process.at(float(t)), "x0"))

    def run(
        name: str,
        options: dict[str, Any],
        model: ScoreModel,
        x: Tensor,
        times: list[float],
        generator: Generator | None,
    ) -> Tensor:
        made = getattr(sample, name)
        places = torch.tensor(times, dtype=torch.float64)
        grid = type(name, (made,), {"timesteps": property(lambda self: places)})
        sampler = grid(Exact(model, times), steps=len(times) - 1, silent=True, **options)
        with drawing_from(generator or Generator(0), x):
            return sampler(x)

    rows: list[tuple[str, str, int | None, bool, dict[str, Any]]] = [
        ("DDPMSampler", "", 1, True, {}),
        ("DDIMSampler", "", 1, False, {}),
        ("DDIMSampler", "eta=1", 1, True, {"eta": 1.0}),
        ("EulerSampler", "", 1, False, {}),
        ("HeunSampler", "", 2, False, {}),
        ("ItoSampler", "", 1, True, {}),
    ]
    for order in (2, 3):
        rows += [
            (f"{kind}ABSampler", f"order={order}", order, False, {"order": order})
            for kind in ("z", "v", "zE", "xE", "RE")
        ]
    rows.append(("PCSampler", "", None, True, {}))
    for name, settings, claim, stochastic, options in rows:
        yield Method("azula", name, settings, claim, stochastic, partial(run, name, options))


SOURCES: dict[str, Callable[[], Iterator[Method]]] = {
    "diffusers": diffusers,
    "k-diffusion": k_diffusion,
    "azula": azula,
}
"""Library -> its methods."""
