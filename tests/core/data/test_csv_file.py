"""Files of comma-separated values: what is read is what was written, and every mistake has its sentence."""

from pathlib import Path

import numpy as np
import pytest

from difrun.data.csv_layout import CsvOptions
from difrun.data.files import file, read, read_labelled

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
    ("a,b\n1,2\n3\n", "line 3: 1 value, but 2 in line 1."),
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


HEADERS_OF_NUMBERS = {
    "years above decimals": ("2019,2020", "0.5,1.5"),
    "one year above decimals": ("2019", "0.5"),
    "a count from 0": ("0,1,2", "5,7,9"),
    "a count from 1": ("1;2;3;4", "5;7;9;11"),
    "years above decimals and counts": ("2019,2020", "1.5,1"),
    "years above counts": ("2019,2020", "3,1"),
    "sizes above decimals": ("10\t200", "1e-3\t.5"),
    "hundreds above counts": ("100,200,300", "57,3,91"),
    "times above decimals": ("0.0,0.1,0.2,0.30000000000000004", "0.5,1.5,0.2,-3"),
}


@pytest.mark.parametrize("name", HEADERS_OF_NUMBERS)
def test_numbers_that_may_be_names_are_asked_about(write, name):
    """Neither taken for data nor for names in silence; the two answers give the two tables."""
    first, row = HEADERS_OF_NUMBERS[name]
    path = write("my.csv", [first, *[row] * 3])
    said = error(read_labelled, path, None, None)
    assert "names of columns, or data?" in said
    assert "--dataset.header yes, or --dataset.header no" in said
    names = tuple(first.replace(";", ",").replace("\t", ",").split(","))
    numbers = [float(cell) for cell in row.replace(";", ",").replace("\t", ",").split(",")]
    table = read_labelled(path, None, None, CsvOptions("yes"))
    assert table.columns == names
    assert table.values.tolist() == [numbers] * 3
    table = read_labelled(path, None, None, CsvOptions("no"))
    assert table.columns == ()
    assert table.values.tolist() == [[float(cell) for cell in names], *[numbers] * 3]
    # Samples of a run whose columns have these names.
    assert read(path, None, names)[0].tolist() == [numbers] * 3


@pytest.mark.parametrize(
    "text", ["1.5,2.5\n3,4\n", "7,2\n3,4\n", "1,2\n3,4\n", "10,20\n3,4\n0.5,2\n5,5\n", "-1\n2\n"]
)
def test_rows_of_numbers_that_are_like_the_others_are_data(write, text):
    values = read_labelled(write("my.csv", text), None, None).values
    assert values.tolist() == [[float(cell) for cell in line.split(",")] for line in text.split()]


def test_a_row_that_rises_equally_as_others_do_is_data(write):
    rows = ["1.5,2.5,3.5", "4,5.25,6.5", "0,1,7"]
    assert read_labelled(write("my.csv", "\n".join(rows)), None, None).values.shape == (3, 3)


def indexed(name: str, first: int = 0) -> list[str]:
    return [f"{name},a,b", *(f"{first + i},{i * i}.5,{-i}" for i in range(25))]


@pytest.mark.parametrize("name", ["", "Unnamed: 0"])
def test_a_column_without_a_name_that_counts_rows_is_asked_about(write, name):
    path = write("my.csv", indexed(name))
    said = error(file, seed=0, path=path)
    assert "column 1 has no name and counts the rows (0, 1, ...). Is it an index, or data?" in said
    assert "--dataset.columns a,b without it, --dataset.columns 1,2,3 with it" in said
    data = file(seed=0, path=path, columns=("a", "b"), scale="none")
    assert data.columns == ("a", "b")
    assert sorted(data.train[:, 1].tolist() + data.held_out[:, 1].tolist()) == [
        float(-i) for i in range(24, -1, -1)
    ]
    assert file(seed=0, path=path, columns=("1", "2", "3")).shape == (3,)
    path.write_text(
        "\n".join(line.split(",", 1)[0] + "," + line.split(",", 1)[1] for line in indexed("", 1)[1:])
    )
    assert "column 1 has no name and counts the rows (1, 2, ...)" in error(file, seed=0, path=path)


