"""Files of any content: their numbers come back as they were written, or a sentence names the file."""

import csv
import io
import struct
import zipfile

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from difrun.data.csv_layout import CsvOptions
from difrun.data.files import file, read_labelled
from difrun.errors import DifrunError

ODD_CELLS = (
    *("", " ", "nan", "inf", "-inf", "1e999", "-0", "1_000", "0x10", "1,5", "1;5", "٣", "²", '"', "'", "#1"),
    *(
        "\ufeff1",
        "9" * 400,
        "b" * 5000,
        "9" * 200_000,
        "a" * 200_000,
        "\0",
        "1\t2",
        "\u2028",
        "Unnamed: 0",
        "1e-400",
        "+.5e3",
    ),
)
cells = st.floats(allow_nan=False, allow_infinity=False).map(repr) | st.integers(-99, 99).map(str)
odd_cells = cells | st.sampled_from(ODD_CELLS) | st.text(max_size=4)
csv_options = st.builds(
    CsvOptions,
    header=st.sampled_from(["auto", "yes", "no"]),
    columns=st.none() | st.lists(st.sampled_from(["1", "2", "99", "0", "a", "²", ""]), max_size=3).map(tuple),
    decimal=st.sampled_from(["auto", "point", "comma"]),
)
CSV_TEXT = st.text(alphabet="0123456789.,;\t\"'\n\r #+-eEnaif\ufeffx²", max_size=300)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("generated")


@st.composite
def tables(draw):
    """The bytes of a .csv file of rows of cells, most of them numbers."""
    kind = draw(st.sampled_from([cells, odd_cells]))
    width = draw(st.integers(1, 5))
    lengths = st.just(width) if draw(st.booleans()) else st.integers(0, 6)
    rows = [draw(st.lists(kind, min_size=n, max_size=n)) for n in draw(st.lists(lengths, max_size=30))]
    rows += rows[1:] * draw(st.sampled_from([0, 0, 30]))
    mark, end = draw(st.sampled_from([",", ";", "\t", "|"])), draw(st.sampled_from(["\n", "\r\n", "\r"]))
    if draw(st.booleans()):
        text = end.join(mark.join(row) for row in rows)
    else:
        out = io.StringIO()
        csv.writer(out, delimiter=mark, lineterminator=end).writerows(rows)
        text = out.getvalue()
    encoding = draw(st.sampled_from(["utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1"]))
    return text.encode(encoding, "replace")


@st.composite
def damaged(draw, whole):
    """The bytes of a whole file with some of them replaced, left out, or put in."""
    data = bytearray(draw(whole))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, max(0, min(len(data), draw(st.sampled_from([16, 200, 10**6]))) - 1)))
        change = draw(st.binary(max_size=4))
        data[at : at + draw(st.integers(0, 4))] = change
    return bytes(data[: draw(st.integers(0, len(data)))] if draw(st.booleans()) else data)


def refuse_in_words(error, path):
    """A sentence that names the file, and does not repeat all of it."""
    assert str(path) in str(error)
    assert len(str(error)) < 3000


def is_read_or_refused(contained, place, name, content, **options):
    """The dataset of a file with this content; None if a sentence refuses it."""
    path = place / name
    path.write_bytes(content)
    try:
        with contained(place):
            data = file(seed=0, path=path, **options)
    except DifrunError as error:
        return refuse_in_words(error, path)
    assert bool(data.train.isfinite().all())
    return data


@given(
    tables() | st.binary(max_size=300) | CSV_TEXT.map(str.encode),
    csv_options,
    st.sampled_from([None, "1", "a", "9"]),
)
@example(b"1," * 200_000, CsvOptions(), None)
@example(b'"' * 100_001, CsvOptions(), None)
def test_any_csv_file(contained, place, content, options, label):
    is_read_or_refused(
        contained,
        place,
        "x.csv",
        content,
        label=label,
        header=options.header,
        columns=options.columns,
        decimal=options.decimal,
    )


@given(
    hnp.arrays(
        np.float64,
        st.tuples(st.integers(1, 30), st.integers(1, 4)),
        elements=st.floats(allow_nan=False, allow_infinity=False),
    ),
    st.sampled_from([",", ";", "\t"]),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.booleans(),
    st.booleans(),
)
def test_a_table_of_numbers_comes_back_bit_for_bit(place, values, mark, end, named, quoted):
    """Whatever their size, with names or without, in quotes or not, separated by anything."""
    names = [f"n{j}" for j in range(values.shape[1])]
    out = io.StringIO()
    writer = csv.writer(
        out, delimiter=mark, lineterminator=end, quoting=csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL
    )
    writer.writerows([*([names] if named else []), *(map(repr, row) for row in values.tolist())])
    (place / "y.csv").write_text(out.getvalue(), encoding="utf-8", newline="")
    options = CsvOptions(header="yes" if named else "no", decimal="point")
    table = read_labelled(place / "y.csv", None, None, options)
    np.testing.assert_array_equal(table.values, values)
    assert table.columns == (tuple(names) if named else ())


DTYPES = st.one_of(
    *(hnp.boolean_dtypes(), hnp.integer_dtypes(endianness="?"), hnp.unsigned_integer_dtypes(endianness="?")),
    *(hnp.floating_dtypes(endianness="?"), hnp.complex_number_dtypes(), hnp.unicode_string_dtypes()),
    *(hnp.byte_string_dtypes(), hnp.datetime64_dtypes()),
)
ARRAYS = hnp.arrays(DTYPES, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=40))


