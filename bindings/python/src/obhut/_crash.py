"""Crash reports: what was known of a process at its abnormal end."""

from __future__ import annotations

import ctypes
import json
from dataclasses import dataclass, field
from typing import Any

from ._errors import checked, text_of
from ._library import c


@dataclass(frozen=True)
class Crash:
    """One report.

    Attributes:
        sequence: its number in its runtime, from 1.
        entry: the id of the entry that the process ran.
        error: the text of its error.
        text: the whole report as lines for people.
        fields: the whole report; docs/crash-reports.md lists what is in it.
    """

    sequence: int
    entry: str
    error: str
    text: str = field(repr=False)
    fields: dict[str, Any] = field(repr=False)

    @staticmethod
    def from_json(line: str) -> Crash:
        """A report from one line of a file that `obhut run --crash-log` wrote.

        Raises:
            Malformed: it is no report.
        """
        data = line.encode()
        handle = ctypes.c_void_p()
        checked(c.obhut_crash_from_json, data, len(data), ctypes.byref(handle))
        return taken(handle)


def taken(handle: ctypes.c_void_p) -> Crash:
    """What a report's handle (taken) stands for."""
    try:
        return Crash(
            c.obhut_crash_sequence(handle), text_of(c.obhut_crash_entry(handle)), text_of(c.obhut_crash_error(handle)),
            _whole(c.obhut_crash_text, handle), json.loads(_whole(c.obhut_crash_json, handle)))
    finally:
        c.obhut_crash_free(handle)


def _whole(function: Any, handle: ctypes.c_void_p) -> str:
    length = ctypes.c_size_t()
    address = function(handle, ctypes.byref(length))
    return text_of(ctypes.string_at(address, length.value)) if address else ""
