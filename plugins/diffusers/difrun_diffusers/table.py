"""The schedulers that are samplers: a table, without torch and without diffusers."""

from collections.abc import Mapping
from typing import Any

import attrs


@attrs.frozen
class Scheduler:
    """A scheduler class of diffusers, and what the adapter must know of it.

    Attributes:
        cls: The name of the class in `diffusers`.
        summary: One line.
        frame: Coordinates a·x_0 + s·ε of its state: "vp" (a² + s² = 1), "ve" (a = 1), "flow" (a + s = 1).
        table: Where its levels are: "chain" (`alphas_cumprod` by integer timestep), "sigmas", "pairs" (`sigmas`, with
            two calls per step), "middles" (two calls per step, the second in between), or the name of a class that is
            like no other.
        order: The order that it claims, with its default settings; None where it claims none.
        stochastic: Whether it draws noise with its default settings.
        output: What its network predicts if that is not its setting `prediction_type`: "velocity", "v", "score", or
            "preconditioned".
        defaults: Settings that differ from those of diffusers.
        own: Whether its schedule is its own formula, so that its grid does not follow the process.
    """

    cls: str
    summary: str
    frame: str
    table: str
    order: int | None
    stochastic: bool = False
    output: str | None = None
    defaults: Mapping[str, Any] = attrs.field(factory=dict)
    own: bool = False

    @property
    def calls(self) -> int:
        """How often it asks the model in one step."""
        return 2 if self.table in ("pairs", "middles") else 1


_UNCLIPPED = {"clip_sample": False}
"""Data here are not bounded by 1; the clip of x̂_0 to [−1, 1], which is on in diffusers, is off."""

