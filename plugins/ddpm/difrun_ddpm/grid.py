"""Sub-sequences of the chain's integer times."""

import math

from difrun.errors import DifrunError
from difrun.grid import check
from difrun.process import GaussianProcess


def integer(process: GaussianProcess, steps: int, *, spacing: str = "trailing") -> list[float]:
    r"""A sub-sequence of the chain's own times: K different integers from N down, then t_min.

    Counted from the data (i = 1 ... K), and up to rounding,

        trailing:   n_i = N i/K       equal strides
        quadratic:  n_i = N (i/K)²    shorter strides near the data

    Integers that rounding makes equal move up to the next free one. K = N is the whole chain. t_min takes the place of
    0. Only integers above t_min count; t_min lies between 0 and 1 unless the noise floor is high.

    Args:
        process: The chain.
        steps: The number of steps, K.
        spacing: "trailing" or "quadratic".

    Returns:
        K + 1 decreasing times.

    Raises:
        DifrunError: If there are fewer than K integers above t_min.

    References:
        Lin et al. (2024), arXiv 2305.08891, sec. 3.3: trailing.
        Song et al. (2021), arXiv 2010.02502, app. D.2: quadratic.
    """
    last = round(process.horizon)
    below = math.floor(process.t_min)
    if steps > last - below:
        raise DifrunError(
            f"grid 'integer' has {last - below} times between t_min = {process.t_min:g} and N = {last}, one for each "
            f"step; {steps} steps need more. Take fewer steps, a longer chain (--process.steps), or another grid."
        )
    power = 2 if spacing == "quadratic" else 1
    times: list[int] = []
    for i in range(1, steps + 1):
        # Rounds halves up, in integers: round() would send them to the even neighbour and make strides uneven.
        place = below + ((last - below) * 2 * i**power + steps**power) // (2 * steps**power)
        times.append(max(place, times[-1] + 1 if times else below + 1))
    return check([*(float(n) for n in reversed(times)), process.t_min], process, steps)
