from __future__ import annotations

import asyncio
import time

import pytest

import obhut
from obhut import aio


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


def test_a_thousand_waits_cost_nothing(started: obhut.Runtime) -> None:
    async def main() -> tuple[float, list[obhut.Event]]:
        ports = [aio.port(started) for _ in range(1000)]
        waits = [asyncio.create_task(port.receive()) for port in ports]
        await asyncio.sleep(0)
        used = time.process_time()
        await asyncio.sleep(0.5)
        used = time.process_time() - used
        for number, port in enumerate(ports):
            started.send(port.pid, "n", number)
        events = await asyncio.gather(*waits)
        for port in ports:
            port.close()
        return used, events

    used, events = asyncio.run(main())
    assert [event.value for event in events if isinstance(event, obhut.Message)] == list(range(1000))
    assert used < 0.25, "the waits themselves computed"


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