def npy(array, **options):
    out = io.BytesIO()
    np.lib.format.write_array(
        out, np.asfortranarray(array) if options.get("fortran") else array, version=options.get("version")
    )
    return out.getvalue()


def npz(arrays, compress):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compress) as archive:
        for name, data in arrays.items():
            archive.writestr(name, data)
    return out.getvalue()


HEADERS = st.builds(
    "{{'descr': {}, 'fortran_order': {}, 'shape': {}, }}".format,
    st.sampled_from(
        ["'<f8'", "'|O'", "'<U99999999'", "'V0'", "'<i4'", "[('a', '<f8')]", "'q' * 9", "None", "'<M8[s]'"]
    ),
    st.sampled_from(["True", "False", "1", "None"]),
    st.sampled_from(
        [
            "(3,)",
            "(-1, 2)",
            "(10**9, 10**9)",
            "()",
            "(2**62, 4)",
            "(1000000000000, 2)",
            "(0, 5)",
            "3",
            "(2," * 90,
        ]
    ),
)


@st.composite
def claims(draw):
    """A .npy file whose header says anything."""
    header = draw(HEADERS | st.text(max_size=80)).encode("latin-1", "replace") + b"\n"
    start = b"\x93NUMPY" + draw(st.sampled_from([b"\1\0", b"\2\0", b"\3\0", b"\7\7"]))
    length = (
        struct.pack("<H", len(header))
        if start[6] == 1
        else struct.pack("<I", draw(st.sampled_from([len(header), 2**31])))
    )
    return start + length + header + draw(st.binary(max_size=64))


WHOLE_NPY = st.builds(npy, ARRAYS, fortran=st.booleans(), version=st.sampled_from([None, (2, 0)]))
ANY_NPY = damaged(WHOLE_NPY) | claims() | st.binary(max_size=200)
NAMES = st.sampled_from(["x.npy", "y.npy", "x", "y", "a/b.npy", "../x.npy", "/x.npy", "é.npy", "drawn.npy"])
ANY_NPZ = damaged(
    st.builds(
        npz,
        st.dictionaries(NAMES, ANY_NPY, max_size=3),
        st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]),
    )
)


@given(ANY_NPY, st.sampled_from(["std", "robust", "none"]))
def test_any_npy_file(contained, place, content, scale):
    is_read_or_refused(contained, place, "x.npy", content, scale=scale)


@given(
    ANY_NPZ | st.binary(max_size=200), st.sampled_from([None, "x", "y"]), st.sampled_from([None, "y", "x"])
)
def test_any_npz_file(contained, place, content, key, label):
    is_read_or_refused(contained, place, "x.npz", content, key=key, label=label)


ODD_NAMES = st.sampled_from(["..", "", "a", "1", "a.b", "/", "\n", "x" * 5000]) | st.text(max_size=4)
COLUMNS = st.one_of(
    st.lists(st.none() | st.floats(), min_size=25, max_size=25),
    st.lists(st.none() | st.integers(-(2**63), 2**63 - 1), min_size=25, max_size=25),
    st.lists(st.none() | st.booleans(), min_size=25, max_size=25),
    st.lists(st.none() | st.text(max_size=3), min_size=25, max_size=25),
    st.lists(st.none() | st.dates(), min_size=25, max_size=25),
    st.lists(st.none() | st.decimals(-99, 99, places=2), min_size=25, max_size=25),
    st.lists(st.lists(st.integers(0, 9), min_size=2, max_size=2), min_size=25, max_size=25),
)


def parquet(columns):
    names, values = zip(*columns, strict=True) if columns else ((), ())
    out = io.BytesIO()
    table = pyarrow.Table.from_arrays([pyarrow.array(each) for each in values], names=list(names))
    pyarrow.parquet.write_table(table, out)
    return out.getvalue()


WHOLE_PARQUET = st.lists(st.tuples(ODD_NAMES, COLUMNS), max_size=3).map(parquet)


@given(
    WHOLE_PARQUET
    | damaged(WHOLE_PARQUET)
    | st.binary(max_size=100).map(lambda text: b"PAR1" + text + b"PAR1"),
    st.sampled_from([None, ("1",), ("..", "2"), ("a",)]),
    st.sampled_from([None, "2", "a"]),
    st.sampled_from(["refuse", "drop", "mean"]),
)
def test_any_parquet_file(contained, place, content, columns, label, missing):
    is_read_or_refused(contained, place, "x.parquet", content, columns=columns, label=label, missing=missing)


NUMBERS = st.one_of(
    hnp.integer_dtypes(endianness="?"), hnp.floating_dtypes(endianness="?"), hnp.boolean_dtypes()
)


@given(
    hnp.arrays(NUMBERS, hnp.array_shapes(min_dims=1, max_dims=3, max_side=6)), st.booleans(), st.booleans()
)
def test_an_array_of_numbers_comes_back(place, array, fortran, packed):
    """Of any type, byte order and order of axes, as float64."""
    data = npy(array, fortran=fortran)
    path = place / ("y.npz" if packed else "y.npy")
    path.write_bytes(npz({"x.npy": data}, zipfile.ZIP_DEFLATED) if packed else data)
    expected = array.astype(np.float64)
    np.testing.assert_array_equal(
        read_labelled(path, None, None).values, expected[:, None] if array.ndim == 1 else expected
    )
