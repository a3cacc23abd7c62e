"""The conformance kit on one sampler of each kind of adapter, and on every component's declaration.

DIFRUN_EVERY=1 runs it on all of them, which takes one core some minutes. What then fails is the schedulers' own doing.
"""

import os

from difrun.testing import conformance
from difrun_diffusers.table import SCHEDULERS

EVERY = bool(os.environ.get("DIFRUN_EVERY"))

FEW = ("diffusers-ddim", "diffusers-euler", "diffusers-dpmsolver", "diffusers-flow-heun", "diffusers-unet")

# They need a folder, which the kit has not, so that their rules are told to be left: see test_models.py and
# test_of_folder.py.
OF_FOLDER = ("diffusers", "diffusers-own")

ALL = (*(f"diffusers-{name}" for name in SCHEDULERS), "diffusers-unet", *OF_FOLDER)

FLOAT32 = "diffusers computes the softmax of attention and the embedding of times in float32"

EXPECTED = {
    f"model:diffusers-unet{variant}-computes_in_the_precision_of_its_parameters": FLOAT32
    for variant in ("", "(second values)")
}
JUMPS = "made for networks that jump to the data: with a score it has another law at any number of steps"
LOW_START = "its first steps are of low order, and it takes steps for equal; docs/verdicts.md"
ON_THE_CPU = (
    "it reads the timesteps of a batch back to the CPU, which 'meta', a device without numbers, cannot"
)
IN_ALL = {
    "sampler:diffusers-ipndm-converges_at_its_declared_order": LOW_START,
    "sampler:diffusers-ipndm-keeps_its_order_on_an_uneven_grid": LOW_START,
    "sampler:diffusers-pndm-keeps_its_order_on_an_uneven_grid": "PLMS takes all steps for equal",
    "sampler:diffusers-lcm-draws_from_the_distribution_of_the_data": JUMPS,
    "sampler:diffusers-tcd-draws_from_the_distribution_of_the_data": JUMPS,
    "sampler:diffusers-flow-lcm-draws_from_the_distribution_of_the_data": JUMPS,
    "sampler:diffusers-flow-lcm-starts_where_nothing_of_the_data_is_left": JUMPS,
    "sampler:diffusers-score-sde-ve-runs_where_its_tensors_are": ON_THE_CPU,
    "sampler:diffusers-wuerstchen-runs_where_its_tensors_are": ON_THE_CPU,
}

test_conformance = conformance(
    "difrun-diffusers",
    EXPECTED | (IN_ALL if EVERY else {}),
    components=ALL if EVERY else (*FEW, *OF_FOLDER),
)
