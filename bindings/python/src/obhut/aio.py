"""Ports in asyncio.

    async with aio.port(runtime) as port:
        port.spawn("app:worker")
        async for event in port:
            ...
"""

from __future__ import annotations

import asyncio
from collections import deque
from types import TracebackType
from typing import Any

from ._errors import Closed, Interrupted, Timeout
from ._messages import Event, Exit
from ._payload import Pid
from ._port import Port
from ._runtime import Dest, Runtime
from ._time import Seconds, nanoseconds

__all__ = ["AsyncPort", "call", "port"]


class AsyncPort:
    """A port whose `receive` is awaited. It belongs to the event loop that runs when it is made, and to its thread."""

    def __init__(self, runtime: Runtime) -> None:
        """See `port`."""
        self._loop = asyncio.get_running_loop()
        self._port = Port(runtime)
        self._waiting: deque[asyncio.Future[Event]] = deque()
        # Taken for a task that was cancelled before it could have them: still the next.
        self._returned: deque[Event] = deque()
        self._watched = False

    @property
    def pid(self) -> Pid:
        """Its pid, which others send to."""
        return self._port.pid

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._port.closed

    def spawn(self, entry: str, *arguments: Any, host: str | None = None, monitored: bool = True,
              linked: bool = False) -> Pid:
        """As `Port.spawn`."""
        return self._port.spawn(entry, *arguments, host=host, monitored=monitored, linked=linked)

    def send(self, dest: Dest, topic: str, value: Any = None) -> None:
        """As `Port.send`; it never waits."""
        self._port.send(dest, topic, value)

    def monitor(self, dest: Dest) -> None:
        """As `Port.monitor`."""
        self._port.monitor(dest)

    def unmonitor(self, dest: Dest) -> None:
        """As `Port.unmonitor`."""
        self._port.unmonitor(dest)

    def link(self, dest: Dest) -> None:
        """As `Port.link`."""
        self._port.link(dest)

    def unlink(self, dest: Dest) -> None:
        """As `Port.unlink`."""
        self._port.unlink(dest)

    async def receive(self, timeout: Seconds | None = None) -> Event:
        """The next message or event, in order of arrival; several tasks that wait are served in turn.

        Raises:
            Timeout: nothing came in time.
            Closed: the port or its runtime was closed or stopped.
        """
        if not self._waiting:
            event = self._next()
            if event is not None:
                return event
        limit = nanoseconds(timeout)
        future: asyncio.Future[Event] = self._loop.create_future()
        self._waiting.append(future)
        self._watch()
        try:
            return await (future if limit < 0 else asyncio.wait_for(future, limit / 1e9))
        except asyncio.TimeoutError:
            self._give_back(future)
            raise Timeout(f"nothing was received within {limit / 1e9:g} s") from None
        except asyncio.CancelledError:
            self._give_back(future)
            raise
        finally:
            if future in self._waiting:
                self._waiting.remove(future)
            self._watch()

    def _next(self) -> Event | None:
        """What is there, without waiting."""
        return self._returned.popleft() if self._returned else self._port._take()

    def _give_back(self, future: asyncio.Future[Event]) -> None:
        """The event that a wait had already been given when it was ended."""
        if future.done() and not future.cancelled() and future.exception() is None:
            self._returned.append(future.result())
            self._loop.call_soon(self._readable)

    def _watch(self) -> None:
        """The descriptor is watched exactly while somebody waits: what nobody takes would keep the loop awake."""
        wanted = bool(self._waiting) and not self._port.closed
        if wanted and not self._watched:
            self._loop.add_reader(self._port.fileno(), self._readable)
        elif self._watched and not wanted:
            self._loop.remove_reader(self._port._fd)
        self._watched = wanted

    def _readable(self) -> None:
        while self._waiting:
            future = self._waiting[0]
            if future.done():
                self._waiting.popleft()
                continue
            try:
                event = self._next()
            except Interrupted:
                continue
            except BaseException as error:  # noqa: BLE001
                self._waiting.popleft()
                future.set_exception(error)
                continue
            if event is None:
                break
            self._waiting.popleft()
            future.set_result(event)
        self._watch()

    def close(self) -> None:
        """Ends the port; who waits for it gets `Closed`. A second call does nothing."""
        if self._port.closed:
            return
        if self._watched and not self._loop.is_closed():
            self._loop.remove_reader(self._port._fd)
        self._watched = False
        self._port.close()
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_exception(Closed("the port is closed"))

    async def __aenter__(self) -> AsyncPort:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None,
                        trace: TracebackType | None) -> None:
        self.close()

    def __aiter__(self) -> AsyncPort:
        return self

    async def __anext__(self) -> Event:
        try:
            return await self.receive()
        except Closed:
            raise StopAsyncIteration from None


def port(runtime: Runtime) -> AsyncPort:
    """A new mailbox of this program for the running event loop."""
    return AsyncPort(runtime)


async def call(runtime: Runtime, entry: str, *arguments: Any, host: str | None = None) -> Any:
    """Runs a process to its end and gives what it returned. If the task is cancelled, so is the process.

    Raises:
        ProcessFailed: it ended abnormally.
        NotFound: there is no such entry or host.
    """
    async with port(runtime) as own:
        pid = own.spawn(entry, *arguments, host=host)
        try:
            while True:
                event = await own.receive()
                if isinstance(event, Exit) and event.pid == pid:
                    return event.result()
        except asyncio.CancelledError:
            runtime._end_quietly(pid)
            raise
