"""Datasets with one known fault each, for the tests of the conformance kit."""

import math

import torch

from difrun.data import Dataset, GaussianMixture
from difrun.randomness import torch_generator

MIXTURE = GaussianMixture([0.4, 0.6], [[-2.0, 0.0], [2.0, 1.0]], [0.2, 0.3])
LABELS = torch.tensor([0, 1])


def parts(seed, n=400):
    train, of_train = MIXTURE.sample_with_components(n, torch_generator(seed, "train"))
    held_out, of_held_out = MIXTURE.sample_with_components(300, torch_generator(seed, "held out"))
    labels = {
        "labels": of_train,
        "held_out_labels": of_held_out,
        "classes": ("a", "b"),
        "component_labels": LABELS,
    }
    return {
        "name": "two",
        "train": train,
        "held_out": held_out,
        "fresh": MIXTURE.sample,
        "distribution": MIXTURE,
        **labels,
    }


def fine(*, seed):
    """Two Gaussians with classes."""
    return Dataset(**parts(seed))


def leaking(*, seed):
    """Holds out training examples, moved by 1e-6."""
    made = parts(seed)
    return Dataset(**made | {"held_out": made["train"][:300] + 1e-6, "held_out_labels": made["labels"][:300]})


def half_leaking(*, seed):
    """Holds out some training examples."""
    made = parts(seed)
    held_out, labels = made["held_out"].clone(), made["held_out_labels"].clone()
    held_out[:50], labels[:50] = made["train"][:50], made["labels"][:50]
    return Dataset(**made | {"held_out": held_out, "held_out_labels": labels})


def wide(*, seed):
    """Holds out examples that are spread more widely."""
    made = parts(seed)
    mean = made["held_out"].mean(0)
    held_out = mean + 1.5 * (made["held_out"] - mean)
    return Dataset(
        name="two", train=made["train"], held_out=held_out, fresh=made["fresh"], distribution=MIXTURE
    )


def smooth(*, seed):
    """Holds out one Gaussian of the same mean and covariance."""
    made = parts(seed)
    noise = torch.randn(300, 2, generator=torch_generator(seed, "smooth"))
    held_out = MIXTURE.mean.float() + noise @ torch.linalg.cholesky(MIXTURE.cov).T.float()
    return Dataset(name="two", train=made["train"], held_out=held_out)


def turned(*, seed):
    """Draws fresh examples that are turned by a right angle."""
    made = parts(seed)

    def fresh(n, generator):
        x = MIXTURE.sample(n, generator)
        return torch.stack((-x[:, 1], x[:, 0]), 1)

    return Dataset(name="two", train=made["train"], held_out=made["held_out"], fresh=fresh)


def misdeclared(*, seed):
    """Says that its distribution is another one."""
    made = parts(seed)
    other = GaussianMixture([0.4, 0.6], [[-2.0, 0.0], [2.0, 1.0]], [0.2, 3.0])
    return Dataset(name="two", train=made["train"], held_out=made["held_out"], distribution=other)


def stale(*, seed):
    """Draws the same fresh examples whatever the generator."""

    def fresh(n, generator):
        return MIXTURE.sample(n, torch_generator(seed, "fresh"))

    return Dataset(**parts(seed) | {"fresh": fresh})


def unsown(*, seed):
    """Ignores its seed."""
    return Dataset(**parts(1))


def global_state(*, seed):
    """Draws from the global random state."""
    made = parts(seed)
    return Dataset(**made | {"train": made["train"] + 1e-3 * torch.randn(400, 2)})


def fixed_size(*, seed, n=400):
    """Ignores its n."""
    return Dataset(**parts(seed))


def swapped(*, seed):
    """Its components belong to the other class."""
    return Dataset(**parts(seed) | {"component_labels": 1 - LABELS})


def shuffled(*, seed):
    """Labels of held-out examples are those of the other class."""
    made = parts(seed)
    return Dataset(**made | {"held_out_labels": 1 - made["held_out_labels"], "component_labels": None})


LOG_AREA = math.log(4)


