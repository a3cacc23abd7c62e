"""The core's directory of plugins says what this one offers, and nothing heavy is imported to say it."""

import subprocess
import sys

import diffusers

from difrun.plugin import get_registry
from difrun.plugin.hooks import OFFERED
from difrun.plugin.known import known_plugins
from difrun_diffusers.table import OTHERS, SCHEDULERS


def test_the_directory_lists_what_the_plugin_offers():
    (known,) = [plugin for plugin in known_plugins() if plugin.dist == "difrun-diffusers"]
    registry = get_registry()
    everything = [*registry.entries(), *registry.formats()]
    entries = [entry for entry in everything if entry.plugin.dist == "difrun-diffusers"]
    offered = {kind: tuple(sorted(entry.name for entry in entries if entry.kind == kind)) for kind in OFFERED}
    assert dict(known.offers) == {kind: names for kind, names in offered.items() if names}


def test_every_scheduler_of_diffusers_is_a_sampler_or_said_to_be_none():
    there = {name for name in dir(diffusers) if name.endswith("Scheduler")}
    named = {entry.cls for entry in SCHEDULERS.values()} | set(OTHERS)
    assert there - named == set()
    # Two are deprecated, and one is not handed on by the package.
    assert named - there <= {"KarrasVeScheduler", "ScoreSdeVpScheduler", "ConsistencyDecoderScheduler"}


def test_to_declare_components_imports_neither_torch_nor_diffusers():
    code = "import sys, difrun_diffusers as d; d.difrun_samplers(), d.difrun_models(); print(sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert not {"torch", "diffusers", "transformers", "numpy"} & set(eval(done.stdout))
