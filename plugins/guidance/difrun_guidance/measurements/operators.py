r"""Linear operators: what a measurement y = A x_0 + σ_y n sees of an example.

Each takes x of shape (n, *shape) to (n, *out) by operations that autograd can follow, which gives Aᵀ.
"""

import math
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor

from difrun.data import cast_like
from difrun.errors import DifrunError
from difrun.randomness import torch_generator
from difrun_guidance.measurements.options import OperatorOptions


class Linear:
    """An operator A: `shape` of x and `out` of A x, one example each; `says` tells in words what it sees."""

    shape: tuple[int, ...]
    out: tuple[int, ...]
    says: str

    def __call__(self, x: Tensor) -> Tensor:
        """A x (n, *out) of x (n, *shape)."""
        raise NotImplementedError

    def numbers(self, y: Tensor) -> Tensor:
        """A measurement as a user may give it, in the shape `out` where it can be that."""
        return y


class Selection(Linear):
    """The numbers of an example at the places where `seen` (of its shape) holds, in their order: (n, k)."""

    def __init__(self, seen: Tensor):
        self.shape = tuple(seen.shape)
        self.places = seen.flatten().nonzero()[:, 0]
        self.out = (len(self.places),)
        self.says = f"{len(self.places)} of the {seen.numel()} numbers of an example"

    def __call__(self, x: Tensor) -> Tensor:
        return x.flatten(1)[:, self.places.to(x.device)]

    def numbers(self, y: Tensor) -> Tensor:
        """(k,), of k numbers or of the shape of an example, of which the rest does not count."""
        return y.flatten()[self.places] if tuple(y.shape) == self.shape else y


class Matrix(Linear):
    """x ↦ M x for a matrix M (m, d) and x of d numbers, flattened: (n, m)."""

    def __init__(self, matrix: Tensor, shape: tuple[int, ...]):
        self.shape, self.matrix, self.out = shape, matrix, (len(matrix),)
        self.says = f"{len(matrix)} linear combinations of the {math.prod(shape)} numbers of an example"

    def __call__(self, x: Tensor) -> Tensor:
        return x.flatten(1) @ cast_like(self.matrix, x).T


class Separable(Linear):
    """X ↦ R X Cᵀ on the last two axes of images, for matrices R (h', h) and C (w', w): (n, ..., h', w')."""

    def __init__(self, rows: Tensor, columns: Tensor, shape: tuple[int, ...], says: str):
        self.shape, self.rows, self.columns, self.says = shape, rows, columns, says
        self.out = (*shape[:-2], len(rows), len(columns))

    def __call__(self, x: Tensor) -> Tensor:
        rows, columns = (cast_like(matrix, x) for matrix in (self.rows, self.columns))
        return rows @ x @ columns.T


def linear(options: OperatorOptions, shape: tuple[int, ...]) -> Linear:
    """The operator that the options name, for examples of a shape.

    Raises DifrunError where examples of this shape have no such operator, and for a file that does not fit.
    """
    if options.operator == "identity":
        return Selection(torch.ones(shape, dtype=torch.bool))
    if options.operator == "mask":
        return Selection(_seen(options, shape))
    if options.operator == "matrix":
        return Matrix(_matrix(options, shape), shape)
    what = f"operator {options.operator}"
    height, width = _sides(shape, what, "Choose mask (left, right, random, file), matrix or identity.")
    if options.operator == "blur":
        rows, columns = (_blur(side, options.blur) for side in (height, width))
        return Separable(rows, columns, shape, f"an image blurred by {options.blur:g} pixels")
    if height % options.factor or width % options.factor:
        raise DifrunError(
            f"down-sampling by --guidance.factor {options.factor} needs images whose sides it divides; these have "
            f"{height} x {width} pixels."
        )
    rows, columns = (_average(side, options.factor) for side in (height, width))
    says = f"an image of {len(rows)} x {len(columns)} pixels in place of {height} x {width}"
    return Separable(rows, columns, shape, says)


def array(value: Any, what: str, key: str | None = None) -> Tensor:
    """A float64 tensor from a file (.npy, .npz), or from an array that is there. `what` names it in errors.

    key: the array of an .npz file; the only one may have any name. Raises DifrunError for a file that cannot be read.
    """
    if not isinstance(value, str | Path):
        found = np.asarray(value.detach().cpu() if isinstance(value, Tensor) else value)
    else:
        try:
            with Path(value).open("rb") as stream:
                loaded = np.load(stream, allow_pickle=False)
                if not isinstance(loaded, np.ndarray):
                    names = loaded.files
                    if len(names) != 1 and key not in names:
                        raise DifrunError(
                            f"{what} '{value}' holds the arrays {', '.join(names) or '(none)'}; expected "
                            + (f"'{key}'." if key else "one alone.")
                        )
                    loaded = loaded[key if key in names else names[0]]
                found = loaded
        except FileNotFoundError:
            raise DifrunError(f"{what} '{value}' does not exist.") from None
        except (OSError, ValueError, EOFError, BadZipFile) as error:
            # A ValueError is NumPy's, of pickles: not what is wrong with a .csv file.
            why = "" if isinstance(error, ValueError) else f": {error}"
            raise DifrunError(
                f"{what} '{value}' cannot be read as .npy or .npz{why}; numpy.save and numpy.savez write such files."
            ) from None
    if found.dtype.kind not in "buif":
        raise DifrunError(f"{what} holds {found.dtype} values; expected real numbers.")
    return torch.from_numpy(found.astype(np.float64))


