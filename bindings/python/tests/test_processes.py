"""Python functions as processes: to all others they are processes like any."""

from __future__ import annotations

import asyncio
import dis
import functools
import gc
import linecache
import sys
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterator
from types import FrameType
from typing import Any

import pytest

import obhut
from conftest import HOST, application
from obhut import _functions, _tasks, aio

PROGRAMS = {
    "spawns": """
        return { main = function(entry, ...)
            local pid, err = process.spawn_monitored(entry, "t:processes", ...)
            if not pid then return "refused: " .. tostring(err) end
            local e = process.events():receive()
            return e.result.error and "failed: " .. tostring(e.result.error) or { e.result.value }
        end }""",
    "asks": """
        return { main = function(entry, number)
            local pid = assert(process.with_context{}:with_name("python"):spawn(entry, "t:processes"))
            local answer, err = process.request("python", "double", number, "20s")
            process.cancel(pid, "20s")
            return answer or tostring(err)
        end }""",
    "links": """
        return { main = function(entry, ...)
            assert(process.spawn_linked(entry, "t:processes", ...))
            process.inbox():receive()
        end }""",
    "fails": 'return { main = function() error("on purpose", 0) end }',
    "waits": "return { main = function() process.inbox():receive() end }",
}

Define = Callable[[str, Callable[..., Any]], Any]


@pytest.fixture
def runtime() -> Iterator[obhut.Runtime]:
    before = set(threading.enumerate())
    with obhut.Runtime() as runtime:
        runtime.load_text(application(PROGRAMS))
        runtime.start()
        yield runtime
        runtime.close()
        assert set(threading.enumerate()) <= before, "threads are left"


@pytest.fixture
def port(runtime: obhut.Runtime) -> Iterator[obhut.Port]:
    with runtime.port() as port:
        yield port


def ended(port: obhut.Port, pid: obhut.Pid | None = None) -> obhut.Exit:
    event = port.receive(60)
    assert isinstance(event, obhut.Exit), event
    assert pid is None or event.pid == pid
    return event


# What doubles until it is cancelled, in the three forms.

def doubles(process: obhut.Process) -> str:
    for event in process:
        match event:
            case obhut.Message("double", number) if event.is_request:
                event.reply(number * 2)
            case obhut.Cancel():
                return "asked to end"
    return "unreachable"


def doubles_as_generator(process: obhut.Process) -> Generator[float | None, Any, str]:
    while True:
        event = yield None
        if isinstance(event, obhut.Message):
            event.reply(event.value * 2)
        elif isinstance(event, obhut.Cancel):
            return "asked to end"


async def doubles_in_a_task(process: aio.AsyncProcess) -> str:
    async for event in process:
        if isinstance(event, obhut.Message):
            event.reply(event.value * 2)
        elif isinstance(event, obhut.Cancel):
            return "asked to end"
    return "unreachable"


FORMS = [doubles, doubles_as_generator, doubles_in_a_task]


def returns(process: obhut.Process, *arguments: Any) -> Any:
    return list(arguments)


def returns_as_generator(process: obhut.Process, *arguments: Any) -> Generator[float | None, Any, Any]:
    assert (yield 0) is None
    return list(arguments)


async def returns_in_a_task(process: aio.AsyncProcess, *arguments: Any) -> Any:
    await asyncio.sleep(0)
    return list(arguments)


class Worker:
    def __call__(self, process: obhut.Process, *arguments: Any) -> Any:
        return list(arguments)


@pytest.mark.parametrize("function", [
    returns, returns_as_generator, returns_in_a_task, Worker(), functools.partial(returns),
    lambda process, *arguments: list(arguments)])
def test_lua_spawns_it_and_gets_the_value(runtime: obhut.Runtime, function: Callable[..., Any]) -> None:
    assert runtime.process("app.py:resize")(function) is function
    assert runtime.call("t:spawns", "app.py:resize", "a", 2) == [["a", 2]]
    assert runtime.call("app.py:resize") == []


