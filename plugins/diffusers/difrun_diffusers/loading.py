"""Load a folder of diffusers as a score model."""

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import diffusers
import torch
from torch import Tensor

from difrun.data import Dataset
from difrun.errors import DifrunError
from difrun.model.base import MOST_CORRELATED
from difrun.process import GaussianProcess
from difrun.text import in_one_line, quoted
from difrun_diffusers.clipping import Clip, clip_of
from difrun_diffusers.folder import Part, found_folder, parts_of, read_json, refuse_pickled
from difrun_diffusers.model import Ask, DiffusersModel, Straight, Table

PREDICTS = {"epsilon": "noise", "v_prediction": "v", "sample": "x0", "flow_prediction": "straight"}
"""Prediction type of a scheduler's configuration -> what the network predicts."""


def load(
    folder: str | Path,
    *,
    prompts: Sequence[str] = (),
    process: GaussianProcess | None = None,
    clip: bool = True,
) -> DiffusersModel:
    """Load a network of diffusers with the schedule and the prediction type of its scheduler's configuration.

    Args:
        folder: A folder that `save_pretrained` wrote, of a pipeline or of a network with its scheduler; or OWNER/NAME
            of the Hugging Face hub. Only safetensors are read.
        prompts: For a text-conditional network: the texts that become its classes 0, 1, ...; a row without a class gets
            the empty text.
        process: The process to sample with; None is the network's own.
        clip: Whether x̂_0 is clipped as the scheduler's configuration says (`clip_sample`, `thresholding`). Noise, score
            and velocity are then those of the clipped x̂_0. Guidance is applied after it.

    Returns:
        The model. Its `table` is the process of the scheduler, and `decode` makes images of latents.

    Raises:
        DifrunError: If the folder holds no model that can be loaded, or its weights are pickled.
    """
    place = found_folder(folder)
    parts = parts_of(place)
    table, predicts = schedule_of(parts["scheduler"])
    table.folder = str(place)
    network = _pretrained(diffusers, parts["network"])
    vae = None
    if "vae" in parts:
        if parts["vae"].cls != "AutoencoderKL":
            raise DifrunError(
                f"{quoted(place)} has the autoencoder {parts['vae'].cls}; only AutoencoderKL is known."
            )
        vae = _pretrained(diffusers, parts["vae"])
    ask, classes, knows_any = _ask(network, parts, prompts)
    model = DiffusersModel(
        network,
        ask,
        table,
        _shape(network),
        predicts=predicts,
        process=process,
        vae=vae,
        clip=clip_in(parts["scheduler"]) if clip else None,
    )
    if classes:
        model.set_classes((1 / classes,) * classes, knows_any=knows_any)
    return model


def diffusers_model(
    *,
    process: GaussianProcess,
    dataset: Dataset,
    folder: str | None = None,
    prompts: tuple[str, ...] = (),
    clip: bool = True,
) -> DiffusersModel:
    """Make the component `diffusers`: the network of a folder, under the process of the run.

    Raises:
        DifrunError: If the folder is not given or cannot be loaded, or its examples have not the shape of the data.
    """
    folder = folder or getattr(process, "folder", None)
    if not folder:
        raise DifrunError(
            "model 'diffusers' needs --model.folder, a folder of diffusers or OWNER/NAME of the hub; with --process "
            "diffusers it is the folder of the process."
        )
    model = load(folder, prompts=prompts, process=process, clip=clip)
    if model.vae is not None:
        raise DifrunError(
            f"{folder} works on latents of an autoencoder. Runs compare samples with data, and do not decode: use "
            "difrun_diffusers.load and its method `decode` in Python."
        )
    if model.shape != dataset.shape:
        raise DifrunError(
            f"the network of {folder} makes examples of shape {model.shape}; those of dataset '{dataset.name}' have "
            f"shape {dataset.shape}. Choose data of that shape (channels, height, width)."
        )
    model.mean, model.var = dataset.mean, dataset.var
    if dataset.train[0].numel() <= MOST_CORRELATED:
        # As for a network of difrun: samplers then need not integrate the linear part of the flow.
        model.cov = dataset.cov
    if model.clip is not None:
        network: Any = model.network
        network.notes = (
            f"the scheduler of {folder} {model.clip}, and so does this model; --model.no-clip leaves it as it is.",
        )
    return model


def _pretrained(library: Any, part: Part) -> Any:
    """A network in evaluation mode, from safetensors of a local folder."""
    refuse_pickled(part)
    # Else diffusers warns that it would rather have another package for it.
    more = {"low_cpu_mem_usage": False} if library is diffusers else {}
    try:
        network = getattr(library, part.cls).from_pretrained(
            str(part.path), local_files_only=True, use_safetensors=True, **more
        )
    except Exception as error:
        raise DifrunError(
            f"{part.cls} of {quoted(part.path)} could not be loaded: {in_one_line(error)}"
        ) from error
    return network.eval().requires_grad_(False)


