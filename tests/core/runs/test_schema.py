"""What the files of a run must hold, and the sentence about what they do not."""

import json
import math
from pathlib import Path

import pytest

from difrun.errors import DifrunError
from difrun.runs.folder.contents import DatasetText, LockNote, Metrics, tunings
from difrun.runs.folder.schema import fitting, parse_json, read_json, structure

NUMBER = {
    "value": 1.5,
    "value_sd": None,
    "floor": 1,
    "better": "lower",
    "ratio": True,
    "n": 3,
    "of": "samples.npz",
}
TUNING = {
    "times": [1.0, 0.5, 0.1],
    "changes": [[[0.1], [[0.1], [0.2]]], [[], []]],
    **dict.fromkeys(("error", "before", "median", "median_before"), 0.5),
    "trajectories": 3,
}


def test_what_runs_write_fits():
    content = {"metrics": {"w2": NUMBER, "energy": {"value": math.nan}}, "signal": {}, "of a plugin": 3}
    assert structure(Metrics, content, "metrics.json") is content
    assert fitting(tunings, {"2": TUNING}, "tuning.json") == {"2": TUNING}
    structure(LockNote, {"pid": 1, "host": "here", "since": 1.7e9}, "run.lock.json")
    structure(DatasetText, {"name": "x", "columns": ["a"]}, "data.safetensors")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([], "the file: expected an object, found a list of 0"),
        ({"metrics": 3}, "metrics: expected an object, found 3"),
        ({"metrics": {"w2": {}}}, "metrics.w2.value: expected a value, found nothing"),
        ({"metrics": {"w2": {"value": True}}}, "metrics.w2.value: expected a number, found True"),
        (
            {"metrics": {"w2": {"value": 1, "floor": "x" * 99}}},
            "metrics.w2.floor: expected a number, found 'xxx",
        ),
        (
            {"metrics": {"w2": {"value": 1, "better": "left"}}},
            "metrics.w2.better: expected 'lower' or 'higher', found 'left'",
        ),
        ({"metrics": {"w2": {"value": 1, "bound": "x"}}}, "metrics.w2.n: expected a number, found nothing"),
        ({"samples": {"steps": -1}}, "samples.steps: expected a whole number of at least 0, found -1"),
        ({"samples": {"guidance": [3]}}, "samples.guidance[0]: expected an object, found 3"),
        (
            {"likelihood": {"n": 1, "dimensions": 0}},
            "likelihood.dimensions: expected a whole number of at least 1",
        ),
        ({"training": {"seconds": []}}, "training.seconds: expected a number, found a list of 0"),
    ],
)
def test_a_misfit_names_file_key_and_expectation(content, said):
    with pytest.raises(DifrunError) as caught:
        structure(Metrics, content, "run/metrics.json", "Remove it.")
    assert str(caught.value).startswith(f"run/metrics.json is damaged: {said}")
    assert str(caught.value).endswith(". Remove it.")


@pytest.mark.parametrize(
    ("steps", "changes", "said"),
    [
        ("two", {}, "two: expected a number of steps as the key"),
        ("3", {}, "3.times: expected 4 times for 3 steps"),
        ("2", {"times": [0.1, 0.5, 1.0]}, "2.times: expected times that fall"),
        ("2", {"times": []}, "2.times: expected times that fall"),
        ("2", {"times": [1.0, math.nan, 0.1]}, "2.times[1]: expected a finite number"),
        ("2", {"changes": [[[], []]]}, "2.changes: expected 2 changes"),
        ("2", {"changes": [[[], []], [[]]]}, "2.changes[1]: expected two rows of weights"),
        (
            "2",
            {"changes": [[[], []], [[], [[1.0], [1.0, 2.0]]]]},
            "2.changes[1][1]: expected lists of one length",
        ),
        ("2", {"median": -1.0}, "2.median: expected a number of at least 0"),
    ],
)
def test_tunings_that_cannot_be_used(steps, changes, said):
    with pytest.raises(DifrunError, match="is damaged") as caught:
        fitting(tunings, {steps: TUNING | changes}, "tuning.json")
    assert str(caught.value).startswith(f"tuning.json is damaged: {said}")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a": ' + b"9" * 5000 + b"}", "a whole number of 5000 digits"),
        (b"\xff{}", "codec can't decode"),
        (b"", "Expecting value"),
        (b"{'a': 1}", "Expecting property name"),
    ],
)
def test_text_that_is_no_json(tmp_path, data, said):
    (tmp_path / "x.json").write_bytes(data)
    with pytest.raises(DifrunError, match="is damaged: expected JSON") as caught:
        read_json(tmp_path / "x.json")
    assert said in str(caught.value)


def test_numbers_of_64_bits_are_read():
    for number in (0, -(2**63), 2**63 - 1, 1.5):
        assert parse_json(json.dumps([number])) == [number]


def test_more_keys_than_anybody_measures_are_refused():
    many = {"metrics": {f"m{index}": {"value": 1.0} for index in range(10_001)}}
    with pytest.raises(DifrunError, match="metrics: expected at most 10000 keys, found 10001"):
        structure(Metrics, many, Path("metrics.json"))
