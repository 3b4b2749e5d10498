"""Ports that are awaited."""

from __future__ import annotations

import asyncio
from bisect import insort
from collections import deque
from types import TracebackType
from typing import Any

from ._errors import Closed, Interrupted, Timeout
from ._messages import Event, Exit, Reply
from ._payload import Pid
from ._port import Port
from ._runtime import Dest, Runtime
from ._time import Seconds, nanoseconds

_Numbered = tuple[int, Event]
"""An event and the how-manieth it is: what is given back finds its place again."""


class AsyncPort:
    """A port whose `receive` is awaited. It belongs to the event loop that runs when it is made, and to its thread."""

    def __init__(self, runtime: Runtime, port: Port | None = None) -> None:
        """See `aio.port`."""
        self._loop = asyncio.get_running_loop()
        self._port = Port(runtime) if port is None else port
        self._waiting: deque[asyncio.Future[_Numbered]] = deque()
        self._requests: dict[int, asyncio.Future[Reply]] = {}
        self._forgotten: set[int] = set()  # requests whose reply nobody waits for any more
        # Taken while somebody waited for a reply, or for a task that was cancelled before it could have them: the next ones.
        self._kept: list[_Numbered] = []
        self._count = 0
        self._watched = False

    def __repr__(self) -> str:
        return repr(self._port).replace("obhut.Port", "obhut.aio.AsyncPort")

    @property
    def pid(self) -> Pid:
        """Its pid, which others send to."""
        return self._port.pid

    @property
    def runtime(self) -> Runtime:
        """The runtime it belongs to."""
        return self._port.runtime

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

    def register(self, name: str) -> None:
        """As `Port.register`."""
        self._port.register(name)

    def monitor(self, dest: Dest) -> None:
        """As `Port.monitor`."""
        self._port.monitor(dest)

    def unmonitor(self, dest: Dest) -> None:
        """As `Port.unmonitor`."""
        pid = Pid(self.runtime._value_of(dest))
        self._port.unmonitor(pid)
        self._kept = [each for each in self._kept if not (isinstance(each[1], Exit) and each[1].pid == pid)]

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
        future: asyncio.Future[_Numbered] = self._loop.create_future()
        self._waiting.append(future)
        self._watch()
        try:
            return (await (future if limit < 0 else asyncio.wait_for(future, limit / 1e9)))[1]
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

    async def request(self, dest: Dest, topic: str, value: Any = None, timeout: Seconds | None = 5.0) -> Any:
        """Sends a request and waits for the reply to it. Any number may be under way; what else comes meanwhile is kept for
        `receive`.

        Args:
            dest: who is asked.
            topic: under which.
            value: what is asked.
            timeout: how long to wait, more than 0; None: for ever.

        Raises:
            RequestFailed: the reply was an error.
            NotFound: `dest` has ended, before or without a reply.
            Timeout: there was none in time.
            Closed: the port or its runtime was closed or stopped.
        """
        number = self._port.start_request(dest, topic, value, timeout)
        future: asyncio.Future[Reply] = self._loop.create_future()
        self._requests[number] = future
        self._watch()
        try:
            return (await future).result()
        finally:
            if self._requests.pop(number, None) is not None and not self._port.closed:
                self._forgotten.add(number)
            self._watch()

    # -------------------------------------------------------------- the loop

    def _next(self) -> Event | None:
        """What is there, without waiting."""
        while True:
            if self._kept:
                return self._kept.pop(0)[1]
            event = self._port._take()
            if event is None:
                return None
            self._deliver(event)

    def _deliver(self, event: Event) -> None:
        """Gives a reply to who asked, and keeps all else in order."""
        if isinstance(event, Reply):
            future = self._requests.pop(event.request, None)
            if future is not None:
                if not future.done():
                    future.set_result(event)
                return
            if event.request in self._forgotten:
                self._forgotten.discard(event.request)
                return
        self._count += 1
        self._kept.append((self._count, event))

    def _serve(self) -> None:
        """Gives what is kept to those who wait."""
        while self._waiting and self._kept:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(self._kept.pop(0))

    def _give_back(self, future: asyncio.Future[_Numbered]) -> None:
        """The event that a wait had already been given when it was ended."""
        if future.done() and not future.cancelled() and future.exception() is None:
            insort(self._kept, future.result())
            self._loop.call_soon(self._readable)

    def _wants(self) -> bool:
        """Whether somebody waits."""
        return bool(self._waiting or self._requests)

    def _watch(self) -> None:
        """The descriptor is watched exactly while somebody waits: what nobody takes would keep the loop awake."""
        wanted = not self._port.closed and self._wants()
        if wanted and not self._watched:
            self._loop.add_reader(self._port._fd, self._readable)
        elif self._watched and not wanted and not self._loop.is_closed():
            self._loop.remove_reader(self._port._fd)
        self._watched = wanted

    def _readable(self) -> None:
        self._serve()
        while self._wants():
            try:
                event = self._port._take()
            except Interrupted:
                continue
            except BaseException as error:  # noqa: BLE001
                self._lost(error)
                break
            if event is None:
                break
            self._deliver(event)
            self._serve()
        self._watch()

    def _lost(self, error: BaseException) -> None:
        """Nothing more will be received."""
        for future in self._left():
            if not future.done():
                future.set_exception(error)

    def _left(self) -> list[asyncio.Future[Any]]:
        """Who waits, and does not any more."""
        left: list[asyncio.Future[Any]] = [*self._waiting, *self._requests.values()]
        self._waiting.clear()
        self._requests.clear()
        return left

    def close(self) -> None:
        """Ends the port; who waits for it gets `Closed`. A second call does nothing."""
        if self._port.closed:
            return
        if self._watched and not self._loop.is_closed():
            self._loop.remove_reader(self._port._fd)
        self._watched = False
        self._port.close()
        if not self._loop.is_closed():
            self._lost(Closed("the port is closed"))

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