def schedule_of(part: Part, *, noise_floor: float | None = None) -> tuple[Straight | Table, str]:
    """Return the process of a scheduler's configuration, and what its network predicts.

    Args:
        part: The scheduler.
        noise_floor: The ratio σ/α at which sampling ends; None for the first entry of a table.

    Raises:
        DifrunError: If the schedule or the kind of prediction is not known.
    """
    config = read_json(part.path / "scheduler_config.json")
    cls = getattr(diffusers, part.cls, None)
    if cls is None or not part.cls.endswith("Scheduler"):
        raise DifrunError(f"{quoted(part.path)} names {part.cls}, which is no scheduler of diffusers.")
    if part.cls.startswith("FlowMatch") or config.get("use_flow_sigmas"):
        return Straight(noise_floor), "straight"
    scheduler = cls.from_config(config)
    if not hasattr(scheduler, "alphas_cumprod"):
        raise DifrunError(
            f"the schedule of {part.cls} is not known to this plugin. Schedulers with a table of β, and those of "
            "rectified flows, are."
        )
    kind = config.get("prediction_type", "epsilon")
    if kind not in PREDICTS:
        raise DifrunError(
            f"{quoted(part.path)} says prediction_type {kind!r}; known are {', '.join(PREDICTS)}."
        )
    return (
        Table.from_alphas_cumprod(scheduler.alphas_cumprod.double(), noise_floor=noise_floor),
        PREDICTS[kind],
    )


def clip_in(part: Part) -> Clip | None:
    """Return what the scheduler of a folder does to x̂_0; None for nothing."""
    cls = getattr(diffusers, part.cls)
    # A configuration also keeps settings of the class that it was made from, which this one does not read.
    known = inspect.signature(cls.__init__).parameters
    config = cls.from_config(read_json(part.path / "scheduler_config.json")).config
    return clip_of({name: config[name] for name in known if name in config})


def _shape(network: Any) -> tuple[int, ...]:
    """The shape of one example."""
    size = network.config.sample_size
    if size is None:
        raise DifrunError(f"{type(network).__name__} says no sample_size in its config.json; add it.")
    height, width = (size, size) if isinstance(size, int) else size
    return network.config.in_channels, height, width


def _ask(network: Any, parts: dict[str, Part], prompts: Sequence[str]) -> tuple[Ask, int, bool]:
    """How to call a network; its number of classes, and whether it also predicts without one."""
    cls = type(network).__name__
    if cls == "UNet2DConditionModel":
        texts = _encoded(parts, ["", *prompts])
        return _text_conditional(network, texts), len(prompts), True
    if prompts:
        raise DifrunError(f"{cls} takes no text: leave prompts out.")
    if cls == "DiTTransformer2DModel":
        return (
            _labelled(network, network.config.num_embeds_ada_norm),
            network.config.num_embeds_ada_norm,
            True,
        )
    classes = network.config.num_class_embeds or 0
    if network.config.class_embed_type is not None:
        raise DifrunError(
            f"this {cls} takes classes by {network.config.class_embed_type!r}; only num_class_embeds is known."
        )
    return (_labelled(network, None), classes, False) if classes else (_unconditional(network), 0, True)


def _unconditional(network: Any) -> Ask:
    def ask(x: Tensor, places: Tensor, label: Tensor | None) -> Tensor:
        return network(x, places, return_dict=False)[0]

    return ask


def _labelled(network: Any, null: int | None) -> Ask:
    """A network with class labels; `null` is the one that stands for none."""

    def ask(x: Tensor, places: Tensor, label: Tensor | None) -> Tensor:
        if null is None and (label is None or bool((label < 0).any())):
            raise DifrunError(
                "this network of classes was trained without examples of none: give every row its class."
            )
        if label is None:
            label = torch.full((len(x),), -1, device=x.device)
        label = label.to(x.device) if null is None else torch.where(label < 0, null, label).to(x.device)
        return network(x, timestep=places, class_labels=label, return_dict=False)[0]

    return ask


def _text_conditional(network: Any, texts: Tensor) -> Ask:
    """A network with cross-attention to one of the encoded texts (1 + prompts, tokens, width)."""

    def ask(x: Tensor, places: Tensor, label: Tensor | None) -> Tensor:
        rows = torch.zeros(len(x), dtype=torch.int64) if label is None else label.cpu() + 1
        condition = texts[rows].to(x)
        return network(x, places, encoder_hidden_states=condition, return_dict=False)[0]

    return ask


def _encoded(parts: dict[str, Part], texts: Sequence[str]) -> Tensor:
    """Texts as the pipeline's own encoder gives them, (texts, tokens, width)."""
    import transformers

    missing = [role for role in ("text_encoder", "tokenizer") if role not in parts]
    if missing:
        raise DifrunError(
            f"UNet2DConditionModel attends to texts, and the folder has no {' and no '.join(missing)}. Give the folder "
            "of the whole pipeline."
        )
    if parts["text_encoder"].cls != "CLIPTextModel":
        raise DifrunError(f"the text encoder {parts['text_encoder'].cls} is not known; CLIPTextModel is.")
    encoder = _pretrained(transformers, parts["text_encoder"])
    tokenizer = transformers.CLIPTokenizer.from_pretrained(
        str(parts["tokenizer"].path), local_files_only=True
    )
    tokens = tokenizer(
        list(texts),
        padding="max_length",
        max_length=tokenizer.model_max_length,
        truncation=True,
        return_tensors="pt",
    )
    with torch.no_grad():
        return encoder(tokens.input_ids)[0]
