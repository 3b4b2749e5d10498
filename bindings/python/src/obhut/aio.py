"""Ports and processes in asyncio.

    async with aio.port(runtime) as port:
        port.spawn("app:worker")
        async for event in port:
            ...
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from ._async_port import AsyncPort
from ._messages import Exit
from ._runtime import Dest, Runtime
from ._tasks import AsyncProcess, define_on_running_loop
from ._time import Seconds

__all__ = ["AsyncPort", "AsyncProcess", "call", "close", "port", "process", "request"]

_Body = TypeVar("_Body", bound=Callable[..., Any])


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


async def request(runtime: Runtime, dest: Dest, topic: str, value: Any = None, timeout: Seconds | None = 5.0) -> Any:
    """Sends a request from a port of its own and waits for the reply; see `AsyncPort.request`."""
    async with port(runtime) as own:
        return await own.request(dest, topic, value, timeout)


def process(runtime: Runtime, entry: str, *, limit: int | None = None) -> Callable[[_Body], _Body]:
    """As `Runtime.process`, for async functions, on the event loop that runs: its processes are tasks beside the others.

        @aio.process(runtime, "app:fetch")
        async def fetch(process, url):
            async with session.get(url) as answer:
                return await answer.text()

    When the loop ends, or `asyncio.run` returns, its processes fail and no others are taken. Stop the runtime by `close`:
    `Runtime.stop` and `Runtime.close` on the loop's own thread block it, so they end its processes by force first.
    """
    return define_on_running_loop(runtime, entry, limit)


async def close(runtime: Runtime) -> None:
    """`Runtime.close` while the event loop goes on, so that its processes can end in order."""
    await asyncio.to_thread(runtime.close)
    for tasks in runtime._loops:
        await tasks.wait()
