"""A small classifier of the training images, for metrics: it never sees a run."""

import weakref

import torch
from torch import Tensor, nn
from torch.nn import functional

from difrun.data import Dataset
from difrun.errors import DifrunError
from difrun.randomness import torch_generator
from difrun_images.shapes import as_images

FEATURES = 64
STEPS = 500
BATCH = 128

_made: "weakref.WeakKeyDictionary[Dataset, Classifier]" = weakref.WeakKeyDictionary()


class Classifier(nn.Module):
    """Three convolutions, the last two halving the side, a layer of 64 features, and one of classes.

    Images of more than 32 pixels a side are averaged down to 32 or less first.
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
        """(n, c, h, w) -> (n, 64)."""
        h = functional.avg_pool2d(images, self.shrink) if self.shrink > 1 else images
        for convolution in self.convolutions:
            h = functional.silu(convolution(h))
        return functional.silu(self.hidden(h.flatten(1)))

    def forward(self, images: Tensor) -> Tensor:
        return self.last(functional.dropout(self.features(images), 0.5, self.training))


def classifier_of(dataset: Dataset) -> Classifier:
    """The classifier of a dataset's training images, trained when it is first asked for; one per dataset.

    Cross-entropy with smoothed labels, AdamW in `STEPS` steps with a learning rate that rises and falls once, dropout.
    Weights and batches come from one seed, whatever that of the run: runs of the same data have the same ruler. Raises
    `DifrunError` for data without labels.
    """
    if dataset not in _made:
        _made[dataset] = _trained(dataset)
    return _made[dataset]


def _trained(dataset: Dataset) -> Classifier:
    if dataset.labels is None:
        raise DifrunError(
            f"dataset '{dataset.name}' has no labels, and this metric measures with a classifier of its classes. Bring "
            "labels (an image folder: a subfolder for each class), or leave the metric out."
        )
    images, labels = as_images(dataset, dataset.train), dataset.labels
    c, rows, columns = images.shape[1:]
    random = torch_generator(0, "classifier")
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.default_generator.manual_seed(0)
        network = Classifier((c, rows, columns), len(dataset.classes))
        parameters = list(network.parameters())
        adam = torch.optim.AdamW(parameters, lr=3e-3, weight_decay=0.02)
        plan = torch.optim.lr_scheduler.OneCycleLR(adam, 3e-3, STEPS)
        for _ in range(STEPS):
            chosen = torch.randint(len(images), (BATCH,), generator=random)
            loss = functional.cross_entropy(network(images[chosen]), labels[chosen], label_smoothing=0.02)
            adam.zero_grad()
            loss.backward()
            adam.step()
            plan.step()
    return network.eval().requires_grad_(False)


def features(dataset: Dataset, examples: Tensor) -> Tensor:
    """Features of examples (n, *shape) of a dataset, (n, 64), float64."""
    network = classifier_of(dataset)
    with torch.no_grad():
        parts = [network.features(part) for part in as_images(dataset, examples).split(1024)]
    return torch.cat(parts).double()


def predicted(dataset: Dataset, examples: Tensor) -> Tensor:
    """The most probable class of each example, (n,) int64."""
    network = classifier_of(dataset)
    with torch.no_grad():
        parts = [network(part).argmax(1) for part in as_images(dataset, examples).split(1024)]
    return torch.cat(parts)
