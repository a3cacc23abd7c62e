"""A small classifier of the training images, for metrics. It never sees a sample."""

import weakref

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from difrun.data import Dataset
from difrun.errors import DifrunError
from difrun.randomness import torch_generator
from difrun_images.shapes import as_images

FEATURES = 64
STEPS = 500
BATCH = 128

_trained_classifiers: "weakref.WeakKeyDictionary[Dataset, Classifier]" = weakref.WeakKeyDictionary()


class Classifier(nn.Module):
    """Three convolutions (the last two halve the side), a layer of 64 features, and a layer of classes.

    Images with a side of more than 32 pixels are first averaged down to 32 or less.
    """

    def __init__(self, shape: tuple[int, int, int], classes: int):
        super().__init__()
        channels, rows, columns = shape
        self.shrink = max(1, -(-max(rows, columns) // 32))
        sides = [-(-(side // self.shrink) // 4) for side in (rows, columns)]
        self.convolutions = nn.ModuleList(
            [
                nn.Conv2d(channels, 32, 3, padding=1),
                nn.Conv2d(32, 64, 3, stride=2, padding=1),
                nn.Conv2d(64, 64, 3, stride=2, padding=1),
            ]
        )
        self.hidden = nn.Linear(64 * sides[0] * sides[1], FEATURES)
        self.last = nn.Linear(FEATURES, classes)

    def features(self, images: Tensor) -> Tensor:
        """The features of images (n, c, h, w): (n, 64)."""
        h = functional.avg_pool2d(images, self.shrink) if self.shrink > 1 else images
        for convolution in self.convolutions:
            h = functional.silu(convolution(h))
        return functional.silu(self.hidden(h.flatten(1)))

    @override
    def forward(self, images: Tensor) -> Tensor:
        return self.last(functional.dropout(self.features(images), 0.5, self.training))


def classifier_of(dataset: Dataset) -> Classifier:
    """The classifier of a dataset's training images, trained when it is first needed; one per dataset.

    It is trained by cross-entropy with smoothed labels and dropout, by AdamW in `STEPS` steps with a learning rate that
    rises and falls once. Weights and batches come from one seed, whatever the seed of the run, so that all runs on the
    same data are measured alike.

    Raises:
        DifrunError: If the data have no labels.
    """
    if dataset not in _trained_classifiers:
        _trained_classifiers[dataset] = _train(dataset)
    return _trained_classifiers[dataset]


def _train(dataset: Dataset) -> Classifier:
    if dataset.labels is None:
        raise DifrunError(
            f"dataset '{dataset.name}' has no labels, and this metric measures with a classifier of its classes. Bring "
            "labels (an image folder: a subfolder for each class), or leave the metric out."
        )
    images, labels = as_images(dataset, dataset.train), dataset.labels
    channels, rows, columns = images.shape[1:]
    random = torch_generator(0, "classifier")
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.default_generator.manual_seed(0)
        network = Classifier((channels, rows, columns), len(dataset.classes))
        parameters = list(network.parameters())
        optimizer = torch.optim.AdamW(parameters, lr=3e-3, weight_decay=0.02)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, STEPS)
        for _ in range(STEPS):
            chosen = torch.randint(len(images), (BATCH,), generator=random)
            loss = functional.cross_entropy(network(images[chosen]), labels[chosen], label_smoothing=0.02)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return network.eval().requires_grad_(False)


def features(dataset: Dataset, examples: Tensor) -> Tensor:
    """The features of examples (n, *shape) of a dataset: (n, 64), float64."""
    network = classifier_of(dataset)
    with torch.no_grad():
        parts = [network.features(part) for part in as_images(dataset, examples).split(1024)]
    return torch.cat(parts).double()


def predicted(dataset: Dataset, examples: Tensor) -> Tensor:
    """The most probable class of each example (n, *shape): (n,), int64."""
    network = classifier_of(dataset)
    with torch.no_grad():
        parts = [network(part).argmax(1) for part in as_images(dataset, examples).split(1024)]
    return torch.cat(parts)
