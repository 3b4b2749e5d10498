"""Plain functions and generators as processes, each on a thread of its own.

The law here: *the library calls no Python.* A spawn sends START to a port of this package; the thread that receives it starts
one for the process. So nothing of Python runs on a thread of the library, and whatever is left when the runtime is closed is
known here.
"""

from __future__ import annotations

import ctypes
import inspect
import threading
import time
import warnings
from collections.abc import Callable, Generator
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

from ._errors import Closed, Terminated, Timeout, checked
from ._library import c
from ._messages import Event, Start
from ._port import Port
from ._process import Process, refuse

if TYPE_CHECKING:
    from ._runtime import Runtime

Body = Callable[..., Any]

_GRACE = 1.0  # seconds that functions have to return when their runtime is closed, before they are interrupted
_LEAVING = 5.0  # and after that


@dataclass
class Definition:
    """What runs the processes of an entry, and how many it runs, counted until the function returns."""

    function: Body
    limit: int | None
    running: int = 0

    def refusal(self, entry: str) -> str | None:
        """Why no further process can run now."""
        if self.limit is None or self.running < self.limit:
            return None
        return f"not accepted: {entry} runs {self.running} times already, its limit"


def is_async(function: Body) -> bool:
    """Whether a call gives what is awaited."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None))


def check_body(function: Body, limit: int | None) -> None:
    """Raises TypeError or ValueError for what cannot be a process."""
    if not callable(function):
        raise TypeError(f"a process is a function, not {function!r}")
    if inspect.isasyncgenfunction(function):
        raise TypeError("an async generator cannot be a process: use an async function that receives")
    if limit is not None and limit < 1:
        raise ValueError(f"limit is None or at least 1, got {limit!r}")


class Threads:
    """The functions of a runtime that run on threads."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._definitions: dict[str, Definition] = {}
        self._lock = threading.Lock()
        self._running: dict[threading.Thread, Process] = {}  # whose function has not returned; guarded by _lock
        self._port = Port(runtime)
        self._acceptor = threading.Thread(target=self._accept, name="obhut-acceptor", daemon=True)
        try:
            self._acceptor.start()
        except BaseException:
            self._port.close()
            raise

    def define(self, entry: str, function: Body, limit: int | None) -> None:
        """From now on the processes of `entry` run `function`."""
        before = self._definitions.get(entry)
        self._definitions[entry] = Definition(function, limit)
        try:
            checked(c.obhut_runtime_define, self._runtime._using(), entry.encode(), self._port._using())
        except BaseException:
            if before is None:
                del self._definitions[entry]
            else:
                self._definitions[entry] = before
            raise

    def _accept(self) -> None:
        try:
            for event in self._port:
                if isinstance(event, Start):
                    self._begin(event)
        finally:
            self._port.close()  # spawns are refused from now on

    def _begin(self, start: Start) -> None:
        definition = self._definitions[start.entry]
        with self._lock:
            refusal = definition.refusal(start.entry)
            if refusal is None:
                definition.running += 1
        if refusal is not None:
            refuse(self._runtime, start, refusal)
            return
        process: Process | None = None
        try:
            process = Process(self._runtime, start)
            thread = threading.Thread(target=self._run, args=(definition, process, start), daemon=True,
                                      name=f"obhut {start.entry}")
            with self._lock:
                self._running[thread] = process
            thread.start()
        except Closed:
            self._leave(definition, None)  # ended meanwhile
        except Exception as error:  # noqa: BLE001
            if process is not None:  # no thread is left
                process._fail(error, f"not accepted: {start.entry} cannot run")
                process.close()
                self._leave(definition, thread)
            else:
                self._leave(definition, None)

    def _leave(self, definition: Definition, thread: threading.Thread | None) -> None:
        with self._lock:
            if thread is None or self._running.pop(thread, None) is not None:
                definition.running -= 1

    def _run(self, definition: Definition, process: Process, start: Start) -> None:
        try:
            try:
                value = definition.function(process, *start.arguments())
                if inspect.isgenerator(value):
                    value = driven(process, value)
            except Terminated:
                pass  # everybody knows
            except BaseException as error:  # noqa: BLE001
                process._fail(error)
            else:
                process._end(value)
        except Terminated:
            pass  # of `close`, between the function's end and here
        for _ in range(2):  # or here; it comes once
            try:
                process.close()
                self._leave(definition, threading.current_thread())
                break
            except Terminated:
                pass

    def close(self) -> None:
        """Waits for the functions, whose processes have all ended, and interrupts those that go on. What cannot be
        interrupted, because it waits in C, is left behind with a warning."""
        self._port.close()
        me = threading.current_thread()
        if self._acceptor is not me:
            self._acceptor.join(_LEAVING)
        for seconds, interrupt in ((_GRACE, True), (_LEAVING, False)):
            deadline = time.monotonic() + seconds
            for thread in self._left(me):
                thread.join(max(0.0, deadline - time.monotonic()))
            if interrupt:
                self._interrupt(me)
        left = self._left(me)
        if left:
            names = ", ".join(sorted({self._running[thread].entry for thread in left if thread in self._running}))
            warnings.warn(f"functions whose processes have ended have not returned: {names}", ResourceWarning, stacklevel=2)

    def _left(self, me: threading.Thread) -> list[threading.Thread]:
        with self._lock:
            return [thread for thread in self._running if thread is not me]

    def _interrupt(self, me: threading.Thread) -> None:
        with self._lock:
            for thread in self._running:
                if thread is not me and thread.ident is not None:
                    interrupt(thread.ident)


def interrupt(ident: int) -> None:
    """Raises `Terminated` in a thread, between two instructions of Python."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), ctypes.py_object(Terminated))


def driven(process: Process, generator: Generator[Any, Any, Any]) -> Any:
    """Runs a generator: `event = yield` receives, `event = yield seconds` too, and gives None when nothing came in time."""
    send: Callable[[], Any] = lambda: next(generator)
    try:
        while True:
            wanted = send()
            try:
                event = _received(process, wanted)
            except Terminated as error:
                generator.throw(error)
                return None  # it has caught that, and has nothing more to say
            except Exception as error:  # noqa: BLE001
                thrown = error
                send = lambda: generator.throw(thrown)  # noqa: B023
            else:
                given = event
                send = lambda: generator.send(given)  # noqa: B023
    except StopIteration as end:
        return end.value
    finally:
        try:
            generator.close()
        except RuntimeError:
            pass  # it yields where it should end


def _received(process: Process, wanted: Any) -> Event | None:
    if wanted is not None and (isinstance(wanted, bool) or not isinstance(wanted, (int, float, timedelta))):
        raise TypeError(f"{process.entry} yielded {wanted!r}: `yield` receives, and takes a timeout in seconds or nothing")
    try:
        return process.receive(cast("float | None", wanted))
    except Timeout:
        return None
