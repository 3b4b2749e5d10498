from __future__ import annotations

import gc
import select
import sys
import threading
import warnings
from types import FrameType
from typing import Any

import pytest

import obhut


def test_messages_come_back(port: obhut.Port) -> None:
    echo = port.spawn("t:echo")
    port.send(echo, "greeting", {"words": ["good", "morning"]})
    assert port.receive(60) == obhut.Message("greeting", {"words": ["good", "morning"]}, echo)
    port.runtime.cancel(echo, 60)
    end = port.receive(60)
    assert isinstance(end, obhut.Exit)
    assert (end.pid, end.result(), end.failed) == (echo, "asked to end", False)


def test_an_exit_tells_why(port: obhut.Port) -> None:
    pid = port.spawn("t:fails", "no luck")
    end = port.receive(60)
    assert isinstance(end, obhut.Exit)
    assert (end.pid, end.error, end.text, end.failed, end.value) == (pid, "no luck", "no luck", True, None)
    with pytest.raises(obhut.ProcessFailed, match="no luck"):
        end.result()


def test_a_link_tells_of_failure_only(port: obhut.Port) -> None:
    port.spawn("t:returns", 1, monitored=False, linked=True)
    pid = port.spawn("t:fails", monitored=False, linked=True)
    down = port.receive(60)
    assert isinstance(down, obhut.LinkDown)
    assert (down.pid, down.text, down.hops) == (pid, "on purpose", 0)


def test_monitor_and_link_later(port: obhut.Port) -> None:
    pid = port.spawn("t:waits", monitored=False)
    port.monitor(pid)
    with pytest.raises(obhut.WrongState):
        port.monitor(pid)
    port.unmonitor(pid)
    port.link(pid)
    port.unlink(pid)
    port.monitor(pid)
    port.runtime.terminate(pid)
    end = port.receive(60)
    assert isinstance(end, obhut.Exit)
    assert end.text == "terminated"
    with pytest.raises(obhut.NotFound):
        port.monitor(pid)


def test_timeouts(port: obhut.Port) -> None:
    with pytest.raises(obhut.Timeout):
        port.receive(0)
    with pytest.raises(TimeoutError):
        port.receive(0.01)
    for bad in (-1, float("nan")):
        with pytest.raises(ValueError, match="timeout"):
            port.receive(bad)


def test_cancel_of_a_port_is_an_event(port: obhut.Port) -> None:
    port.runtime.cancel(port.pid)
    assert isinstance(port.receive(60), obhut.Cancel)


def test_closing_twice_and_using_after(started: obhut.Runtime) -> None:
    port = started.port()
    port.close()
    port.close()
    assert port.closed
    for use in (lambda: port.receive(0), lambda: port.pid, port.fileno, port.wake, lambda: port.send("x", "y"),
                lambda: port.spawn("t:echo")):
        with pytest.raises(obhut.Closed):
            use()
    assert list(port) == []


def test_close_ends_the_waits_of_others(started: obhut.Runtime) -> None:
    for _ in range(20):
        port = started.port()
        ends: list[BaseException] = []

        def wait(port: obhut.Port = port, ends: list[BaseException] = ends) -> None:
            try:
                port.receive()
            except obhut.Closed as error:
                ends.append(error)

        threads = [threading.Thread(target=wait) for _ in range(4)]
        for thread in threads:
            thread.start()
        port.close()
        for thread in threads:
            thread.join(60)
        assert len(ends) == 4


def test_stopping_the_runtime_ends_the_waits(started: obhut.Runtime) -> None:
    port = started.port()
    ends: list[list[obhut.Event]] = []
    waiter = threading.Thread(target=lambda: ends.append(list(port)))
    waiter.start()
    started.stop()
    waiter.join(60)
    assert ends == [[]]
    port.close()


def test_wake_ends_one_wait(port: obhut.Port) -> None:
    port.wake()
    with pytest.raises(obhut.Interrupted):
        port.receive()
    with pytest.raises(obhut.Timeout):
        port.receive(0)


def test_the_descriptor_is_readable_exactly_while_something_is_there(port: obhut.Port) -> None:
    def readable() -> bool:
        return bool(select.select([port], [], [], 0)[0])

    assert not readable()
    port.runtime.send(port.pid, "a")
    port.runtime.send(port.pid, "b")
    assert readable()
    port.receive(0)
    assert readable()
    port.receive(0)
    assert not readable()