@pytest.mark.parametrize(
    "index", [range(25, 0, -1), [7 * i % 25 for i in range(25)], [f"{i}.0" for i in range(25)], [0, 1] * 13]
)
def test_any_column_without_a_name_is_asked_about_beside_named_ones(write, index):
    """Backwards, shuffled, as decimals, repeated: rows that were sorted, split or joined keep their index."""
    rows = [f"{i},{j}.5" for j, i in enumerate(index)]
    said = error(read_labelled, write("my.csv", [",a", *rows]), None, None)
    assert f"column 1 has no name ({rows[0].split(',')[0]}, " in said
    assert "--dataset.columns a without it, --dataset.columns 1,2 with it" in said
    table = read_labelled(write("my.csv", [",a", *rows]), None, None, CsvOptions(columns=("a",)))
    assert table.values[:, 0].tolist() == [j + 0.5 for j in range(len(rows))]


def test_columns_and_rows_that_do_not_fit_say_what_may_be_meant(write):
    said = error(read_labelled, write("my.csv", ["a,b,", "1,2,", "3,4,"]), None, None)
    assert "column 3 has neither a name nor values. Leave it out: --dataset.columns 1,2." in said
    for rows, hint in {
        ("a,b", "1,2,", "3,4,"): "3 values, but 2 in line 1. The line ends with a separator",
        ("a,b", "7,1.5,2", "8,3,4"): "If the first column is an index, give it a name in line 1.",
        ("price", "1,50", "2,75"): "If commas are decimal signs: --dataset.decimal comma.",
    }.items():
        assert hint in error(read_labelled, write("my.csv", list(rows)), None, None)


def test_thousands_are_not_taken_for_decimals(write):
    """1,500 may be 1500 or 1.5; 1.500 is no number where the comma is the decimal sign."""
    said = error(read_labelled, write("my.csv", 'a;b\n"1,500";2\n'), None, None)
    assert "Is it 1500, or 1.500? Write numbers without separators of thousands, or say" in said
    said = error(read_labelled, write("my.csv", 'a;b\n"-1,500,000";2\n'), None, None)
    assert "If it is -1500000: Write numbers without separators of thousands." in said
    path = write("my.csv", "a;kind\n1,5;v1.0\n1.500;v2.0\n")
    said = error(read_labelled, path, None, "kind", CsvOptions(decimal="comma"))
    assert "line 3, column 'a': is '1.500' 1500? With --dataset.decimal comma numbers have no points" in said
    path.write_text("a;kind\n1,5;1.0\n2,25;2.0\n")  # names of classes are no numbers
    table = read_labelled(path, None, "kind", CsvOptions(decimal="comma"))
    assert (table.values.tolist(), table.labels.tolist()) == ([[1.5], [2.25]], ["1.0", "2.0"])


def test_the_line_of_excel_names_the_separator_and_comments_are_counted(write):
    table = read_labelled(write("my.csv", "sep=;\na;b\n#1;2\n3;4\n"), None, None)
    assert (table.columns, table.values.tolist()) == (("a", "b"), [[3, 4]])
    assert (
        "read 1 row of 2 columns; separated by semicolons; names in line 2; without 1 line of comments (#)"
        in (table.notes[0])
    )


def test_a_named_column_that_counts_rows_is_data_and_shown(write):
    data = file(seed=0, path=write("my.csv", indexed("time")))
    assert data.columns == ("time", "a", "b")
    assert data.notes == (
        "read 25 rows of 3 columns; separated by commas; names in line 1. First row: time = 0, a = 0.5, b = 0",
    )


def test_columns_are_chosen_by_name_or_number_and_in_order(write):
    path = write("my.csv", ['"a, long",b,kind,1', '1,2,"x, y",4', "5,6,z,8"])
    table = read_labelled(path, None, "kind", CsvOptions(header="yes", columns=("b", "a, long", "1")))
    assert table.values.tolist() == [[2, 1, 4], [6, 5, 8]]
    assert table.columns == ("b", "a, long", "1")
    assert table.labels.tolist() == ["x, y", "z"]
    assert read_labelled(path, None, None, CsvOptions(header="yes", columns=("4", "2"))).columns == ("1", "b")
    path = write("plain.csv", "1.5,2,3\n4,5,6\n")
    assert read_labelled(path, None, None, CsvOptions(columns=("3", "1"))).values.tolist() == [
        [3, 1.5],
        [6, 4],
    ]
    for columns, said in {
        ("4",): "has no column '4' (--dataset.columns)",
        ("1", "1"): "names column '1' twice",
        ("x",): "has no column 'x'",
        (): "names no column",
    }.items():
        assert said in error(read_labelled, path, None, None, CsvOptions(columns=columns))
    path = write("twice.csv", "a,a,c\n1,2,c\n")
    assert "has 2 columns 'a'" in error(read_labelled, path, None, None, CsvOptions(columns=("a",)))
    said = error(read_labelled, path, None, "c", CsvOptions(columns=("c", "2")))
    assert "holds the classes (--dataset.label); leave it out" in said