@pytest.mark.parametrize("function", FORMS)
def test_it_is_named_asked_and_cancelled(runtime: obhut.Runtime, port: obhut.Port, function: Callable[..., Any]) -> None:
    runtime.process("app.py:doubles")(function)
    assert runtime.call("t:asks", "app.py:doubles", 21) == 42
    pid = port.spawn("app.py:doubles")
    assert runtime.request(pid, "double", 4) == 8
    info = runtime.info(pid)
    assert (info.entry, info.host) == ("app.py:doubles", "obhut:port")
    runtime.cancel(pid, 60)
    assert ended(port, pid).result() == "asked to end"


def test_a_cancel_has_its_deadline(runtime: obhut.Runtime, port: obhut.Port) -> None:
    @runtime.process("app.py:p")
    def _(process: obhut.Process) -> float:
        event = process.receive()
        assert isinstance(event, obhut.Cancel)
        return event.deadline

    before = time.monotonic()
    pid = port.spawn("app.py:p")
    runtime.cancel(pid, 100)
    assert before + 100 <= ended(port).result() <= time.monotonic() + 100


@pytest.mark.parametrize("is_async", [False, True])
def test_an_exception_is_an_abnormal_end(runtime: obhut.Runtime, port: obhut.Port, is_async: bool) -> None:
    def fails(process: obhut.Process, what: str) -> None:
        if what == "error object":
            raise obhut.ProcessError(obhut.ErrorValue("in use", "CONFLICT", retryable=True, details={"by": 3}))
        if what == "text":
            raise obhut.ProcessError("out of paper")
        if what == "exit":
            raise SystemExit(3)
        if what == "details":
            raise obhut.ProcessError(obhut.ErrorValue("x", details={1, 2}))
        raise ValueError(f"no such size\0: {what}")

    async def fails_in_a_task(process: Any, what: str) -> None:
        fails(process, what)

    runtime.process("app.py:fails")(fails_in_a_task if is_async else fails)
    expected = {
        "large": "ValueError: no such size\\0: large", "text": "out of paper", "exit": "SystemExit: 3",
    }
    for what, text in expected.items():
        port.spawn("app.py:fails", what)
        assert ended(port).text == text
        assert runtime.call("t:spawns", "app.py:fails", what) == f"failed: {text}"
    port.spawn("app.py:fails", "error object")
    assert ended(port).error == obhut.ErrorValue("in use", "CONFLICT", retryable=True, details={"by": 3})
    port.spawn("app.py:fails", "details")
    assert "cannot send a set" in (ended(port).text or "")
    # Its arguments do not fit: an error of the call.
    port.spawn("app.py:fails")
    assert "missing 1 required positional argument: 'what'" in (ended(port).text or "")
    # What it returns cannot be sent.
    runtime.process("app.py:returns")(lambda process: {1, 2})
    port.spawn("app.py:returns")
    assert "returned what cannot be sent: TypeError: cannot send a set" in (ended(port).text or "")


def test_nobody_dies_unseen(runtime: obhut.Runtime) -> None:
    @runtime.process("app.py:thread")
    def _(process: obhut.Process) -> None:
        raise ValueError("in a thread")

    @runtime.process("app.py:task")
    async def _(process: aio.AsyncProcess) -> None:
        raise ValueError("in a task")

    for entry, where in (("app.py:thread", "in a thread"), ("app.py:task", "in a task")):
        runtime.spawn(entry)
        log = ""
        while "Traceback" not in log or where not in log or 'raise ValueError("' not in log:
            log += runtime.read_log()
            time.sleep(0.001)
        assert entry in log
        assert "test_processes.py" in log
        assert "_functions.py" not in log and "_tasks.py" not in log, "frames of the package itself"
    assert [crash.error for crash in runtime.crashes()] == ["ValueError: in a thread", "ValueError: in a task"]


