"""Async functions as processes: tasks of one event loop."""

from __future__ import annotations

import asyncio
import threading
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

from ._async_port import AsyncPort
from ._errors import Closed, Terminated, checked
from ._functions import Body, Definition, check_body, interrupt, is_async
from ._library import c
from ._messages import Start
from ._port import Port
from ._process import Process, TrapLinks, refuse
from ._runtime import Runtime

_AHEAD = 64  # events that are read while nobody receives, to see the end behind them
_LOOK = 0.25  # seconds between two looks whether it has ended, when there were more
_GRACE = 1.0  # seconds that the tasks of a loop have when their runtime is closed, before it is interrupted
_LEAVING = 5.0  # and after that

_Body = TypeVar("_Body", bound=Body)


class AsyncProcess(AsyncPort):
    """The process that an async function runs as, its first argument: see `Runtime.process`.

    It is used as an `AsyncPort` is. It differs in this: the failure of a linked process ends it, unless `trap_links` says
    otherwise; it can be terminated, and it is at the deadline of a cancel. Then its task is cancelled, and every further call
    raises `Terminated`.
    """

    def __init__(self, process: Process) -> None:
        """See `Runtime.process`."""
        super().__init__(process.runtime, process)
        self._process = process
        self._task: asyncio.Task[None] | None = None
        self._look: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return repr(self._port).replace("obhut.Process", "obhut.aio.AsyncProcess")

    @property
    def entry(self) -> str:
        """The id of the entry that it runs."""
        return self._process.entry

    @property
    def should_stop(self) -> bool:
        """As `Process.should_stop`."""
        found = self._process.should_stop
        while self._process._kept:  # for `receive`, and for those who wait in it
            self._deliver(self._process._kept.popleft())
        self._serve()
        return found

    def ready(self) -> None:
        """As `Process.ready`."""
        self._process.ready()

    def trap_links(self, choice: TrapLinks = "failures") -> None:
        """As `Process.trap_links`."""
        self._process.trap_links(choice)

    def _wants(self) -> bool:
        """Always: whatever the task awaits, it is cancelled when the process ends. But not more than it will soon read."""
        if super()._wants() or len(self._kept) < _AHEAD:
            return True
        if self._look is None:
            self._look = self._loop.call_later(_LOOK, self._look_again)
        return False

    def _look_again(self) -> None:
        self._look = None
        if self._port.closed:
            return
        try:
            self._port._checked(c.obhut_port_unlink, 0)  # does nothing but tell whether it has ended
        except Terminated as error:
            self._lost(error)
        self._watch()

    def _watch(self) -> None:
        if self._task is None or self._task.done():
            return
        super()._watch()

    def _lost(self, error: BaseException) -> None:
        task, self._task = self._task, None
        if self._watched and not self._loop.is_closed():
            self._loop.remove_reader(self._port._fd)
        self._watched = False
        if isinstance(error, Terminated):
            if task is not None:
                task.cancel(str(error))
            # Others may wait, too.
            for future in self._left():
                future.cancel()
        else:
            super()._lost(error)

    def close(self) -> None:
        """Ends it normally. A function has no need to: it ends when that returns."""
        if self._look is not None:
            self._look.cancel()
        super().close()


