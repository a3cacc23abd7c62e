"""Numbers in every format that people have them in."""

import numpy as np
import torch

WHOLE = np.random.default_rng(0).integers(-3, 4, (40, 2)).astype(np.float64)
"""Whole numbers, which every format below holds exactly."""

TENSORS = {
    "int64": lambda x: torch.from_numpy(x).long(),
    "int32": lambda x: torch.from_numpy(x).int(),
    "int16": lambda x: torch.from_numpy(x).short(),
    "int8": lambda x: torch.from_numpy(x).to(torch.int8),
    "half": lambda x: torch.from_numpy(x).half(),
    "bfloat16": lambda x: torch.from_numpy(x).bfloat16(),
    "transposed": lambda x: torch.from_numpy(x.T.copy()).float().T,
    "every second": lambda x: torch.from_numpy(x.repeat(2, 0)).float()[::2],
    "expanded": lambda x: torch.from_numpy(x).float()[:, :, None].expand(-1, -1, 3)[:, :, 1],
    "with a gradient": lambda x: torch.from_numpy(x).float().requires_grad_(),
}
ARRAYS = {
    "big-endian float64": lambda x: x.astype(">f8"),
    "big-endian float32": lambda x: x.astype(">f4"),
    "big-endian int32": lambda x: x.astype(">i4"),
    "float16": lambda x: x.astype(np.float16),
    "long double": lambda x: x.astype(np.longdouble),
    "int8": lambda x: x.astype(np.int8),
    "backwards": lambda x: x[::-1].copy()[::-1],
    "Fortran order": np.asfortranarray,
    "read-only": lambda x: np.frombuffer(x.tobytes()).reshape(x.shape),
    "lists": lambda x: x.tolist(),
}