@pytest.mark.parametrize("function", FORMS)
def test_a_terminate_ends_what_waits(runtime: obhut.Runtime, port: obhut.Port, function: Callable[..., Any]) -> None:
    left = threading.Event()

    @functools.wraps(function)
    def watched(process: Any) -> Any:
        try:
            if function is doubles_as_generator:
                yield from function(process)
            else:
                function(process)
        finally:
            left.set()

    async def watched_task(process: aio.AsyncProcess) -> None:
        try:
            await function(process)
        finally:
            left.set()

    def plain(process: obhut.Process) -> None:
        try:
            function(process)
        finally:
            left.set()

    runtime.process("app.py:p")(
        watched_task if function is doubles_in_a_task else watched if function is doubles_as_generator else plain)
    pid = port.spawn("app.py:p")
    assert runtime.request(pid, "double", 1) == 2
    runtime.terminate(pid)
    assert ended(port).text == "terminated"
    assert left.wait(60)


def test_a_task_is_cancelled_whatever_it_awaits(runtime: obhut.Runtime, port: obhut.Port) -> None:
    seen: list[str] = []
    left = threading.Event()

    @runtime.process("app.py:sleeps")
    async def _(process: aio.AsyncProcess, unread: int) -> None:
        try:
            process.send(port.pid, "sleeping")
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            try:
                process.send(port.pid, "never")
            except obhut.Terminated as error:
                seen.append(str(error))
            raise
        finally:
            left.set()

    for unread in (0, 1000):  # more than is read ahead
        left.clear()
        pid = port.spawn("app.py:sleeps", unread)
        assert isinstance(port.receive(60), obhut.Message)
        for number in range(unread):
            runtime.send(pid, "n", number)
        runtime.terminate(pid)
        assert ended(port).text == "terminated"
        assert left.wait(60)
    assert len(seen) == 2


def test_what_handles_errors_does_not_outlive_a_terminate(runtime: obhut.Runtime, port: obhut.Port) -> None:
    left = threading.Event()

    @runtime.process("app.py:stubborn")
    def _(process: obhut.Process) -> None:
        process.send(port.pid, "begun")
        try:
            while True:
                try:
                    process.receive()
                except Exception:  # noqa: BLE001, S110
                    pass
        finally:
            left.set()

    @runtime.process("app.py:generator")
    def _(process: obhut.Process) -> Generator[None, Any, None]:
        process.send(port.pid, "begun")
        try:
            try:
                yield
            except BaseException:  # noqa: BLE001, S110
                pass
            yield
        finally:
            left.set()

    for entry in ("app.py:stubborn", "app.py:generator"):
        left.clear()
        pid = port.spawn(entry)
        assert isinstance(port.receive(60), obhut.Message)
        runtime.terminate(pid)
        assert ended(port).failed
        assert left.wait(60)


def test_should_stop(runtime: obhut.Runtime, port: obhut.Port) -> None:
    @runtime.process("app.py:computes")
    def _(process: obhut.Process) -> list[str]:
        process.send(port.pid, "computing")
        while not process.should_stop:
            pass
        assert process.should_stop
        return [type(event).__name__ for event in (process.receive(0), process.receive(0))]

    @runtime.process("app.py:task")
    async def _(process: aio.AsyncProcess) -> list[str]:
        process.send(port.pid, "computing")
        while not process.should_stop:
            await asyncio.sleep(0)
        return [type(event).__name__ for event in (await process.receive(0.01), await process.receive(0.01))]

    for entry in ("app.py:computes", "app.py:task"):
        pid = port.spawn(entry)
        assert isinstance(port.receive(60), obhut.Message)
        runtime.send(pid, "message")
        runtime.cancel(pid, 60)
        assert ended(port).result() == ["Message", "Cancel"]
        pid = port.spawn(entry)
        assert isinstance(port.receive(60), obhut.Message)
        runtime.terminate(pid)
        assert ended(port).text == "terminated"


