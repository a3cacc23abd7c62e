"""Lattices of spins to learn from: exact or nearly independent draws of the Ising model, and a user's own."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import torch
from torch import Tensor

from difrun.api import MIN_EXAMPLES
from difrun.data import Dataset, Drawing, Scene, pictured
from difrun.data.classes import split_labels
from difrun.data.files import read_labelled
from difrun.errors import DifrunError
from difrun.randomness import torch_generator
from difrun_ising.lattice.lattice import Lattice
from difrun_ising.lattice.moments import closed_form, reaches, torus_energy, torus_log_z
from difrun_ising.lattice.swendsen_wang import Autocorrelation, swendsen_wang
from difrun_ising.lattice.transfer import TransferMatrix, transfer_matrix


@attrs.frozen(eq=False, slots=False, kw_only=True)
class SpinDataset(Dataset):
    """Lattices of ±1.

    lattice: the model that they are of; None where it is not known. autocorrelation: of the chains they were drawn
    from; None for exact independent draws.
    """

    lattice: Lattice | None = None
    autocorrelation: Autocorrelation | None = None

    @property
    def transfer(self) -> TransferMatrix | None:
        """The transfer matrix of the lattice, where it reaches."""
        return None if self.lattice is None or not reaches(self.lattice) else transfer_matrix(self.lattice)


def _spin_pictures(scene: Scene) -> Iterable[Drawing]:
    from difrun_ising.report.pictures import spin_pictures  # Matplotlib, which only reports need

    return spin_pictures(scene)


def _string_pictures(scene: Scene) -> Iterable[Drawing]:
    from difrun_ising.report.pictures import string_pictures

    return string_pictures(scene)


@pictured(_spin_pictures)
def ising(
    *,
    seed: int,
    size: tuple[int, ...] = (8, 8),
    beta: float = 0.35,
    coupling: float = 1.0,
    field: float = 0.0,
    boundary: str = "periodic",
    n: int = 5000,
    held_out: int = 2000,
) -> SpinDataset:
    r"""The Ising model p(s) = exp(−βE)/Z, E = −J Σ_<ij> s_i s_j − h Σ_i s_i, on a lattice.

    With a side of at most 12 the draws are exact and independent (`TransferMatrix.sample`), and log p and the entropy
    (log Z + β⟨E⟩) are known; beyond, they come from Swendsen–Wang chains, `SpinDataset.autocorrelation` says how nearly
    independent, and on a torus without field log p and the entropy are those of Kaufman's closed form. size: rows and
    columns, or the side of a square. n, held_out: lattices to train on and not.
    """
    rows, columns = size if len(size) == 2 else (size[0], size[0])
    lattice = Lattice(rows, columns, beta, coupling, field, boundary == "periodic")
    random = torch_generator(seed, "dataset", "ising")
    name = f"ising {rows}x{columns}, beta {beta:g}"
    if not reaches(lattice):
        spins, times = swendsen_wang(lattice, n + held_out, random)
        known = (
            _distribution(lattice, torus_log_z(lattice), torus_energy(lattice)[0])
            if closed_form(lattice)
            else {}
        )
        return SpinDataset(
            name=name,
            train=spins[:n],
            held_out=spins[n:],
            fresh=lambda n, generator: swendsen_wang(lattice, n, generator)[0],
            lattice=lattice,
            autocorrelation=times,
            notes=(times.sentence(),),
            **known,
        )
    matrix = transfer_matrix(lattice)
    spins = matrix.sample(n + held_out, random)
    return SpinDataset(
        name=name,
        train=spins[:n],
        held_out=spins[n:],
        fresh=matrix.sample,
        lattice=lattice,
        **_distribution(lattice, matrix.log_z, matrix.energy),
    )


def _distribution(lattice: Lattice, log_z: float, energy: float) -> dict[str, Any]:
    """log p(s) = −βE(s) − log Z, and the entropy log Z + β⟨E⟩."""
    return {
        "log_density": lambda spins: -lattice.beta * lattice.energy(spins) - log_z,
        "entropy": log_z + lattice.beta * energy,
    }


@pictured(_spin_pictures)
def spin_file(
    *,
    seed: int,
    path: Path | None = None,
    key: str | None = None,
    label: str | None = None,
    held_out: float = 0.2,
) -> SpinDataset:
    """Spins ±1 from a .npy or .npz file, (N, ...) with one lattice per row; `held_out` of them are not trained on.

    label: the array of their classes in an .npz file, as for `difrun.data.files.file`. Raises `DifrunError`, with
    the file, the value and its place, when an entry is neither −1 nor +1, and when there are fewer than 20 lattices.
    """
    if path is None:
        raise DifrunError("dataset 'spin-file' needs a file: --dataset.path FILE.")
    values, _, names = read_labelled(Path(path), key, label)
    wrong = (np.abs(values) != 1).nonzero()
    if len(wrong[0]):
        place = tuple(int(axis[0]) for axis in wrong)
        rest = f"; {len(wrong[0])} entries are none" if len(wrong[0]) > 1 else ""
        bits = " Of 0 and 1 save 2x − 1." if np.isin(values, (0, 1)).all() else ""
        raise DifrunError(
            f"file '{path}': {values[place]:g} at [{', '.join(map(str, place))}] is not a spin, which is −1 or +1"
            f"{rest}.{bits}"
        )
    spins = torch.from_numpy(values)
    order = torch.randperm(len(spins), generator=torch_generator(seed, "dataset", "spin-file", "split"))
    kept = min(max(1, round(held_out * len(spins))), len(spins) - 1)
    if len(spins) - kept < MIN_EXAMPLES:
        raise DifrunError(
            f"file '{path}': of {len(spins)} lattices, holding out {held_out:g} leaves {max(0, len(spins) - kept)} to "
            f"train on; at least {MIN_EXAMPLES} are needed. Lower --dataset.held-out, or bring more."
        )
    known = {} if names is None else split_labels(names, order, kept, f"file '{path}'")
    return SpinDataset(name=Path(path).name, train=spins[order[kept:]], held_out=spins[order[:kept]], **known)


@pictured(_string_pictures)
def markov(
    *, seed: int, length: int = 16, letters: int = 4, stay: float = 0.7, n: int = 5000, held_out: int = 2000
) -> Dataset:
    r"""Strings of a Markov chain over K letters, one-hot: (n, length, K).

    The first letter is uniform, every other one repeats the last with probability `stay` and is any of the others with
    (1 − stay)/(K − 1). Entropy: log K + (length − 1)·[−s log s − (1 − s) log((1 − s)/(K − 1))].
    """
    change = (1 - stay) / (letters - 1)

    def fresh(n: int, generator: torch.Generator) -> Tensor:
        step = torch.rand(n, length, generator=generator) >= stay
        jump = torch.randint(1, letters, (n, length), generator=generator)
        first = torch.randint(letters, (n,), generator=generator)
        moves = torch.where(step, jump, 0)
        moves[:, 0] = first
        return torch.nn.functional.one_hot(moves.cumsum(1) % letters, letters).float()

    def log_density(x: Tensor) -> Tensor:
        repeats = (x[:, 1:] * x[:, :-1]).sum((1, 2)).double()
        rest = length - 1 - repeats
        return repeats * np.log(stay) + rest * np.log(change) - np.log(letters)

    random = torch_generator(seed, "dataset", "markov")
    each = -stay * np.log(stay) - (1 - stay) * np.log(change)
    return Dataset(
        name=f"markov {length} of {letters}",
        train=fresh(n, random),
        held_out=fresh(held_out, random),
        fresh=fresh,
        log_density=log_density,
        entropy=float(np.log(letters) + (length - 1) * each),
    )


def lattice_of(dataset: Any, who: str) -> Lattice:
    """The lattice of a dataset; DifrunError where it has none."""
    lattice = getattr(dataset, "lattice", None)
    if lattice is None:
        raise DifrunError(
            f"{who} needs the couplings, which dataset '{dataset.name}' does not know; take --dataset ising."
        )
    return lattice
