from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

import obhut

# A shell's background jobs ignore SIGINT, which some tests send.
signal.signal(signal.SIGINT, signal.default_int_handler)

HOST = """
namespace: t
entries:
  - { name: processes, kind: process.host, lifecycle: { auto_start: true } }
"""

PROGRAMS = {
    "echo": """
        return { main = function()
            local inbox, events = process.inbox(), process.events()
            while true do
                local got = channel.select { events:case_receive(), inbox:case_receive() }
                if got.channel == events then return "asked to end" end
                process.send(got.value:from(), got.value:topic(), got.value:payload())
            end
        end }""",
    "returns": "return { main = function(...) return ... end }",
    "fails": 'return { main = function(text) error(text or "on purpose", 0) end }',
    "refuses": 'return { main = function() return nil, errors.new{message = "no", kind = "NOT_FOUND", retryable = true} end }',
    "spins": "return { main = function() while true do end end }",
    "prints": "return { main = function(...) print(...) end }",
    "waits": "return { main = function() process.inbox():receive() end }",
}


def application(programs: dict[str, str] = PROGRAMS) -> str:
    """An application with one host and a process entry for each program."""
    text = HOST
    for name, source in programs.items():
        text += f"  - name: {name}\n    kind: process.lua\n    source: |\n"
        text += "".join(f"      {line}\n" for line in source.splitlines())
    return text


@pytest.fixture
def started() -> Iterator[obhut.Runtime]:
    with obhut.Runtime() as runtime:
        runtime.load_text(application())
        runtime.start()
        yield runtime


@pytest.fixture
def port(started: obhut.Runtime) -> Iterator[obhut.Port]:
    with started.port() as port:
        yield port


Raised = list[BaseException | None]


@pytest.fixture
def unraisable(monkeypatch: pytest.MonkeyPatch) -> Raised:
    """What callbacks raised."""
    found: Raised = []
    monkeypatch.setattr("sys.unraisablehook", lambda hook: found.append(hook.exc_value))
    return found
