"""Finds and opens libobhut."""

from __future__ import annotations

import ctypes
import ctypes.util
import os
from pathlib import Path

from ._bindings import OBHUT_ABI_VERSION, OBHUT_VERSION_MAJOR, OBHUT_VERSION_MINOR, Bindings

PACKAGE = Path(__file__).resolve().parent
FILE_NAME = f"libobhut.so.{OBHUT_ABI_VERSION}"


class LibraryNotFound(ImportError):
    """There is no libobhut that fits this package; the text lists what was tried and why not."""


def _candidates() -> list[tuple[str, str]]:
    """Where the library may be, as (how it was found, path or name), the first that fits counts."""
    chosen = os.environ.get("OBHUT_LIBRARY")
    if chosen:
        return [("OBHUT_LIBRARY", chosen)]
    found = [("bundled", str(PACKAGE / "lib" / FILE_NAME)), ("system", FILE_NAME)]
    named = ctypes.util.find_library("obhut")
    if named and named != FILE_NAME:
        found.append(("system", named))
    return found


def _open() -> tuple[Bindings, str]:
    tried = []
    for how, path in _candidates():
        try:
            library = ctypes.CDLL(path)
            abi_version = int(library.obhut_abi_version())
            if abi_version != OBHUT_ABI_VERSION:
                raise OSError(f"its ABI version is {abi_version}, this package needs {OBHUT_ABI_VERSION}")
            return Bindings(library), path
        except (OSError, AttributeError) as error:
            # A function that is missing: a library of an older version.
            tried.append(f"  {how}: {path}: {error}")
    raise LibraryNotFound(
        f"no libobhut {OBHUT_VERSION_MAJOR}.{OBHUT_VERSION_MINOR} found; set OBHUT_LIBRARY to its path. Tried:\n"
        + "\n".join(tried)
    )


c, _path = _open()


def get_library_path() -> str:
    """The path of the library that is in use, or its name if the system found it."""
    return _path


def get_include() -> str:
    """The folder of `obhut.h`, for programs that are compiled against this package's library.

    Raises:
        FileNotFoundError: this package was installed without the header.
    """
    folder = PACKAGE / "include"
    if not (folder / "obhut.h").is_file():
        raise FileNotFoundError(f"no obhut.h in {folder}")
    return str(folder)
