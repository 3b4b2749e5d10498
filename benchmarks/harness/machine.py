"""What kind of machine this is, without its name."""
from __future__ import annotations

import os
import platform
import subprocess
import time
from pathlib import Path

from .sides import BENCHMARKS, ROOT, driver, obhut


def _output(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _field(path: str, name: str) -> str:
    for line in Path(path).read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return "unknown"


def _distribution() -> str:
    release = platform.freedesktop_os_release()
    return release.get("PRETTY_NAME", "Linux")


def available_memory() -> int:
    """Bytes that can be used without swapping."""
    return int(_field("/proc/meminfo", "MemAvailable").split()[0]) * 1024


def speed() -> dict[str, float]:
    """Nanoseconds of a dependent `addition`, a cycle, of one of several `side_by_side`, and of a dependent `load` from memory: more
    where others use the machine."""
    return {name: taken for name, taken in driver(BENCHMARKS / "harness" / "speed.c").items() if isinstance(taken, float)}


def describe() -> dict[str, str]:
    memory = int(_field("/proc/meminfo", "MemTotal").split()[0]) / 1024 ** 2
    cores = len(os.sched_getaffinity(0))
    return {
        "processor": f"{_field('/proc/cpuinfo', 'model name')}, {cores} {'core' if cores == 1 else 'cores'}",
        "memory": f"{memory:.0f} GiB",
        "system": f"{_distribution()}, Linux {'.'.join(platform.release().split('.')[:2])}, {platform.machine()}",
        "obhut": f"{_output(obhut(), '--version')}, commit {_output('git', 'rev-parse', '--short=12', 'HEAD')}",
        "erlang": "OTP " + _output(
            "erl", "-noshell", "-eval",
            "io:format(\"~s, ~s\", [erlang:system_info(otp_release), erlang:system_info(emu_flavor)]), halt()."),
        "lua": _output("lua5.4", "-e", "io.write(_VERSION)"),
        "load": f"{os.getloadavg()[0]:.1f} when it began",
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }
