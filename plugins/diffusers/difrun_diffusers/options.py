"""Options of the plugin's components, without torch."""

import attrs
from attrs.validators import ge, le, optional

from difrun.api import option


@attrs.frozen
class SchedulerOptions:
    """Options of every sampler of the plugin."""

    settings: tuple[str, ...] = option(
        (),
        "Settings of the scheduler, of its constructor or its step: solver_order=3,use_karras_sigmas=true.",
        metavar="NAME=VALUE,...",
    )


@attrs.frozen
class GridOptions:
    """Options of the grid that a scheduler makes."""

    scheduler: str = option(
        "",
        "Scheduler whose grid is taken, such as euler, if the sampler is none; else the sampler's own.",
        metavar="NAME",
    )


@attrs.frozen
class FolderProcessOptions:
    """Options of the noise schedule of a folder."""

    folder: str | None = option(
        None,
        "Folder that save_pretrained of diffusers wrote, or OWNER/NAME of the Hugging Face hub.",
        metavar="PATH",
    )
    noise_floor: float | None = option(
        None,
        "Noise-to-signal ratio σ/α at which sampling ends; none: that of the first entry of the table.",
        optional([ge(1e-9), le(100)]),
        metavar="X",
    )


@attrs.frozen
class FolderOptions:
    """Options of a trained network."""

    folder: str | None = option(
        None,
        "Folder that save_pretrained of diffusers wrote, or OWNER/NAME of the hub; none: that of --process diffusers.",
        metavar="PATH",
    )
    prompts: tuple[str, ...] = option(
        (), "For a network of texts: the texts that are its classes 0, 1, ...", metavar="TEXT,..."
    )
    clip: bool = option(
        True,
        "Clip x̂_0 as the folder's scheduler does (its settings clip_sample and thresholding), if it does.",
    )


@attrs.frozen
class UNetOptions:
    """Options of a new UNet2DModel."""

    width: int = option(32, "Channels at full resolution, a multiple of 8.", ge(8))
    levels: int = option(3, "Resolutions, each half of the one above; channels double at the second.", ge(1))
    blocks: int = option(2, "Residual blocks per resolution.", ge(1))
    attention: int = option(1, "How many of the lowest resolutions have self-attention.", ge(0))

    def __attrs_post_init__(self) -> None:
        if self.width % 8:
            raise ValueError(
                f"width = {self.width} must be a multiple of 8, the number of normalisation groups"
            )
        if self.attention > self.levels:
            raise ValueError(f"attention = {self.attention} must not exceed levels = {self.levels}")
