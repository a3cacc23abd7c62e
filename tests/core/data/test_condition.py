"""Conditions beside examples: from files, in the units of the model, and what does not fit."""

import math

import numpy as np
import pytest
import torch

from difrun.data import Condition, Dataset, as_dataset
from difrun.data.condition import all_equal
from difrun.data.files import file
from difrun.errors import DifrunError

from .support import error


def rows(n=60):
    random = np.random.default_rng(0)
    c = random.normal(size=(n, 2)) * [3, 0.1] + [10, -1]
    return np.column_stack([c[:, 0] + random.normal(size=n), c, random.normal(size=n)])


def write(path, table, header="x,a,b,y"):
    lines = [",".join("" if math.isnan(cell) else f"{cell:.6f}" for cell in row) for row in table]
    path.write_text("\n".join([header, *lines]))
    return path


def test_columns_of_a_csv_file_are_a_condition(tmp_path):
    table = rows()
    data = file(seed=3, path=write(tmp_path / "t.csv", table), condition=("b", "2"))
    assert data.columns == ("x", "y")
    condition = data.condition
    assert condition.columns == ("b", "a")
    assert condition.shape == (2,)
    torch.testing.assert_close(condition.train.double().mean(0), torch.zeros(2).double(), atol=1e-5, rtol=0)
    # Every example keeps its own condition.
    both = torch.cat((data.decode(data.train), condition.decode(condition.train)), 1)
    known = {tuple(np.round(row, 3)) for row in table[:, [0, 3, 2, 1]].tolist()}
    assert all(tuple(np.round(row, 3)) in known for row in both.tolist())
    assert any("given b = " in note for note in data.notes)


def test_an_array_c_is_the_condition_unless_there_are_classes(tmp_path):
    x, c = rows()[:, :1], np.random.default_rng(1).normal(size=(60, 2, 3))
    path = tmp_path / "t.npz"
    np.savez(path, x=x, c=c)
    assert file(seed=0, path=path).condition.shape == (2, 3)
    np.savez(path, x=x, c=c, y=np.arange(60) % 2)
    assert file(seed=0, path=path).condition is None
    assert "cannot be used together" in error(file, seed=0, path=path, condition=("c",))
    np.savez(path, x=x, other=c[:, 0, 0])
    assert file(seed=0, path=path).condition is None
    assert file(seed=0, path=path, condition=("other",)).condition.shape == (1,)
    assert "Its other arrays: other" in error(file, seed=0, path=path, condition=("missing",))
    np.savez(path, x=x, other=c[:10])
    assert "one row for each of the 60 examples" in error(file, seed=0, path=path, condition=("other",))
    np.save(tmp_path / "t.npy", x)
    np.savez(path, x=x, words=np.array(["a"] * 60))
    assert "t.npz': its array 'words' holds text" in error(file, seed=0, path=path, condition=("words",))
    assert "holds one array, and no condition" in error(
        file, seed=0, path=tmp_path / "t.npy", condition=("c",)
    )


@pytest.mark.parametrize(
    ("condition", "options", "said"),
    [
        (("z",), {}, "has no column 'z' (--dataset.condition)"),
        (("a", "a"), {}, "names column 'a' twice"),
        (("a",), {"label": "a"}, "name the same column"),
        (
            ("x", "a", "b", "y"),
            {},
            "no column is left for the examples, as --dataset.condition names all of them",
        ),
        (("a",), {"columns": ("x", "a")}, "is a condition (--dataset.condition); leave it out"),
        (("a",), {"label": "b"}, "cannot be used together"),
        (("a",), {"missing": "condition", "label": "b"}, "cannot be used together"),
        (
            ("a",),
            {"missing": "condition"},
            "(--dataset.condition) and --dataset.missing condition cannot be used",
        ),
    ],
)
def test_columns_with_two_tasks_are_refused(tmp_path, condition, options, said):
    assert said in error(file, seed=0, path=write(tmp_path / "t.csv", rows()), condition=condition, **options)


def test_a_condition_beside_the_examples_and_gaps_that_are_learned_exclude_each_other(tmp_path):
    """Also for an array c that no option names, and in Python."""
    np.savez(tmp_path / "t.npz", x=rows(), c=rows()[:, :1])
    said = error(file, seed=0, path=tmp_path / "t.npz", missing="condition")
    assert "its array 'c' is taken for a condition" in said
    assert "--dataset.missing drop, or save the file without 'c'" in said
    for given in ({"data": rows(), "condition": rows()[:, 0]}, {"data": (rows(), rows()[:, :1])}):
        said = error(as_dataset, **given, missing="condition")
        assert "(condition=) and missing='condition' cannot be used together" in said


def test_a_constant_condition_is_refused(tmp_path):
    table = rows()
    table[:, 1] = 2.0
    said = error(file, seed=0, path=write(tmp_path / "t.csv", table), condition=("a",))
    assert "condition: column 'a': constant" in said


def with_gaps():
    table = rows()
    table[5, 0] = table[7, 3] = table[9, 1] = math.nan
    return table


