"""The conformance kit on one sampler of each kind of adapter; DIFRUN_EVERY=1 runs it on all of them, in minutes."""

import os

from difrun.testing import conformance

FEW = ("diffusers-ddim", "diffusers-euler", "diffusers-dpmsolver", "diffusers-flow-heun", "diffusers-unet")

NEEDS_A_FOLDER = "it needs a folder"
OWN_ENDS = "it is the scheduler's own grid, which this sampler has not"

EXPECTED: dict[str, str] = {}

test_conformance = conformance(
    "difrun-diffusers", EXPECTED, components=None if os.environ.get("DIFRUN_EVERY") else FEW
)
