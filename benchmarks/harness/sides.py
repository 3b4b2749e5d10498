"""Runs the work: our command, a C driver over our library, Erlang, plain Lua. Each answers the last line it prints, JSON."""
from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
from pathlib import Path

from .model import BenchError, Measured

BENCHMARKS = Path(__file__).resolve().parent.parent
ROOT = BENCHMARKS.parent
# Where everything goes that a run leaves.
BUILD = ROOT / "build" / "bench"
# A run that takes longer hangs.
TIMEOUT = 600.0


def obhut() -> str:
    """The built command."""
    return str(ROOT / "build" / "bin" / "obhut")


def library_environment() -> dict[str, str]:
    """For programs that are compiled and linked against the tree that was built."""
    return os.environ | {"PKG_CONFIG_PATH": str(ROOT / "build" / "pkgconfig")}


def _run(command: list[str], environment: dict[str, str] | None = None) -> Measured:
    shown = shlex.join(command)
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, env=environment, check=False)
    except subprocess.TimeoutExpired as expired:
        raise BenchError(f"no end within {TIMEOUT:g} s: {shown}") from expired
    if done.returncode != 0:
        text = (done.stderr + done.stdout).strip()[-2000:]
        raise BenchError(f"status {done.returncode}: {shown}\n{text}")
    try:
        measured = json.loads(done.stdout.strip().splitlines()[-1])
    except (IndexError, json.JSONDecodeError) as error:
        raise BenchError(f"no result: {shown}\n{done.stdout[-2000:]}") from error
    if not isinstance(measured, dict):
        raise BenchError(f"no table as a result: {shown}\n{done.stdout[-2000:]}")
    return measured


def obhut_exec(app: Path, entry: str, *arguments: object, host: str | None = None) -> Measured:
    """Runs a process of an application; it returns a table of what it measured."""
    options = ["--host", host] if host else []
    return _run([obhut(), "exec", *options, str(app), entry, *map(str, arguments)])


def _build(command: list[str]) -> str:
    """A compiler or what it needs; what it prints."""
    done = subprocess.run(command, capture_output=True, text=True, env=library_environment(), check=False)
    if done.returncode != 0:
        raise BenchError(f"{shlex.join(command)}\n{done.stdout}{done.stderr}")
    return done.stdout


def erlang_command(module: str, *arguments: object, flags: tuple[str, ...] = ()) -> list[str]:
    """`module:main/1` of benchmarks/peers, compiled; it gets the arguments as strings."""
    target = BUILD / "peers"
    target.mkdir(parents=True, exist_ok=True)
    for source in (BENCHMARKS / "peers" / "bench.erl", BENCHMARKS / "peers" / f"{module}.erl"):
        beam = target / f"{source.stem}.beam"
        if not beam.exists() or beam.stat().st_mtime < source.stat().st_mtime:
            _build(["erlc", "-Werror", "-o", str(target), str(source)])
    return ["erl", "-noshell", "-noinput", "+P", "2000000", *flags, "-pa", str(target), "-run", module, "main",
            *map(str, arguments)]


def erlang(module: str, *arguments: object, flags: tuple[str, ...] = ()) -> Measured:
    """Runs a peer with the emulator's defaults but for a process table of 2,000,000."""
    return _run(erlang_command(module, *arguments, flags=flags), os.environ | {"ERL_CRASH_DUMP": "/dev/null"})


def lua(script: Path, *arguments: object) -> Measured:
    """Runs a script with the stock interpreter; it prints its result."""
    return _run(["lua5.4", str(script), *map(str, arguments)])


def compile_driver(source: Path, package: str = "obhut") -> Path:
    """A C program, compiled as a user of `package` would; only if it has changed."""
    target = BUILD / source.parent.name / source.stem
    shared = BENCHMARKS / "driver.h"
    newest = max(source.stat().st_mtime, shared.stat().st_mtime)
    if not target.exists() or target.stat().st_mtime < newest:
        target.parent.mkdir(parents=True, exist_ok=True)
        flags = _build(["pkg-config", "--cflags", "--libs", package])
        _build(["cc", "-std=gnu11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Werror", f"-I{BENCHMARKS}", "-o", str(target),
                str(source), *shlex.split(flags)])
    return target


def native_app(folder: Path, *sources: str) -> Path:
    """A copy of an application's folder in which each `x.c` of `sources` lies compiled as `libx.so`; only if it has changed."""
    target = BUILD / folder.name / "app"
    target.mkdir(parents=True, exist_ok=True)
    for file in [*folder.glob("*.yaml"), *folder.glob("*.lua")]:
        shutil.copy2(file, target)
    for name in sources:
        source = folder / name
        library = target / f"lib{source.stem}.so"
        if not library.exists() or library.stat().st_mtime < source.stat().st_mtime:
            flags = _build(["pkg-config", "--cflags", "obhut"])
            _build(["cc", "-std=gnu11", "-O2", "-Wall", "-Werror", "-shared", "-fPIC", *shlex.split(flags), "-o",
                    str(library), str(source)])
    return target


def driver(source: Path, *arguments: object, package: str = "obhut") -> Measured:
    """Compiles and runs a C driver."""
    return _run([str(compile_driver(source, package)), *map(str, arguments)])


def python(script: Path, *arguments: object) -> Measured:
    """A script that uses the Python package of this tree and the library that was built."""
    package = ROOT / "bindings" / "python" / "src"
    library = ROOT / "build" / "lib" / "libobhut.so.0"
    return _run(["/usr/bin/python3", str(script), *map(str, arguments)],
                os.environ | {"PYTHONPATH": str(package), "OBHUT_LIBRARY": str(library), "PYTHONDONTWRITEBYTECODE": "1"})
