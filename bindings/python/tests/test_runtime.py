from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import textwrap
import threading
import warnings
from pathlib import Path

import pytest

import obhut
from conftest import Raised, application


def test_a_call_gives_what_the_process_returned(started: obhut.Runtime) -> None:
    assert started.call("t:returns", [1, "a", None, 2.5]) == {1: 1, 2: "a", 4: 2.5}
    assert started.call("t:returns", {"k": [b"\xff", True]}) == {"k": [b"\xff", True]}
    assert started.call("t:returns") is None


def test_a_call_raises_why_the_process_failed(started: obhut.Runtime) -> None:
    with pytest.raises(obhut.ProcessFailed, match="no paper") as raised:
        started.call("t:fails", "no paper")
    assert raised.value.error == "no paper"
    assert raised.value.hops == 0
    assert raised.value.origin == raised.value.pid
    with pytest.raises(obhut.ProcessFailed, match="^no$") as raised:
        started.call("t:refuses")
    assert raised.value.error == obhut.ErrorValue("no", "NOT_FOUND", retryable=True)


def test_a_call_that_is_late_ends_the_process(started: obhut.Runtime) -> None:
    with pytest.raises(obhut.Timeout, match="t:spins has not ended"):
        started.call("t:spins", timeout=0.02)
    with pytest.raises(TimeoutError):
        started.call("t:spins", timeout=0)


@pytest.mark.parametrize("entry", ["t:nothing", "nonsense", "", "t:processes"])
def test_what_cannot_be_run_says_why(started: obhut.Runtime, entry: str) -> None:
    with pytest.raises(obhut.ObhutError) as raised:
        started.spawn(entry)
    assert str(raised.value)


def test_faults_of_an_application_are_listed_with_their_places() -> None:
    with obhut.Runtime() as runtime, pytest.raises(obhut.InvalidApplication) as raised:
        runtime.load_text("namespace: x\nentries:\n  - { name: a, kind: process.lua }\n  - { name: a, kind: nothing }\n")
    assert len(str(raised.value).splitlines()) >= 2
    assert raised.value.line == 3


def test_a_folder_is_loaded_and_started_by_with(tmp_path: Path) -> None:
    (tmp_path / "_index.yaml").write_text(application())
    with obhut.Runtime(tmp_path) as runtime:
        assert runtime.call("t:returns", "x") == "x"
    with pytest.raises(obhut.InvalidApplication):
        obhut.Runtime(tmp_path / "nothing")


def test_states_are_kept(started: obhut.Runtime) -> None:
    with pytest.raises(obhut.WrongState):
        started.load_text(application())
    with pytest.raises(obhut.WrongState):
        started.start()
    with obhut.Runtime() as other:
        other.port().close()  # before the start too
        other.stop()
        with pytest.raises(obhut.WrongState):
            other.port()
    with obhut.Runtime() as other, pytest.raises(obhut.WrongState):
        other.load_text(application())
        other.spawn("t:returns")


def test_closing_twice_and_using_after() -> None:
    runtime = obhut.Runtime()
    runtime.close()
    runtime.close()
    assert runtime.closed
    for use in (lambda: runtime.spawn("t:x"), runtime.start, runtime.counters, runtime.port, runtime.stop,
                lambda: runtime.resolve("x")):
        with pytest.raises(obhut.Closed):
            use()


def test_a_runtime_that_is_forgotten_warns_and_is_freed() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        runtime = obhut.Runtime()
        runtime.load_text(application())
        runtime.start()
        del runtime
        gc.collect()
    assert any(issubclass(each.category, ResourceWarning) for each in caught)


