"""Supervisors: the children they have, and those that are added while they run."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ._errors import checked, taken_bytes
from ._library import c
from ._payload import Pid, decode, encode
from ._time import Seconds, nanoseconds

if TYPE_CHECKING:
    from ._runtime import Runtime


@dataclass(frozen=True)
class Child:
    """A child of a supervisor.

    Attributes:
        name: by which it is asked for.
        pid: of its process; None while it has none.
        state: "waiting", "starting", "running", "stopping", "backing off", "ended" or "stopped".
        process: the id of the entry that it runs.
        restart: "permanent", "transient" or "temporary".
        restarts: how often it was started again after an end of its own.
        type: "worker" or "supervisor", of the runtime's own supervisor also "host".
        added: whether it was added while the supervisor ran.
    """

    name: str
    pid: Pid | None
    state: str
    process: str
    restart: str
    restarts: int
    type: str
    added: bool


@dataclass(frozen=True)
class Count:
    """How many children a supervisor has.

    Attributes:
        specs: all.
        active: those with a process.
        supervisors: those that are supervisors.
        workers: the others.
    """

    specs: int
    active: int
    supervisors: int
    workers: int


class Supervisor:
    """A process that runs a `supervisor` entry; see `Runtime.supervisor_of`.

    Each call waits for its answer. After a `Timeout` what was asked for goes on.
    """

    def __init__(self, runtime: Runtime, pid: Pid) -> None:
        """See `Runtime.supervisor_of`."""
        self._runtime = runtime
        self.pid = pid

    def __repr__(self) -> str:
        return f"<obhut.Supervisor {self.pid}>"

    def start_child(self, specification: Mapping[str, Any], timeout: Seconds | None = None) -> Pid:
        """Adds a child and starts it; gives its pid when it is ready.

        Args:
            specification: the fields of a child in YAML but `count`: "process", "name", "host", "input", "restart", ...
            timeout: how long to wait; None: as long as it takes.

        Raises:
            InvalidArgument: what is wrong with the specification.
            WrongState: there is a child of this name already.
            NotFound: the supervisor has ended, or an entry does not exist.
            Failed: the child ended before it was ready; it is dropped.
        """
        data = encode(dict(specification))
        pid = ctypes.c_uint64()
        checked(c.obhut_supervisor_start_child, self._runtime._using(), self.pid.value, data, len(data),
                nanoseconds(timeout), ctypes.byref(pid))
        return Pid(pid.value, self._runtime.text_of)

    def stop_child(self, name: str, timeout: Seconds | None = None) -> None:
        """Stops a child, and waits until it has ended. One that was added is then no child any more.

        Raises:
            NotFound: there is no such child.
        """
        checked(c.obhut_supervisor_stop_child, self._runtime._using(), self.pid.value, name.encode(),
                nanoseconds(timeout))

    def restart_child(self, name: str, timeout: Seconds | None = None) -> Pid:
        """Starts a child that was stopped, has ended for good, or waits for its next restart; gives its pid.

        Raises:
            NotFound: there is no such child.
            WrongState: it runs.
            Failed: it ended before it was ready.
        """
        pid = ctypes.c_uint64()
        checked(c.obhut_supervisor_restart_child, self._runtime._using(), self.pid.value, name.encode(),
                nanoseconds(timeout), ctypes.byref(pid))
        return Pid(pid.value, self._runtime.text_of)

    def children(self, timeout: Seconds | None = None) -> list[Child]:
        """Its children, in the order of their start."""
        found = self._asked(c.obhut_supervisor_children, timeout)
        return [
            Child(each["name"], each.get("pid"), each["state"], each["process"], each["restart"], each["restarts"],
                  each["type"], each["added"])
            for each in found
        ]

    def count(self, timeout: Seconds | None = None) -> Count:
        """How many children it has."""
        found = self._asked(c.obhut_supervisor_count, timeout)
        return Count(found["specs"], found["active"], found["supervisors"], found["workers"])

    def _asked(self, function: Callable[..., int], timeout: Seconds | None) -> Any:
        payload, length = ctypes.c_void_p(), ctypes.c_size_t()
        checked(function, self._runtime._using(), self.pid.value, nanoseconds(timeout), ctypes.byref(payload),
                ctypes.byref(length))
        return decode(taken_bytes(payload.value, length.value), self._runtime.text_of)
