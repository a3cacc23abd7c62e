"""The times of the entries of a table, and the place in the table at any time between them."""

from typing import Any

import torch
from torch import Tensor

from difrun.errors import DifrunError
from difrun.process.spline import MonotoneSpline
from difrun.process.table_checks import as_table


class Clock:
    """The place n in a table, 0 for the data and N for its last entry, as a smooth increasing function of time.

    Args:
        times: t_0 = 0 < t_1 < ... < t_N, (N + 1,) float64.
    """

    def __init__(self, times: Tensor):
        self.times = times
        self._spline = MonotoneSpline(times)

    @classmethod
    def of_entries(cls, times: Any, entries: int, begins_with_data: bool) -> "Clock":
        """Return the clock of a table whose entries are at the given times.

        Args:
            times: The time of each entry.
            entries: How many entries there are.
            begins_with_data: Whether the first one has no noise: it is node 0.

        Raises:
            DifrunError: If there is not one time for each entry, or they do not increase from 0.
        """
        table = as_table(times, "times")
        if len(table) != entries:
            raise DifrunError(
                f"times has {len(table)} entries, and the table {entries}; each needs one time."
            )
        if begins_with_data:
            if float(table[0]) != 0:
                raise DifrunError(
                    f"the entry without noise is the data, whose time is 0; it has the time {float(table[0]):g}."
                )
        elif not float(table[0]) > 0:
            raise DifrunError(
                f"the first entry has noise and the time {float(table[0]):g}; time 0 is the data, so it must be above "
                "0. Number entries from 1, or leave the times out."
            )
        else:
            table = torch.cat([torch.zeros(1, dtype=torch.float64), table])
        if not bool((table.diff() > 0).all()):
            raise DifrunError("times must strictly increase, from data to noise.")
        return cls(table)

    def place(self, t: Tensor) -> Tensor:
        """Return n(t), differentiable, in the dtype and on the device of t."""
        return self._spline.inverse(t.cpu().double()).to(t.dtype).to(t.device)

    def time(self, place: Tensor) -> Tensor:
        """Return the t with n(t) = `place`, float64 on the CPU."""
        return self._spline(place)
