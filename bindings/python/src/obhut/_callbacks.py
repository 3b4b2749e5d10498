"""Python functions that the library calls.

There is one C function for each type of callback, for as long as the module lives; which Python function is meant stands
in its user data, a number. So no collection of garbage can take away what the library still calls.
"""

from __future__ import annotations

import ctypes
import itertools
import sys
import threading
from typing import Any, Callable, cast

from . import _bindings as b

_functions: dict[int, Callable[..., Any]] = {}
_numbers = itertools.count(1)
_lock = threading.Lock()


def keep(function: Callable[..., Any]) -> int:
    """Keeps a function until the library's finaliser runs; its number is the callback's user data."""
    with _lock:
        number = next(_numbers)
        _functions[number] = function
    return number


def kept() -> int:
    """How many functions the library may still call."""
    return len(_functions)


def _call(number: int, *arguments: Any) -> Any:
    """Calls a kept function. Nothing may unwind through C, and the call belongs to no caller in Python: what it raises,
    KeyboardInterrupt and SystemExit too, goes to `sys.unraisablehook`."""
    function = _functions.get(number)
    if function is None:
        return None
    try:
        return function(*arguments)
    except BaseException as error:  # noqa: BLE001
        sys.unraisablehook(cast(Any, _Unraisable(error, function)))
        return None


class _Unraisable:
    """What `sys.unraisablehook` takes; its own type cannot be made in Python."""

    def __init__(self, error: BaseException, function: Callable[..., Any]) -> None:
        self.exc_type = type(error)
        self.exc_value = error
        self.exc_traceback = error.__traceback__
        self.err_msg = "Exception ignored in a callback of obhut"
        self.object = function


def _output(user: int, text: int, length: int) -> None:
    _call(user, ctypes.string_at(text, length).decode("utf-8", "replace"))


def _log(user: int, level: int, text: int, length: int) -> None:
    _call(user, level, ctypes.string_at(text, length).decode("utf-8", "replace"))


def _read_input(user: int, buffer: int, size: int) -> int:
    """0, the end of the input, when the function gives nothing, too much, or fails."""
    data = _call(user, size)
    if not isinstance(data, bytes) or len(data) > size:
        return 0
    ctypes.memmove(buffer, data, len(data))
    return len(data)


def _finalizer(user: int) -> None:
    # When the interpreter ends, a runtime may let go of its functions when this module's names are None already. (Kept as a default
    # of a parameter they would be this function's, and be let go of by its own end, which is the end of what C calls.)
    if _functions is not None:
        with _lock:
            _functions.pop(user, None)


output = b.obhut_output_function(_output)
log = b.obhut_log_function(_log)
read_input = b.obhut_input_function(_read_input)
finalizer = b.obhut_finalizer(_finalizer)
