"""The learning rate of every step: warm-up, half a cosine, and restarts."""

import math

from difrun.config.run_options import TrainOptions


def learning_rate(options: TrainOptions, step: int, seconds: float) -> float:
    r"""Return the learning rate of step k = 0, ..., n − 1.

    It rises linearly over `warmup` steps and falls as half a cosine,

        lr(k) = lr · min(1, (k − a + 1)/warmup) · ½[1 + cos(π p)],    p = max((k − a)/(b − a), elapsed/minutes),

    from a = 0 to b = n. Each of the `restarts` ends such a schedule and begins another.

    Args:
        options: lr, warmup, steps (n), restarts and minutes (or None), as `difrun.config.TrainOptions`.
        step: k.
        seconds: Time elapsed.

    References:
        Loshchilov and Hutter (2017), SGDR, arXiv 1608.03983, eq. 5: the cosine and its restarts.
    """
    begin = max((restart for restart in options.restarts if restart <= step), default=0)
    end = min((restart for restart in options.restarts if restart > step), default=options.steps)
    progress = (step - begin) / (end - begin)
    if options.minutes is not None:
        progress = min(1.0, max(progress, seconds / (60 * options.minutes)))
    warm = min(1.0, (step - begin + 1) / options.warmup) if options.warmup else 1.0
    return options.lr * warm * 0.5 * (1 + math.cos(math.pi * progress))
