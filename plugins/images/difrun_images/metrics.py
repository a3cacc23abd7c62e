"""Metrics of images, some of them in the features of a classifier of the training images (`classifier`)."""

import torch
from torch import Tensor

from difrun.data import Dataset
from difrun.metric import Reading, reads
from difrun.randomness import torch_generator
from difrun_images.classifier import features, predicted


def frechet(a: Tensor, b: Tensor) -> float:
    r"""Fréchet distance between the Gaussians fitted to two sets of rows, in float64.

    It is the squared 2-Wasserstein distance of the Gaussians,

        ‖m_a − m_b‖² + tr(C_a + C_b − 2 (C_a C_b)^{1/2}).

    The trace of the root is the sum of the singular values of C_a^{1/2} C_b^{1/2}.

    Args:
        a: The first set, with shape (n, d).
        b: The second set, with shape (m, d).

    Returns:
        The distance.

    References:
        Dowson and Landau (1982).
        Heusel et al. (2017), arXiv 1706.08500, eq. 6.
    """
    a, b = a.double(), b.double()
    (mean_a, root_a), (mean_b, root_b) = (_mean_and_root(x) for x in (a, b))
    cross = torch.linalg.svdvals(root_a @ root_b).sum()
    value = (mean_a - mean_b).square().sum() + root_a.square().sum() + root_b.square().sum() - 2 * cross
    return float(value)


