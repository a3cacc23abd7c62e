"""Examples in the forms that libraries of Python have them in."""

import numpy as np
import torch

X = np.random.default_rng(0).normal(size=(50, 2))
C = np.random.default_rng(1).normal(size=(50, 1))


class Column:
    """A column of a DataFrame, which any library has."""

    def __init__(self, values):
        self.values = np.asarray(values)

    def to_numpy(self):
        return self.values


class Frame:
    """What DataFrames of all libraries have in common."""

    def __init__(self, **columns):
        self.columns = list(columns)
        self._values = columns

    def __getitem__(self, name):
        return Column(self._values[name])


class Pairs(torch.utils.data.Dataset):
    def __init__(self, *parts):
        self.parts = parts

    def __len__(self):
        return len(self.parts[0])

    def __getitem__(self, index):
        item = tuple(part[index] for part in self.parts)
        return item if len(item) > 1 else item[0]
