"""The weights of a user's file: read without pickle, compared with a network by name, and refused with a table."""

from pathlib import Path

from torch import Tensor, nn

from difrun.errors import DifrunError
from difrun.storage.regular import open_regular
from difrun.storage.tensors import TensorForms, read_tensors
from difrun.text import quoted
from difrun.training.network_state import weights_and_buffers

PICKLED = (".pt", ".pth", ".ckpt", ".bin", ".pkl")
"""Files that torch.save writes."""

PREFIXES = ("module.", "model.", "network.", "_orig_mod.", "")
"""What names may begin with in a file, if all of them do: torch adds some of these."""

MOST_ROWS = 12
"""The most rows of the table of what does not fit."""


def fitted_weights(path: Path, network: nn.Module, owner: str) -> dict[str, Tensor]:
    """Return the tensors of a file by the names of a network.

    Args:
        path: A .safetensors file.
        network: The network.
        owner: What messages call the model of the network.

    Raises:
        DifrunError: If the file is pickled or no safetensors file, holds NaN, or does not fit the network: the message
            is a table of what is missing, unexpected or of another shape.
    """
    _refuse_pickle(path)
    expected = {name: tuple(tensor.shape) for name, tensor in weights_and_buffers(network).items()}
    tensors, _ = read_tensors(path, check=lambda forms: _refuse_misfit(path, forms, expected, owner))
    prefix = _prefix(list(tensors), expected)
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise DifrunError(f"{path}: {name} holds numbers that are not finite.")
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}


def _refuse_pickle(path: Path) -> None:
    """Raise DifrunError for a file that torch.save has written, or would have written."""
    pickled = path.suffix.lower() in PICKLED
    if path.is_file() and not pickled:
        with open_regular(path) as file:
            start = file.read(4)
        pickled = start == b"PK\x03\x04" or start[:1] == b"\x80"
    if not pickled:
        return
    target = path.with_suffix(".safetensors")
    code = (
        "import torch, safetensors.torch as s; "
        f"w = torch.load({path.name!r}, map_location='cpu', weights_only=True); "
        f"s.save_file({{k: v.contiguous() for k, v in w.items()}}, {target.name!r})"
    )
    raise DifrunError(
        f"{path} is a pickled checkpoint, and difrun unpickles nothing: it could run code. Convert it where you trust "
        f"it:\n  python -c {quoted(code)}\nA checkpoint of a training holds more than weights: take its state dict, "
        "such as w['state_dict'] or w['model']."
    )


def _prefix(names: list[str], expected: dict[str, tuple[int, ...]]) -> str:
    """What all names of a file begin with, if without it more of them are names of the network."""

    def known(prefix: str) -> int:
        return sum(name.removeprefix(prefix) in expected for name in names)

    common = [prefix for prefix in PREFIXES if all(name.startswith(prefix) for name in names)]
    return max(common, key=known)


def _refuse_misfit(path: Path, forms: TensorForms, expected: dict[str, tuple[int, ...]], owner: str) -> None:
    """Raise DifrunError unless the file has the names and shapes of the network."""
    prefix = _prefix(list(forms), expected)
    found = {name.removeprefix(prefix): shape for name, (_, shape) in forms.items()}
    rows = [("missing", name, _shape(shape)) for name, shape in expected.items() if name not in found]
    rows += [("unexpected", name, _shape(shape)) for name, shape in found.items() if name not in expected]
    rows += [
        ("other shape", name, f"{_shape(found[name])} in the file, {_shape(shape)} in the network")
        for name, shape in expected.items()
        if name in found and tuple(found[name]) != shape
    ]
    if not rows:
        return
    widths = [max(len(row[k]) for row in rows[:MOST_ROWS]) for k in (0, 1)]
    table = [f"  {what:<{widths[0]}}  {name:<{widths[1]}}  {shape}" for what, name, shape in rows[:MOST_ROWS]]
    if len(rows) > MOST_ROWS:
        table.append(f"  ... and {len(rows) - MOST_ROWS} more")
    lines = "\n".join(table)
    raise DifrunError(
        f"The weights of {path} (--model.weights) do not fit the network of {owner}: {len(rows)} differences, of "
        f"{len(expected)} tensors.\n{lines}\nOptions of the model change its shapes, and so do data and classes."
    )


def _shape(shape: tuple[int, ...]) -> str:
    return str(tuple(shape))