@pytest.mark.parametrize("is_async", [False, True])
def test_links(runtime: obhut.Runtime, port: obhut.Port, is_async: bool) -> None:
    def begin(process: Any, traps: str, child: str) -> None:
        if traps:
            process.trap_links(traps)
        process.spawn(child, monitored=False, linked=True)

    def plain(process: obhut.Process, traps: str, child: str) -> Any:
        begin(process, traps, child)
        event = process.receive()
        return [type(event).__name__, getattr(event, "text", "")]

    async def task(process: aio.AsyncProcess, traps: str, child: str) -> Any:
        begin(process, traps, child)
        event = await process.receive()
        return [type(event).__name__, getattr(event, "text", "")]

    runtime.process("app.py:p")(task if is_async else plain)
    runtime.process("app.py:ok")(lambda process: None)
    pid = port.spawn("app.py:p", "", "t:fails")
    end = ended(port)
    assert (end.pid, end.hops, "on purpose" in (end.text or "")) == (pid, 1, True)
    port.spawn("app.py:p", "failures", "t:fails")
    assert ended(port).result() == ["LinkDown", "on purpose"]
    port.spawn("app.py:p", "all", "app.py:ok")
    assert ended(port).result() == ["LinkDown", None]
    port.spawn("app.py:p", "sometimes", "t:waits")
    assert "choice is one of no, failures, all" in (ended(port).text or "")
    # And it takes others along.
    port.spawn("t:links", "app.py:p", "nonsense", "t:waits")
    assert "choice is one of" in (ended(port).text or "")


@pytest.mark.parametrize("is_async", [False, True])
def test_requests_of_a_process(runtime: obhut.Runtime, port: obhut.Port, is_async: bool) -> None:
    def plain(process: obhut.Process) -> Any:
        found: list[Any] = [process.request("python", "double", 4)]
        for dest, timeout in ((port.pid, 0.01), ("nobody", 1.0)):
            try:
                process.request(dest, "ignored", timeout=timeout)
            except obhut.ObhutError as error:
                found.append(type(error).__name__)
        try:
            process.request(port.pid, "refused")
        except obhut.RequestFailed as error:
            found.append(str(error))
        # What came meanwhile, in order; and nothing of the request that was given up.
        return found + [event.value for event in (process.receive(0), process.receive(0)) if isinstance(event, obhut.Message)]

    async def task(process: aio.AsyncProcess) -> Any:
        first, second = await asyncio.gather(process.request("python", "double", 2), process.request("python", "double", 2))
        found: list[Any] = [first + second]
        for dest, timeout in ((port.pid, 0.01), ("nobody", 1.0)):
            try:
                await process.request(dest, "ignored", timeout=timeout)
            except obhut.ObhutError as error:
                found.append(type(error).__name__)
        try:
            await process.request(port.pid, "refused")
        except obhut.RequestFailed as error:
            found.append(str(error))
        return found + [event.value for event in (await process.receive(1), await process.receive(1))
                        if isinstance(event, obhut.Message)]

    runtime.process("app.py:doubles")(doubles)
    runtime.register("python", runtime.spawn("app.py:doubles"))
    runtime.process("app.py:asks")(task if is_async else plain)
    pid = port.spawn("app.py:asks")
    ignored = port.receive(60)
    assert isinstance(ignored, obhut.Message)
    assert ignored.sender == pid
    refused = port.receive(60)
    assert isinstance(refused, obhut.Message)
    runtime.send(pid, "first", "first")
    ignored.reply("late")
    runtime.send(pid, "second", "second")
    refused.reply_error("no")
    assert ended(port).result() == [8, "Timeout", "NotFound", "no", "first", "second"]