class Tasks:
    """The async functions of a runtime that run on one event loop. Made on its thread."""

    def __init__(self, runtime: Runtime) -> None:
        self.loop = asyncio.get_running_loop()
        self._runtime = runtime
        self._thread = threading.get_ident()
        self._definitions: dict[str, Definition] = {}
        self._running: dict[asyncio.Task[None], AsyncProcess] = {}
        self._acceptor = AsyncPort(runtime)
        self._accepting = asyncio.ensure_future(self._accept())

    def define(self, entry: str, function: Body, limit: int | None) -> None:
        """From now on the processes of `entry` run `function`. Any thread may call it."""
        before = self._definitions.get(entry)
        self._definitions[entry] = Definition(function, limit)
        try:
            checked(c.obhut_runtime_define, self._runtime._using(), entry.encode(), self._acceptor._port._using())
        except BaseException:
            if before is None:
                del self._definitions[entry]
            else:
                self._definitions[entry] = before
            raise

    @property
    def closed(self) -> bool:
        """Whether it takes no more."""
        return self._acceptor.closed

    async def _accept(self) -> None:
        try:
            async for event in self._acceptor:
                if isinstance(event, Start):
                    self._begin(event)
        finally:
            # The loop ends, or the runtime has stopped; spawns are refused from now on.
            self._acceptor.close()

    def _begin(self, start: Start) -> None:
        definition = self._definitions[start.entry]
        refusal = definition.refusal(start.entry)
        if refusal is not None:
            refuse(self._runtime, start, refusal)
            return
        try:
            process = AsyncProcess(Process(self._runtime, start))
        except Closed:
            return  # ended meanwhile
        definition.running += 1
        task = self.loop.create_task(self._run(definition, process, start), name=f"obhut {start.entry}")
        self._running[task] = process
        process._task = task
        process._watch()
        task.add_done_callback(lambda task: self._ended(definition, task))

    async def _run(self, definition: Definition, process: AsyncProcess, start: Start) -> None:
        try:
            value = await definition.function(process, *start.arguments())
        except Terminated:
            pass  # everybody knows
        except BaseException as error:  # noqa: BLE001
            # Of a cancelled task: nothing but the end of the process, or of the loop, does that.
            process._process._fail(error)
            if isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
                raise  # of the program, not of the function
        else:
            process._process._end(value)

    def _ended(self, definition: Definition, task: asyncio.Task[None]) -> None:
        definition.running -= 1
        process = self._running.pop(task)
        if task.cancelled() and not process.closed:
            process._process._fail(asyncio.CancelledError())  # before it began
        process.close()

    def leave_if_blocked(self) -> None:
        """Before the thread of this loop waits for the end of its own processes: it would wait for ever."""
        if threading.get_ident() != self._thread or self.loop.is_closed():
            return
        self._acceptor.close()
        for process in list(self._running.values()):
            if not process.closed:
                self._runtime._end_quietly(process.pid)

    def close(self) -> None:
        """What is left sees that its port is closed, as soon as the loop goes on."""
        if not self.loop.is_closed():
            try:
                self.loop.call_soon_threadsafe(self._acceptor.close)
            except RuntimeError:
                pass  # closed meanwhile

    async def wait(self) -> None:
        """Until no task is left, on the loop's thread."""
        if asyncio.get_running_loop() is self.loop:
            self._acceptor.close()
            await asyncio.gather(self._accepting, *self._running, return_exceptions=True)


def define_on_running_loop(runtime: Runtime, entry: str, limit: int | None) -> Callable[[_Body], _Body]:
    """See `aio.process`."""

    def define(function: _Body) -> _Body:
        check_body(function, limit)
        if not is_async(function):
            raise TypeError(f"{function!r} is no async function: Runtime.process runs it on a thread")
        runtime._using()
        loop = asyncio.get_running_loop()
        with runtime._defining:
            runtime._loops = [tasks for tasks in runtime._loops if not tasks.loop.is_closed()]
            found = next((tasks for tasks in runtime._loops if tasks.loop is loop and not tasks.closed), None)
            if found is None:
                found = Tasks(runtime)
                runtime._loops.append(found)
            found.define(entry, function, limit)
        return function

    return define


class OwnLoop:
    """An event loop on a thread of its own, for the async functions of `Runtime.process`."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._tasks: Tasks | None = None
        self._failure: BaseException | None = None
        self._begun = threading.Event()
        self._thread = threading.Thread(target=self._run, name="obhut-loop", daemon=True)
        self._thread.start()
        self._begun.wait()
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except Terminated:
            pass  # of `close`
        except BaseException as error:  # noqa: BLE001
            if self._begun.is_set():
                raise
            self._failure = error
        finally:
            self._begun.set()

    async def _main(self) -> None:
        self._tasks = Tasks(self._runtime)
        self._begun.set()
        await self._tasks._accepting

    def define(self, entry: str, function: Body, limit: int | None) -> None:
        """See `Tasks.define`."""
        assert self._tasks is not None
        self._tasks.define(entry, function, limit)

    def close(self) -> None:
        """Cancels the tasks whose processes have ended, and waits for them; a loop that does not go on is interrupted."""
        if self._tasks is not None:
            self._tasks.close()
        if self._thread is threading.current_thread():
            return
        self._thread.join(_GRACE)
        if self._thread.is_alive() and self._thread.ident is not None:
            interrupt(self._thread.ident)
            self._thread.join(_LEAVING)
        if self._thread.is_alive():
            warnings.warn("async functions whose processes have ended have not returned", ResourceWarning, stacklevel=2)