def _mean_and_root(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean, and the symmetric root of the covariance (divided by n − 1)."""
    values, vectors = torch.linalg.eigh(torch.cov(x.T).reshape(x.shape[1], x.shape[1]))
    return x.mean(0), vectors * values.clamp_min(0).sqrt() @ vectors.T


def kernel_distance(a: Tensor, b: Tensor) -> float:
    r"""Squared maximum mean discrepancy, unbiased, with the kernel k(x, y) = (x·y/d + 1)³, in float64.

        mean_{i≠j} k(a_i, a_j) + mean_{i≠j} k(b_i, b_j) − 2 mean_{i,j} k(a_i, b_j)

    Its mean is 0 for equal distributions, whatever n; it may be negative.

    Args:
        a: The first set, with shape (n, d).
        b: The second set, with shape (m, d).

    Returns:
        The discrepancy.

    References:
        Bińkowski et al. (2018), arXiv 1801.01401, sec. 4.
    """
    a, b = a.double(), b.double()

    def k(x: Tensor, y: Tensor) -> Tensor:
        return (x @ y.T / x.shape[1] + 1) ** 3

    def within(x: Tensor) -> Tensor:
        values = k(x, x)
        return (values.sum() - values.diagonal().sum()) / (len(x) * (len(x) - 1))

    return float(within(a) + within(b) - 2 * k(a, b).mean())


@reads(
    {
        "frechet": Reading(
            "lower", True, "Fréchet distance of the features of a classifier; grows as n falls"
        ),
        "kernel": Reading(
            "lower",
            False,
            "Kernel distance of the same features, unbiased; 0 on average for equal distributions",
        ),
    },
    most="max_points",
)
def image_features(
    samples: Tensor,
    reference: Tensor,
    dataset: Dataset,
    *,
    generator: torch.Generator,
    max_points: int = 5000,
) -> dict[str, float]:
    """Fréchet and kernel distance in the 64 features of a small classifier of the training data (`classifier_of`).

    The features are standardised by those of the training images, so that distances have no unit. They cannot be
    compared with published values of FID or KID, which come from another network.

    Args:
        samples: The samples, with shape (n, *shape).
        reference: Real examples to compare them with, with shape (m, *shape).
        dataset: The data, with labels.
        generator: Chooses the images where there are more than `max_points`.
        max_points: The most images of each set.

    Returns:
        The numbers, by name.

    Raises:
        DifrunError: If the data have no labels.
    """
    # The training images of a folder stand class by class, so a random set is taken; the same for every run.
    chosen = torch.randperm(len(dataset.train), generator=torch_generator(0, "features"))[:max_points]
    real = features(dataset, dataset.train[chosen.sort().values])
    mean, std = real.mean(0), real.std(0).clamp_min(1e-6)
    parts = []
    for rows in (samples, reference):
        chosen = torch.randperm(len(rows), generator=generator, device=generator.device)[:max_points].cpu()
        parts.append((features(dataset, rows[chosen]) - mean) / std)
    return {"frechet": frechet(*parts), "kernel": kernel_distance(*parts)}


@reads(
    {
        "accuracy": Reading(
            "higher", True, "Share of samples that a classifier of the training data puts into their class"
        ),
        "worst": Reading("higher", True, "The same in the class where it is smallest"),
    }
)
def class_accuracy(
    samples: Tensor, labels: Tensor, dataset: Dataset, *, generator: torch.Generator
) -> dict[str, float]:
    """Share of the samples of a class that a classifier takes for that class (`classifier_of`).

    The classifier is trained on the training images, and never sees a sample. The floor is what it reaches on held-out
    images. Samples that are too clean lie above it.

    Args:
        samples: The samples, with shape (n, *shape).
        labels: The classes that they were drawn for, (n,), int64.
        dataset: The data, with labels.
        generator: Not used: nothing here is random.

    Returns:
        The numbers, by name.
    """
    correct = predicted(dataset, samples) == labels.cpu()
    shares = [float(correct[labels == label].double().mean()) for label in labels.unique()]
    return {"accuracy": float(correct.double().mean()), "worst": min(shares)}


@reads(
    {
        "distance": Reading(
            None, True, "Median distance to the nearest training image; below its floor: memorised"
        ),
        "copies": Reading(
            "lower", False, "Share of samples three times nearer to one training image than to the next"
        ),
    },
    most="max_points",
)
def nearest_image(
    samples: Tensor, dataset: Dataset, *, generator: torch.Generator, max_points: int = 2000
) -> dict[str, float]:
    """Distances to the nearest training image, d₁, and to the next, d₂: is the training set learnt by heart?

    They are Euclidean distances of the pixels, in units of the model. `distance` is the median of d₁, and `copies` is
    the share of samples with d₁ < d₂/3. The floor is that of held-out images: a model that has learnt its training set
    by heart falls below it.

    Args:
        samples: The samples, with shape (n, *shape).
        dataset: The data.
        generator: Chooses the samples where there are more than `max_points`.
        max_points: The most samples.

    Returns:
        The numbers, by name.
    """
    chosen = torch.randperm(len(samples), generator=generator, device=generator.device)[:max_points].cpu()
    nearest, _ = nearest_of(samples[chosen], dataset.train, 2)
    return {
        "distance": float(nearest[:, 0].median()),
        "copies": float((nearest[:, 0] < nearest[:, 1] / 3).double().mean()),
    }


def nearest_of(examples: Tensor, train: Tensor, k: int = 1) -> tuple[Tensor, Tensor]:
    """The k nearest training examples of every example.

    Args:
        examples: The examples, with shape (n, *shape).
        train: The training examples, with shape (N, *shape).
        k: How many.

    Returns:
        Their distances, nearest first, and their numbers, both with shape (n, k).
    """
    rows = examples.detach().cpu().flatten(1).double()
    best = torch.full((len(rows), k), torch.inf, dtype=torch.float64)
    which = torch.zeros((len(rows), k), dtype=torch.int64)
    start = 0
    for part in train.split(4096):
        distance = torch.cdist(rows, part.flatten(1).double())
        together = torch.cat((best, distance), dim=1)
        numbers = torch.cat((which, torch.arange(start, start + len(part)).expand(len(rows), -1)), dim=1)
        best, order = together.topk(k, largest=False)
        which = numbers.gather(1, order)
        start += len(part)
    return best, which
