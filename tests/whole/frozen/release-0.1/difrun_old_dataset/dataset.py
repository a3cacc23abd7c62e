"""The examples of the dataset."""

from difrun.data import Dataset, GaussianMixture
from difrun.randomness import torch_generator


def old_dataset(*, seed: int, n: int = 3000, std: float = 0.1) -> Dataset:
    """Equal Gaussians at the corners of a triangle, (−1, −1), (1, −1) and (0, 1).

    Args:
        seed: The seed of the examples: one seed gives one dataset.
        n: The number of training examples; as many are held out.
        std: The standard deviation of each Gaussian.

    Returns:
        Training and held-out examples, (n, 2) each, with the distribution that they are drawn from.
    """
    distribution = GaussianMixture([1 / 3] * 3, [[-1.0, -1.0], [1.0, -1.0], [0.0, 1.0]], [std**2] * 3)
    return Dataset(
        name="old-dataset",
        train=distribution.sample(n, torch_generator(seed, "old-dataset", "train")),
        held_out=distribution.sample(n, torch_generator(seed, "old-dataset", "held out")),
        fresh=distribution.sample,
        distribution=distribution,
    )
