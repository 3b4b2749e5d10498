from __future__ import annotations

import json

import pytest

import obhut

APPLICATION = """
namespace: t
entries:
  - { name: processes, kind: process.host, lifecycle: { auto_start: true } }
  - name: worker
    kind: process.lua
    source: |
      return { main = function(name)
        if name == "broken" then error("cannot begin", 0) end
        process.registry.register(name)
        process.ready()
        local inbox, events = process.inbox(), process.events()
        local got = channel.select { events:case_receive(), inbox:case_receive() }
        if got.channel == inbox then error("asked to fail", 0) end
      end }
  - name: pool
    kind: supervisor
    children:
      - { name: first, process: worker, input: [first], ready: call, restart: { initial_delay: 1ms } }
    lifecycle: { auto_start: true, restart: { max_attempts: 1, initial_delay: 1ms } }
"""


def pool(runtime: obhut.Runtime) -> obhut.Supervisor:
    """The supervisor, when it runs."""
    top = obhut.Supervisor(runtime, runtime.supervisor)
    while True:
        for child in top.children():
            if child.name == "t:pool" and child.state == "running" and child.pid:
                return runtime.supervisor_of(child.pid)


@pytest.fixture
def runtime() -> obhut.Runtime:
    runtime = obhut.Runtime()
    runtime.load_text(APPLICATION)
    return runtime


def test_children_are_added_and_ended(runtime: obhut.Runtime) -> None:
    with runtime:
        supervisor = pool(runtime)
        child = {"name": "second", "process": "worker", "input": ["second"], "ready": "call"}
        pid = supervisor.start_child(child)
        assert runtime.resolve("second") == pid
        assert [(each.name, each.pid, each.added) for each in supervisor.children()][1:] == [("second", pid, True)]
        assert supervisor.count() == obhut.Count(specs=2, active=2, supervisors=0, workers=2)
        with pytest.raises(obhut.WrongState):
            supervisor.start_child(child)
        supervisor.stop_child("second")
        with pytest.raises(obhut.NotFound):
            supervisor.stop_child("second")
        supervisor.stop_child("first")
        assert supervisor.restart_child("first") == runtime.resolve("first")
        with pytest.raises(obhut.Failed, match="cannot begin"):
            supervisor.start_child({"name": "third", "process": "worker", "input": ["broken"], "ready": "call"})
        with pytest.raises(obhut.InvalidArgument, match="restart"):
            supervisor.start_child({"process": "worker", "restart": "sometimes"})


def test_a_failed_application_says_why(runtime: obhut.Runtime) -> None:
    with runtime, runtime.port() as port:
        supervisor = pool(runtime)
        assert runtime.failure() is None
        port.monitor(runtime.supervisor)
        while runtime.failure() is None:
            try:
                runtime.send("first", "fail")
            except obhut.NotFound:
                pass  # between two of them
        end = port.receive(60)
        assert isinstance(end, obhut.Exit)
        assert "asked to fail" in (runtime.failure() or "")
        with pytest.raises(obhut.NotFound):
            supervisor.count()


def test_crash_reports_are_kept_and_handed_over() -> None:
    lines: list[str] = []
    runtime = obhut.Runtime(crash=lines.append)
    runtime.load_text(APPLICATION)
    with runtime:
        pool(runtime)
        with pytest.raises(obhut.ProcessFailed):
            runtime.call("t:worker", "broken")
        crashes = list(runtime.crashes())
        assert [(each.entry, each.error) for each in crashes] == [("t:worker", "cannot begin")]
        assert "cannot begin" in crashes[0].text
        assert crashes[0].fields["entry"] == "t:worker"
        assert list(runtime.crashes(after=crashes[0].sequence)) == []
        runtime.stop()
    assert [obhut.Crash.from_json(line) for line in lines] == crashes
    with pytest.raises(obhut.Malformed):
        obhut.Crash.from_json("{}")


def test_explain(runtime: obhut.Runtime) -> None:
    assert "t:pool" in runtime.explain()
    assert isinstance(json.loads(runtime.explain("json")), dict)
    with pytest.raises(ValueError, match="form"):
        runtime.explain("xml")  # type: ignore[arg-type]
    runtime.close()
    with obhut.Runtime() as empty, pytest.raises(obhut.WrongState):
        empty.explain()