def test_output_and_log_go_to_functions() -> None:
    printed: list[str] = []
    logged: list[tuple[int, str]] = []
    with obhut.Runtime(output=printed.append, log=lambda level, text: logged.append((level, text))) as runtime:
        runtime.load_text(application())
        runtime.start()
        runtime.call("t:prints", "a\0b", 1)
        with runtime.port() as port:
            port.spawn("t:fails", monitored=False)
            port.spawn("t:fails", monitored=True)
            assert isinstance(port.receive(10), obhut.Exit)
            runtime.stop()
    assert "".join(printed) == "a\0b\t1\n"
    assert len(logged) == 1
    assert logged[0][0] == 3
    assert "on purpose" in logged[0][1]


def test_without_functions_output_and_log_are_kept(started: obhut.Runtime) -> None:
    started.call("t:prints", "hello")
    assert started.read_output() == "hello\n"
    assert started.read_output() == ""
    assert started.read_log() == ""


def test_what_a_callback_raises_is_reported_and_ends_nothing(unraisable: Raised) -> None:
    def raises(text: str) -> None:
        raise KeyboardInterrupt(text)

    with obhut.Runtime(output=raises) as runtime:
        runtime.load_text(application())
        runtime.start()
        runtime.call("t:prints", "x")
        runtime.stop()
    assert [type(each) for each in unraisable] == [KeyboardInterrupt]


def test_callbacks_are_let_go(tmp_path: Path) -> None:
    from obhut import _callbacks

    gc.collect()
    before = _callbacks.kept()
    for _ in range(5):
        runtime = obhut.Runtime(output=lambda text: None, log=lambda level, text: None, read_input=lambda size: b"")
        assert _callbacks.kept() == before + 3
        runtime.close()
        assert _callbacks.kept() == before
    with pytest.raises(ValueError, match="log_format"):
        obhut.Runtime(output=lambda text: None, log_format="xml")  # type: ignore[arg-type]
    assert _callbacks.kept() == before


def test_many_callbacks_with_collections_between() -> None:
    seen = 0

    def count(text: str) -> None:
        nonlocal seen
        seen += text.count("\n")
        if seen % 100 == 0:
            gc.collect(0)

    source = 'return { main = function(n) for i = 1, n do print(i) ; if i % 500 == 0 then process.ready() end end end }'
    with obhut.Runtime(output=count) as runtime:
        runtime.load_text(application({"many": source}))
        runtime.start()
        for _ in range(100):
            runtime.call("t:many", 1000)
        counters = runtime.counters()
        runtime.stop()
        assert seen + runtime.counters().dropped_lines == 100_000
        assert (counters.spawned, counters.zombies) == (100, 0)


def test_input_arguments_and_environment() -> None:
    lines = iter([b"first\nsec", b"ond\n", b""])
    source = """
        local io, env = require("io"), require("env")
        return { main = function() return { io.readline(), io.readline(), io.args(), env.get("COLOUR") } end }"""
    text = application({"asks": source}) + "    modules: [io, env]\n    env: [COLOUR]\n"
    with obhut.Runtime(read_input=lambda size: next(lines), arguments=["a", "ä"], environment={"COLOUR": "red"}) as runtime:
        runtime.load_text(text)
        runtime.start()
        assert runtime.call("t:asks") == ["first", "second", ["a", "ä"], "red"]


def test_two_runtimes_do_not_mix() -> None:
    with obhut.Runtime() as one, obhut.Runtime() as two:
        for runtime in (one, two):
            runtime.load_text(application())
            runtime.start()
        pids = [one.spawn("t:waits") for _ in range(100)]
        assert one.counters().processes == 100
        assert two.counters().processes == 0
        for pid in pids:
            one.terminate(pid)


def test_pids_have_texts_and_are_values(started: obhut.Runtime) -> None:
    pid = started.spawn("t:waits")
    assert str(pid).startswith("{t:processes|0x")
    assert started.resolve(str(pid)) == pid
    assert len({pid, started.resolve(str(pid))}) == 1
    started.cancel(str(pid), 1)
    with pytest.raises(obhut.NotFound):
        started.resolve("nobody")
    with pytest.raises(LookupError):
        started.send("nobody", "topic")


