"""What is raised, and how a status of the C interface becomes it."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

from . import _bindings as b
from ._library import c

if TYPE_CHECKING:
    from ._payload import ErrorValue, Pid


class ObhutError(Exception):
    """A call was refused or failed.

    Attributes:
        status: the code of the C interface, such as -4 (`OBHUT_NOT_FOUND`).
        text: what was wrong, where, and what would be right.
        file: the file of the (first) fault, relative to the application, or None.
        line: its line from 1, or 0 if not known.
        column: its column from 1, or 0 if not known.
        offset: the byte at which a payload or text is malformed, or -1.
    """

    def __init__(self, text: str, status: int = 0, file: str | None = None, line: int = 0, column: int = 0,
                 offset: int = -1) -> None:
        super().__init__(text)
        self.text = text
        self.status = status
        self.file = file
        self.line = line
        self.column = column
        self.offset = offset


class InvalidHandle(ObhutError):
    """A handle of the library is not valid; this package has lost track of it."""


class InvalidArgument(ObhutError, ValueError):
    """An argument is out of range or malformed; the text names it."""


class WrongState(ObhutError):
    """The call does not fit the state, such as loading after the start."""


class NotFound(ObhutError, LookupError):
    """The process has ended or never was, or no entry, host or name is called that."""


class Timeout(ObhutError, TimeoutError):
    """The time has passed."""


class Interrupted(ObhutError):
    """`Port.wake` was called."""


class Closed(ObhutError):
    """The port or runtime was closed, before or meanwhile."""


class LimitReached(ObhutError):
    """A bound was reached: mailbox, size of a message, processes of a host."""


class InvalidApplication(ObhutError):
    """The application has faults; the text lists them, a line each: `path:line:column: message`."""


class Malformed(ObhutError, ValueError):
    """A payload or text is malformed; `offset` says where."""


class SystemFailure(ObhutError, OSError):
    """The system refused something: memory, a thread, a descriptor, liblua."""


class Failed(ObhutError):
    """What was asked for was begun and failed, such as the start of a child; the text says why."""


class Forked(ObhutError):
    """The runtime belongs to the parent of this process; close it and make another."""


class ProcessFailed(Exception):
    """A process has ended abnormally.

    Attributes:
        pid: which process.
        error: what it failed with: a text, or an error object of Lua's `errors` as an `ErrorValue`.
        origin: the process where the failure began.
        hops: how many links it travelled from there.
    """

    def __init__(self, text: str, pid: Pid, error: str | ErrorValue | Any, origin: Pid, hops: int) -> None:
        super().__init__(text)
        self.pid = pid
        self.error = error
        self.origin = origin
        self.hops = hops


class RequestFailed(Exception):
    """A request was answered by an error.

    Attributes:
        pid: who answered.
        error: a text, or an error object of Lua's `errors` as an `ErrorValue`.
    """

    def __init__(self, text: str, pid: Pid | None, error: str | ErrorValue | Any) -> None:
        super().__init__(text)
        self.pid = pid
        self.error = error


class ProcessError(Exception):
    """Raised by a Python function that runs as a process: it ends abnormally with exactly this error, where any other
    exception gives its type and text.

    Attributes:
        error: a text or an `ErrorValue`.
    """

    def __init__(self, error: str | ErrorValue) -> None:
        super().__init__(str(error))
        self.error = error


class Terminated(BaseException):
    """The process that calls was ended by force: it was terminated, or the deadline of its cancel is over, or a process
    linked to it has failed, or the runtime has stopped. Everybody else knows already; let it pass, and clean up on the way.

    As `asyncio.CancelledError` it is no `Exception`, so that what handles the errors of a process does not outlive it.
    """


_BY_STATUS: dict[int, type[ObhutError]] = {
    b.OBHUT_INVALID_HANDLE: InvalidHandle,
    b.OBHUT_INVALID_ARGUMENT: InvalidArgument,
    b.OBHUT_WRONG_STATE: WrongState,
    b.OBHUT_NOT_FOUND: NotFound,
    b.OBHUT_TIMEOUT: Timeout,
    b.OBHUT_INTERRUPTED: Interrupted,
    b.OBHUT_CLOSED: Closed,
    b.OBHUT_LIMIT: LimitReached,
    b.OBHUT_INVALID_APPLICATION: InvalidApplication,
    b.OBHUT_MALFORMED: Malformed,
    b.OBHUT_SYSTEM: SystemFailure,
    b.OBHUT_FAILED: Failed,
    b.OBHUT_FORKED: Forked,
}


def text_of(raw: bytes | None) -> str:
    """A text of the library; what is not UTF-8 is replaced."""
    return "" if raw is None else raw.decode("utf-8", "replace")


def error_for(status: int, handle: int | None = None) -> ObhutError:
    """The exception for a status and its error (taken)."""
    kind = _BY_STATUS.get(status, ObhutError)
    if not handle:
        return kind(text_of(c.obhut_status_text(status)), status)
    try:
        file = c.obhut_error_file(handle)
        return kind(
            text_of(c.obhut_error_text(handle)), status, None if file is None else text_of(file),
            c.obhut_error_line(handle), c.obhut_error_column(handle), c.obhut_error_offset(handle))
    finally:
        c.obhut_error_free(handle)


# Where a call puts its error object: `ErrorPlace()` is an `obhut_error *[1]`, which ctypes takes for an `obhut_error **` in half the
# time of a reference to a `c_void_p`.
ErrorPlace = ctypes.c_void_p * 1


def checked(function: Any, *arguments: Any) -> None:
    """Calls a function whose last parameter is `obhut_error **`.

    Raises:
        ObhutError: or the subclass that fits the status.
    """
    error = ErrorPlace()
    status = function(*arguments, error)
    if status != b.OBHUT_OK:
        raise error_for(status, error[0])


def checked_status(status: int) -> None:
    """Raises what a status without an error object means."""
    if status != b.OBHUT_OK:
        raise error_for(status)


def taken_bytes(address: int | None, length: int) -> bytes:
    """Copies bytes that the library made, and frees them."""
    if not address:
        return b""
    try:
        return ctypes.string_at(address, length)
    finally:
        c.obhut_bytes_free(address)