def test_many_at_once(runtime: obhut.Runtime, port: obhut.Port) -> None:
    runtime.process("app.py:threads")(doubles)
    runtime.process("app.py:tasks")(doubles_in_a_task)
    pids = [port.spawn("app.py:threads") for _ in range(50)] + [port.spawn("app.py:tasks") for _ in range(500)]
    numbers = {port.start_request(pid, "double", n): n for n, pid in enumerate(pids)}
    for _ in pids:
        reply = port.receive(60)
        assert isinstance(reply, obhut.Reply)
        assert reply.result() == 2 * numbers[reply.request]
    for pid in pids:
        runtime.cancel(pid, 60)
    assert {ended(port).result() for _ in pids} == {"asked to end"}


def test_a_limit_counts_what_has_not_returned(runtime: obhut.Runtime, port: obhut.Port) -> None:
    release = threading.Event()

    @runtime.process("app.py:few", limit=2)
    def _(process: obhut.Process) -> None:
        process.ready()
        release.wait()

    @runtime.process("app.py:tasks", limit=1)
    async def _(process: aio.AsyncProcess) -> None:
        await process.receive()

    first, second = port.spawn("app.py:few"), port.spawn("app.py:few")
    third = port.spawn("app.py:few")
    assert ended(port, third).text == "not accepted: app.py:few runs 2 times already, its limit"
    runtime.terminate(first)
    assert ended(port, first).text == "terminated"
    fourth = port.spawn("app.py:few")
    assert "its limit" in (ended(port, fourth).text or "")
    release.set()
    assert not ended(port, second).failed
    one = port.spawn("app.py:tasks")
    two = port.spawn("app.py:tasks")
    assert "its limit" in (ended(port, two).text or "")
    runtime.send(one, "go")
    assert not ended(port, one).failed


def test_what_cannot_be_a_process_says_why(runtime: obhut.Runtime) -> None:
    async def generator(process: Any) -> Any:
        yield 1

    with pytest.raises(TypeError, match="async generator"):
        runtime.process("app.py:p")(generator)
    with pytest.raises(TypeError, match="is a function"):
        runtime.process("app.py:p")(3)  # type: ignore[type-var]
    with pytest.raises(ValueError, match="limit"):
        runtime.process("app.py:p", limit=0)(doubles)
    for bad in ("", "x", "a:b:c", "a b:c", ":x"):
        for function in (doubles, doubles_in_a_task):
            with pytest.raises(obhut.InvalidArgument, match="must be an id"):
                runtime.process(bad)(function)
    with pytest.raises(obhut.InvalidArgument, match="process.lua"):
        runtime.process("t:waits")(doubles)
    with pytest.raises(obhut.NotFound):
        runtime.spawn("app.py:p")


def test_another_function_takes_the_place(runtime: obhut.Runtime) -> None:
    functions: list[tuple[Callable[..., Any], Any]] = [
        (lambda process: "first", "first"), (lambda process: "second", "second"), (returns_in_a_task, []),
        (lambda process: "last", "last")]
    for function, expected in functions:
        runtime.process("app.py:p")(function)
        assert runtime.call("app.py:p") == expected


def test_a_generator_that_yields_nonsense_is_told(runtime: obhut.Runtime, port: obhut.Port) -> None:
    @runtime.process("app.py:p")
    def _(process: obhut.Process) -> Generator[Any, Any, str]:
        try:
            yield "five"
        except TypeError as error:
            return str(error)
        return "nothing"

    assert "yielded 'five'" in runtime.call("app.py:p")
    assert runtime.call("app.py:p") is not None


SUPERVISED = """
  - { name: worker, kind: process.external }
  - name: top
    kind: supervisor
    lifecycle: { auto_start: true }
    children:
      - { process: worker, input: ["first"], ready: call, restart: { type: permanent, initial_delay: 1ms } }
      - { process: after, restart: permanent }
  - name: after
    kind: process.lua
    source: |
      return { main = function() print("after") process.events():receive() end }
"""


