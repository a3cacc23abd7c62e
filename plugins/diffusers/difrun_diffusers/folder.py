"""Folders of diffusers: which parts they hold, read without unpickling anything."""

import json
from pathlib import Path
from typing import Any

import attrs

from difrun.errors import DifrunError
from difrun.text import in_one_line, listed, quoted

NETWORKS = ("UNet2DModel", "UNet2DConditionModel", "DiTTransformer2DModel")
"""Networks that can be loaded."""

PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl")

_LARGEST = 10_000_000
"""Most bytes of a configuration."""


@attrs.frozen
class Part:
    """A part of a folder: a class of diffusers or transformers, and where its configuration and weights are."""

    cls: str
    path: Path


def found_folder(name: str | Path) -> Path:
    """Return the local folder of a name, which is a folder or a repository of the Hugging Face hub.

    Raises:
        DifrunError: If it is a single file, or can be neither found nor downloaded.
    """
    path = Path(name)
    if path.is_dir():
        return path
    if path.exists():
        raise DifrunError(
            f"{quoted(path)} is a single file. Give the folder that holds it with its config.json; a checkpoint of "
            "another library becomes one by a pipeline's from_single_file and save_pretrained."
        )
    text = str(name)
    if text.count("/") != 1 or text.startswith((".", "/", "~")):
        raise DifrunError(
            f"there is no folder {quoted(path)}. Give a folder that save_pretrained wrote, or OWNER/NAME of the hub."
        )
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(text, allow_patterns=["*.json", "*.safetensors", "*.txt", "*.model"]))
    except Exception as error:
        raise DifrunError(
            f"there is no folder {quoted(path)}, and {text} could not be downloaded from the hub: {in_one_line(error)}"
        ) from error


def parts_of(folder: Path) -> dict[str, Part]:
    """Return the parts of a folder by role: network, scheduler, and perhaps vae, text_encoder and tokenizer.

    Raises:
        DifrunError: If there is no network that can be loaded, or no scheduler.
    """
    index = folder / "model_index.json"
    if index.is_file():
        parts = _of_pipeline(folder, read_json(index))
    elif (folder / "config.json").is_file():
        cls = str(read_json(folder / "config.json").get("_class_name"))
        parts = {"network": Part(cls, folder)}
        for place in (folder, folder / "scheduler", folder.parent / "scheduler"):
            if (place / "scheduler_config.json").is_file():
                parts["scheduler"] = Part(
                    str(read_json(place / "scheduler_config.json").get("_class_name")), place
                )
                break
    else:
        raise DifrunError(
            f"{quoted(folder)} holds no model: there is neither model_index.json, as in the folder of a pipeline, nor "
            "config.json, as in that of a network. Both are written by save_pretrained of diffusers."
        )
    if "network" not in parts or parts["network"].cls not in NETWORKS:
        cls = parts["network"].cls if "network" in parts else "no network"
        raise DifrunError(f"{quoted(folder)} holds {cls}; {listed(list(NETWORKS))} can be loaded.")
    if "scheduler" not in parts:
        raise DifrunError(
            f"{quoted(folder)} says nothing of the noise schedule: scheduler_config.json is missing. Save the "
            "scheduler that the network was trained with beside it: scheduler.save_pretrained(folder)."
        )
    return parts


def _of_pipeline(folder: Path, index: dict[str, Any]) -> dict[str, Part]:
    roles = {"unet": "network", "transformer": "network", "vae": "vae", "scheduler": "scheduler"}
    roles |= {"text_encoder": "text_encoder", "tokenizer": "tokenizer"}
    second = [name for name in ("text_encoder_2", "transformer_2", "prior") if _is_given(index.get(name))]
    if second:
        raise DifrunError(
            f"{quoted(folder)} is a pipeline with {listed(second)}, which this plugin does not know. Pipelines of one "
            "network, and at most one text encoder and one autoencoder, can be loaded."
        )
    parts = {}
    for name, role in roles.items():
        if _is_given(index.get(name)):
            parts[role] = Part(str(index[name][1]), folder / name)
    return parts


def _is_given(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and value[1] is not None


def read_json(path: Path) -> dict[str, Any]:
    """Return a configuration. Raises DifrunError if it is none."""
    if path.stat().st_size > _LARGEST:
        raise DifrunError(f"{quoted(path)} is too large for a configuration.")
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DifrunError(f"{quoted(path)} is not JSON: {in_one_line(error)}") from error
    if not isinstance(value, dict):
        raise DifrunError(f"{quoted(path)} is no configuration: expected a JSON object.")
    return value


def refuse_pickled(part: Part) -> None:
    """Raise DifrunError if the weights of a part are missing, or pickled: reading them would run what they say."""
    if any(part.path.glob("*.safetensors")):
        return
    pickled = sorted(file.name for file in part.path.glob("*") if file.suffix in PICKLED)
    if not pickled:
        raise DifrunError(f"{quoted(part.path)} has no weights: there is no .safetensors file in it.")
    library = "transformers" if part.cls.startswith("CLIP") else "diffusers"
    raise DifrunError(
        f"{quoted(part.path)} holds {listed(pickled)}, which is pickled: reading it can run any code. "
        "It is refused. If you trust it, convert it once:\n"
        f'python -c "from {library} import {part.cls} as M; '
        f'M.from_pretrained({str(part.path)!r}).save_pretrained({str(part.path)!r}, safe_serialization=True)"'
    )