def run_python(program: str, *, expect: int | None = 0, timeout: float = 60, is_silent: bool = False) -> str:
    """Runs a program in a Python of its own; gives what it printed."""
    prelude = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
    done = subprocess.run([sys.executable, "-c", prelude + textwrap.dedent(program)], capture_output=True, text=True,
                          timeout=timeout, check=False)
    assert expect is None or done.returncode == expect, done.stderr
    assert not is_silent or not done.stderr
    return done.stdout


def test_a_program_that_ends_with_live_processes_ends() -> None:
    assert run_python("""
        import obhut
        from conftest import application
        runtime = obhut.Runtime(output=lambda text: None)
        runtime.load_text(application())
        runtime.start()
        for _ in range(100): runtime.spawn("t:spins")
        port = runtime.port()
        print("end", flush=True)
    """, is_silent=True) == "end\n"


def test_a_forked_child_is_told_and_can_start_anew() -> None:
    assert run_python("""
        import os, warnings
        warnings.simplefilter("ignore")
        import obhut
        from conftest import application
        with obhut.Runtime() as runtime:
            runtime.load_text(application())
            runtime.start()
            port = runtime.port()
            child = os.fork()
            if child == 0:
                try:
                    runtime.spawn("t:waits")
                except obhut.Forked:
                    print("forked", flush=True)
                try:
                    port.receive(0)
                except obhut.Forked:
                    print("forked too", flush=True)
                port.close()
                runtime.close()
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
            print(runtime.call("t:returns", "parent"), flush=True)
            port.close()
    """) == "forked\nforked too\nparent\n"


@pytest.mark.parametrize("wait", [
    "port.receive()", "port.receive(3600)", "next(iter(port))", 'runtime.call("t:spins")', "asyncio.run(in_asyncio())",
    'runtime.request(runtime.spawn("t:spins"), "t", timeout=None)', "runtime.request(port.pid, 't', timeout=3600)",
    "asyncio.run(obhut.aio.request(runtime, port.pid, 't', timeout=None))", "asyncio.run(obhut.aio.call(runtime, 't:spins'))",
    "for event in port: pass", "select.select([port], [], [])", "runtime.process('t:p')(waits), runtime.call('t:p')",
    "runtime.process('t:p')(awaits), runtime.call('t:p')",
])
def test_control_c_ends_every_wait(wait: str) -> None:
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(f"""
        import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})
        import asyncio, select, threading, obhut
        from conftest import application
        def waits(process):
            process.receive()
        async def awaits(process):
            await asyncio.Event().wait()
        with obhut.Runtime() as runtime:
            runtime.load_text(application())
            runtime.start()
            async def in_asyncio():
                async with obhut.aio.port(runtime) as port:
                    await port.receive()
            with runtime.port() as port:
                other = threading.Event()
                thread = threading.Thread(target=lambda: (other.wait(), print("the other thread ran", flush=True)), daemon=True)
                thread.start()
                try:
                    print("waiting", flush=True)
                    {wait}
                except KeyboardInterrupt:
                    print("interrupted", flush=True)
                other.set()
                thread.join()
        """)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "waiting\n"
    # The handler ends whatever the program does by now: in the wait, or just before it.
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert output.splitlines() == ["interrupted", "the other thread ran"]


def test_waiting_threads_let_others_run(started: obhut.Runtime) -> None:
    with started.port() as port:
        got: list[obhut.Event] = []
        waiter = threading.Thread(target=lambda: got.append(port.receive()))
        waiter.start()
        started.send(port.pid, "topic", 1)
        waiter.join(60)
    assert got == [obhut.Message("topic", 1, None)]


def test_the_library_changes_no_signal(started: obhut.Runtime) -> None:
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    os.kill(os.getpid(), signal.SIGURG)  # what interrupts workers: harmless at any time
    assert started.call("t:returns", 1) == 1