@pytest.mark.parametrize("is_async", [False, True])
def test_a_supervisor_starts_restarts_and_stops_it(is_async: bool) -> None:
    seen: list[str] = []
    restarted = threading.Event()

    def step(process: Any, event: obhut.Event) -> bool:
        if isinstance(event, obhut.Message):
            raise ValueError(event.value)
        return isinstance(event, obhut.Cancel)

    def begin(process: Any, what: str) -> None:
        seen.append(what)
        process.register("worker") if len(seen) == 1 else process.register("worker 2")
        process.ready()
        if len(seen) == 2:
            restarted.set()

    def plain(process: obhut.Process, what: str) -> None:
        begin(process, what)
        while not step(process, process.receive()):
            pass
        seen.append("cancelled")

    async def task(process: aio.AsyncProcess, what: str) -> None:
        begin(process, what)
        while not step(process, await process.receive()):
            pass
        seen.append("cancelled")

    with obhut.Runtime() as runtime:
        runtime.process("t:worker")(task if is_async else plain)
        runtime.load_text(HOST + SUPERVISED)
        runtime.start()
        while runtime.whereis("worker") is None:
            time.sleep(0.001)
        printed = ""
        while printed != "after\n":
            printed += runtime.read_output()
            time.sleep(0.001)
        runtime.send("worker", "fail", "again")
        assert restarted.wait(60)
        runtime.stop()
        assert seen == ["first", "first", "cancelled"]
        assert "again" in runtime.read_log()


def test_closing_ends_what_waits_and_what_computes() -> None:
    before = set(threading.enumerate())
    begun = threading.Semaphore(0)
    left: list[str] = []
    with obhut.Runtime() as runtime:
        runtime.load_text(application(PROGRAMS))
        runtime.start()

        @runtime.process("app.py:waits")
        def _(process: obhut.Process) -> None:
            begun.release()
            try:
                while True:
                    process.receive()
            finally:
                left.append("waits")

        @runtime.process("app.py:computes")
        def _(process: obhut.Process) -> None:
            begun.release()
            try:
                while True:
                    pass
            finally:
                left.append("computes")

        @runtime.process("app.py:sleeps")
        async def _(process: aio.AsyncProcess) -> None:
            begun.release()
            try:
                await asyncio.Event().wait()
            finally:
                left.append("sleeps")

        for entry in ("app.py:waits", "app.py:computes", "app.py:sleeps"):
            runtime.spawn(entry)
            assert begun.acquire(timeout=60)
        runtime.stop(0)
    assert sorted(left) == ["computes", "sleeps", "waits"]
    assert set(threading.enumerate()) <= before


def test_a_loop_that_computes_is_interrupted() -> None:
    before = set(threading.enumerate())
    begun = threading.Event()
    runtime = obhut.Runtime()
    runtime.start()

    @runtime.process("app.py:computes")
    async def _(process: aio.AsyncProcess) -> None:
        begun.set()
        while True:
            pass

    runtime.spawn("app.py:computes")
    assert begun.wait(60)
    runtime.stop(0)
    runtime.close()
    assert set(threading.enumerate()) <= before


def test_what_cannot_be_interrupted_is_left_with_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_functions, "_GRACE", 0.01)
    monkeypatch.setattr(_functions, "_LEAVING", 0.01)
    begun, release = threading.Event(), threading.Event()
    runtime = obhut.Runtime()
    runtime.start()

    @runtime.process("app.py:stuck")
    def _(process: obhut.Process) -> None:
        begun.set()
        release.wait()

    runtime.spawn("app.py:stuck")
    assert begun.wait(60)
    runtime.stop(0)
    with pytest.warns(ResourceWarning, match="app.py:stuck"):
        runtime.close()
    release.set()
    for thread in threading.enumerate():
        if thread.name == "obhut app.py:stuck":
            thread.join(60)