def _seen(options: OperatorOptions, shape: tuple[int, ...]) -> Tensor:
    """Where a mask lets the numbers of an example through, of their shape, bool."""
    seen = torch.zeros(shape, dtype=torch.bool)
    if options.seen == "file":
        return _mask(options, shape)
    if options.seen == "random":
        count = max(1, round(options.fraction * seen.numel()))
        order = torch.randperm(seen.numel(), generator=torch_generator(options.pattern, "mask"))
        seen.view(-1)[order[:count]] = True
        return seen
    if options.seen in ("left", "right"):
        seen[..., : -(-shape[-1] // 2)] = True
        return seen if options.seen == "left" else _refuse_empty(~seen, options.seen)
    height, width = _sides(
        shape, f"a mask with --guidance.seen {options.seen}", "Choose left, right, random or file."
    )
    if options.seen in ("top", "bottom"):
        seen[..., : -(-height // 2), :] = True
        return _refuse_empty(seen if options.seen == "top" else ~seen, options.seen)
    top, left, rows, columns = _box(options.box, height, width)
    seen[..., top : top + rows, left : left + columns] = True
    return _refuse_empty(seen if options.seen == "inside" else ~seen, options.seen)


def _box(box: tuple[int, ...] | None, height: int, width: int) -> tuple[int, int, int, int]:
    if box is None or len(box) != 4:
        given = "was not given" if box is None else f"has {len(box)} numbers"
        raise DifrunError(
            f"the box {given}; expected --guidance.box FIRST_ROW,FIRST_COLUMN,ROWS,COLUMNS, for example "
            f"{height // 4},{width // 4},{-(-height // 2)},{-(-width // 2)}."
        )
    top, left, rows, columns = box
    if not (
        0 <= top < top + rows <= height and 0 <= left < left + columns <= width and rows > 0 and columns > 0
    ):
        raise DifrunError(
            f"the box {','.join(map(str, box))} covers rows {top} to {top + rows - 1} and columns {left} to "
            f"{left + columns - 1}; the image has rows 0 to {height - 1} and columns 0 to {width - 1}."
        )
    return top, left, rows, columns


def _refuse_empty(seen: Tensor, name: str) -> Tensor:
    if not seen.any():
        raise DifrunError(
            f"a mask with --guidance.seen {name} shows nothing of examples of shape {tuple(seen.shape)}."
        )
    return seen


def _mask(options: OperatorOptions, shape: tuple[int, ...]) -> Tensor:
    if options.mask is None:
        raise DifrunError(
            "--guidance.seen file needs a file: --guidance.mask FILE, of the shape of an example."
        )
    found = array(options.mask, "mask")
    if tuple(found.shape) not in (shape, shape[-2:]):
        raise DifrunError(f"the mask has shape {tuple(found.shape)}; an example has shape {shape}.")
    if not bool(((found == 0) | (found == 1)).all()):
        raise DifrunError("a mask holds 1 (seen) and 0 (not seen), and nothing else.")
    return _refuse_empty(found.bool().expand(shape), "file")


def _matrix(options: OperatorOptions, shape: tuple[int, ...]) -> Tensor:
    if options.matrix is None:
        raise DifrunError("operator matrix needs a file: --guidance.matrix FILE.")
    found, size = array(options.matrix, "matrix"), math.prod(shape)
    if found.ndim != 2 or found.shape[1] != size or not len(found):
        raise DifrunError(
            f"the matrix has shape {tuple(found.shape)}; expected (m, {size}), a column for each of the {size} "
            f"numbers of an example of shape {shape}."
        )
    if not bool(found.isfinite().all()):
        raise DifrunError("the matrix holds numbers that are not finite.")
    return found


def _sides(shape: tuple[int, ...], what: str, instead: str) -> tuple[int, int]:
    if len(shape) < 2:
        raise DifrunError(
            f"{what} works on images; an example here is a vector of {shape[0]} numbers. {instead}"
        )
    return shape[-2], shape[-1]


def _blur(side: int, std: float) -> Tensor:
    """(side, side): each row a Gaussian of a standard deviation about its pixel, cut at the edges, of sum 1."""
    place = torch.arange(side, dtype=torch.float64)
    weights = torch.exp(-0.5 * ((place - place[:, None]) / std) ** 2)
    return weights / weights.sum(1, keepdim=True)


def _average(side: int, factor: int) -> Tensor:
    """(side / factor, side): means over blocks."""
    block = torch.arange(side) // factor
    return (block == torch.arange(side // factor)[:, None]).double() / factor
