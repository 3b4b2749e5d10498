"""Supervised processes for Python: isolated, linked, monitored, cancelled and restarted as in Erlang.

    import obhut

    with obhut.Runtime("hello") as runtime:
        print(runtime.call("hello:greeter", "World"))

`Runtime` runs an application (a folder of YAML entries and Lua programs); `Port` is a mailbox of this program, by which
it takes part. `obhut.aio` is the same for asyncio.
"""

from . import aio
from ._errors import (
    Closed,
    Failed,
    Forked,
    Interrupted,
    InvalidApplication,
    InvalidArgument,
    InvalidHandle,
    LimitReached,
    Malformed,
    NotFound,
    ObhutError,
    ProcessError,
    ProcessFailed,
    RequestFailed,
    SystemFailure,
    Terminated,
    Timeout,
    WrongState,
    text_of as _text_of,
)
from ._crash import Crash
from ._library import LibraryNotFound, c as _c, get_include, get_library_path
from ._info import EntryInfo, HostInfo, ProcessInfo
from ._messages import Cancel, Event, Exit, LinkDown, Message, Reply
from ._payload import ErrorValue, Pid
from ._port import Port
from ._process import Process
from ._runtime import Counters, Runtime
from ._supervisor import Child, Count, Supervisor

__version__ = _text_of(_c.obhut_version())

__all__ = [
    "Cancel",
    "Child",
    "Closed",
    "Count",
    "Counters",
    "Crash",
    "EntryInfo",
    "ErrorValue",
    "Event",
    "Exit",
    "Failed",
    "Forked",
    "Interrupted",
    "HostInfo",
    "InvalidApplication",
    "InvalidArgument",
    "InvalidHandle",
    "LibraryNotFound",
    "LimitReached",
    "LinkDown",
    "Malformed",
    "Message",
    "NotFound",
    "ObhutError",
    "Pid",
    "Port",
    "Process",
    "ProcessError",
    "ProcessFailed",
    "ProcessInfo",
    "Reply",
    "RequestFailed",
    "Runtime",
    "Supervisor",
    "SystemFailure",
    "Terminated",
    "Timeout",
    "WrongState",
    "aio",
    "get_include",
    "get_library_path",
]
