"""A Python function as a process: what it is given, and how its end becomes that of the process."""

from __future__ import annotations

import asyncio
import ctypes
import traceback
from collections import deque
from typing import Any, Literal

from . import _bindings as b
from ._errors import Closed, InvalidArgument, ProcessError, Terminated, checked
from ._library import c
from ._messages import Cancel, Event, Exit, Reply, Start
from ._payload import Pid, encode
from ._port import Port
from ._runtime import Dest, Runtime
from ._time import Seconds

TrapLinks = Literal["no", "failures", "all"]

_TRAPS = {"no": b.OBHUT_TRAP_LINKS_NO, "failures": b.OBHUT_TRAP_LINKS_FAILURES, "all": b.OBHUT_TRAP_LINKS_ALL}


class Process(Port):
    """The process that a Python function runs as, its first argument: see `Runtime.process`.

    It is used as a port is, by the function's own thread. It differs in this: the failure of a linked process ends it,
    unless `trap_links` says otherwise; it can be terminated, and it is at the deadline of a cancel. Then every call raises
    `Terminated`, `receive` at once and what computes at its next call.

    Attributes:
        entry: the id of the entry that it runs.
    """

    def __init__(self, runtime: Runtime, start: Start) -> None:
        """Takes the process out of its START.

        Raises:
            Closed: it has ended meanwhile.
        """
        self._prepare(runtime)
        self.entry = start.entry
        # What `request` and `should_stop` have read and not given away: comes before what the port has.
        self._kept: deque[Event] = deque()
        self._forgotten: set[int] = set()  # requests whose reply nobody waits for any more
        self._was_cancelled = False
        self._own(start.take())

    def __repr__(self) -> str:
        return f"<obhut.Process {self.entry} {'ended' if self.closed else self.pid}>"

    def _checked(self, function: Any, *arguments: Any) -> None:
        handle = self._using()
        try:
            checked(function, handle, *arguments)
        except Closed as error:
            raise Terminated(str(error)) from None

    def _failure(self, status: int, error: int | None) -> BaseException:
        failure = super()._failure(status, error)
        return Terminated(str(failure)) if isinstance(failure, Closed) else failure

    # ------------------------------------------------------------- receiving

    def _take(self, wait: int = 0) -> Event | None:
        return self._kept.popleft() if self._kept else self._taken_from_port(wait)

    def _taken_from_port(self, wait: int = 0) -> Event | None:
        while True:
            event = super()._take(wait)
            if isinstance(event, Cancel):
                self._was_cancelled = True
            if not isinstance(event, Reply) or event.request not in self._forgotten:
                return event
            self._forgotten.discard(event.request)
            wait = 0

    @property
    def should_stop(self) -> bool:
        """Whether the process was asked to end: its `Cancel` has come, received or not yet. For what computes and does not
        receive. Everything that waits is looked at, and kept for `receive`.

        Raises:
            Terminated: it has ended by force.
        """
        self._checked(c.obhut_port_unlink, 0)  # does nothing but tell whether it has ended
        while not self._was_cancelled:
            event = self._taken_from_port()
            if event is None:
                break
            self._kept.append(event)
        return self._was_cancelled

    def request(self, dest: Dest, topic: str, value: Any = None, timeout: Seconds | None = 5.0) -> Any:
        """Sends a request and waits for the reply to it; what else comes meanwhile is kept for `receive`.

        Args:
            dest: who is asked.
            topic: under which.
            value: what is asked.
            timeout: how long to wait, more than 0; None: for ever.

        Raises:
            RequestFailed: the reply was an error.
            NotFound: `dest` has ended, before or without a reply.
            Timeout: there was none in time.
        """
        number = self.start_request(dest, topic, value, timeout)
        kept, self._kept = self._kept, deque()
        try:
            while True:
                event = self.receive()
                if isinstance(event, Reply) and event.request == number:
                    return event.result()
                kept.append(event)
        except BaseException as error:
            if not isinstance(error, Terminated):
                self._forgotten.add(number)
            raise
        finally:
            kept.extend(self._kept)
            self._kept = kept

    def unmonitor(self, dest: Dest) -> None:
        """As `Port.unmonitor`."""
        pid = Pid(self._runtime._value_of(dest))
        super().unmonitor(pid)
        self._kept = deque(each for each in self._kept if not (isinstance(each, Exit) and each.pid == pid))

    # ----------------------------------------------------------------- itself

    def ready(self) -> None:
        """Tells the supervisor that the process is ready, for `ready: call`; nothing happens if nobody supervises it."""
        self._checked(c.obhut_port_ready)

    def trap_links(self, choice: TrapLinks = "failures") -> None:
        """What the end of a linked process does: "no" (the default of a process): its failure ends this one; "failures": that
        is a `LinkDown`; "all": its normal end is one, too."""
        if choice not in _TRAPS:
            raise InvalidArgument(f"choice is one of {', '.join(_TRAPS)}, got {choice!r}")
        self._checked(c.obhut_port_trap_links, _TRAPS[choice])

    def _end(self, value: Any) -> None:
        """Ends it normally; abnormally if the value cannot be sent."""
        try:
            data = encode(value)
        except Exception as error:  # noqa: BLE001
            self._fail(error, f"{self.entry} returned what cannot be sent")
            return
        try:
            self._checked(c.obhut_port_end, data, len(data))
        except (Closed, Terminated):
            pass  # it has ended otherwise

    def _fail(self, error: BaseException, what: str = "") -> None:
        """Ends it abnormally, with the text of an exception as its error and its traceback for the log and the report."""
        trace = _c_text("".join(traceback.format_exception(type(error), error, _own_code(error))))
        try:
            if isinstance(error, ProcessError):
                data = encode(error.error)
                self._checked(c.obhut_port_fail_object, data, len(data), trace)
                return
        except (Closed, Terminated):
            return
        except Exception as refused:  # noqa: BLE001
            error = refused  # an ErrorValue whose details cannot be sent
        if isinstance(error, asyncio.CancelledError):
            said = "its task was cancelled"
        else:
            said = "".join(traceback.format_exception_only(type(error), error)).strip()
        try:
            self._checked(c.obhut_port_fail, _c_text(f"{what}: {said}" if what else said), trace)
        except (Closed, Terminated):
            pass


def refuse(runtime: Runtime, start: Start, why: str) -> None:
    """Ends a process that cannot run, with an error that says why."""
    port = ctypes.c_void_p()
    try:
        port.value = start.take()
        checked(c.obhut_port_fail, port, _c_text(why), None)
    except Closed:
        pass  # it has ended meanwhile
    finally:
        c.obhut_port_free(port)


def _own_code(error: BaseException) -> Any:
    """The traceback from where the function's own code begins."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_globals.get("__package__") == __package__ and trace.tb_next is not None:
        trace = trace.tb_next
    return trace


def _c_text(text: str) -> bytes:
    return text.encode("utf-8", "replace").replace(b"\0", b"\\0")
