from __future__ import annotations

import zlib
from pathlib import Path

import pytest

import obhut
from conftest import HOST

LIBRARIES = """
  - { name: checksum, kind: process.native, library: libz.so.1, symbol: crc32, signature: "u64(u64, bytes)" }
  - { name: threaded, kind: process.native, library: libz.so.1, symbol: crc32, signature: "u64(u64, bytes)", isolation: thread }
  - { name: crashes, kind: process.native, library: libc.so.6, symbol: abort, signature: void() }
"""


@pytest.mark.parametrize("entry", ["t:checksum", "t:threaded"])
def test_a_function_of_a_library_is_a_process(entry: str) -> None:
    with obhut.Runtime(allow_native=["libz.so.1", "libc.so.6"]) as runtime:
        runtime.load_text(HOST + LIBRARIES)
        runtime.start()
        assert runtime.call(entry, 0, b"obhut") == zlib.crc32(b"obhut")
        with pytest.raises(obhut.ObhutError, match=r"argument 1 must be a whole number from 0 to \d+ \(u64\), got -1"):
            runtime.call(entry, -1, b"")


def test_its_crash_is_an_event() -> None:
    with obhut.Runtime(allow_native=["libz.so.1", "libc.so.6"]) as runtime:
        runtime.load_text(HOST + LIBRARIES)
        runtime.start()
        with pytest.raises(obhut.ProcessFailed, match=r"killed by SIGABRT in abort \(OS process \d+\)"):
            runtime.call("t:crashes")
        assert runtime.call("t:checksum", 0, b"obhut") == zlib.crc32(b"obhut")


def test_nothing_is_loaded_that_is_not_allowed() -> None:
    with obhut.Runtime(allow_native=["libz.so.1"]) as runtime:
        with pytest.raises(obhut.InvalidApplication, match=r"library 'libc.so.6' is not allowed"):
            runtime.load_text(HOST + LIBRARIES)


def test_a_worker_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    with obhut.Runtime(allow_native=["lib*.so.*"], worker=tmp_path / "obhut-worker") as runtime:
        runtime.load_text(HOST + LIBRARIES)
        runtime.start()
        with pytest.raises(obhut.ProcessFailed, match="obhut-worker"):
            runtime.call("t:checksum", 0, b"")
