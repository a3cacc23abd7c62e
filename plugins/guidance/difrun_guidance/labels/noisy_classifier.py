r"""A classifier of noised examples, p_t(class | x_t), trained on the process and data of a run.

Its loss is the cross-entropy −log p(y | x_t, t) of x_t drawn from the process, with log(α/σ) uniform (t for processes
that are not Gaussian). The exact p_t(y | x_t) minimises it; the minimum is the entropy of the class given x_t. The
trained classifier is stored in the folder of the run.
"""

import hashlib
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from difrun.config import TrainOptions
from difrun.data import Dataset
from difrun.errors import DifrunError, Interrupted
from difrun.guidance import Context
from difrun.loss import LogSNR, Loss, Uniform
from difrun.model import LevelEmbedding, ScoreModel, total_var
from difrun.process import ForwardProcess, GaussianProcess
from difrun.randomness import Generator, seed_of
from difrun.storage.tensors import read_tensors, tensor_form, write_tensors
from difrun.training import Trainer

LogPosterior = Callable[[Tensor, Any], Tensor]
"""The function log p_t(class | x_t), of x with shape (n, *shape) and an instant: (n, classes)."""

FILE = "guidance-classifier.safetensors"

FEATURES = 32
"""Features of the noise level."""

TRIAL_STEPS = 2
"""Steps of a trial, which shows that the classifier can be trained."""


class Network(nn.Module):
    """The logits of the classes for flattened x and a noise level: two residual blocks between linear layers."""

    def __init__(self, size: int, classes: int, width: int):
        super().__init__()
        self.embed = LevelEmbedding(FEATURES)
        self.levels = nn.Linear(FEATURES, 3 * width)
        self.first = nn.Linear(size, width)
        self.blocks = nn.ModuleList(nn.Linear(width, width) for _ in range(2))
        self.last = nn.Linear(width, classes)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    @override
    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        shifts = self.levels(self.embed(level)).chunk(3, dim=1)
        h = functional.silu(self.first(x.flatten(1)) + shifts[0])
        for block, shift in zip(self.blocks, shifts[1:], strict=True):
            h = h + functional.silu(block(h) + shift)
        return self.last(h)


class Classifier:
    """A network for log p_t(class | x_t), of x_t scaled to variance 1 and its noise level.

    The noise level is ¼ log(σ/α) within the range of the process, or 2t/T − 1 if the process is not Gaussian.

    Args:
        model: The model to be guided, whose process and data moments are used.
        classes: The number of classes.
        width: The width of the hidden layers.
        seed: The seed of the initial weights.
    """

    def __init__(self, model: ScoreModel, classes: int, width: int, seed: int):
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed_of(seed, "classifier"))
            self.network: nn.Module = Network(math.prod(model.shape), classes, width)
        self.process, self.shape = model.process, tuple(model.shape)
        self.mean, self.data_std = torch.as_tensor(model.mean).float(), model.data_std

    def to(self, device: torch.device | str) -> "Classifier":
        """Move the classifier to a device."""
        self.network.to(device)
        self.mean = self.mean.to(device)
        return self

    def inputs(self, x: Tensor, at: Any) -> tuple[Tensor, Tensor]:
        """The inputs of the network: scaled x, and the noise level with shape (n,) or (1,)."""
        if not isinstance(self.process, GaussianProcess):
            t = torch.as_tensor(at.t, dtype=x.dtype, device=x.device).reshape(-1)
            return x, 2 * t / self.process.horizon - 1
        low, high = self.process.lam_range
        centre = self.process.centre_like(x)
        inverse_std = total_var(at, self.data_std) ** -0.5
        y = (x - centre - at.alpha * (self.mean.to(x.dtype) - centre)) * inverse_std
        if isinstance(at.lam, Tensor):
            return y, (at.lam.clamp(low, high) / -4).reshape(-1).to(x.dtype)
        return y, x.new_full((1,), -max(low, min(high, at.lam)) / 4)

    def log_posterior(self, x: Tensor, at: Any) -> Tensor:
        """The log posterior with shape (n, classes), differentiable in x and computed in float32."""
        y, level = self.inputs(x, at)
        return self.network(y.float(), level.float()).log_softmax(1).to(x.dtype)


class CrossEntropy(Loss):
    """The cross-entropy −log p(y | x_t, t), in nats.

    `difrun.training.batches` adds the labels to what `draw` returns.
    """

    @override
    def draw(
        self, model: Any, x0: Tensor, generator: Generator, noise: Tensor | None = None
    ) -> dict[str, Tensor]:
        process = model.process
        if not isinstance(process, GaussianProcess):
            t = Uniform().sample(process, x0, generator)
            x, level = model.inputs(process.sample(x0, t, generator), process.at(t, x0.ndim))
            return {"input": x, "level": t * 2 / process.horizon - 1}
        at = process.instant(LogSNR().sample(process, x0, generator), x0.ndim)
        noise = generator.normal(x0) if noise is None else noise
        x, level = model.inputs(process.diffuse(x0, noise, at), at)
        return {"input": x, "level": level}

    @override
    def evaluate(self, model: Any, examples: dict[str, Tensor]) -> Tensor:
        logits = model.network(examples["input"], examples["level"])
        return functional.cross_entropy(logits, examples["label"], reduction="none")


