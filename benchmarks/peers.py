"""Deterministic samplers of other libraries, each called as its own users call it, with one denoiser for all.

A `Solver` carries z = 80 ε (n, d) to the data with at most so many calls of the denoiser D(z, σ) = E[x_0 | z, σ]. Where
a library's network predicts something else, or works in other coordinates, D is converted to that and no more.
"""

import importlib
import importlib.util
import math
import sys
import types
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import product
from typing import Any

import attrs
import torch
from targets import SIGMA_MAX
from torch import Tensor

Denoise = Callable[[Tensor, float], Tensor]


@attrs.frozen
class Solver:
    """A sampler of a library on one of its grids. default: what the library's own example or default options take."""

    origin: str
    name: str
    run: Callable[[Denoise, Tensor, int], Tensor]
    default: bool = False


def installed() -> tuple[list[Solver], dict[str, str]]:
    """The solvers of the libraries that can be imported, and why the others cannot: library -> reason."""
    solvers, missing = [], {}
    for library, offers in (("k-diffusion", k_diffusion), ("diffusers", diffusers), ("azula", azula)):
        try:
            solvers += list(offers())
        except Exception as error:  # whatever a broken installation raises
            missing[library] = f"{type(error).__name__}: {error}".splitlines()[0]
    return solvers, missing


def k_diffusion() -> Iterator[Solver]:
    """Samplers of k-diffusion on grids that end at its configurations' σ_min = 0.01 or at 0.002, and then at 0."""
    sampling = _sampling_of_k_diffusion()

    def grid(make: Callable, low: float, steps: int) -> Tensor:
        if steps > 1:
            return make(steps, low, SIGMA_MAX)
        return torch.tensor([SIGMA_MAX, 0.0])

    def run(
        method: Callable, sigmas: Callable, twice: bool, denoise: Denoise, z: Tensor, calls: int
    ) -> Tensor:
        # Methods of two calls take one in the last step, to σ = 0.
        steps = (calls + 1) // 2 if twice else calls
        return method(lambda x, sigma: denoise(x, float(sigma[0])), z, sigmas(steps), disable=True)

    methods: dict[str, tuple[Callable, bool]] = {
        "Euler": (sampling.sample_euler, False),
        "Heun": (sampling.sample_heun, True),
        "DPM-2": (sampling.sample_dpm_2, True),
        "LMS": (sampling.sample_lms, False),
        "2S": (partial(sampling.sample_dpmpp_2s_ancestral, eta=0.0), True),
        "2M": (sampling.sample_dpmpp_2m, False),
        "3M": (partial(sampling.sample_dpmpp_3m_sde, eta=0.0, noise_sampler=_no_noise), False),
    }
    grids = {"Karras": sampling.get_sigmas_karras, "log": sampling.get_sigmas_exponential}
    for (name, (method, twice)), (kind, make), low in product(methods.items(), grids.items(), (0.01, 0.002)):
        default = (name, kind, low) == ("2M", "Karras", 0.01)
        sigmas = partial(grid, make, low)
        yield Solver("k-diffusion", f"{name}, {kind} {low:g}", partial(run, method, sigmas, twice), default)


def _no_noise(sigma: Any, next_sigma: Any) -> float:
    return 0.0


def _sampling_of_k_diffusion() -> Any:
    """Its module `sampling` alone: the rest of the package imports image tools that sampling never calls.

    Of those, torchvision is the one that `sampling` itself imports, and it fails where it was built for another torch.
    """
    spec = importlib.util.find_spec("k_diffusion")
    if spec is None:
        raise ModuleNotFoundError("No module named 'k_diffusion'")
    package = types.ModuleType("k_diffusion")
    package.__path__ = list(spec.submodule_search_locations or [])
    sys.modules.setdefault("k_diffusion", package)
    with _torchvision():
        return importlib.import_module("k_diffusion.sampling")


@contextmanager
def _torchvision() -> Iterator[None]:
    """A stand-in for torchvision while something is imported, where the real one fails."""
    try:
        importlib.import_module("torchvision")
    except Exception:
        names = ("torchvision", "torchvision.transforms", "torchvision.transforms.functional")
        modules = {name: types.ModuleType(name) for name in names}
        modules[names[1]].functional = modules[names[2]]
        sys.modules.update(modules)
        yield
        for name in names:
            del sys.modules[name]
    else:
        yield