SCHEDULERS: dict[str, Scheduler] = {
    "ddpm": Scheduler(
        "DDPMScheduler", "Ancestral sampling of DDPM", "vp", "chain", 1, True, defaults=_UNCLIPPED
    ),
    "ddpm-parallel": Scheduler(
        "DDPMParallelScheduler",
        "DDPM, with a step for batches of times",
        "vp",
        "chain",
        1,
        True,
        defaults=_UNCLIPPED,
    ),
    "ddim": Scheduler(
        "DDIMScheduler", "DDIM, deterministic unless eta is set", "vp", "chain", 1, defaults=_UNCLIPPED
    ),
    "ddim-parallel": Scheduler(
        "DDIMParallelScheduler",
        "DDIM, with a step for batches of times",
        "vp",
        "chain",
        1,
        defaults=_UNCLIPPED,
    ),
    "cogvideox-ddim": Scheduler(
        "CogVideoXDDIMScheduler",
        "DDIM of CogVideoX",
        "vp",
        "chain",
        1,
        defaults={"clip_sample": False, "snr_shift_scale": 1.0},
    ),
    "cogvideox-dpm": Scheduler(
        "CogVideoXDPMScheduler",
        "SDE-DPM-Solver++(2M) of CogVideoX",
        "vp",
        "cogvideox-dpm",
        2,
        True,
        defaults={"clip_sample": False, "snr_shift_scale": 1.0},
    ),
    "unclip": Scheduler(
        "UnCLIPScheduler", "Ancestral sampling of unCLIP", "vp", "unclip", 1, True, defaults=_UNCLIPPED
    ),
    "pndm": Scheduler(
        "PNDMScheduler",
        "Pseudo linear multistep method (PLMS)",
        "vp",
        "pndm",
        2,
        defaults={"skip_prk_steps": True, "steps_offset": 1},
    ),
    "lcm": Scheduler(
        "LCMScheduler",
        "For latent consistency models: x̂_0, noised again",
        "vp",
        "chain",
        None,
        True,
        defaults=_UNCLIPPED,
    ),
    "tcd": Scheduler(
        "TCDScheduler", "For trajectory consistency models", "vp", "chain", None, True, defaults=_UNCLIPPED
    ),
    "wuerstchen": Scheduler(
        "DDPMWuerstchenScheduler",
        "Ancestral sampling on the cosine schedule of Würstchen",
        "vp",
        "wuerstchen",
        1,
        True,
        output="epsilon",
        own=True,
    ),
    "ipndm": Scheduler(
        "IPNDMScheduler",
        "Fourth-order linear multistep method, v-prediction",
        "vp",
        "ipndm",
        4,
        output="v",
        own=True,
    ),
    "euler": Scheduler("EulerDiscreteScheduler", "Euler's method in σ", "ve", "sigmas", 1),
    "euler-ancestral": Scheduler(
        "EulerAncestralDiscreteScheduler", "Euler's method with ancestral noise", "ve", "sigmas", 1, True
    ),
    "heun": Scheduler("HeunDiscreteScheduler", "Heun's method in σ", "ve", "pairs", 2),
    "lms": Scheduler("LMSDiscreteScheduler", "Linear multistep method of order 4 in σ", "ve", "sigmas", 4),
    "kdpm2": Scheduler("KDPM2DiscreteScheduler", "DPM-Solver-2 in σ", "ve", "middles", 2),
    "kdpm2-ancestral": Scheduler(
        "KDPM2AncestralDiscreteScheduler", "DPM-Solver-2 with ancestral noise", "ve", "middles", 2, True
    ),
    "dpmsolver-sde": Scheduler(
        "DPMSolverSDEScheduler", "DPM-Solver++ for the SDE, two stages", "ve", "middles", 2, True
    ),
    "edm-euler": Scheduler(
        "EDMEulerScheduler",
        "Euler's method of EDM, with a preconditioned network",
        "ve",
        "sigmas",
        1,
        output="preconditioned",
        own=True,
    ),
    "edm-dpmsolver": Scheduler(
        "EDMDPMSolverMultistepScheduler",
        "DPM-Solver++(2M) with a preconditioned network",
        "ve",
        "sigmas",
        2,
        output="preconditioned",
        own=True,
    ),
    "cosine-dpmsolver": Scheduler(
        "CosineDPMSolverMultistepScheduler",
        "SDE-DPM-Solver++(2M) with a preconditioned network",
        "ve",
        "sigmas",
        2,
        True,
        output="preconditioned",
        own=True,
    ),
    "score-sde-ve": Scheduler(
        "ScoreSdeVeScheduler",
        "Predictor of the variance-exploding SDE",
        "ve",
        "score-sde-ve",
        1,
        True,
        output="score",
        own=True,
    ),
    "dpmsolver": Scheduler(
        "DPMSolverMultistepScheduler", "DPM-Solver and DPM-Solver++, multistep", "vp", "sigmas", 2
    ),
    "dpmsolver-singlestep": Scheduler(
        "DPMSolverSinglestepScheduler", "DPM-Solver and DPM-Solver++, single-step blocks", "vp", "sigmas", 2
    ),
    "deis": Scheduler("DEISMultistepScheduler", "DEIS, multistep in log ρ", "vp", "sigmas", 2),
    "unipc": Scheduler("UniPCMultistepScheduler", "UniPC, predictor and corrector", "vp", "sigmas", 3),
    "sasolver": Scheduler("SASolverScheduler", "SA-Solver, stochastic Adams method", "vp", "sigmas", 2, True),
    "flow-euler": Scheduler(
        "FlowMatchEulerDiscreteScheduler",
        "Euler's method of a rectified flow",
        "flow",
        "sigmas",
        1,
        output="velocity",
        own=True,
    ),
    "flow-heun": Scheduler(
        "FlowMatchHeunDiscreteScheduler",
        "Heun's method of a rectified flow",
        "flow",
        "pairs",
        2,
        output="velocity",
        own=True,
    ),
    "flow-lcm": Scheduler(
        "FlowMatchLCMScheduler",
        "For flow consistency models: x̂_0, noised again",
        "flow",
        "sigmas",
        None,
        True,
        output="velocity",
        own=True,
    ),
    "flow-map-euler": Scheduler(
        "FlowMapEulerDiscreteScheduler",
        "Euler's method of a flow map",
        "flow",
        "flow-map",
        1,
        output="velocity",
        own=True,
    ),
    "ltx-euler-ancestral": Scheduler(
        "LTXEulerAncestralRFScheduler",
        "Ancestral Euler's method of a rectified flow",
        "flow",
        "sigmas",
        1,
        True,
        output="velocity",
        own=True,
    ),
    "minimax-h3": Scheduler(
        "MiniMaxH3Scheduler",
        "Euler's method of a rectified flow, as in MiniMax-H3",
        "flow",
        "minimax",
        1,
        output="reversed velocity",
        defaults={"shift": 1.0},
        own=True,
    ),
}
"""The name after ``diffusers-`` -> the scheduler."""

OTHERS: dict[str, str] = {
    "AmusedScheduler": "fills in tokens of an image",
    "BlockRefinementScheduler": "fills in tokens of a text",
    "CMStochasticIterativeScheduler": "takes the output of a consistency model, not a score",
    "ConsistencyDecoderScheduler": "takes the output of a consistency decoder, not a score",
    "DDIMInverseScheduler": "leads from data to noise",
    "DPMSolverMultistepInverseScheduler": "leads from data to noise",
    "DiscreteDDIMScheduler": "fills in tokens",
    "EntropyBoundScheduler": "fills in tokens",
    "HeliosDMDScheduler": "leads through a pyramid of resolutions",
    "HeliosScheduler": "leads through a pyramid of resolutions",
    "KarrasVeScheduler": "is deprecated, and has no step of the common form",
    "PiflowScheduler": "takes several predictions per evaluation, from a distilled network",
    "RFD4ProteinaScheduler": "moves the atoms of a protein",
    "RePaintScheduler": "needs an image and a mask",
    "SCMScheduler": "takes the output of a consistency model, not a score",
    "ScoreSdeVpScheduler": "is deprecated, and has no step of the common form",
    "VQDiffusionScheduler": "fills in tokens",
}
"""Scheduler classes that are no samplers of a score model, and why."""
