"""Puts the library and what it needs into the wheel, so that `pip install` needs nothing else.

Taken are `lib` and `include` of the installation that `make build` leaves (`OBHUT_INSTALLATION` names another), and from
the system liblua, libyaml and libffi with their licences. They lie beside each other in `obhut/lib`, and libobhut looks there
first: `auditwheel repair` cannot do this, because liblua is opened at run time and is no entry of the ELF header.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).resolve().parents[3]
BUNDLED = {"liblua5.4.so.0": "liblua5.4-0", "libyaml-0.so.2": "libyaml-0-2", "libffi.so.8": "libffi8"}  # file: its Debian package
GLIBC = "2_34"  # what libobhut is built to load on; Tests/Packaging checks it


def system_library(name: str) -> Path:
    """Where the dynamic linker finds a library."""
    listed = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True, check=True).stdout
    found = re.search(rf"^\s*{re.escape(name)} .*=> (\S+)$", listed, flags=re.M)
    if not found:
        raise FileNotFoundError(f"{name} is not installed")
    return Path(found[1])


class WheelHook(BuildHookInterface[Any]):
    """See the module."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before it writes the wheel."""
        if version == "editable":
            return  # finds the library through OBHUT_LIBRARY or the system
        installation = Path(os.environ.get("OBHUT_INSTALLATION", ROOT / "build"))
        library = (installation / "lib" / "libobhut.so").resolve()
        if not library.is_file():
            raise FileNotFoundError(f"no {library}: run make build first")
        stage = ROOT / "build" / "wheel"
        shutil.rmtree(stage, ignore_errors=True)
        for folder in ("lib", "include", "licenses"):
            (stage / folder).mkdir(parents=True)
        name = re.sub(r"(\.so\.\d+).*", r"\1", library.name)
        shutil.copy(library, stage / "lib" / name)
        for bundled, package in BUNDLED.items():
            shutil.copy(system_library(bundled).resolve(), stage / "lib" / bundled)
            licence = Path("/usr/share/doc") / package / "copyright"
            if licence.is_file():
                shutil.copy(licence, stage / "licenses" / package)
        subprocess.run(["patchelf", "--set-rpath", "$ORIGIN", str(stage / "lib" / name)], check=True)
        # Found beside the library, in libexec/obhut above it or in its own folder; it needs the libffi that lies there too.
        worker = stage / "lib" / "obhut-worker"
        shutil.copy(installation / "libexec" / "obhut" / "obhut-worker", worker)
        subprocess.run(["patchelf", "--set-rpath", "$ORIGIN", str(worker)], check=True)
        for header in (installation / "include").iterdir():
            shutil.copy(header, stage / "include" / header.name)
        build_data["force_include"].update({str(stage / each): f"obhut/{each}" for each in ("lib", "include", "licenses")})
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-manylinux_{GLIBC}_{platform.machine()}"