def load_or_train(model: ScoreModel, context: Context, *, steps: int, width: int) -> LogPosterior:
    """Load the classifier from the folder of the run, or train one and store it there.

    A classifier that was trained with other steps or another width is replaced.

    Args:
        model: The model to be guided.
        context: The run that the model is used in.
        steps: The training steps.
        width: The width of the hidden layers.

    Raises:
        DifrunError: If the stored classifier is of another process or other data.
        Interrupted: If the user stops the training.
    """
    dataset = context.dataset
    classifier = Classifier(model, len(dataset.classes), width, context.seed).to(context.device)
    trained_on = {"process": describe_process(model.process), "data": fingerprint(dataset)}
    settings = {"steps": str(steps), "width": str(width)}
    path = None if context.folder is None or context.trial else context.folder / FILE
    if path is not None and path.is_file() and _load(classifier, path, trained_on, settings, context):
        return classifier.log_posterior
    _train(classifier, context, TRIAL_STEPS if context.trial else steps)
    if path is not None:
        metadata = {**trained_on, **settings, "classes": json.dumps(dataset.classes)}
        write_tensors(path, classifier.network.state_dict(), metadata)
    return classifier.log_posterior


def _train(classifier: Classifier, context: Context, steps: int) -> None:
    """Train the classifier. Raises Interrupted if the user stops it."""
    dataset = context.dataset
    assert dataset.labels is not None
    options = TrainOptions(steps=steps, batch=min(512, len(dataset.train)), ema=0.99, warmup=min(100, steps))
    trainer = Trainer(
        classifier,
        CrossEntropy(),
        dataset.train,
        attrs.evolve(options, label_dropout=0.0),
        seed=seed_of(context.seed, "classifier"),
        note=context.note,
        labels=dataset.labels,
        device=context.device,
    )
    if not context.trial:
        context.note(f"guidance 'classifier': a classifier of noised examples is trained, {steps} steps")
        context.stage("train")
    trainer.run(report=None if context.trial else context.report, stopping=context.stopping)
    if trainer.stopped:
        raise Interrupted(
            context.folder or Path(),
            f"Stopped at step {trainer.step} of {steps} of the classifier.",
            "It is not kept.",
        )
    trainer.finish()
    classifier.network.requires_grad_(False)


def _load(
    classifier: Classifier,
    path: Path,
    trained_on: dict[str, str],
    settings: dict[str, str],
    context: Context,
) -> bool:
    """Load the weights of a file; False if they were trained with other settings."""
    tensors, metadata = read_tensors(path)
    for name, expected in trained_on.items():
        if metadata.get(name) != expected:
            raise DifrunError(
                f"{path} is a classifier of another {'process' if name == 'process' else 'dataset'}: it was trained "
                f"on {metadata.get(name, 'something unknown')}, and this run has {expected}. Remove it, and a new "
                "one is trained."
            )
    if any(metadata.get(name) != value for name, value in settings.items()):
        before = ", ".join(f"{name} {metadata.get(name)}" for name in settings)
        context.note(f"the classifier in {path} was trained with {before}; it is trained anew")
        return False
    own = classifier.network.state_dict()
    if {name: tensor_form(tensor) for name, tensor in tensors.items()} != {
        name: tensor_form(tensor) for name, tensor in own.items()
    }:
        raise DifrunError(f"{path} does not hold the weights of this classifier. Remove it.")
    for name, tensor in tensors.items():
        if bool(tensor.isnan().any()):
            raise DifrunError(f"{path} is damaged: {name}: expected numbers, found NaN. Remove it.")
    classifier.network.load_state_dict(tensors)
    classifier.network.requires_grad_(False).eval()
    return True


def describe_process(process: ForwardProcess) -> str:
    """Describe a process by its class and its options."""
    cls = type(process)
    options = {"horizon": process.horizon}
    if attrs.has(cls):
        options = {field.name: getattr(process, field.name) for field in attrs.fields(cls)}
    return f"{cls.__name__}({', '.join(f'{name}={value}' for name, value in options.items())})"


def fingerprint(dataset: Dataset) -> str:
    """Identify the training data by their name and a digest of examples and labels."""
    digest = hashlib.blake2b(digest_size=8)
    for tensor in (dataset.train, dataset.labels):
        if tensor is not None:
            for part in tensor.split(4096):  # In parts, as the examples may be more than memory holds.
                digest.update(part.contiguous().numpy().tobytes())
    digest.update(json.dumps(dataset.classes).encode())
    return f"{dataset.name} ({len(dataset.train)} examples, {digest.hexdigest()})"
