"""How a rule says what it measured, what it expected with its error bar, and why it had nothing to try. No pytest."""

import re
import sysconfig
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from difrun.errors import DifrunError
from difrun.text import in_one_line


class RuleBroken(AssertionError):
    """A component breaks a rule.

    Args:
        measured: What was found.
        expected: What is right, with its error bar.
    """

    def __init__(self, measured: str, expected: str) -> None:
        super().__init__(f"measured: {measured}; expected: {expected}")
        self.measured, self.expected = measured, expected


class Refused(RuleBroken):
    """A component cannot be made or used at all: whatever rule tries it finds the same, and one of them reports it."""


class NotTried(Exception):
    """A rule could not be tried on a component; the text is the reason."""


def ensure(holds: Any, measured: str, expected: str) -> None:
    """Raise `RuleBroken` unless a condition holds.

    Args:
        holds: A bool, or a tensor of them, which must all be true.
        measured: What was found.
        expected: What is right, with its error bar.
    """
    if not (bool(holds.all()) if isinstance(holds, Tensor) else bool(holds)):
        raise RuleBroken(measured, expected)


def ensure_close(measured: Any, expected: Any, what: str, *, rtol: float = 0.0, atol: float = 0.0) -> None:
    """Raise `RuleBroken` unless numbers agree within atol + rtol·|expected|, and tensors in shape and dtype as well.

    Args:
        measured: A number, an array or a tensor.
        expected: What is right.
        what: What is measured, for the message.
        rtol: The error allowed, relative to the expected number.
        atol: The error allowed in addition.
    """
    if isinstance(measured, Tensor) and isinstance(expected, Tensor):
        ensure(
            measured.shape == expected.shape,
            f"{what} has shape {tuple(measured.shape)}",
            str(tuple(expected.shape)),
        )
        ensure(measured.dtype == expected.dtype, f"{what} is {measured.dtype}", str(expected.dtype))
    # A Python number is float64; torch.as_tensor would make it float32.
    got, right = (torch.as_tensor(value, dtype=torch.float64).detach() for value in (measured, expected))
    allowed = atol + rtol * right.abs()
    off = (got - right).abs()
    bad = ~(off <= allowed) & (got != right)
    if bool(bad.any()):
        excess = torch.where(bad, torch.nan_to_num(off - allowed, nan=torch.inf), -torch.inf).flatten()
        worst = int(excess.argmax())
        got, right, allowed = (part.expand(bad.shape).flatten()[worst] for part in (got, right, allowed))
        where = (
            f", the worst of {bad.numel()} numbers ({int(bad.sum())} are wrong)" if bad.numel() > 1 else ""
        )
        raise RuleBroken(f"{what} = {float(got):.10g}{where}", f"{float(right):.10g} ± {float(allowed):.2g}")


def ensure_equal(measured: Any, expected: Any, what: str) -> None:
    """Raise `RuleBroken` unless two values are the same, tensors bit for bit."""
    if isinstance(measured, Tensor) and isinstance(expected, Tensor):
        if torch.equal(measured, expected) and measured.dtype == expected.dtype:
            return
        if measured.shape == expected.shape and measured.numel():
            gap = (measured.double() - expected.double()).abs().max().item()
            raise RuleBroken(f"{what} differs by up to {gap:.3g}", "the same numbers, bit for bit")
        raise RuleBroken(f"{what}: {shown(measured)}", shown(expected))
    if isinstance(measured, np.ndarray):
        ensure_equal(torch.from_numpy(measured), torch.as_tensor(expected), what)
        return
    ensure(measured == expected, f"{what}: {shown(measured)}", shown(expected))


def ensure_different(first: Any, second: Any, what: str, why: str) -> None:
    """Raise `RuleBroken` if two tensors are the same, bit for bit."""
    ensure(not torch.equal(first, second), f"{what} is the same", why)


def ensure_refused(
    call: Callable[..., Any],
    *arguments: Any,
    what: str,
    says: str = "",
    by: type[DifrunError] = DifrunError,
) -> None:
    """Raise `RuleBroken` unless a call raises DifrunError with a text in which the pattern `says` is found.

    Args:
        call: What must be refused.
        *arguments: Its arguments.
        what: What is given, for the message.
        says: A regular expression that the message must match.
        by: The class of the error.
    """
    wanted = f"{by.__name__}" + (f" with a message that holds {says!r}" if says else "")
    try:
        call(*arguments)
    except by as error:
        if not re.search(says, str(error)):
            raise RuleBroken(f"{what} is refused with the words {in_one_line(error)!r}", wanted) from error
    except Exception as error:
        raise RuleBroken(f"{what} raises {in_one_line(error)}", wanted) from error
    else:
        raise RuleBroken(f"{what} is accepted", wanted)


def ensure_finite(x: Tensor, what: str) -> None:
    """Raise `RuleBroken` if a number is not finite."""
    bad = int((~x.isfinite()).sum())
    ensure(not bad, f"{what}: {bad} of {x.numel()} numbers are not finite", "finite numbers")


def ensure_in_proportion(small: Tensor, large: Tensor, what: str) -> None:
    """Raise `RuleBroken` unless the effect of a small change is that of a larger one, each over its size, to 1 %."""
    size = float(large.norm())
    off = float((small - large).norm()) / size if size else 1.0
    ensure(off <= 0.01, f"the effect of {what} is off by {off:.3g} of its size", "0 ± 0.01")


def shown(value: Any) -> str:
    """A value as a message shows it: at most six numbers of a tensor, with its shape."""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple) and value and all(isinstance(item, float) for item in value):
        return ", ".join(f"{item:.4g}" for item in value[:8]) + (", ..." if len(value) > 8 else "")
    if isinstance(value, Tensor):
        if value.numel() == 1:
            return f"{value.item():.6g}"
        first = ", ".join(f"{float(item):.4g}" for item in value.detach().flatten()[:6])
        return f"[{first}{', ...' if value.numel() > 6 else ''}] of shape {tuple(value.shape)}"
    return str(value)


def name_of(process: Any) -> str:
    """How a message names a process: its class, or what its representation says if that is not an address."""
    text = repr(process)
    return type(process).__name__ if " object at 0x" in text else text


KIT = Path(__file__).parent
LIBRARIES = ("torch", "numpy", "scipy", "attr", "attrs", "pluggy")
"""Installed packages whose lines say little of a component."""


def place(error: BaseException) -> str:
    """The last line of the component that an error passed: `` at parts.py:12, in step``; one of difrun's, if none.

    Lines of the kit, of the standard library and of `LIBRARIES` are left out.
    """
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not _says_little(frame)]
    if not frames:
        return ""
    last = ([frame for frame in frames if KIT.parent not in Path(frame.filename).parents] or frames)[-1]
    return f" at {Path(last.filename).name}:{last.lineno}, in {last.name}"


def _says_little(frame: traceback.FrameSummary) -> bool:
    path = Path(frame.filename)
    if frame.filename.startswith("<frozen ") or KIT in path.parents:
        return True
    if "site-packages" in path.parts:
        return path.parts[path.parts.index("site-packages") + 1] in LIBRARIES
    return any(Path(sysconfig.get_path(name)) in path.parents for name in ("stdlib", "platstdlib"))