def interrupted_at(line: int, call: Callable[[], object]) -> bool:
    """Raises KeyboardInterrupt at the n-th line of this package, or of an `__exit__`, that a call comes to in this thread.
    False: it came to fewer.

    Not counted are lines where no handler of a signal runs, and what is raised would pass by a lock that is held: the end of
    a `with`, whose next instruction that looks for signals comes after the lock, in C, is given back; and the instruction that
    does nothing.
    """
    left = line

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        code = frame.f_code
        if code.co_name != "__exit__" and ("/obhut/" not in code.co_filename or code.co_name == "__del__"):
            return None
        inside: set[int] = set()  # lines of `with` that were begun and not ended

        def at_line(frame: FrameType, event: str, argument: Any) -> Any:
            nonlocal left
            if event != "line" or frame.f_code.co_code[frame.f_lasti] == dis.opmap["NOP"]:
                return at_line
            if linecache.getline(frame.f_code.co_filename, frame.f_lineno).lstrip().startswith("with "):
                inside.symmetric_difference_update({frame.f_lineno})
                if frame.f_lineno not in inside:
                    return at_line
            left -= 1
            if left == 0:
                sys.settrace(None)
                raise KeyboardInterrupt
            return at_line

        return at_line

    sys.settrace(trace)
    try:
        call()
    except KeyboardInterrupt:
        pass
    finally:
        sys.settrace(None)
    return left <= 0


@pytest.mark.parametrize("late", [False, True])
def test_an_interrupt_at_any_line_of_the_end_leaves_nothing(monkeypatch: pytest.MonkeyPatch, late: bool) -> None:
    if late:  # the other threads see what the closing one has done only after its interrupt
        take = obhut.Port._take

        def take_late(port: obhut.Port, wait: int = 0) -> obhut.Event | None:
            if threading.current_thread() is not threading.main_thread():
                time.sleep(0.02)
            return take(port, wait)

        monkeypatch.setattr(obhut.Port, "_take", take_late)
    monkeypatch.setattr(_functions, "_GRACE", 0.05)
    monkeypatch.setattr(_tasks, "_GRACE", 0.05)
    before = set(threading.enumerate())
    line, reached = 0, True
    while reached:
        line += 1
        runtime = obhut.Runtime()
        runtime.process("app.py:thread")(doubles)
        runtime.process("app.py:task")(doubles_in_a_task)
        runtime.start()
        for entry in ("app.py:thread", "app.py:task"):
            assert runtime.request(runtime.spawn(entry), "double", 1) == 2
        reached = interrupted_at(line, runtime.close)
        runtime.close()
        assert runtime.closed
        for thread in set(threading.enumerate()) - before:
            thread.join(60)
        assert set(threading.enumerate()) <= before
    assert line > 50


def test_an_interrupt_at_any_line_of_a_request_leaves_nothing(runtime: obhut.Runtime) -> None:
    runtime.process("app.py:doubles")(doubles)
    pid = runtime.spawn("app.py:doubles")
    line, reached = 0, True
    while reached:
        line += 1
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # a port that nobody was given yet
            reached = interrupted_at(line, lambda: runtime.request(pid, "double", 2))
            gc.collect()
    assert line > 50
    assert runtime.request(pid, "double", 3) == 6
    assert [each.entry for each in runtime.processes() if each.entry] == ["app.py:doubles"]


def test_closing_before_the_start() -> None:
    before = set(threading.enumerate())
    runtime = obhut.Runtime()
    runtime.process("app.py:a")(doubles)
    runtime.process("app.py:b")(doubles_in_a_task)
    runtime.close()
    assert set(threading.enumerate()) <= before
    with pytest.raises(obhut.Closed):
        runtime.process("app.py:a")(doubles)
    with pytest.raises(obhut.Closed):
        runtime.process("app.py:b")(doubles_in_a_task)


def test_a_process_closes_its_own_runtime() -> None:
    done = threading.Event()
    runtime = obhut.Runtime()
    runtime.start()

    @runtime.process("app.py:closes")
    def _(process: obhut.Process) -> None:
        runtime.stop(0)
        runtime.close()
        done.set()

    runtime.spawn("app.py:closes")
    assert done.wait(60)