def square(seed, log_density=None, entropy=LOG_AREA):
    """Uniform on a square of side 2."""
    draw = lambda n, generator: 2 * torch.rand(n, 2, generator=generator) - 1  # noqa: E731
    density = lambda x: torch.where((x.abs() <= 1).all(1), -math.log(4), -math.inf)  # noqa: E731
    return Dataset(
        name="square",
        train=draw(1500, torch_generator(seed, "train")),
        held_out=draw(300, torch_generator(seed, "held out")),
        fresh=draw,
        log_density=log_density or density,
        entropy=entropy,
    )


def fine_square(*, seed):
    """Uniform on a square, with its density."""
    return square(seed)


def wrong_entropy(*, seed):
    """Gives the entropy in bits."""
    return square(seed, entropy=2.0)


def unnormalised(*, seed):
    """Gives the density of a square twice as large, and its entropy."""
    return square(seed, lambda x: torch.full((len(x),), -3 * math.log(2)), 3 * math.log(2))


def everywhere(*, seed):
    """Gives a density that is constant beyond the square as well."""
    return square(seed, lambda x: torch.full((len(x),), -math.log(4.0)))


def few_points(*, seed):
    """A real dataset on the points of a small grid."""
    draw = torch_generator(seed, "grid")
    rows = torch.randint(0, 5, (800, 2), generator=draw).float()
    return Dataset(name="grid", train=rows[:500], held_out=rows[500:])


def constant():
    """All its examples are equal."""
    return Dataset(name="one point", train=torch.ones(400, 2), held_out=torch.ones(300, 2))


def resampled(*, seed):
    """Draws its fresh examples from those that it trains on."""
    made = parts(seed)

    def fresh(n, generator):
        return made["train"][torch.randint(len(made["train"]), (n,), generator=generator)]

    return Dataset(name="two", train=made["train"], held_out=made["held_out"], fresh=fresh)


def few_fresh(*, seed):
    """Draws at most 40 fresh examples."""

    def fresh(n, generator):
        return MIXTURE.sample(min(n, 40), generator)

    return Dataset(**parts(seed) | {"fresh": fresh})


def one_class_held_out(*, seed):
    """Holds out one class alone."""
    made = parts(seed)
    chosen = made["held_out_labels"] == 1
    return Dataset(
        **made | {"held_out": made["held_out"][chosen], "held_out_labels": made["held_out_labels"][chosen]}
    )


def near_copies(*, seed):
    """Holds out training examples, moved by a fiftieth."""
    made = parts(seed)
    noise = torch.randn(300, 2, generator=torch_generator(seed, "noise"))
    return Dataset(name="two", train=made["train"], held_out=made["train"][:300] + 0.02 * noise)


def rounded(*, seed):
    """Rounds the examples that it holds out."""
    made = parts(seed)
    return Dataset(**made | {"held_out": (10 * made["held_out"]).round() / 10})


def clipped(*, seed):
    """Clips its training examples."""
    made = parts(seed)
    return Dataset(**made | {"train": made["train"].clamp(-2.5, 2.5), "component_labels": None})


def doubled_fresh(*, seed):
    """Gives every fresh example twice."""

    def fresh(n, generator):
        return MIXTURE.sample((n + 1) // 2, generator).repeat(2, 1)[:n]

    return Dataset(**parts(seed) | {"fresh": fresh})


def refused():
    """Cannot be made."""
    return Dataset(name="none", train=torch.ones(4, 2), held_out=torch.ones(4, 2), entropy=1.0)


def sorted_images(*, seed):
    """Small images of two classes, sorted by class, many of whose pixels are 0."""
    draw = torch_generator(seed, "images")
    x = (torch.rand(300, 1, 4, 4, generator=draw) - 0.3).clamp_min(0)
    labels = torch.arange(300) % 2
    x = x * (1 + labels[:, None, None, None])
    order = labels[:200].argsort()
    return Dataset(
        name="images",
        train=x[:200][order],
        held_out=x[200:],
        labels=labels[:200][order],
        held_out_labels=labels[200:],
        classes=("dark", "bright"),
    )
