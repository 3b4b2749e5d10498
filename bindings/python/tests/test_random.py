"""Random sequences of names, requests, ports and processes: every call ends, by a value or by an error of this package, and
at the end nothing is left."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Generator
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import obhut
from conftest import application
from obhut import aio

EXPECTED = (obhut.ObhutError, obhut.RequestFailed, obhut.ProcessFailed, ValueError, TypeError)
ENTRIES = ["app:thread", "app:generator", "app:task", "app:fails", "t:waits", "t:echo", "t:fails", "app:none", "bad", ""]
NAMES = ["a", "b", "ä", "", "{x", "@y", "n" * 300]
VALUES = [None, 0, -1, 2**63 - 1, 2**64, 1.5, "text", "\0", b"\xff", [1, [2]], {"k": {1: 2}}, {1, 2}, obhut.Pid(1),
          obhut.ErrorValue("x")]


class Program:
    """A program that does one step after the other, whatever came of the ones before."""

    def __init__(self) -> None:
        self.runtime = obhut.Runtime()
        self.runtime.load_text(application())
        self.runtime.start()
        self.pids: list[obhut.Pid] = [obhut.Pid(0), obhut.Pid(2**64 - 1)]
        self.ports: list[obhut.Port] = [self.runtime.port()]
        self.messages: list[obhut.Message] = []
        self.define(0)

    def define(self, number: int) -> None:
        def steps(process: Any) -> None:
            process.register(NAMES[number % 3])

        @self.runtime.process("app:thread", limit=[None, 3][number % 2])
        def _(process: obhut.Process, *arguments: Any) -> Any:
            if number % 3 == 0:
                process.trap_links("all")
            for event in process:
                if isinstance(event, obhut.Message):
                    if event.is_request:
                        event.reply(event.value)
                    elif event.topic == "end":
                        return arguments
                    elif event.topic == "request":
                        return process.request(event.value, "x", timeout=0.01)
                    elif event.topic == "spawn":
                        process.spawn("app:task", monitored=True, linked=True)
                elif isinstance(event, obhut.Cancel) and number % 2:
                    return "cancelled"
            return None

        @self.runtime.process("app:generator")
        def _(process: obhut.Process, *arguments: Any) -> Generator[float | None, Any, Any]:
            event = yield 0.001
            event = yield None
            if isinstance(event, obhut.Message):
                event.reply_error("refused")
            return process.should_stop

        @self.runtime.process("app:task")
        async def _(process: aio.AsyncProcess, *arguments: Any) -> Any:
            if number % 2:
                await asyncio.sleep(3600)
            event = await process.receive()
            if isinstance(event, obhut.Message) and event.is_request:
                event.reply(await process.request("a", "y", timeout=0.01))
            return arguments

        @self.runtime.process("app:fails")
        def _(process: obhut.Process, *arguments: Any) -> Any:
            steps(process)
            raise obhut.ProcessError(VALUES[number % len(VALUES)])  # type: ignore[arg-type]

    def step(self, what: int, first: int, second: int) -> None:
        runtime, port = self.runtime, self.ports[first % len(self.ports)]
        pid, value = self.pids[first % len(self.pids)], VALUES[second % len(VALUES)]
        dest: obhut.Pid | str = NAMES[second % len(NAMES)] if second % 3 == 0 else pid
        entry = ENTRIES[second % len(ENTRIES)]
        steps: list[Callable[[], Any]] = [
            lambda: self.pids.append(runtime.spawn(entry, value)),
            lambda: self.pids.append(port.spawn(entry, value, monitored=bool(first % 2), linked=bool(first % 4 > 1))),
            lambda: runtime.send(dest, ["t", "end", "request", "spawn"][first % 4], value),
            lambda: port.send(dest, ["t", "end", "request", "spawn"][first % 4], self.pids[second % len(self.pids)]),
            lambda: runtime.request(dest, "r", value, timeout=0.005),
            lambda: port.start_request(dest, "r", value, timeout=[None, 0, 0.001][first % 3]),
            lambda: self.received(port),
            lambda: [each.reply(value) for each in self.messages[:1]],
            lambda: [each.reply_error(value) for each in self.messages[-1:]],  # type: ignore[arg-type]
            lambda: runtime.register(NAMES[second % len(NAMES)], pid),
            lambda: runtime.unregister(NAMES[second % len(NAMES)]),
            lambda: runtime.whereis(NAMES[second % len(NAMES)]),
            lambda: runtime.cancel(dest, [0, 0.001, 60][second % 3]),
            lambda: runtime.terminate(dest),
            lambda: [port.monitor, port.unmonitor, port.link, port.unlink][second % 4](dest),
            lambda: self.ports.append(runtime.port()),
            lambda: port.close() if second % 5 == 0 else None,
            lambda: port.wake(),
            lambda: (runtime.processes(), runtime.hosts(), runtime.entries(), runtime.counters()),
            lambda: runtime.info(dest),
            lambda: self.define(second),
            lambda: self.pids.append(port.pid),
            lambda: asyncio.run(self.in_asyncio(dest, entry, value)),
            lambda: runtime.stop(0) if first % 40 == 0 else None,
        ]
        try:
            steps[what % len(steps)]()
        except EXPECTED:
            pass

    def received(self, port: obhut.Port) -> None:
        event = port.receive(0.001)
        repr(event)
        if isinstance(event, obhut.Message) and event.is_request:
            self.messages.append(event)

    async def in_asyncio(self, dest: obhut.Pid | str, entry: str, value: Any) -> None:
        @aio.process(self.runtime, "app:here")
        async def _(process: aio.AsyncProcess) -> Any:
            return (await process.receive()) and None

        async with aio.port(self.runtime) as port:
            port.spawn("app:here")
            port.spawn(entry, value)
            await asyncio.gather(port.request(dest, "r", value, 0.001), port.receive(0.001), return_exceptions=True)

    def end(self) -> None:
        for port in self.ports:
            port.close()
        if not self.runtime.closed:
            self.runtime.stop(0)
            counters = self.runtime.counters()
            assert (counters.processes, counters.spawned) == (0, counters.ended)
        self.messages.clear()
        self.runtime.close()


STEP = st.tuples(st.integers(0, 23), st.integers(0, 1000), st.integers(0, 1000))


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(STEP, min_size=5, max_size=80))
def test_any_sequence_of_calls(steps: list[tuple[int, int, int]]) -> None:
    before = set(threading.enumerate())
    program = Program()
    try:
        for step in steps:
            program.step(*step)
    finally:
        program.end()
    assert set(threading.enumerate()) <= before


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.lists(STEP, min_size=5, max_size=60), min_size=3, max_size=3))
def test_any_sequence_of_several_threads(each: list[list[tuple[int, int, int]]]) -> None:
    before = set(threading.enumerate())
    program = Program()
    raised: list[BaseException] = []

    def run(steps: list[tuple[int, int, int]]) -> None:
        try:
            for step in steps:
                program.step(*step)
        except BaseException as error:  # noqa: BLE001
            raised.append(error)

    threads = [threading.Thread(target=run, args=(steps,)) for steps in each]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    program.end()
    assert raised == []
    assert set(threading.enumerate()) <= before