def test_a_port_that_is_forgotten_warns(started: obhut.Runtime) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        port = started.port()
        del port
        gc.collect()
    assert any(issubclass(each.category, ResourceWarning) for each in caught)


def test_bounds(port: obhut.Port) -> None:
    with pytest.raises(obhut.ObhutError):
        port.send(port.pid, "")
    with pytest.raises(obhut.ObhutError):
        port.send(port.pid, "@reserved")
    with pytest.raises(TypeError, match="cannot send a set"):
        port.send(port.pid, "x", {1, 2})
    with pytest.raises(obhut.InvalidArgument):
        port.send(port.pid, "x", 2**64)
    echo = port.spawn("t:echo")
    with pytest.raises(obhut.LimitReached):
        port.send(echo, "x", b"\0" * (17 << 20))


def test_each_event_goes_to_one_of_several_threads(port: obhut.Port) -> None:
    got: list[int] = []

    def take() -> None:
        while True:
            event = port.receive()
            assert isinstance(event, obhut.Message)
            if event.value is None:
                return
            got.append(event.value)

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(1000):
        port.runtime.send(port.pid, "n", number)
    for _ in threads:
        port.runtime.send(port.pid, "n", None)
    for thread in threads:
        thread.join(60)
    assert sorted(got) == list(range(1000))


def test_an_interrupt_at_any_line_leaves_a_port_that_can_be_closed(started: obhut.Runtime) -> None:
    for line in range(1, 1000):
        port = started.port()
        left = line

        def trace(frame: FrameType, event: str, argument: Any) -> Any:
            nonlocal left
            if not frame.f_code.co_filename.endswith("obhut/_port.py"):
                return None
            if event == "line":
                left -= 1
                if left == 0:
                    raise KeyboardInterrupt
            return trace

        sys.settrace(trace)
        try:
            port.receive(0.001)
        except (KeyboardInterrupt, obhut.Timeout):
            pass
        finally:
            sys.settrace(None)
        port.close()
        if left > 0:  # the wait was over before that line
            break
    assert line > 10


def test_an_interrupt_leaves_what_has_come(port: obhut.Port, monkeypatch: pytest.MonkeyPatch) -> None:
    real = obhut._library.c

    class Interrupting:
        """As if Ctrl-C had come while the library waited: Python raises when the call is over."""

        def __getattr__(self, name: str) -> Any:
            return getattr(real, name)

        def obhut_port_receive(self, *arguments: Any) -> int:
            waits.append(arguments[1])
            real.obhut_port_receive(*arguments)
            raise KeyboardInterrupt

    waits: list[int] = []
    for number in range(3):
        port.send(port.pid, "number", number)
    monkeypatch.setattr(obhut._port, "c", Interrupting())
    for timeout in (None, 0, 5):
        with pytest.raises(KeyboardInterrupt):
            port.receive(timeout)
        # What was left comes first, and the library is not asked for it.
        assert len(port._left) == 1
        monkeypatch.setattr(obhut._port, "c", real)
        message = port.receive(0)
        assert isinstance(message, obhut.Message) and message.value == len(waits) - 1
        monkeypatch.setattr(obhut._port, "c", Interrupting())
    assert waits[1] == 0 and 0 < waits[0] == waits[2] <= 1_000_000
    port.send(port.pid, "number", 3)
    with pytest.raises(KeyboardInterrupt):
        port.receive()
    monkeypatch.setattr(obhut._port, "c", real)
    port.close()
    assert not port._left


def test_a_signal_that_comes_just_before_the_poll_is_seen(port: obhut.Port, monkeypatch: pytest.MonkeyPatch) -> None:
    real = select.poll

    class Deaf:
        """As if the signal had come after Python's last look at it: the poll is not ended by it."""

        def __init__(self) -> None:
            self.poll_object = real()
            self.register = self.poll_object.register

        def poll(self, timeout: int | None) -> object:
            assert timeout is not None, "this would be for ever"
            polled.append(timeout)
            if len(polled) == 3:
                raise KeyboardInterrupt
            return self.poll_object.poll(0)

    polled: list[int] = []
    monkeypatch.setattr(select, "poll", Deaf)
    with pytest.raises(KeyboardInterrupt):
        port.receive()
    with pytest.raises(obhut.Timeout):
        port.receive(0.01)
    assert max(polled) <= 200
