"""Classes by name: names that are numbers, names that only look like numbers, positions."""

import numpy as np
import pytest

from difrun.data.classes import class_number, number_classes
from difrun.errors import DifrunError


@pytest.mark.parametrize(
    ("classes", "name", "number"),
    [
        (("1.0", "2.0"), "1", 0),
        (("1.0", "2.0"), "02", 1),
        (("01", "02", "002.5"), "2", 1),
        (("01", "02"), "1e0", 0),
        (("001", "002"), "1", 0),
        (("0", "1", "10"), "10", 2),
        (("3", "4"), 3, 0),
        (("-1", "1"), "-1.0", 0),
        (("1", "1.0"), "1.0", 1),
        (("0.1", "0.2"), "0.10", 0),
        (("9007199254740992", "9007199254740993"), "9007199254740993", 1),
        (("left", "right"), "1", 1),
        (("left", "right"), "right", 1),
        (("²", "①"), "①", 1),
        (("²", "①"), "0", 0),
        (("nan", "inf"), "1", 1),
    ],
)
def test_a_class_is_found_by_its_name_as_a_number_where_it_is_one(classes, name, number):
    assert class_number("dataset 'd'", classes, name) == number


@pytest.mark.parametrize(
    ("classes", "name", "message"),
    [
        (
            ("1.0", "2.0"),
            "0",
            "there is no class '0': dataset 'd' has 2 classes: 1.0, 2.0. Name one of them.",
        ),
        (("a", "5"), "0", "there is no class '0'"),
        (("1", "01"), "1.0", "may be '1' or '01': write the name as it stands"),
        (("left", "right"), "2", "Name one of them, or its number, 0 to 1."),
        (("left", "right"), "²", "there is no class '²'"),
        (("left", "right"), "9" * 5000, "there is no class '9"),
        (("left", "right"), "nan", "there is no class 'nan'"),
        ((), "1", "have no labels"),
    ],
)
def test_a_class_that_is_not_there_is_never_another(classes, name, message):
    with pytest.raises(DifrunError) as refused:
        class_number("dataset 'd'", classes, name)
    assert message in str(refused.value)
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize(
    ("names", "classes"),
    [
        (["10", "9", "2"], ("2", "9", "10")),
        (["2.0", "10.0", "1.0"], ("1.0", "2.0", "10.0")),
        (["²", "1", "①"], ("1", "²", "①")),
        (["b", "10", "9"], ("10", "9", "b")),
        (["1e400", "9" * 400], ("9" * 400, "1e400")),
    ],
)
def test_names_that_are_whole_numbers_are_ordered_as_numbers(names, classes):
    found, labels = number_classes(np.array(names), len(names), "file 'x.csv'")
    assert found == classes
    assert [found[label] for label in labels.tolist()] == names


def test_names_in_bytes_are_text_whatever_their_encoding():
    """It was a UnicodeDecodeError that was taken for a fault of the dataset."""
    names = np.array([b"a", b"\xff", "é".encode(), b"\xfe"] * 5)
    classes, numbers = number_classes(names, 20, "here")
    assert classes == ("\\xfe", "\\xff", "a", "é")
    assert [classes[number] for number in numbers[:4]] == ["a", "\\xff", "é", "\\xfe"]
