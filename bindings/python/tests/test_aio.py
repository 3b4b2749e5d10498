from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

import obhut
from obhut import aio
from obhut._library import c


def test_messages_and_ends(started: obhut.Runtime) -> None:
    async def main() -> list[obhut.Event]:
        async with aio.port(started) as port:
            echo = port.spawn("t:echo")
            port.send(echo, "topic", 7)
            first = await port.receive(60)
            started.cancel(echo, 60)
            events = [first]
            async for event in port:
                events.append(event)
                if isinstance(event, obhut.Exit):
                    break
            return events

    message, end = asyncio.run(main())
    assert isinstance(message, obhut.Message)
    assert message.value == 7
    assert isinstance(end, obhut.Exit)
    assert end.result() == "asked to end"


def test_calls_at_once(started: obhut.Runtime) -> None:
    async def main() -> list[int]:
        results: list[int] = await asyncio.gather(*(aio.call(started, "t:returns", number) for number in range(200)))
        return results

    assert asyncio.run(main()) == list(range(200))


def test_a_cancelled_call_ends_its_process(started: obhut.Runtime) -> None:
    async def main() -> None:
        task = asyncio.create_task(aio.call(started, "t:spins"))
        while not started.counters().processes:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        while started.counters().processes:
            await asyncio.sleep(0.001)

    asyncio.run(asyncio.wait_for(main(), 60))


