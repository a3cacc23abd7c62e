"""Files of comma-separated values: what is read is what was written, and every mistake has its sentence."""

from pathlib import Path

import numpy as np
import pytest

from difrun.data.files import read, read_labelled
from difrun.errors import DifrunError

from .support import VALUES, error, lines, write_to


@pytest.fixture
def write(tmp_path: Path):
    return write_to(tmp_path)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", ", "])
@pytest.mark.parametrize("header", [(), ("weight", "height (cm)")])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_csv_is_read_exactly(write, delimiter, header, end):
    text = ([delimiter.join(header)] if header else []) + lines(delimiter=delimiter)
    values, columns = read(write("my.csv", end.join(text) + end))
    assert np.array_equal(values, VALUES)
    assert columns == header


def test_csv_extras(write):
    """A byte-order mark, comments, blank lines, quotes, exponents, signs; one column has no delimiter."""
    text = '﻿# made by hand\n"a, first",b\n\n1e-3,+2\n# half way\n"-.5", 7 \n\n'
    values, columns = read(write("my.CSV", text))
    assert values.tolist() == [[0.001, 2], [-0.5, 7]]
    assert columns == ("a, first", "b")
    values, columns = read(write("one.csv", "1\n2\n3\n"))
    assert values.tolist() == [[1], [2], [3]]
    assert columns == ()


CSV_ERRORS = [
    ("a,b\n1,2\n3,x4\n", "line 3, column 'b': 'x4' is not a number."),
    ("1,2\n3,\n", "line 2, column 2: the value is missing."),
    ("1,2\n\n3,4,5\n", "line 3: 3 values, but 2 in line 1."),
    ("a,b\n1,2\n3\n", "line 3: 1 values, but 2 in line 1."),
    ("a,b\n1,2\n3,nan\n", "line 3, column 'b': nan. Remove or fill that row."),
    ("1,2\n-inf,0\n", "line 2, column 1: -inf. Remove or fill that row."),
    ("a,2\n3,4\n", "line 1, column 1: 'a' is not a number."),
    ("1;2\n3,5;4\n", "line 2, column 1: '3,5' is not a number. Write decimals with a point."),
    ("", "is empty."),
    ("\n# nothing\n", "is empty."),
]


@pytest.mark.parametrize(("text", "message"), CSV_ERRORS)
def test_csv_errors_name_file_line_and_column(write, text, message):
    path = write("my.csv", text)
    comma = " " if message == "is empty." else ", "
    assert error(read, path) == f"file '{path}'{comma}{message}"


def test_the_error_for_a_column_of_text_explains_how_to_name_classes(write):
    """Not if a cell further down is not a number, nor for a file of samples (`read`)."""
    path = write("my.csv", "a,kind of\n1,up\n2,down\n")
    plain = f"file '{path}', line 2, column 'kind of': 'up' is not a number."
    assert (
        error(read_labelled, path, None, None) == f"{plain} If these are classes: --dataset.label 'kind of'."
    )
    assert error(read, path) == plain
    path = write("my.csv", "a,b\n1,2\n3,x4\n")
    assert error(read_labelled, path, None, None).endswith("'x4' is not a number.")


def test_csv_of_another_encoding(write):
    assert "is not UTF-8 text (byte 3)" in error(read, write("my.csv", b"a,\xe9\n1,2\n"))


def test_a_cell_of_megabytes_is_refused_with_its_line(write):
    path = write("my.csv", "a,b\n1,2\n" + "x" * 200_000 + ",3\n")
    with pytest.raises(DifrunError, match=r"line 3: field larger than field limit"):
        read(path)
