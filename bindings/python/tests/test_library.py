from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import obhut


def test_versions_agree() -> None:
    from obhut import _bindings

    assert obhut.__version__ == _bindings.OBHUT_VERSION_STRING


def import_with(**environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", "import obhut"], env={**os.environ, **environment}, capture_output=True,
                          text=True, check=False)


def test_a_library_that_is_not_there_is_named() -> None:
    done = import_with(OBHUT_LIBRARY="/nowhere/libobhut.so")
    assert done.returncode == 1
    assert "OBHUT_LIBRARY: /nowhere/libobhut.so" in done.stderr


def test_a_library_that_is_another_is_refused() -> None:
    done = import_with(OBHUT_LIBRARY="libc.so.6")
    assert done.returncode == 1
    assert "obhut_abi_version" in done.stderr


@pytest.mark.skipif("OBHUT_LIBRARY" in os.environ, reason="tests a wheel: OBHUT_LIBRARY names another library")
def test_the_wheel_holds_the_library_and_what_it_needs() -> None:
    folder = Path(obhut.get_library_path()).parent
    assert folder == Path(obhut.__file__).parent / "lib"
    assert {each.name for each in folder.iterdir()} == {
        "libobhut.so.0", "liblua5.4.so.0", "libyaml-0.so.2", "libffi.so.8", "obhut-worker"}
    with open("/proc/self/maps") as maps:
        loaded = {line.split()[-1] for line in maps if "/lib" in line}
    with obhut.Runtime():
        pass
    # A libffi has been loaded by ctypes before.
    for name in ("libobhut.so.0", "liblua5.4.so.0", "libyaml-0.so.2"):
        with open("/proc/self/maps") as maps:
            assert any(line.rstrip().endswith(str(folder / name)) for line in maps), f"{name} is not the wheel's: {loaded}"
    assert (Path(obhut.get_include()) / "obhut.h").is_file()
