"""Names, requests both ways, and what can be seen inside."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import obhut
from conftest import application

PROGRAMS = {
    "server": """
        return { main = function()
            while true do
                local m = process.inbox():receive()
                if m:topic() == "echo" then m:reply(m:payload():data())
                elseif m:topic() == "fail" then m:reply(nil, errors.new{kind = errors.CONFLICT, message = "in use"})
                elseif m:topic() == "die" then error("died of it", 0) end
            end
        end }""",
    "asks": """
        return { main = function(whom, what)
            local value, err = process.request(whom, "question", what, "20s")
            if err then return { error = tostring(err) } end
            return { value = value }
        end }""",
    "waits": "return { main = function() process.inbox():receive() end }",
}


@pytest.fixture
def runtime() -> Iterator[obhut.Runtime]:
    with obhut.Runtime() as runtime:
        runtime.load_text(application(PROGRAMS))
        runtime.start()
        yield runtime
        runtime.stop(0)  # what only waits would take its five seconds


def test_names(runtime: obhut.Runtime) -> None:
    pid, other = runtime.spawn("t:server"), runtime.spawn("t:waits")
    assert runtime.whereis("server") is None
    runtime.register("server", pid)
    runtime.register("server", pid)
    runtime.register("also ä", str(pid))
    assert runtime.whereis("server") == runtime.resolve("also ä") == pid
    with pytest.raises(obhut.WrongState):
        runtime.register("server", other)
    assert runtime.request("server", "echo", 7) == 7
    runtime.unregister("server")
    with pytest.raises(obhut.NotFound):
        runtime.unregister("server")
    for bad in ("", "{x", "@x", "x" * 256, "a\ud800"):
        with pytest.raises(ValueError):
            runtime.register(bad, pid)
    with runtime.port() as port:
        port.monitor(pid)
        runtime.terminate(pid)
        port.receive(60)
        assert runtime.whereis("also ä") is None
        port.register("me")
        assert runtime.whereis("me") == port.pid
    assert runtime.whereis("me") is None


def test_a_request_is_answered_or_says_why_not(runtime: obhut.Runtime) -> None:
    server = runtime.spawn("t:server")
    assert runtime.request(server, "echo", ["a", 2]) == ["a", 2]
    with pytest.raises(obhut.RequestFailed, match="^in use$") as failed:
        runtime.request(server, "fail")
    assert failed.value.error == obhut.ErrorValue("in use", "CONFLICT")
    assert failed.value.pid == server
    with pytest.raises(obhut.Timeout, match="'nothing' within 0.01 s"):
        runtime.request(server, "nothing", timeout=0.01)
    with pytest.raises(obhut.Timeout):
        runtime.request(server, "nothing", timeout=0)
    with pytest.raises(obhut.NotFound):
        runtime.request(server, "die", timeout=None)
    with pytest.raises(obhut.NotFound):
        runtime.request(server, "echo")
    with pytest.raises(TypeError):
        runtime.request(server, "echo", {1, 2})


def test_requests_of_a_port_are_answered_by_events(runtime: obhut.Runtime) -> None:
    server = runtime.spawn("t:server")
    with runtime.port() as port:
        numbers = [port.start_request(server, "echo", number) for number in range(50)]
        assert len(set(numbers)) == 50
        replies = [port.receive(60) for _ in numbers]
        assert replies == [obhut.Reply(number, server, value, None, None) for value, number in enumerate(numbers)]
        failing = port.start_request(server, "fail")
        reply = port.receive(60)
        assert isinstance(reply, obhut.Reply)
        assert (reply.request, reply.failed, reply.value, reply.text) == (failing, True, None, "in use")
        late = port.start_request(server, "nothing", timeout=0.001)
        reply = port.receive(60)
        assert isinstance(reply, obhut.Reply)
        assert (reply.request, reply.pid) == (late, None)
        with pytest.raises(obhut.Timeout):
            reply.result()
        port.start_request(server, "die")
        reply = port.receive(60)
        assert isinstance(reply, obhut.Reply)
        with pytest.raises(obhut.NotFound):
            reply.result()
        with pytest.raises(obhut.InvalidArgument):
            port.start_request(port.pid, "echo", timeout=0)


def test_a_port_answers_lua(runtime: obhut.Runtime) -> None:
    with runtime.port() as port:
        answers: list[tuple[Callable[[obhut.Message], bool], Any]] = [
            (lambda m: m.reply(m.value * 2), {"value": 42}),
            (lambda m: m.reply_error("no"), {"error": "no"}),
            (lambda m: m.reply_error(obhut.ErrorValue("not here", "NOT_FOUND")), {"error": "not here"}),
        ]
        for answer, expected in answers:
            port.spawn("t:asks", str(port.pid), 21)
            message = port.receive(60)
            assert isinstance(message, obhut.Message)
            assert message.is_request
            with pytest.raises(TypeError):
                message.reply({1, 2})  # and can still be answered
            assert answer(message)
            with pytest.raises(obhut.WrongState, match="was answered"):
                message.reply(1)
            with pytest.raises(obhut.WrongState, match="was answered"):
                message.reply_error("x")
            end = port.receive(60)
            assert isinstance(end, obhut.Exit)
            assert end.result() == expected
        runtime.send(port.pid, "plain")
        message = port.receive(60)
        assert isinstance(message, obhut.Message)
        assert not message.is_request
        with pytest.raises(obhut.WrongState, match="no request"):
            message.reply()


def test_who_asked_may_be_gone(runtime: obhut.Runtime) -> None:
    with runtime.port() as port:
        pid = port.spawn("t:asks", str(port.pid))
        message = port.receive(60)
        assert isinstance(message, obhut.Message)
        runtime.terminate(pid)
        port.receive(60)
        assert not message.reply(1)
        with pytest.raises(obhut.WrongState):
            message.reply_error("x")


def test_a_stop_ends_a_request(runtime: obhut.Runtime) -> None:
    server = runtime.spawn("t:server")
    raised: list[BaseException] = []
    begun = threading.Event()

    def ask() -> None:
        begun.set()
        try:
            runtime.request(server, "nothing", timeout=None)
        except obhut.ObhutError as error:
            raised.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    begun.wait(60)
    runtime.stop(0)
    thread.join(60)
    # It may not have asked yet, or the one asked has ended before its own port.
    assert len(raised) == 1
    assert isinstance(raised[0], (obhut.Closed, obhut.NotFound, obhut.WrongState))


def test_inspection(runtime: obhut.Runtime) -> None:
    pid = runtime.spawn("t:server")
    runtime.register("one", pid)
    runtime.request(pid, "echo")  # by now it waits
    with runtime.port() as port:
        port.monitor(pid)
        port.link(pid)
        port.start_request(pid, "echo")
        port.receive(60)  # it has seen both, and its figures show it when it waits again
        while (runtime.info(pid).links, runtime.info(pid).monitors) != (1, 1):
            time.sleep(0.001)
        runtime.send(port.pid, "unread", "x")
        found = {each.pid: each for each in runtime.processes()}
        assert found[pid].entry == "t:server"
        assert (found[pid].host, found[pid].names, found[pid].mailbox) == ("t:processes", ("one",), 0)
        assert (found[pid].links, found[pid].monitors) == (1, 1)
        assert found[pid].memory > 1000
        assert found[pid].uptime > 0
        mine = runtime.info(port.pid)
        assert (mine.entry, mine.host, mine.mailbox) == (None, "obhut:port", 1)
        assert mine.mailbox_bytes > 0
        assert runtime.info("one").pid == pid
        gone = port.pid
    with pytest.raises(obhut.NotFound):
        runtime.info(gone)
    (host,) = runtime.hosts()
    assert (host.id, host.state, host.processes) == ("t:processes", "started", 1)
    assert host.workers >= 1
    entries = {each.id: each for each in runtime.entries()}
    assert entries["t:server"].kind == "process.lua"
    assert entries["t:server"].meta is None
    assert (entries["t:processes"].file, entries["t:processes"].line) == ("<text>", 4)