def test_a_process_that_is_kept_says_that_it_has_ended(runtime: obhut.Runtime) -> None:
    kept: list[obhut.Process] = []
    runtime.process("app.py:p")(kept.append)
    runtime.call("app.py:p")
    while not kept[0].closed:
        time.sleep(0.001)
    for use in (lambda: kept[0].send("x", "y"), lambda: kept[0].receive(0), lambda: kept[0].should_stop, kept[0].ready):
        with pytest.raises(obhut.Closed):
            use()


# ------------------------------------------------------------ on the loop that runs


def test_tasks_of_the_running_loop() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        runtime = obhut.Runtime()
        runtime.load_text(application(PROGRAMS))
        runtime.start()

        @aio.process(runtime, "app.py:here")
        async def here(process: aio.AsyncProcess, number: int) -> int:
            assert asyncio.get_running_loop() is loop
            await asyncio.sleep(0)
            return number + 1

        aio.process(runtime, "app.py:doubles")(doubles_in_a_task)
        assert await aio.call(runtime, "app.py:here", 1) == 2
        assert await aio.call(runtime, "t:asks", "app.py:doubles", 21) == 42
        pid = runtime.spawn("app.py:doubles")
        assert await asyncio.gather(*(aio.request(runtime, pid, "double", n) for n in range(100))) == list(range(0, 200, 2))
        with pytest.raises(TypeError, match="no async function"):
            aio.process(runtime, "app.py:no")(doubles)
        await aio.close(runtime)
        assert runtime.closed
        assert len(asyncio.all_tasks()) == 1, "nothing but this one"

    asyncio.run(main())


def test_a_loop_that_ends_fails_its_processes(runtime: obhut.Runtime, port: obhut.Port) -> None:
    async def main() -> obhut.Pid:
        aio.process(runtime, "app.py:doubles")(doubles_in_a_task)
        pid = port.spawn("app.py:doubles")
        await aio.request(runtime, pid, "double", 1)
        return pid

    pid = asyncio.run(main())
    assert ended(port, pid).text == "its task was cancelled"
    with pytest.raises(obhut.WrongState, match="has ended"):
        port.spawn("app.py:doubles")
    # Another loop may take its place.
    pid = asyncio.run(main())
    assert ended(port, pid).failed


def test_stopping_on_the_loops_own_thread_ends_its_processes_first() -> None:
    async def main() -> None:
        with obhut.Runtime() as runtime:
            runtime.load_text(application(PROGRAMS))
            runtime.start()
            aio.process(runtime, "app.py:doubles")(doubles_in_a_task)
            pid = runtime.spawn("app.py:doubles")
            await aio.request(runtime, pid, "double", 1)
            with runtime.port() as port:
                port.monitor(pid)
                runtime._loops[0].leave_if_blocked()
                assert ended(port).text == "terminated"

    asyncio.run(main())


def test_a_runtime_with_functions_that_is_forgotten_does_not_keep_the_program() -> None:
    from test_runtime import run_python

    assert run_python("""
        import asyncio, time, obhut
        runtime = obhut.Runtime()
        runtime.start()
        @runtime.process("a:thread")
        def thread(process): process.receive()
        @runtime.process("a:deaf")
        def deaf(process): time.sleep(3600)
        @runtime.process("a:task")
        async def task(process): await asyncio.sleep(3600)
        for entry in ("a:thread", "a:deaf", "a:task"): runtime.spawn(entry)
        print("end", flush=True)
    """) == "end\n"


def test_collections_between(runtime: obhut.Runtime) -> None:
    runtime.process("app.py:p")(returns)
    runtime.process("app.py:q")(returns_in_a_task)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for number in range(200):
            assert runtime.call("app.py:p" if number % 2 else "app.py:q", number) == [number]
            if number % 50 == 0:
                gc.collect()
