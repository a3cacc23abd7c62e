"""What the tests of comparisons share: a model that needs no training, and the files of a comparison."""

import csv
import json

GMM = ("--process", "ou", "--dataset", "gmm", "--model", "exact", "--metric", "sliced-w2", "--threads", "1")


def rows_of(folder):
    return json.loads((folder / "compare.json").read_text(encoding="utf-8"))["rows"]


def lines_of(folder):
    with (folder / "compare.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
