"""What the tests of labels share: a mixture of two classes that overlap, its dataset and its exact model."""

import torch

from difrun.data import Dataset
from difrun.model import ExactMixture
from difrun.process import GaussianProcess
from difrun.randomness import torch_generator
from difrun.testing import two_classes

MIXTURE, CLASS_OF_COMPONENT = two_classes()


def labelled(n=2000, seed=0):
    """A dataset of the mixture in which components 0 and 1 are class A, 2 and 3 class B."""
    (x, k), (y, m) = (
        MIXTURE.sample_with_components(n, torch_generator(seed, part)) for part in ("train", "held")
    )
    return Dataset(
        name="overlapping",
        train=x,
        held_out=y,
        distribution=MIXTURE,
        labels=CLASS_OF_COMPONENT[k],
        held_out_labels=CLASS_OF_COMPONENT[m],
        classes=("A", "B"),
        component_labels=CLASS_OF_COMPONENT,
    )


def exact(process):
    return ExactMixture(MIXTURE, process, CLASS_OF_COMPONENT)


class Exploding(GaussianProcess):
    """x_t = x_0 + t ε from t = 30 down to 0.002."""

    horizon = 30.0

    def __init__(self):
        self.noise_floor = 0.002

    def log_alpha(self, t):
        return torch.zeros_like(t)

    def variance(self, t):
        return t**2
