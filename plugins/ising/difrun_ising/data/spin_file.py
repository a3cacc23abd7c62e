"""A user's own spins, from a file."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from difrun.api import MIN_EXAMPLES
from difrun.data import pictured
from difrun.data.classes import split_labels
from difrun.data.csv_layout import CsvOptions
from difrun.data.files import read_labelled
from difrun.errors import DifrunError
from difrun.randomness import torch_generator
from difrun_ising.data.lattices import SpinDataset, spin_pictures


@pictured(spin_pictures)
def spin_file(
    *,
    seed: int,
    path: Path | None = None,
    key: str | None = None,
    label: str | None = None,
    held_out: float = 0.2,
) -> SpinDataset:
    """Spins ±1 from a .npy or .npz file, (N, ...) with one lattice per row.

    Args:
        seed: The seed of the split into lattices to train on and lattices held out.
        path: The file.
        key: The array of spins in an .npz file.
        label: The array of their classes in an .npz file, as for `difrun.data.files.file`.
        held_out: The share of the lattices that are not trained on.

    Returns:
        The lattices, whose couplings are not known.

    Raises:
        DifrunError: If no path is given, an entry is neither −1 nor +1 (its value and place are named), or fewer than
            20 lattices are left to train on.
    """
    if path is None:
        raise DifrunError("dataset 'spin-file' needs a file: --dataset.path FILE.")
    table = read_labelled(Path(path), key, label, CsvOptions(asks=False))
    _check_spins(table.values, path)
    spins = torch.from_numpy(table.values)
    order = torch.randperm(len(spins), generator=torch_generator(seed, "dataset", "spin-file", "split"))
    count = min(max(1, round(held_out * len(spins))), len(spins) - 1)
    left = len(spins) - count
    if left < MIN_EXAMPLES:
        raise DifrunError(
            f"file '{path}': of {len(spins)} lattices, holding out {held_out:g} leaves {max(0, left)} to train on; at "
            f"least {MIN_EXAMPLES} are needed. Lower --dataset.held-out, or bring more."
        )
    labels = {} if table.labels is None else split_labels(table.labels, order, count, f"file '{path}'")
    return SpinDataset(
        name=Path(path).name,
        train=spins[order[count:]],
        held_out=spins[order[:count]],
        notes=table.notes,
        **labels,
    )


def _check_spins(values: NDArray, path: Path) -> None:
    wrong = (np.abs(values) != 1).nonzero()
    if not len(wrong[0]):
        return
    place = tuple(int(axis[0]) for axis in wrong)
    rest = f"; {len(wrong[0])} entries are not" if len(wrong[0]) > 1 else ""
    bits = " For spins saved as 0 and 1, save 2x − 1." if np.isin(values, (0, 1)).all() else ""
    raise DifrunError(
        f"file '{path}': {values[place]:g} at [{', '.join(map(str, place))}] is not a spin, which is −1 or +1{rest}."
        f"{bits}"
    )
