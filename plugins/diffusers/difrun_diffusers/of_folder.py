"""The schedule of a folder of diffusers as a process, and its own scheduler as a sampler."""

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
from torch import Tensor
from typing_extensions import override

from difrun.errors import DifrunError
from difrun.model import ScoreModel
from difrun.process import GaussianProcess
from difrun.randomness import Generator
from difrun.sampler import Sampler
from difrun_diffusers import samplers
from difrun_diffusers.folder import found_folder, parts_of, read_json
from difrun_diffusers.loading import schedule_of
from difrun_diffusers.sampler import SchedulerSampler
from difrun_diffusers.settings import SCHEDULE, entry_of, names_of_settings


@attrs.frozen
class State:
    """The scheduler of a folder between two steps: the sampler that it is, and the state of that."""

    sampler: SchedulerSampler
    inner: Any


def folder_process(*, folder: str | None = None, noise_floor: float | None = None) -> GaussianProcess:
    """The noise schedule of a folder of diffusers: its table of β, or a rectified flow.

    Args:
        folder: A folder that `save_pretrained` wrote, or OWNER/NAME of the Hugging Face hub.
        noise_floor: The ratio σ/α at which sampling ends; None for the first entry of the table.

    Raises:
        DifrunError: If no folder is given, or it holds no schedule that is known.
    """
    if not folder:
        raise DifrunError(
            "process 'diffusers' needs --process.folder, a folder of diffusers or OWNER/NAME of the hub."
        )
    process, _ = schedule_of(parts_of(found_folder(folder))["scheduler"], noise_floor=noise_floor)
    process.folder = folder
    return process


class OwnScheduler(Sampler):
    """The scheduler of the folder that the process comes from, with the settings in its configuration.

    It is one of the samplers `diffusers-...`, and works with the process `diffusers`, or in Python with a model of
    `difrun_diffusers.load`. Unlike in these samplers, `clip_sample` is what the configuration says.
    """

    order = None
    evaluations = None
    stochastic = True  # of some schedulers; which one it is is not known before there is a process
    ends_at_data = True

    def of(self, process: GaussianProcess) -> SchedulerSampler:
        """Return the sampler that the scheduler of the folder is.

        Raises:
            DifrunError: If the process is not that of a folder, or its scheduler is no sampler.
        """
        folder = getattr(process, "folder", None)
        if folder is None:
            raise DifrunError(
                "sampler 'diffusers-own' is the scheduler of a folder: take it with --process diffusers "
                "--process.folder FOLDER."
            )
        part = parts_of(found_folder(folder))["scheduler"]
        entry = entry_of(part.cls)
        settings = _settings(read_json(part.path / "scheduler_config.json"), names_of_settings(entry))
        return getattr(samplers, entry.cls.removesuffix("Scheduler"))(settings=settings)

    @override
    def prepare(self, model: ScoreModel, instants: Sequence[Any]) -> State:
        sampler = self.of(model.process)
        return State(sampler, sampler.prepare(model, instants))

    @override
    def step(
        self, model: ScoreModel, x: Tensor, at: Any, to: Any, state: State, generator: Generator
    ) -> tuple[Tensor, State]:
        x, inner = state.sampler.step(model, x, at, to, state.inner, generator)
        return x, State(state.sampler, inner)


def _settings(config: Mapping[str, Any], known: Sequence[str]) -> tuple[str, ...]:
    """The settings of a configuration as the samplers take them, but for those of the noise schedule."""
    chosen = {name: config[name] for name in known if name in config and name not in SCHEDULE}
    if str(chosen.get("variance_type")).startswith("learned"):
        del chosen["variance_type"]  # a learned variance is not used
    return tuple(
        f"{name}={_text(value)}" for name, value in chosen.items() if not isinstance(value, list | dict)
    )


def _text(value: Any) -> str:
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)
