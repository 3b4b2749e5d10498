from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

import obhut
from obhut import _payload
from obhut._payload import decode, encode

scalars = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False)
    | st.text() | st.binary() | st.integers(1, 2**64 - 1).map(obhut.Pid)
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.text() | st.integers(-(2**63), 2**63 - 1), inner,
                                                                       max_size=8), max_leaves=30)


@given(values)
def test_every_value_comes_back(value: Any) -> None:
    assert decode(encode(value)) == value


def in_lua(value: Any) -> Any:
    """What is left of a value that was a Lua value on its way."""
    if isinstance(value, bytes):
        try:
            return value.decode()  # a Lua string is text if it can be
        except UnicodeDecodeError:
            return value
    if isinstance(value, list):
        items = [in_lua(each) for each in value]
        if items and None in items:  # a table with holes is no array
            return as_list({i: each for i, each in enumerate(items, 1) if each is not None})
        return items
    if isinstance(value, dict):
        return as_list({in_lua(key): in_lua(each) for key, each in value.items() if each is not None})
    return value


def as_list(table: dict[Any, Any]) -> Any:
    """A table with the keys 1 to n is an array, the empty one too."""
    if all(type(key) is int for key in table) and sorted(table) == list(range(1, len(table) + 1)):
        return [table[key] for key in sorted(table)]
    return table


lua_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False).filter(
        lambda x: not x.is_integer()) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5), max_leaves=20)


@given(lua_values)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_every_value_comes_back_from_lua(started: obhut.Runtime, value: Any) -> None:
    found = started.call("t:returns", {"value": value})
    assert found == in_lua({"value": value})


def test_error_values(port: obhut.Port) -> None:
    error = obhut.ErrorValue("out of paper", "UNAVAILABLE", retryable=True, details={"tray": 2})
    assert decode(encode(error)) == error
    assert str(error) == "out of paper"


def test_numbers_at_the_edges(started: obhut.Runtime) -> None:
    for value in (2**63 - 1, -(2**63), 0, -1, 1.5, math.inf, -math.inf):
        assert started.call("t:returns", value) == value
    assert math.isnan(started.call("t:returns", math.nan))


@pytest.mark.parametrize("size", [0, 1, 255, 256, 65535, 65536, 1 << 20, (16 << 20) - 64])
def test_sizes(started: obhut.Runtime, size: int) -> None:
    data = (b"\xff\0" * size)[:size]
    assert started.call("t:returns", data) == (data or "")


def test_depth(started: obhut.Runtime) -> None:
    value: Any = []
    for _ in range(100):
        value = [value]
    assert started.call("t:returns", value) == value
    for _ in range(100):
        value = [value]
    with pytest.raises(obhut.ObhutError):
        started.call("t:returns", value)


def test_what_cannot_be_sent() -> None:
    for value in (object(), {1}, 1j, lambda: None):
        with pytest.raises(TypeError, match="cannot send"):
            encode([value])
    cyclic: list[Any] = []
    cyclic.append(cyclic)
    with pytest.raises(obhut.InvalidArgument):
        encode(cyclic)


def test_what_failed_leaves_nothing_in_the_next() -> None:
    within = obhut.ErrorValue("outer", details=[obhut.ErrorValue("inner", details=["x" * 100_000])])
    before = encode([1, within, 2])
    for value in ([7, object()], ["x" * 1000, 2**64], [obhut.ErrorValue("e", details=object())]):
        with pytest.raises((TypeError, obhut.InvalidArgument)):
            encode(value)
        assert encode(5) == b"\x05"
        assert encode([1, within, 2]) == before
    assert decode(before)[1] == within


def test_deep_values_leave_no_more_packers_than_are_used() -> None:
    value = obhut.ErrorValue("e")
    for _ in range(50):
        value = obhut.ErrorValue("e", details=value)
    assert decode(encode(value)) == value
    assert len(_payload._packers) <= _payload._MOST