def test_missing_values_are_refused_left_out_or_filled(tmp_path):
    table = with_gaps()
    path = write(tmp_path / "t.csv", table)
    said = error(file, seed=0, path=path)
    assert (
        "line 7, column 'x': the value is missing. Rows with missing values are left out by --dataset.m"
        in said
    )
    dropped = file(seed=0, path=path, missing="drop")
    assert len(dropped.train) + len(dropped.held_out) == 57
    assert any("3 of 60 rows have a missing value" in note for note in dropped.notes)
    filled = file(seed=0, path=path, missing="mean")
    assert len(filled.train) + len(filled.held_out) == 60
    assert any("3 missing values (x, a, y) are filled" in note for note in filled.notes)
    # In the column x, the filled value is the mean of the other training examples.
    everything = torch.cat((filled.decode(filled.train), filled.decode(filled.held_out)))
    known = torch.from_numpy(table[:, 0])[~torch.from_numpy(np.isnan(table[:, 0]))]
    new = [v for v in everything[:, 0].tolist() if (known - v).abs().min() > 2e-5]
    in_training = filled.decode(filled.train)[:, 0]
    others = in_training[torch.tensor([float((known - v).abs().min()) < 2e-5 for v in in_training])]
    assert new == pytest.approx([float(others.mean())], abs=1e-4)


@pytest.mark.parametrize("cell", ["NA", "nan", "null", "N/A"])
def test_names_of_gaps_are_read_where_gaps_may_be(tmp_path, cell):
    path = write(tmp_path / "t.csv", rows())
    lines = path.read_text().splitlines()
    lines[1] = f"{cell},1,2,3"
    path.write_text("\n".join(lines))
    assert len(file(seed=0, path=path, missing="drop").train) == 47
    said = error(file, seed=0, path=path)
    assert "line 2" in said
    assert "--dataset.missing drop" in said
    lines[1] = "inf,1,2,3"
    path.write_text("\n".join(lines))
    assert "line 2, column 'x': inf" in error(file, seed=0, path=path, missing="drop")


def test_gaps_in_arrays_are_gaps_too(tmp_path):
    path = tmp_path / "t.npy"
    np.save(path, with_gaps())
    assert "NaN" in error(file, seed=0, path=path)
    assert "--dataset.missing drop leaves out rows with NaN" in error(file, seed=0, path=path)
    data = file(seed=0, path=path, missing="condition")
    assert data.condition.completes
    assert len(data.train) + len(data.held_out) == 57
    np.save(path, with_gaps()[:, :1])
    assert "at least two columns" in error(file, seed=0, path=path, missing="condition")
    gone = rows()
    gone[:, 0] = math.nan
    np.save(path, gone)
    assert "60 of 60 rows have a missing value" in error(file, seed=0, path=path, missing="drop")
    assert "no value in the training examples" in error(file, seed=0, path=path, missing="mean")


def condition(**options):
    train = torch.tensor([[0.0, 1], [2, 3], [4, 2]])
    return Condition(train, train[:1], ("a", "b"), **options)


def test_asked_conditions_that_do_not_fit_are_refused():
    asked = torch.tensor([[1.0, math.nan]]).double()
    assert "3 values; the condition of these data has 2 values: a, b" in error(
        condition().encode, torch.zeros(1, 3), "--condition 0,0,0"
    )
    assert "column 'b' of row 1 is missing" in error(condition().encode, asked, "--condition 1,")
    assert condition(completes=True).encode(asked, "it").isnan().tolist() == [[False, True]]
    assert "finite" in error(condition().encode, torch.full((1, 2), math.inf), "it")
    assert condition().outside(torch.tensor([[1.0, 2.0]])) == ""
    assert condition().outside(torch.tensor([[4.02, 2.0]])) == ""  # by half a percent of 0 to 4
    assert "column 'a' of the condition is 9, and the training examples have 0 to 4" in condition().outside(
        torch.tensor([[9.0, 2.0]])
    )


def test_conditions_of_a_dataset_are_checked():
    x = torch.randn(30, 2)
    facts = {"name": "d", "train": x, "held_out": x[:5]}
    with pytest.raises(DifrunError, match="for 30 training examples; each needs one"):
        Dataset(**facts, condition=Condition(x[:29], x[:5]))
    with pytest.raises(DifrunError, match="conditions of the held-out examples: nan"):
        Dataset(**facts, condition=Condition(x, torch.full((5, 2), math.nan)))
    labels = torch.arange(30) % 2
    with pytest.raises(DifrunError, match="classes and a condition"):
        Dataset(
            **facts,
            condition=Condition(x, x[:5]),
            classes=("a", "b"),
            labels=labels,
            held_out_labels=labels[:5],
        )


def test_conditions_with_gaps_can_be_equal():
    gap = math.nan
    assert all_equal(torch.tensor([[1.0, gap], [1.0, gap]]))
    assert not all_equal(torch.tensor([[1.0, gap], [gap, 1.0]]))
    assert not all_equal(torch.tensor([[1.0, gap], [1.0, 2.0]]))
    assert all_equal(torch.tensor([3, 3]))
