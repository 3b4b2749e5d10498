"""A runtime: an application, from load to stop."""

from __future__ import annotations

import atexit
import ctypes
import os
import threading
import time
import warnings
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from . import _bindings as b
from . import _callbacks, _crash
from ._errors import Closed, Forked, NotFound, ObhutError, Timeout, checked, checked_status, taken_bytes, text_of
from ._library import c
from ._crash import Crash
from . import _info
from ._info import EntryInfo, HostInfo, ProcessInfo
from ._messages import Exit, Reply
from ._payload import Pid, encode
from ._supervisor import Supervisor
from ._time import Seconds, nanoseconds

if TYPE_CHECKING:
    from ._functions import Threads
    from ._port import Port
    from ._tasks import OwnLoop, Tasks

Body = TypeVar("Body", bound=Callable[..., Any])

Dest = Pid | str
"""Whom a message is for: a pid, the text of one, or a registered name."""

_LOG_FORMATS = {
    "text": b.OBHUT_LOG_FORMAT_TEXT,
    "color": b.OBHUT_LOG_FORMAT_COLORED,
    "json": b.OBHUT_LOG_FORMAT_JSON,
}

_EXPLAIN_FORMS = {
    "text": b.OBHUT_EXPLAIN_TEXT,
    "color": b.OBHUT_EXPLAIN_COLORED,
    "json": b.OBHUT_EXPLAIN_JSON,
}

_open: weakref.WeakSet[Runtime] = weakref.WeakSet()


@dataclass(frozen=True)
class Counters:
    """Figures of a runtime.

    Attributes:
        processes: alive now.
        spawned: since the start.
        ended: since the start.
        dead_letters: messages accepted for a process that ended before it read them.
        timers: armed now.
        dropped_lines: output and log lines that nobody took in time.
        zombies: threads of native processes that are over, whose code still runs, and those that a stop has left behind.
    """

    processes: int
    spawned: int
    ended: int
    dead_letters: int
    timers: int
    dropped_lines: int
    zombies: int


