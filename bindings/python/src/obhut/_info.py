"""Looking inside: what lives, the hosts, the entries. Copies: each figure was right by itself at some moment."""

from __future__ import annotations

import ctypes
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import _bindings as b
from ._errors import checked, text_of
from ._library import c
from ._payload import Pid

if TYPE_CHECKING:
    from ._runtime import Runtime


@dataclass(frozen=True)
class ProcessInfo:
    """A process, or a port of this program.

    Attributes:
        pid: which one.
        entry: the id of the entry that it runs; None for a port.
        host: on which it runs; "obhut:port" for a port.
        state: "running", "queued" or "waiting".
        names: those that it is registered under.
        mailbox: messages that it has not received yet.
        mailbox_bytes: bytes of them.
        memory: bytes of its Lua memory when it last waited.
        links: how many are linked to it.
        monitors: how many watch it.
        uptime: seconds since it was spawned.
    """

    pid: Pid
    entry: str | None
    host: str
    state: str
    names: tuple[str, ...]
    mailbox: int
    mailbox_bytes: int
    memory: int
    links: int
    monitors: int
    uptime: float


@dataclass(frozen=True)
class HostInfo:
    """A process host.

    Attributes:
        id: "namespace:name".
        state: "created", "started", ...
        workers: its threads.
        processes: those alive.
        run_queue: how many of these wait for a thread.
    """

    id: str
    state: str
    workers: int
    processes: int
    run_queue: int


@dataclass(frozen=True)
class EntryInfo:
    """An entry of the application.

    Attributes:
        id: "namespace:name".
        kind: "process.lua" and so on.
        meta: what it says under `meta`, or None.
        file: the YAML file that declares it; "" for a text.
        line: in which it begins there, from 1.
    """

    id: str
    kind: str
    meta: Any
    file: str
    line: int


class _Records:
    """What was found, while it is read."""

    def __init__(self, handle: ctypes.c_void_p, index: int) -> None:
        self._handle = handle
        self._index = index

    def text(self, field: int) -> str:
        return text_of(c.obhut_info_text(self._handle, self._index, field))

    def number(self, field: int) -> int:
        return c.obhut_info_number(self._handle, self._index, field)


def _found(read: Callable[[_Records], Any], function: Any, *arguments: Any) -> list[Any]:
    handle = ctypes.c_void_p()
    checked(function, *arguments, ctypes.byref(handle))
    try:
        return [read(_Records(handle, index)) for index in range(c.obhut_info_count(handle))]
    finally:
        c.obhut_info_free(handle)


def _process(runtime: Runtime) -> Callable[[_Records], ProcessInfo]:
    return lambda record: ProcessInfo(
        Pid(record.number(b.OBHUT_INFO_PID), runtime.text_of), record.text(b.OBHUT_INFO_ENTRY) or None,
        record.text(b.OBHUT_INFO_HOST), record.text(b.OBHUT_INFO_STATE),
        tuple(json.loads(record.text(b.OBHUT_INFO_NAMES) or "[]")), record.number(b.OBHUT_INFO_MAILBOX),
        record.number(b.OBHUT_INFO_MAILBOX_BYTES), record.number(b.OBHUT_INFO_MEMORY),
        record.number(b.OBHUT_INFO_LINKS), record.number(b.OBHUT_INFO_MONITORS),
        record.number(b.OBHUT_INFO_UPTIME) / 1e9)


def processes(runtime: Runtime) -> list[ProcessInfo]:
    """See `Runtime.processes`."""
    return _found(_process(runtime), c.obhut_runtime_info, runtime._using(), b.OBHUT_INFO_OF_PROCESSES)


def process(runtime: Runtime, pid: int) -> ProcessInfo:
    """See `Runtime.info`."""
    found: list[ProcessInfo] = _found(_process(runtime), c.obhut_process_info, runtime._using(), pid)
    return found[0]


def hosts(runtime: Runtime) -> list[HostInfo]:
    """See `Runtime.hosts`."""
    return _found(lambda record: HostInfo(
        record.text(b.OBHUT_INFO_ENTRY), record.text(b.OBHUT_INFO_STATE), record.number(b.OBHUT_INFO_WORKERS),
        record.number(b.OBHUT_INFO_PROCESSES), record.number(b.OBHUT_INFO_RUN_QUEUE),
    ), c.obhut_runtime_info, runtime._using(), b.OBHUT_INFO_OF_HOSTS)


def entries(runtime: Runtime) -> list[EntryInfo]:
    """See `Runtime.entries`."""
    return _found(lambda record: EntryInfo(
        record.text(b.OBHUT_INFO_ENTRY), record.text(b.OBHUT_INFO_KIND),
        json.loads(record.text(b.OBHUT_INFO_META) or "null"), record.text(b.OBHUT_INFO_FILE),
        max(0, record.number(b.OBHUT_INFO_LINE)),
    ), c.obhut_runtime_info, runtime._using(), b.OBHUT_INFO_OF_ENTRIES)
