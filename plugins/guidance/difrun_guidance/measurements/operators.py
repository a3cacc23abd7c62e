r"""The linear operators A of a measurement y = A x_0 + σ_y n.

Each maps x with shape (n, *shape) to (n, *out) by operations that autograd can follow, which gives Aᵀ.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from difrun.data import cast_like
from difrun.errors import DifrunError
from difrun.randomness import torch_generator
from difrun.storage import arrays
from difrun.storage.regular import open_regular
from difrun_guidance.measurements.options import OperatorOptions


class LinearOperator:
    """A linear operator A.

    Attributes:
        shape: The shape of one example.
        out: The shape of its measurement.
        description: What is measured, in a few words.
    """

    shape: tuple[int, ...]
    out: tuple[int, ...]
    description: str

    def __call__(self, x: Tensor) -> Tensor:
        """Compute A x, with shape (n, *out), for x with shape (n, *shape)."""
        raise NotImplementedError

    def restrict(self, y: Tensor) -> Tensor:
        """Bring a measurement that a user gives in another form into the shape `out`, if possible."""
        return y


class Selection(LinearOperator):
    """The k numbers of an example that a mask shows, in their order.

    Args:
        seen: Where the mask shows a number: bool, of the shape of an example.
    """

    def __init__(self, seen: Tensor):
        self.shape = tuple(seen.shape)
        self.indices = seen.flatten().nonzero()[:, 0]
        self.out = (len(self.indices),)
        self.description = f"{len(self.indices)} of the {seen.numel()} numbers of an example"

    @override
    def __call__(self, x: Tensor) -> Tensor:
        return x.flatten(1)[:, self.indices.to(x.device)]

    @override
    def restrict(self, y: Tensor) -> Tensor:
        """Select the k numbers that are seen, if y has the shape of an example."""
        return y.flatten()[self.indices] if tuple(y.shape) == self.shape else y


class Matrix(LinearOperator):
    """The product M x with a matrix, for a flattened example x.

    Args:
        matrix: M, with shape (m, d).
        shape: The shape of an example of d numbers.
    """

    def __init__(self, matrix: Tensor, shape: tuple[int, ...]):
        self.shape, self.matrix, self.out = shape, matrix, (len(matrix),)
        self.description = (
            f"{len(matrix)} linear combinations of the {math.prod(shape)} numbers of an example"
        )

    @override
    def __call__(self, x: Tensor) -> Tensor:
        return x.flatten(1) @ cast_like(self.matrix, x).T


class Separable(LinearOperator):
    """The product R X Cᵀ on the last two axes of an image X.

    Args:
        rows: R, with shape (h', h).
        columns: C, with shape (w', w).
        shape: The shape of an image, (..., h, w).
        description: What is measured, in a few words.
    """

    def __init__(self, rows: Tensor, columns: Tensor, shape: tuple[int, ...], description: str):
        self.shape, self.rows, self.columns, self.description = shape, rows, columns, description
        self.out = (*shape[:-2], len(rows), len(columns))

    @override
    def __call__(self, x: Tensor) -> Tensor:
        rows, columns = (cast_like(matrix, x) for matrix in (self.rows, self.columns))
        return rows @ x @ columns.T


def linear_operator(options: OperatorOptions, shape: tuple[int, ...]) -> LinearOperator:
    """Build the operator that the options name, for examples of a shape.

    Raises:
        DifrunError: If examples of this shape have no such operator, or a file does not fit.
    """
    if options.operator == "identity":
        return Selection(torch.ones(shape, dtype=torch.bool))
    if options.operator == "mask":
        return Selection(_seen(options, shape))
    if options.operator == "matrix":
        return Matrix(_matrix(options, shape), shape)
    name = f"operator {options.operator}"
    height, width = _sides(shape, name, "Choose mask (left, right, random, file), matrix or identity.")
    if options.operator == "blur":
        rows, columns = (_blur(side, options.blur) for side in (height, width))
        return Separable(rows, columns, shape, f"an image blurred by {options.blur:g} pixels")
    if height % options.factor or width % options.factor:
        raise DifrunError(
            f"down-sampling by --guidance.factor {options.factor} needs images whose sides it divides; these have "
            f"{height} x {width} pixels."
        )
    rows, columns = (_average(side, options.factor) for side in (height, width))
    description = f"an image of {len(rows)} x {len(columns)} pixels in place of {height} x {width}"
    return Separable(rows, columns, shape, description)


def read_array(value: Any, what: str, key: str | None = None) -> Tensor:
    """Read an array of real numbers.

    Args:
        value: A file (.npy or .npz), or the array itself.
        what: The name of the array in messages.
        key: The name of the array in an .npz file. The only array of a file may have any name.

    Returns:
        The numbers in float64.

    Raises:
        DifrunError: If the file cannot be read, or holds something else.
    """
    if isinstance(value, str | Path):
        numbers = _load(Path(value), f"{what} '{value}'", key)
    else:
        numbers = np.asarray(value.detach().cpu() if isinstance(value, Tensor) else value)
    if numbers.dtype.kind not in "buif":
        raise DifrunError(f"{what} holds {numbers.dtype} values; expected real numbers.")
    return torch.from_numpy(numbers.astype(np.float64))


def _load(path: Path, what: str, key: str | None) -> np.ndarray:
    """The array of a .npy file, or the array `key` of an .npz file."""
    try:
        with open_regular(path) as stream:
            loaded = arrays.load(stream)
            if isinstance(loaded, np.ndarray):
                return loaded
            names = loaded.files
            if len(names) != 1 and key not in names:
                raise DifrunError(
                    f"{what} holds the arrays {', '.join(names) or '(none)'}; expected "
                    + (f"'{key}'." if key else "one alone.")
                )
            return loaded[key if key in names else names[0]]
    except FileNotFoundError:
        raise DifrunError(f"{what} does not exist.") from None
    except (OSError, ValueError) as error:
        # NumPy raises a ValueError about pickles for any other file: it would mislead about a .csv file.
        why = "" if isinstance(error, ValueError) else f": {error}"
        raise DifrunError(
            f"{what} cannot be read as .npy or .npz{why}; numpy.save and numpy.savez write such files."
        ) from None


def _seen(options: OperatorOptions, shape: tuple[int, ...]) -> Tensor:
    """Where a mask shows the numbers of an example: bool, of its shape."""
    if options.seen == "file":
        return _mask_from_file(options, shape)
    if options.seen == "random":
        return _random_mask(options, shape)
    first = torch.zeros(shape, dtype=torch.bool)  # The left or upper half, or the inside of the box.
    if options.seen in ("left", "right"):
        first[..., : -(-shape[-1] // 2)] = True
        return first if options.seen == "left" else _refuse_empty(~first, options.seen)
    height, width = _sides(
        shape, f"a mask with --guidance.seen {options.seen}", "Choose left, right, random or file."
    )
    if options.seen in ("top", "bottom"):
        first[..., : -(-height // 2), :] = True
        return _refuse_empty(first if options.seen == "top" else ~first, options.seen)
    top, left, rows, columns = _box(options.box, height, width)
    first[..., top : top + rows, left : left + columns] = True
    return _refuse_empty(first if options.seen == "inside" else ~first, options.seen)


def _random_mask(options: OperatorOptions, shape: tuple[int, ...]) -> Tensor:
    """A mask that shows a fraction of the numbers at random places."""
    seen = torch.zeros(shape, dtype=torch.bool)
    count = max(1, round(options.fraction * seen.numel()))
    order = torch.randperm(seen.numel(), generator=torch_generator(options.pattern, "mask"))
    seen.view(-1)[order[:count]] = True
    return seen


def _box(box: tuple[int, ...] | None, height: int, width: int) -> tuple[int, int, int, int]:
    """First row, first column, rows and columns of the box. Raises DifrunError for one outside the image."""
    if box is None or len(box) != 4:
        problem = "was not given" if box is None else f"has {len(box)} numbers"
        raise DifrunError(
            f"the box {problem}; expected --guidance.box FIRST_ROW,FIRST_COLUMN,ROWS,COLUMNS, for example "
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
    """The mask itself. Raises DifrunError if it shows nothing."""
    if not seen.any():
        raise DifrunError(
            f"a mask with --guidance.seen {name} shows nothing of examples of shape {tuple(seen.shape)}."
        )
    return seen


def _mask_from_file(options: OperatorOptions, shape: tuple[int, ...]) -> Tensor:
    """The mask of a file. Raises DifrunError for one that does not fit."""
    if options.mask is None:
        raise DifrunError(
            "--guidance.seen file needs a file: --guidance.mask FILE, of the shape of an example."
        )
    mask = read_array(options.mask, "mask")
    if tuple(mask.shape) not in (shape, shape[-2:]):
        raise DifrunError(f"the mask has shape {tuple(mask.shape)}; an example has shape {shape}.")
    if not bool(((mask == 0) | (mask == 1)).all()):
        raise DifrunError("a mask holds 1 (seen) and 0 (not seen), and nothing else.")
    return _refuse_empty(mask.bool().expand(shape), "file")


def _matrix(options: OperatorOptions, shape: tuple[int, ...]) -> Tensor:
    """The matrix of a file. Raises DifrunError for one that does not fit."""
    if options.matrix is None:
        raise DifrunError("operator matrix needs a file: --guidance.matrix FILE.")
    matrix, size = read_array(options.matrix, "matrix"), math.prod(shape)
    if matrix.ndim != 2 or matrix.shape[1] != size or not len(matrix):
        raise DifrunError(
            f"the matrix has shape {tuple(matrix.shape)}; expected (m, {size}), a column for each of the {size} "
            f"numbers of an example of shape {shape}."
        )
    if not bool(matrix.isfinite().all()):
        raise DifrunError("the matrix holds numbers that are not finite.")
    return matrix


def _sides(shape: tuple[int, ...], what: str, instead: str) -> tuple[int, int]:
    """Height and width. Raises DifrunError for vectors, with what to choose `instead`."""
    if len(shape) < 2:
        raise DifrunError(
            f"{what} works on images; an example here is a vector of {shape[0]} numbers. {instead}"
        )
    return shape[-2], shape[-1]


def _blur(side: int, std: float) -> Tensor:
    """A matrix (side, side) whose rows are Gaussians about their pixels, cut at the edges, of sum 1."""
    pixel = torch.arange(side, dtype=torch.float64)
    weights = torch.exp(-0.5 * ((pixel - pixel[:, None]) / std) ** 2)
    return weights / weights.sum(1, keepdim=True)


def _average(side: int, factor: int) -> Tensor:
    """A matrix (side / factor, side) of the means over blocks."""
    block = torch.arange(side) // factor
    return (block == torch.arange(side // factor)[:, None]).double() / factor
