"""A port: a mailbox of this program, with a pid. To everybody else it is a process."""

from __future__ import annotations

import ctypes
import select
import threading
import time
import warnings
from collections import deque
from collections.abc import Iterator
from types import TracebackType
from typing import Any

from . import _bindings as b
from ._errors import Closed, ErrorPlace, Forked, Timeout, checked, error_for
from ._library import c
from ._messages import Event, taken
from ._payload import Pid, encode
from ._runtime import Dest, Runtime, _optional
from ._time import Seconds, nanoseconds

# Milliseconds of one poll on the main thread: a signal that comes between Python's last look at its flags and the system
# call does not end that, so its handler would wait as long.
_SIGNALS = 200
# Nanoseconds that a wait begins with in the library itself, which looks out for who is spoken to without a pause where Python's own
# `poll` would have to be woken. So short that Ctrl-C need not end it.
_SHORT = 200_000
_LEAVING = 5.0  # seconds that those who wait have to leave a port that is closed


class Port:
    """A mailbox. Failures of linked processes come as events, and it ends only by `close` or with its runtime.

    Any thread may use it; each event goes to one of those that wait. As an iterator it gives events until it is closed.
    In asyncio use `obhut.aio`.
    """

    def __init__(self, runtime: Runtime) -> None:
        """See `Runtime.port`."""
        handle = ctypes.c_void_p()
        self._prepare(runtime)
        checked(c.obhut_port_create, runtime._using(), ctypes.byref(handle))
        assert handle.value is not None
        self._own(handle.value)

    def _prepare(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._handle: int | None = None
        self._waiting: set[int] = set()  # threads that wait; guarded by _lock
        self._left: deque[int] = deque()  # messages that came when an interrupt did: before what the port has
        # Always `with self._lock`, never `with self._changed`, though they are one lock: a condition's end of `with` is
        # Python, where an interrupt would leave the lock taken for ever; a lock's is C.
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._closing = False

    def _own(self, handle: int) -> None:
        self._handle = handle
        self._fd = c.obhut_port_fd(handle)

    # ------------------------------------------------------------------ life

    def close(self) -> None:
        """Ends the port, as a process ends normally. Who waits for it gets `Closed`. A second call does nothing."""
        with self._lock:
            if self._handle is None or self._closing:
                return
            if self._runtime._forked:
                self._handle = None
                return
            try:
                self._closing = True
                # Its descriptor goes to another port then: nobody should still be waiting for it. A wake-up ends one wait,
                # and whoever it ends says so; but a thread that a signal's handler has thrown out may not have, so not for
                # ever.
                deadline = time.monotonic() + _LEAVING
                while self._waiting - {threading.get_ident()} and time.monotonic() < deadline:
                    c.obhut_port_wake(self._handle)
                    self._changed.wait(_LEAVING)
            finally:  # an interrupt, too, leaves it closed
                handle, self._handle = self._handle, None
                c.obhut_port_free(handle)
                self._free_left()

    def __enter__(self) -> Port:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_handle", None) is not None and not self._runtime._forked:
            try:
                if not self._closing:  # else an interrupt cut `close` short, at its last line
                    warnings.warn(f"{self!r} was not closed", ResourceWarning, source=self, stacklevel=2)
            finally:
                c.obhut_port_free(self._handle)
                self._handle = None
                self._free_left()

    def _pop_left(self) -> int | None:
        try:
            return self._left.popleft()
        except IndexError:
            return None

    def _free_left(self) -> None:
        while (message := self._pop_left()) is not None:
            c.obhut_message_free(message)

    def __repr__(self) -> str:
        return f"<obhut.Port {'closed' if self.closed else self.pid}>"

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._handle is None or self._closing

    def _using(self) -> int:
        if self._runtime._forked:
            raise Forked("this port belongs to the parent of this process", 0)
        handle = self._handle
        if handle is None or self._closing:
            raise Closed("the port is closed", b.OBHUT_CLOSED)
        return handle

    def _checked(self, function: Any, *arguments: Any) -> None:
        """Calls a function of the port whose last parameter is `obhut_error **`: `checked`, and each send is one call shorter."""
        error = ErrorPlace()
        status = function(self._using(), *arguments, error)
        if status != b.OBHUT_OK:
            raise error_for(status, error[0])

    def _value_of(self, dest: Dest) -> int:
        if isinstance(dest, Pid):
            return dest.value
        self._using()  # before it is told that nobody has the name
        return self._runtime._value_of(dest)

    def _failure(self, status: int, error: int | None) -> BaseException:
        """What is raised for a status of `obhut_port_receive`."""
        return error_for(status, error)

    @property
    def runtime(self) -> Runtime:
        """The runtime it belongs to."""
        return self._runtime

    @property
    def pid(self) -> Pid:
        """Its pid, which others send to."""
        return Pid(c.obhut_port_pid(self._using()), self._runtime.text_of)

    def fileno(self) -> int:
        """A descriptor that is readable exactly while something can be received; not to be read. For `select` and the
        like: then `receive(0)` until it raises `Timeout`."""
        self._using()
        return self._fd

    # --------------------------------------------------------------- sending

    def spawn(self, entry: str, *arguments: Any, host: str | None = None, monitored: bool = True,
              linked: bool = False) -> Pid:
        """Starts a process, with the port as its parent.

        Args:
            entry: "namespace:name".
            arguments: what its `main` gets.
            host: on which process host; None if there is only one.
            monitored: its end will be an `Exit`.
            linked: its failure will be a `LinkDown`.

        Raises:
            NotFound: there is no such entry or host.
            LimitReached: the host is full.
        """
        flags = (b.OBHUT_SPAWN_MONITORED if monitored else 0) | (b.OBHUT_SPAWN_LINKED if linked else 0)
        pid = ctypes.c_uint64()
        data = encode(arguments)
        self._checked(c.obhut_port_spawn, entry.encode(), _optional(host), data, len(data), flags,
                ctypes.byref(pid))
        return Pid(pid.value, self._runtime.text_of)

    def send(self, dest: Dest, topic: str, value: Any = None) -> None:
        """Sends a value; whoever gets it can answer to the port. Raises as `Runtime.send`."""
        data = encode(value)
        pid = dest.value if isinstance(dest, Pid) else self._value_of(dest)
        self._checked(c.obhut_port_send, pid, topic.encode(), data, len(data))

    def start_request(self, dest: Dest, topic: str, value: Any = None, timeout: Seconds | None = None) -> int:
        """Sends a request and does not wait: exactly one `Reply` with the number that this gives will be received, whatever
        happens. `Runtime.request` waits.

        Args:
            dest: who is asked.
            topic: under which.
            value: what is asked.
            timeout: after how many seconds the `Reply` says that there is none; None: never.

        Raises:
            NotFound: `dest` has ended already.
        """
        data = encode(value)
        number = ctypes.c_uint64()
        self._checked(c.obhut_port_request, self._value_of(dest), topic.encode(), data, len(data),
                      nanoseconds(timeout), ctypes.byref(number))
        return number.value

    def register(self, name: str) -> None:
        """Gives the port a name, as `Runtime.register`."""
        self._runtime.register(name, self.pid)

    def monitor(self, dest: Dest) -> None:
        """The end of `dest` will be one `Exit`.

        Raises:
            NotFound: it has ended already.
            WrongState: it is monitored already.
        """
        self._checked(c.obhut_port_monitor, self._value_of(dest))

    def unmonitor(self, dest: Dest) -> None:
        """No `Exit` of `dest` will be received after this, not even one that has come already."""
        self._checked(c.obhut_port_unmonitor, self._value_of(dest))

    def link(self, dest: Dest) -> None:
        """The failure of `dest` will be one `LinkDown`."""
        self._checked(c.obhut_port_link, self._value_of(dest))

    def unlink(self, dest: Dest) -> None:
        """The end of `dest` has no effect on the port after this."""
        self._checked(c.obhut_port_unlink, self._value_of(dest))

    # ------------------------------------------------------------- receiving

    def receive(self, timeout: Seconds | None = None) -> Event:
        """The next message or event, in order of arrival.

        Args:
            timeout: None waits for ever, 0 not at all.

        Raises:
            Timeout: nothing came in time.
            Interrupted: `wake` was called.
            Closed: the port or its runtime was closed or stopped.
        """
        limit = nanoseconds(timeout)
        deadline = None if limit < 0 else time.monotonic() + limit / 1e9
        me = threading.get_ident()
        try:
            with self._lock:
                self._using()
                self._waiting.add(me)
            at_first = _SHORT if limit < 0 else min(limit, _SHORT)
            while True:
                event = self._take(at_first)
                if event is not None:
                    return event
                at_first = 0
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    raise Timeout(f"nothing was received within {limit / 1e9:g} s", b.OBHUT_TIMEOUT)
                # Python's own `poll`: signals are handled, and other threads run.
                waiter = select.poll()
                waiter.register(self._fd, select.POLLIN)
                # Rounded up, so that a wait does not become many short ones at its end.
                limits = [] if left is None else [min(int(left * 1000) + 1, 2**31 - 1)]
                if threading.current_thread() is threading.main_thread():
                    limits.append(_SIGNALS)
                waiter.poll(min(limits, default=None))
        finally:
            with self._lock:
                self._waiting.discard(me)
                self._changed.notify_all()

    def _take(self, wait: int = 0) -> Event | None:
        """What is there, or comes within so many nanoseconds."""
        message, error = ctypes.c_void_p(), ctypes.c_void_p()
        try:
            while True:
                handle = self._using()
                message.value = self._pop_left()
                if message.value is None:
                    status = c.obhut_port_receive(handle, wait, ctypes.byref(message), ctypes.byref(error))
                    if status == b.OBHUT_TIMEOUT:
                        c.obhut_error_free(error)
                        return None
                    if status != b.OBHUT_OK:
                        failure = self._failure(status, error.value)
                        self._using()  # woken by `close`, in another thread
                        raise failure
                wait = 0
                came, message.value = message.value, None
                assert came is not None
                event = taken(came, self._runtime.text_of)
                if event is not None:
                    return event
        except BaseException:  # Ctrl-C is told as soon as the call is over: what it has brought waits for the next one
            if message.value is not None:
                self._left.append(message.value)
            raise

    def wake(self) -> None:
        """Ends one wait of `receive`, the present or else the next, with `Interrupted`."""
        c.obhut_port_wake(self._using())

    def __iter__(self) -> Iterator[Event]:
        while True:
            try:
                yield self.receive()
            except Closed:
                return