Calls = list[str]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Every call of a function of a port from now on: whatever a wait does while it waits goes through one."""
    made: Calls = []

    def counted(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            made.append(name)
            return function(*arguments)

        return call

    for name, function in list(vars(c).items()):
        if name.startswith("obhut_port_"):
            monkeypatch.setattr(c, name, counted(name, function))
    return made


async def idle(calls: Calls) -> int:
    """How many calls are made, and how often the loop wakes up, while nothing happens."""
    selector = asyncio.get_running_loop()._selector  # type: ignore[attr-defined]
    select = selector.select
    woken = 0

    def counted(timeout: float | None = None) -> Any:
        nonlocal woken
        woken += 1
        return select(timeout)

    for _ in range(10):
        await asyncio.sleep(0)  # what is under way
    calls.clear()
    selector.select = counted
    await asyncio.sleep(0.3)
    selector.select = select
    return len(calls) + max(0, woken - 2)  # the timer of the sleep itself, which may be a little early


def test_a_thousand_waits_cost_nothing(started: obhut.Runtime, calls: Calls) -> None:
    async def main() -> tuple[int, list[obhut.Event]]:
        ports = [aio.port(started) for _ in range(1000)]
        waits = [asyncio.create_task(port.receive()) for port in ports]
        made = await idle(calls)
        for number, port in enumerate(ports):
            started.send(port.pid, "n", number)
        events = await asyncio.gather(*waits)
        for port in ports:
            port.close()
        return made, events

    made, events = asyncio.run(main())
    assert [event.value for event in events if isinstance(event, obhut.Message)] == list(range(1000))
    assert made == 0, "the waits themselves called or woke the loop"


def test_a_thousand_requests_cost_nothing(started: obhut.Runtime, calls: Calls) -> None:
    async def main() -> None:
        async with aio.port(started) as asked, aio.port(started) as asks:
            # Half from one port, half from one each.
            waits = [asyncio.create_task(asks.request(asked.pid, "n", number, None)) for number in range(500)]
            waits += [asyncio.create_task(aio.request(started, asked.pid, "n", number, None)) for number in range(500)]
            assert await idle(calls) == 0
            for _ in waits:
                message = await asked.receive(60)
                assert isinstance(message, obhut.Message)
                message.reply(message.value + 1)
            assert await asyncio.gather(*waits) == [*range(1, 501), *range(1, 501)]

    asyncio.run(main())


def test_processes_that_wait_cost_nothing(started: obhut.Runtime, calls: Calls) -> None:
    async def main() -> None:
        def thread(process: obhut.Process) -> None:
            process.send("here", "begun")
            process.receive()

        async def task(process: aio.AsyncProcess) -> None:
            process.send("here", "begun")
            await process.receive()

        started.process("app:thread")(thread)
        started.process("app:task")(task)
        aio.process(started, "app:here")(task)
        async with aio.port(started) as port:
            port.register("here")
            pids = [port.spawn(entry) for entry in ("app:thread", "app:task", "app:here") for _ in range(30)]
            for _ in pids:
                assert isinstance(await port.receive(60), obhut.Message)
            before = -1
            while len(calls) != before:  # until each waits
                before = len(calls)
                await asyncio.sleep(0.1)
            assert await idle(calls) == 0
            for pid in pids:
                started.send(pid, "go")
            for _ in pids:
                event = await port.receive(60)
                assert isinstance(event, obhut.Exit)
                assert not event.failed
        await aio.close(started)

    asyncio.run(main())


def test_requests_and_their_ends(started: obhut.Runtime) -> None:
    async def main() -> None:
        async with aio.port(started) as asked, aio.port(started) as port:
            port.register("asks")
            wait = asyncio.create_task(port.request(asked.pid, "a", None))
            message = await asked.receive(60)
            assert isinstance(message, obhut.Message)
            assert message.sender == started.whereis("asks")
            # What else comes is kept, in order, and goes to who receives.
            receiving = asyncio.create_task(port.receive())
            for number in range(3):
                started.send(port.pid, "n", number)
            message.reply("answer")
            assert await wait == "answer"
            events = [await receiving, await port.receive(60), await port.receive(60)]
            assert [event.value for event in events if isinstance(event, obhut.Message)] == [0, 1, 2]
            with pytest.raises(obhut.Timeout):
                await port.request(asked.pid, "late", timeout=0.01)
            # One that is cancelled: its reply is nobody's.
            wait = asyncio.create_task(port.request(asked.pid, "b", None))
            await asyncio.sleep(0)
            wait.cancel()
            with pytest.raises(asyncio.CancelledError):
                await wait
            for topic in ("late", "b"):
                message = await asked.receive(60)
                assert isinstance(message, obhut.Message)
                assert message.topic == topic
                message.reply(1)
            started.send(port.pid, "last")
            event = await port.receive(60)
            assert isinstance(event, obhut.Message)
            assert event.topic == "last"
            # And one whose port is closed, or who is asked is.
            wait = asyncio.create_task(port.request(asked.pid, "c", None))
            await asyncio.sleep(0)
            asked.close()
            with pytest.raises(obhut.NotFound):
                await wait
            waits = asyncio.create_task(port.request(port.pid, "d", None, None))
            await asyncio.sleep(0)
            port.close()
            with pytest.raises(obhut.Closed):
                await waits

    asyncio.run(main())


def test_several_tasks_are_served_in_turn(started: obhut.Runtime) -> None:
    async def main() -> list[int]:
        async with aio.port(started) as port:
            tasks = [asyncio.create_task(port.receive()) for _ in range(10)]
            await asyncio.sleep(0)
            for number in range(10):
                started.send(port.pid, "n", number)
            events = await asyncio.gather(*tasks)
            return [int(event.value) for event in events if isinstance(event, obhut.Message)]

    assert asyncio.run(main()) == list(range(10))


def test_a_cancelled_wait_loses_nothing(started: obhut.Runtime) -> None:
    async def main() -> int:
        async with aio.port(started) as port:
            for number in range(200):
                wait = asyncio.create_task(port.receive())
                await asyncio.sleep(0)
                started.send(port.pid, "n", number)
                if number % 2:
                    await asyncio.sleep(0)
                wait.cancel()
                try:
                    event = await wait
                except asyncio.CancelledError:
                    event = await port.receive(60)
                assert isinstance(event, obhut.Message)
                assert event.value == number
            return number

    assert asyncio.run(main()) == 199


def test_an_event_for_a_wait_that_is_cancelled_goes_to_the_next(started: obhut.Runtime) -> None:
    async def main() -> list[object]:
        async with aio.port(started) as port:
            first = asyncio.create_task(port.receive())
            second = asyncio.create_task(port.receive())
            await asyncio.sleep(0)
            started.send(port.pid, "n", 1)
            port._readable()  # as the event loop calls it; then, before the task runs on
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            started.send(port.pid, "n", 2)
            events = [await asyncio.wait_for(second, 60), await port.receive(60)]
            return [event.value for event in events if isinstance(event, obhut.Message)]

    assert asyncio.run(main()) == [1, 2]


def test_timeouts_and_close(started: obhut.Runtime) -> None:
    async def main() -> None:
        port = aio.port(started)
        with pytest.raises(obhut.Timeout):
            await port.receive(0.01)
        wait = asyncio.create_task(port.receive())
        await asyncio.sleep(0)
        port.close()
        port.close()
        with pytest.raises(obhut.Closed):
            await wait
        with pytest.raises(obhut.Closed):
            await port.receive()
        assert [event async for event in port] == []

    asyncio.run(main())


def test_stopping_the_runtime_ends_the_waits(started: obhut.Runtime) -> None:
    async def main() -> None:
        async with aio.port(started) as port:
            wait = asyncio.create_task(port.receive())
            await asyncio.sleep(0)
            await asyncio.to_thread(started.stop)
            with pytest.raises(obhut.Closed):
                await wait

    asyncio.run(main())
