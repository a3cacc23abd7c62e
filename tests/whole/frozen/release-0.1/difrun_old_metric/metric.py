"""The distance that the metric measures."""

from difrun.metric import Reading, reads
from torch import Tensor


@reads({"old-metric": Reading("lower", ratio=True, meaning="Distance of the distributions of single coordinates")})
def old_metric(samples: Tensor, reference: Tensor, *, power: float = 1.0) -> dict[str, float]:
    r"""Mean over the coordinates j of the Wasserstein distance W_p of the samples' x_j from the reference's.

    On the line, the best coupling of two sets of equal size is that of their sorted values:

        W_p(x, y)^p = 1/n Σ_i |x_(i) − y_(i)|^p.

    Args:
        samples: The samples, (n, *shape).
        reference: As many real examples.
        power: The power p.

    Returns:
        One number; lower is better.
    """
    gap = samples.double().flatten(1).sort(0).values - reference.double().flatten(1).sort(0).values
    return {"old-metric": float(gap.abs().pow(power).mean(0).pow(1 / power).mean())}