class Runtime:
    """Runs an application's processes. As a context manager it starts what was loaded, and stops at the end.

        with obhut.Runtime("hello") as runtime:
            print(runtime.call("hello:greeter", "World"))

    Any thread may use it. Durations are seconds.
    """

    def __init__(
        self,
        application: str | os.PathLike[str] | None = None,
        *,
        output: Callable[[str], object] | None = None,
        log: Callable[[int, str], object] | None = None,
        log_format: Literal["text", "color", "json"] = "text",
        read_input: Callable[[int], bytes] | None = None,
        arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        preemption_signal: int | None = None,
        seed: int | None = None,
        cloning: bool = True,
        allow_native: Iterable[str] = (),
        worker: str | os.PathLike[str] | None = None,
        crash: Callable[[str], object] | None = None,
    ) -> None:
        """Makes a runtime, and loads an application if one is given.

        Args:
            application: a folder to load, see `load`.
            output: called with each piece of text that processes print, on a thread of the library. Without it the last
                1,024 lines are kept for `read_output`.
            log: called with the level (0 debug, 1 info, 2 warning, 3 error) and text of each record of the log, on a
                thread of the library. Without it they are kept for `read_log`.
            log_format: how a record is written.
            read_input: what Lua's `io.read` reads: called with a number of bytes, gives at least 1 and at most so many;
                b"" at the end.
            arguments: what Lua's `io.args()` answers.
            environment: what Lua's `env` shows to the entries that allow it.
            preemption_signal: the signal that interrupts processes which compute; SIGURG by default, 0 for none.
            seed: of what is random; by default from the system.
            cloning: whether processes begin as copies of a prepared VM, which is faster.
            allow_native: the shared libraries that the application may use, beside those it allows itself: sonames, or
                absolute paths, with wildcards; a path that ends in "/" is all that lies below it.
            worker: the path of the program `obhut-worker`, in which native functions run that have an OS process of their
                own; `None` for the one beside the library.
            crash: called with each crash report, a line of JSON, on a thread of the library; `Crash.from_json` reads it.
                Whether or not, the last ones are kept for `crashes`.

        Raises:
            InvalidApplication: the application has faults.
            ObhutError: an argument is refused.
        """
        self._handle: int | None = None
        self._state: Literal["new", "loaded", "started", "stopped"] = "new"
        self._forked = False
        # What runs Python functions as processes; made when the first is defined.
        self._threads: Threads | None = None
        self._own_loop: OwnLoop | None = None
        self._loops: list[Tasks] = []
        self._defining = threading.Lock()
        config = c.obhut_config_new()
        if config is None:
            raise MemoryError
        try:
            if output is not None:
                checked_status(c.obhut_config_set_output_sink(
                    config, _callbacks.output, _callbacks.keep(output), _callbacks.finalizer))
            if log is not None:
                checked_status(c.obhut_config_set_log_sink(
                    config, _callbacks.log, _callbacks.keep(log), _callbacks.finalizer))
            if read_input is not None:
                checked_status(c.obhut_config_set_input_source(
                    config, _callbacks.read_input, _callbacks.keep(read_input), _callbacks.finalizer))
            if log_format not in _LOG_FORMATS:
                raise ValueError(f"log_format is one of {', '.join(_LOG_FORMATS)}, got {log_format!r}")
            checked_status(c.obhut_config_set_log_format(config, _LOG_FORMATS[log_format]))
            checked_status(c.obhut_config_set_arguments(config, _texts(arguments), len(arguments)))
            if environment is not None:
                pairs = [f"{name}={value}" for name, value in environment.items()]
                checked_status(c.obhut_config_set_environment(config, _texts(pairs)))
            if preemption_signal is not None:
                checked_status(c.obhut_config_set_preemption_signal(config, preemption_signal))
            if seed is not None:
                checked_status(c.obhut_config_set_seed(config, seed))
            checked_status(c.obhut_config_set_cloning(config, int(cloning)))
            if worker is not None:
                checked_status(c.obhut_config_set_worker(config, os.fsencode(worker)))
            for pattern in allow_native:
                checked(c.obhut_config_allow_native, config, pattern.encode())
            if crash is not None:
                checked_status(c.obhut_config_set_crash_sink(
                    config, _callbacks.output, _callbacks.keep(crash), _callbacks.finalizer))
            handle = ctypes.c_void_p()
            checked(c.obhut_runtime_create, config, ctypes.byref(handle))
            self._handle = handle.value
        finally:
            c.obhut_config_free(config)
        _open.add(self)
        if application is not None:
            try:
                self.load(application)
            except BaseException:
                self.close()
                raise

    # ------------------------------------------------------------------ life

    def load(self, folder: str | os.PathLike[str]) -> None:
        """Loads the application in a folder: every YAML file below it, and checks it as a whole. Once, before the start.

        Raises:
            InvalidApplication: the faults, a line each.
            WrongState: something is loaded already.
        """
        checked(c.obhut_runtime_load_folder, self._using(), os.fsencode(folder))
        self._state = "loaded"

    def load_text(self, yaml: str) -> None:
        """The same from one YAML text."""
        data = yaml.encode()
        checked(c.obhut_runtime_load_text, self._using(), data, len(data))
        self._state = "loaded"

    def start(self, *, hosts_only: bool = False) -> None:
        """Starts what says `auto_start: true`, or the process hosts and nothing else."""
        checked(c.obhut_runtime_start, self._using(), b.OBHUT_START_HOSTS if hosts_only else b.OBHUT_START_ALL)
        self._state = "started"

    def stop(self, timeout: Seconds | None = None) -> None:
        """Stops everything in order; what does not end by itself is ended by force. Ports are closed.

        Native code on a worker (a handler, a C function that Lua has called in its place) that has not returned 5 s after everything
        else has ended is left behind, with an error in the log.

        Args:
            timeout: bounds the polite part; None: what the application says; 0: by force at once.

        A KeyboardInterrupt meanwhile ends it by force, and is raised when that is done.
        """
        handle, limit = self._using(), nanoseconds(timeout)
        for tasks in self._loops:
            tasks.leave_if_blocked()
        # In a thread: the call waits in C, where no signal of Python is handled.
        thread = threading.Thread(target=c.obhut_runtime_stop, args=(handle, limit, None), name="obhut-stop")
        thread.start()
        try:
            while thread.is_alive():
                thread.join(0.2)  # see _port._SIGNALS
        except BaseException:
            c.obhut_runtime_stop(handle, 0, None)
            raise
        finally:
            self._state = "stopped"

    def close(self) -> None:
        """Stops, if it runs, and frees the runtime. A second call does nothing."""
        if self._handle is None:
            return
        try:
            if self._state == "started" and not self._forked:
                self.stop()
        except BaseException:
            # Interrupted, perhaps before it began.
            c.obhut_runtime_stop(self._handle, 0, None)
            raise
        finally:
            try:
                if not self._forked:
                    self._end_functions()
            finally:
                self._free()

    def _end_functions(self) -> None:
        """The functions of the program: their processes have ended."""
        if self._own_loop is not None:
            self._own_loop.close()
        for tasks in self._loops:
            tasks.close()
        if self._threads is not None:
            self._threads.close()

    def _free(self) -> None:
        handle, self._handle = self._handle, None
        _open.discard(self)
        # In a forked child its threads do not exist, and its memory goes with the process.
        if handle is not None and not self._forked:
            c.obhut_runtime_free(handle)

    def __enter__(self) -> Runtime:
        if self._state == "loaded":
            self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_handle", None) is not None:
            if not self._forked:
                warnings.warn(f"{self!r} was not closed", ResourceWarning, source=self, stacklevel=2)
            self._free()

    def __repr__(self) -> str:
        return f"<obhut.Runtime {'closed' if self._handle is None else self._state}>"

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._handle is None

    def _using(self) -> int:
        """The handle, if it may be used."""
        if self._forked:
            raise Forked("this runtime belongs to the parent of this process", 0)
        if self._handle is None:
            raise Closed("the runtime is closed", b.OBHUT_CLOSED)
        return self._handle

    # ------------------------------------------------------------- processes

    def spawn(self, entry: str, *arguments: Any, host: str | None = None) -> Pid:
        """Starts a process that nobody watches; `Port.spawn` starts one that is watched.

        Args:
            entry: "namespace:name".
            arguments: what its `main` gets.
            host: on which process host; None if there is only one.

        Raises:
            NotFound: there is no such entry or host.
            LimitReached: the host is full.
        """
        pid = ctypes.c_uint64()
        data = encode(arguments)
        checked(c.obhut_spawn, self._using(), entry.encode(), _optional(host), data, len(data), ctypes.byref(pid))
        return Pid(pid.value, self.text_of)

    def send(self, dest: Dest, topic: str, value: Any = None) -> None:
        """Sends a value from nobody: for answers, use `Port.send`.

        Raises:
            NotFound: `dest` has ended, or the name is nobody's.
            LimitReached: its mailbox is full, or the value too large.
            TypeError: the value cannot be sent.
        """
        data = encode(value)
        checked(c.obhut_send, self._using(), self._value_of(dest), topic.encode(), data, len(data))

    def request(self, dest: Dest, topic: str, value: Any = None, timeout: Seconds | None = 5.0) -> Any:
        """Sends a request and waits for the reply to it, as Lua's `process.request`.

        Args:
            dest: who is asked: a process, or a port that answers by `Message.reply`.
            topic: under which.
            value: what is asked.
            timeout: how long to wait; None: for ever.

        Raises:
            RequestFailed: the reply was an error.
            NotFound: `dest` has ended, before or without a reply.
            Timeout: there was none in time.
            Closed: the runtime was stopped.
        """
        limit = nanoseconds(timeout)
        deadline = None if limit < 0 else time.monotonic() + limit / 1e9
        with self.port() as port:
            number = port.start_request(dest, topic, value)
            while True:
                try:
                    event = port.receive(None if deadline is None else max(0.0, deadline - time.monotonic()))
                except Timeout:
                    raise Timeout(f"no reply to {topic!r} within {limit / 1e9:g} s", b.OBHUT_TIMEOUT) from None
                if isinstance(event, Reply) and event.request == number:
                    return event.result()

    def register(self, name: str, dest: Dest) -> None:
        """Gives a process or port a name, by which everybody reaches it as by its pid. It may have several; they are free
        before its end can be seen.

        Args:
            name: 1 to 255 bytes in UTF-8, not beginning with "{" or "@".
            dest: whose. To the same process once more is no error.

        Raises:
            WrongState: another process has the name.
            NotFound: it has ended.
        """
        checked(c.obhut_name_register, self._using(), name.encode(), self._value_of(dest))

    def unregister(self, name: str) -> None:
        """Takes a name from whoever has it.

        Raises:
            NotFound: nobody has.
        """
        checked(c.obhut_name_unregister, self._using(), name.encode())

    def whereis(self, name: str) -> Pid | None:
        """Who has a name; None: nobody. `resolve` raises instead."""
        try:
            return self.resolve(name)
        except NotFound:
            return None

    def cancel(self, dest: Dest, timeout: Seconds = 5.0) -> None:
        """Asks a process to end, and ends it by force if it has not within `timeout`."""
        checked(c.obhut_cancel, self._using(), self._value_of(dest), nanoseconds(timeout))

    def terminate(self, dest: Dest) -> None:
        """Ends a process now."""
        checked(c.obhut_terminate, self._using(), self._value_of(dest))

    def call(self, entry: str, *arguments: Any, host: str | None = None, timeout: Seconds | None = None) -> Any:
        """Runs a process to its end and gives what it returned.

        Raises:
            ProcessFailed: it ended abnormally.
            Timeout: it has not ended in time; it is then ended by force.
            NotFound: there is no such entry or host.
        """
        limit = nanoseconds(timeout)
        deadline = None if limit < 0 else time.monotonic() + limit / 1e9
        with self.port() as port:
            pid = port.spawn(entry, *arguments, host=host)
            try:
                while True:
                    event = port.receive(None if deadline is None else max(0.0, deadline - time.monotonic()))
                    if isinstance(event, Exit) and event.pid == pid:
                        return event.result()
            except Timeout:
                self._end_quietly(pid)
                raise Timeout(f"{entry} has not ended within {limit / 1e9:g} s", b.OBHUT_TIMEOUT) from None
            except KeyboardInterrupt:
                self._end_quietly(pid)
                raise

    def _end_quietly(self, pid: Pid) -> None:
        try:
            self.terminate(pid)
        except ObhutError:
            pass  # it has ended

    def resolve(self, dest: str) -> Pid:
        """The process that a registered name, or the text of a pid, stands for.

        Raises:
            NotFound: nobody.
        """
        pid = ctypes.c_uint64()
        checked(c.obhut_pid_resolve, self._using(), dest.encode(), ctypes.byref(pid))
        return Pid(pid.value, self.text_of)

    def text_of(self, pid: Pid | int) -> str:
        """The text of a pid, "{app:processes|0x00004}"; something like it once the runtime is closed."""
        value = pid.value if isinstance(pid, Pid) else pid
        buffer = ctypes.create_string_buffer(b.OBHUT_PID_TEXT_SIZE)
        if self._handle is None or self._forked or c.obhut_pid_text(self._handle, value, buffer, len(buffer), None):
            return f"{{pid 0x{value:x}}}"
        return text_of(buffer.value)

    @property
    def supervisor(self) -> Pid:
        """The process that supervises what started by itself; it fails when the application has failed.

        Raises:
            NotFound: nothing started by itself.
        """
        pid = ctypes.c_uint64()
        checked(c.obhut_runtime_supervisor, self._using(), ctypes.byref(pid))
        return Pid(pid.value, self.text_of)

    def supervisor_of(self, dest: Dest) -> Supervisor:
        """A process that runs a `supervisor` entry, to ask for its children and add others. Its pid is in `children` of the
        supervisor above it; those at the top are children of `Supervisor(runtime, runtime.supervisor)`."""
        return Supervisor(self, Pid(self._value_of(dest), self.text_of))

    def _value_of(self, dest: Dest) -> int:
        return dest.value if isinstance(dest, Pid) else self.resolve(dest).value

    def port(self) -> Port:
        """A new mailbox of this program, with a pid of its own."""
        from ._port import Port

        return Port(self)

    # ------------------------------------------- functions of this program

    def process(self, entry: str, *, limit: int | None = None) -> Callable[[Body], Body]:
        """Makes a Python function run the processes of an entry: Lua, supervisors and everybody else spawn, name, link,
        watch, cancel and restart them like any other.

            @runtime.process("app.images:resize")
            def resize(process, path, width):
                process.ready()
                ...
                return {"bytes": 4096}

        The function gets its `Process` and then what it was spawned with. It may be

        - a plain function: on a thread of its own; `process.receive()` waits;
        - a generator: the same, and `event = yield` receives (`yield 2.5`: None when nothing came in 2.5 seconds);
        - an `async` function: a task, with an `aio.AsyncProcess`; the tasks of a runtime share one event loop on a thread of
          its own. `aio.process` takes the loop that runs.

        What it returns is the result. An exception is an abnormal end, with its type and text as the error and its traceback
        in the log and the crash report; `ProcessError` gives an error as it is. To be cancelled is a `Cancel` event with a
        deadline. When the process is ended by force its next call raises `Terminated`, and a task is cancelled: others know
        already, and the runtime cannot stop what does not look. A runtime that is closed waits for its functions and
        interrupts what has not returned after a second.

        Args:
            entry: "namespace:name": a `process.external` of the application, which it has to be to be named in YAML, or one
                that is declared nowhere. What starts with the runtime has to be defined before `start`.
            limit: how many may run at once, those included that were ended by force and have not returned; more are
                refused, with an error. None: as many as `max_processes` of the host allows.

        Raises:
            InvalidArgument: `entry` is no id, or is declared as something else.
            TypeError: it is an async generator, or no function.
        """
        from . import _functions
        from ._tasks import OwnLoop

        def define(function: Body) -> Body:
            _functions.check_body(function, limit)
            self._using()
            with self._defining:
                if _functions.is_async(function):
                    if self._own_loop is None:
                        self._own_loop = OwnLoop(self)
                    self._own_loop.define(entry, function, limit)
                else:
                    if self._threads is None:
                        self._threads = _functions.Threads(self)
                    self._threads.define(entry, function, limit)
            return function

        return define

    # -------------------------------------------------------------- insights

    def processes(self) -> list[ProcessInfo]:
        """All that live, processes and ports."""
        return _info.processes(self)

    def info(self, dest: Dest) -> ProcessInfo:
        """One of them.

        Raises:
            NotFound: it has ended.
        """
        return _info.process(self, self._value_of(dest))

    def hosts(self) -> list[HostInfo]:
        """The process hosts."""
        return _info.hosts(self)

    def entries(self) -> list[EntryInfo]:
        """The entries of the application."""
        return _info.entries(self)

    def counters(self) -> Counters:
        """Figures of this moment."""
        counters = b.obhut_counters(struct_size=ctypes.sizeof(b.obhut_counters))
        checked(c.obhut_runtime_counters, self._using(), ctypes.byref(counters))
        return Counters(**{name: getattr(counters, name) for name in Counters.__dataclass_fields__})

    def read_output(self) -> str:
        """Takes what was printed and not read yet, of the last 1,024 lines, when there is no `output`."""
        return self._read(c.obhut_runtime_read_output)

    def read_log(self) -> str:
        """Takes what was logged and not read yet, of the last 1,024 lines, when there is no `log`."""
        return self._read(c.obhut_runtime_read_log)

    def crashes(self, after: int = 0) -> Iterator[Crash]:
        """The crash reports that are kept, the oldest first: one for each abnormal end.

        Args:
            after: only those with a higher number.
        """
        while True:
            handle = ctypes.c_void_p()
            try:
                checked(c.obhut_runtime_next_crash, self._using(), after, ctypes.byref(handle))
            except NotFound:
                return
            crash = _crash.taken(handle)
            after = crash.sequence
            yield crash

    def failure(self) -> str | None:
        """How the application has failed: the chain of causes; None if it has not."""
        try:
            return self._read(c.obhut_runtime_failure)
        except NotFound:
            return None

    def explain(self, form: Literal["text", "color", "json"] = "text") -> str:
        """What the application that is loaded means for starts, restarts and stops, from its configuration alone.

        Raises:
            WrongState: nothing is loaded.
        """
        if form not in _EXPLAIN_FORMS:
            raise ValueError(f"form is one of {', '.join(_EXPLAIN_FORMS)}, got {form!r}")
        text, length = ctypes.c_void_p(), ctypes.c_size_t()
        checked(c.obhut_runtime_explain, self._using(), _EXPLAIN_FORMS[form], ctypes.byref(text), ctypes.byref(length), None)
        return text_of(taken_bytes(text.value, length.value))

    def _read(self, function: Any) -> str:
        text, length = ctypes.c_void_p(), ctypes.c_size_t()
        checked(function, self._using(), ctypes.byref(text), ctypes.byref(length))
        return text_of(taken_bytes(text.value, length.value))


def _texts(texts: Sequence[str]) -> ctypes.Array[ctypes.c_char_p]:
    """A C array of texts, ended by NULL."""
    return (ctypes.c_char_p * (len(texts) + 1))(*(each.encode() for each in texts), None)


def _optional(text: str | None) -> bytes | None:
    return None if text is None else text.encode()


@atexit.register
def _stop_all() -> None:
    """Before the interpreter goes: no thread of a library may call Python after that."""
    for runtime in list(_open):
        if runtime._handle is not None and runtime._state == "started" and not runtime._forked:
            c.obhut_runtime_stop(runtime._handle, 0, None)


def _after_fork() -> None:
    for runtime in list(_open):
        runtime._forked = True


os.register_at_fork(after_in_child=_after_fork)