def diffusers() -> Iterator[Solver]:
    """Schedulers of diffusers: of a variance-preserving chain whose last noise level is 80, and of EDM.

    The chain has 1000 linear betas from 1e-4, as by default, up to what gives σ = 80 in place of 157.
    """
    from diffusers import schedulers

    betas = {"beta_start": 1e-4, "beta_end": _last_beta(1e-4, 1000)}

    def chain(make: Callable, scaled: bool, twice: bool, denoise: Denoise, z: Tensor, calls: int) -> Tensor:
        scheduler = make()
        scheduler.set_timesteps((calls + 1) // 2 if twice else calls)
        scheduler.set_begin_index(0)
        x = None
        for k, t in enumerate(scheduler.timesteps):
            sigma = float(scheduler.sigmas[k])
            # `scaled` schedulers hold z and feed the network z/√(1 + σ²); the others hold that quotient.
            total = 1.0 if scaled else math.sqrt(1 + sigma**2)
            if x is None:
                x = z / total
            scheduler.scale_model_input(x, t)
            noise = (total * x - denoise(total * x, sigma)) / sigma
            x = scheduler.step(noise, t, x).prev_sample
        return x

    def edm(make: Callable, denoise: Denoise, z: Tensor, calls: int) -> Tensor:
        scheduler, x = make(), z
        scheduler.set_timesteps(calls)
        for k, t in enumerate(scheduler.timesteps):
            sigma = float(scheduler.sigmas[k])
            scheduler.scale_model_input(x, t)
            # The scheduler makes D = c_skip x + c_out F of what the network F puts out.
            data = scheduler.config.sigma_data
            skip = data**2 / (sigma**2 + data**2)
            out = sigma * data / math.sqrt(sigma**2 + data**2)
            x = scheduler.step((denoise(x, sigma) - skip * x) / out, t, x).prev_sample
        return x

    held = {
        "2M": (schedulers.DPMSolverMultistepScheduler, {"solver_order": 2}),
        "3M": (schedulers.DPMSolverMultistepScheduler, {"solver_order": 3}),
        "UniPC 2": (schedulers.UniPCMultistepScheduler, {"solver_order": 2}),
        "UniPC 3": (schedulers.UniPCMultistepScheduler, {"solver_order": 3}),
        "DEIS 2": (schedulers.DEISMultistepScheduler, {"solver_order": 2}),
        "DEIS 3": (schedulers.DEISMultistepScheduler, {"solver_order": 3}),
    }
    scaled = {
        "Euler": (schedulers.EulerDiscreteScheduler, False),
        "Heun": (schedulers.HeunDiscreteScheduler, True),
        "LMS": (schedulers.LMSDiscreteScheduler, False),
    }
    grids = {"linspace": {}, "Karras": {"use_karras_sigmas": True}, "log": {"use_exponential_sigmas": True}}
    for (kind, grid), (name, (scheduler, options)) in product(grids.items(), held.items()):
        make = partial(scheduler, **betas, **options, **grid)
        default = (name, kind) == ("2M", "linspace")
        yield Solver("diffusers", f"{name}, {kind}", partial(chain, make, False, False), default)
    for (kind, grid), (name, (scheduler, twice)) in product(grids.items(), scaled.items()):
        make = partial(scheduler, **betas, **grid)
        yield Solver("diffusers", f"{name}, {kind}", partial(chain, make, True, twice))
    for order, low, kind in product((2, 3), (0.002, 0.01), ("karras", "exponential")):
        options = {"solver_order": order, "sigma_min": low, "sigma_schedule": kind}
        make = partial(schedulers.EDMDPMSolverMultistepScheduler, **options)
        yield Solver("diffusers", f"EDM {order}M, {kind} {low:g}", partial(edm, make))


def _last_beta(first: float, count: int) -> float:
    """The last of linear betas with Π(1 − β) = 1/(1 + σ²) at σ = 80, by bisection."""
    low, high = first, 0.1
    for _ in range(60):
        middle = 0.5 * (low + high)
        left = torch.linspace(first, middle, count, dtype=torch.float64).neg().log1p().sum()
        low, high = (low, middle) if left < -math.log1p(SIGMA_MAX**2) else (middle, high)
    return high


def azula() -> Iterator[Solver]:
    """Samplers of azula, on its schedules and their uniform times, from σ/α = 80 to 0.001 (its default) or 0.01."""
    from azula import noise, sample
    from azula.denoise import Denoiser, DiracPosterior

    class Exact(Denoiser):
        def __init__(self, schedule: Any, denoise: Denoise):
            super().__init__()
            self.schedule, self.denoise = schedule, denoise

        def forward(self, x: Tensor, t: Tensor, **_: Any) -> Any:
            alpha, sigma = (float(part) for part in self.schedule(t))
            return DiracPosterior(self.denoise(x / alpha, sigma / alpha))

    def run(make: Callable, schedule: Any, twice: bool, denoise: Denoise, z: Tensor, calls: int) -> Tensor:
        sampler = make(Exact(schedule, denoise), steps=calls // 2 if twice else calls, silent=True)
        sampler.dtype = torch.float64
        alpha, _ = schedule(torch.ones((), dtype=torch.float64))
        left, _ = schedule(torch.zeros((), dtype=torch.float64))
        return sampler(alpha * z) / left

    def schedules(low: float) -> Iterable[tuple[str, Any]]:
        # σ/α = 80 at the start, where σ² = 1 − α² + σ_min² for VP and cosine, and σ = 1 for rectified.
        yield "VE", noise.VESchedule(sigma_min=low, sigma_max=SIGMA_MAX)
        quotient = math.sqrt((1 + low**2) / (1 + SIGMA_MAX**2))
        yield "VP", noise.VPSchedule(alpha_min=quotient, sigma_min=low)
        yield "cosine", noise.CosineSchedule(alpha_min=quotient, sigma_min=low)
        yield "rectified", noise.RectifiedSchedule(alpha_min=1 / SIGMA_MAX, sigma_min=low)

    methods: dict[str, tuple[Callable, bool]] = {
        "DDIM": (sample.DDIMSampler, False),
        "Heun": (sample.HeunSampler, True),
    }
    for order in (2, 3):
        for name in ("zAB", "vAB", "zEAB", "xEAB", "REAB"):
            methods[f"{name} {order}"] = (partial(getattr(sample, f"{name}Sampler"), order=order), False)
    for low in (0.001, 0.01):
        for (kind, schedule), (name, (make, twice)) in product(schedules(low), methods.items()):
            default = (name, kind, low) == ("DDIM", "VP", 0.001)
            yield Solver("azula", f"{name}, {kind} {low:g}", partial(run, make, schedule, twice), default)