@pytest.mark.parametrize(
    "rows", [["1,5;2,25", "-0,5;3"], ["a;b", "1,5;2,25", "-0,5;3"], ["x\ty", "1,5\t2,25", "-0,5\t3"]]
)
def test_decimal_commas_are_numbers_where_the_user_says_so(write, rows):
    path = write("my.csv", rows)
    assert "say --dataset.decimal comma" in error(read_labelled, path, None, None)
    table = read_labelled(path, None, None, CsvOptions(decimal="comma"))
    assert table.values.tolist() == [[1.5, 2.25], [-0.5, 3]]
    assert table.columns == (tuple(rows[0].replace("\t", ";").split(";")) if len(rows) == 3 else ())


def test_commas_that_may_be_decimal_signs_or_separate_are_asked_about(write):
    """1,05 is 1.05 or the pair (1, 5): whole numbers do not start with 0, and −0 is none."""
    for text in ("1,05\n2,75\n", "3,5\n-0,25\n", "x\n1,05\n2,75\n"):
        path = write("my.csv", text)
        said = error(read_labelled, path, None, None)
        assert "one number or two? Say so: --dataset.decimal comma" in said
    assert read_labelled(
        write("my.csv", "1,05\n2,75\n"), None, None, CsvOptions(decimal="comma")
    ).values.tolist() == [
        [1.05],
        [2.75],
    ]
    assert read_labelled(
        write("my.csv", "1,05\n2,75\n"), None, None, CsvOptions(decimal="point")
    ).values.tolist() == [
        [1, 5],
        [2, 75],
    ]
    said = error(read_labelled, write("my.csv", "1.234,5;2\n3;4\n"), None, None, CsvOptions(decimal="comma"))
    assert "'1.234,5' is not a number" in said


def test_separators_inside_quotes_are_text(write):
    """The separator is the one that splits every line alike, whatever stands in quotes or in names."""
    table = read_labelled(write("my.csv", '"a; b; c","d; e; f; g"\n1,2\n3,4\n'), None, None)
    assert table.columns == ("a; b; c", "d; e; f; g")
    assert table.values.tolist() == [[1, 2], [3, 4]]
    table = read_labelled(write("my.csv", '"a, b, c";kind\n1;"x;y"\n3;z\n'), None, "kind")
    assert table.columns == ("a, b, c",)
    assert table.labels.tolist() == ["x;y", "z"]
    table = read_labelled(write("my.csv", "t; s,v\n1,2\n3,4\n"), None, None)
    assert table.columns == ("t; s", "v")
    said = error(read_labelled, write("my.csv", '"two\nlines",b\n1,2\n3,x\n'), None, None)
    assert "line 4, column 'b': 'x' is not a number" in said
    assert "line 2: this is no CSV" in error(read_labelled, write("my.csv", 'a,b\n1,"2\n3,4\n'), None, None)


@pytest.mark.parametrize("cell", ["1_000", "0x10", "١٢", "1e", "1 2", "--1", "1.2.3"])
def test_what_only_looks_like_a_number_is_refused(write, cell):
    assert f"'{cell}' is not a number" in error(
        read_labelled, write("my.csv", f"a,b\n{cell},2\n"), None, None
    )


def test_a_cell_beyond_the_limit_of_the_reader_is_told(write):
    path = write("my.csv", f"a,b\n1,{'2' * 200_000}\n")
    assert "line 2: this is no CSV (field larger than field limit" in error(read_labelled, path, None, None)


def test_options_of_tables_are_for_tables(tmp_path):
    np.save(tmp_path / "a.npy", VALUES)
    assert "is no .csv file; --dataset.columns is for those" in error(
        file, seed=0, path=tmp_path / "a.npy", columns=("1",)
    )


@pytest.mark.parametrize(
    ("first", "row"), [("3,4", "5,2"), ("2,2", "1.5,1"), ("1,0", "0,1"), ("30,4", "5,2")]
)
def test_numbers_that_could_be_any_row_are_data(write, first, row):
    assert read_labelled(write("my.csv", [first, *[row] * 3]), None, None).columns == ()
