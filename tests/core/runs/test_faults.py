"""Which errors are a component's, which are the user's, and what is said of them."""

import errno

import pytest

from difrun.errors import DifrunError, StoppedByUser
from difrun.plugin import Registry
from difrun.runs.environment.faults import named_fault

PARTS = """
def odd(error):
    raise error

def through(function):
    function()
"""


@pytest.fixture
def parts(site):
    site.add(
        "difrun-odd",
        """
        from difrun.api import Component, hookimpl

        @hookimpl
        def difrun_samplers():
            return [Component("odd", "difrun_odd_parts:odd", "Odd.")]
        """,
    )
    site.module("difrun_odd_parts", PARTS)
    entry = Registry.discover(only="odd").get("sampler", "odd")
    entry.load()
    import difrun_odd_parts

    return entry, difrun_odd_parts


def named(parts, error):
    entry, module = parts
    try:
        module.odd(error)
    except BaseException as raised:
        return named_fault(raised, [entry])


@pytest.mark.parametrize("error", [ValueError("v"), SystemExit(3), GeneratorExit(), StopIteration(1)])
def test_whatever_a_component_raises_is_its_fault(parts, error):
    said = str(named(parts, error))
    assert said.startswith(
        f"sampler 'odd' (difrun-odd) failed: {type(error).__name__} in odd (difrun_odd_parts"
    )
    assert "This is a fault of difrun-odd 0.1.0" in said


def test_an_error_whose_text_raises_is_named(parts):
    error = type("Odd", (Exception,), {"__str__": lambda self: 1 / 0})()
    assert "Odd in odd (difrun_odd_parts.py:3): (its text cannot be shown)" in str(named(parts, error))


@pytest.mark.parametrize("error", [MemoryError(), StoppedByUser()])
def test_memory_and_ctrl_c_are_no_fault_of_a_component(parts, error):
    assert named(parts, error) is None


def test_a_file_that_a_component_cannot_read_is_named_without_blame(parts):
    fault = named(parts, FileNotFoundError(errno.ENOENT, "No such file or directory", "mine.bin"))
    assert isinstance(fault, DifrunError)
    assert str(fault) == "sampler 'odd' (difrun-odd): mine.bin: No such file or directory."
    full = named(parts, OSError(errno.ENOSPC, "No space left on device", "mine.bin"))
    assert str(full).endswith("No space left on device. Free some space, or choose another folder.")


def test_a_stream_that_fails_is_the_component_s_only_if_its_own_code_raised(parts):
    entry, module = parts

    def closed():
        raise OSError(errno.EPIPE, "Broken pipe")

    assert "OSError in odd" in str(named(parts, OSError(errno.EBADF, "Bad file descriptor")))
    with pytest.raises(OSError, match="Broken pipe") as caught:
        module.through(closed)
    assert named_fault(caught.value, [entry]) is None


def test_an_error_of_other_code_is_nobody_s_fault(parts):
    entry, _ = parts
    with pytest.raises(ZeroDivisionError) as caught:
        _ = 1 / 0
    assert named_fault(caught.value, [entry]) is None
