#!/usr/bin/env python3
"""Writes src/obhut/_bindings.py from include/obhut.h.

Usage: tools/generate_bindings.py [--check]

With --check nothing is written: the status is 1 if the file is not what the header gives. Needs pycparser.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from pycparser import c_ast, c_parser  # type: ignore[import-untyped]

HERE = Path(__file__).resolve().parent
HEADER = HERE.parents[2] / "include" / "obhut.h"
TARGET = HERE.parent / "src" / "obhut" / "_bindings.py"

# What the header takes from the standard headers.
STANDARD = """
typedef _Bool bool; typedef unsigned long size_t; typedef int int32_t; typedef unsigned int uint32_t;
typedef unsigned char uint8_t; typedef unsigned short uint16_t;
typedef long int64_t; typedef unsigned long uint64_t;
"""

SCALARS = {
    "bool": ("ctypes.c_bool", "bool"),
    "int": ("ctypes.c_int", "int"),
    "int32_t": ("ctypes.c_int32", "int"),
    "uint8_t": ("ctypes.c_uint8", "int"),
    "uint16_t": ("ctypes.c_uint16", "int"),
    "uint32_t": ("ctypes.c_uint32", "int"),
    "int64_t": ("ctypes.c_int64", "int"),
    "uint64_t": ("ctypes.c_uint64", "int"),
    "size_t": ("ctypes.c_size_t", "int"),
    "double": ("ctypes.c_double", "float"),
}


def without_preprocessor(text: str) -> str:
    """The header without comments, directives and `extern "C"`."""
    text = re.sub(r"/\*.*?\*/", " ", text, flags=re.S)
    text = text.replace("\\\n", " ")
    text = re.sub(r"^#ifdef __cplusplus.*?^#endif", "", text, flags=re.S | re.M)
    return re.sub(r"^#.*$", "", text, flags=re.M)


def constants(text: str) -> list[tuple[str, str]]:
    """Macros that are a number or a text, in the order of the header."""
    text = re.sub(r"/\*.*?\*/", " ", text, flags=re.S)
    found = []
    for name, value in re.findall(r"^#define (OBHUT_\w+)[ \t]+(.+?)\s*$", text, flags=re.M):
        if re.fullmatch(r'\(?-?\d+[uUlL]*\)?|"[^"]*"|\(?-?0x[0-9a-fA-F]+[uUlL]*\)?', value):
            value = value if value.startswith('"') else value.strip("()").rstrip("uUlL")
            found.append((name, value))
    return found


class Header:
    """What the declarations of the header are in ctypes."""

    def __init__(self, text: str) -> None:
        self.declarations = c_parser.CParser().parse(STANDARD + without_preprocessor(text)).ext
        self.scalars = dict(SCALARS)
        self.callbacks: dict[str, str] = {}
        self.structures: dict[str, list[tuple[str, str]]] = {}
        self.functions: list[tuple[str, str, str, list[tuple[str, str]]]] = []
        for declaration in self.declarations:
            self.take(declaration)

    def take(self, declaration: c_ast.Node) -> None:
        name = getattr(declaration, "name", None)
        kind = getattr(declaration, "type", None)
        if not name or name in SCALARS:
            return
        if isinstance(declaration, c_ast.Typedef):
            if isinstance(kind, c_ast.PtrDecl) and isinstance(kind.type, c_ast.FuncDecl):
                function = kind.type
                arguments = [self.ctype(each.type) for each in self.parameters(function)]
                # ctypes turns a char pointer into bytes, and so loses what is behind a NUL.
                arguments = ["ctypes.c_void_p" if each == "ctypes.c_char_p" else each for each in arguments]
                self.callbacks[name] = f"ctypes.CFUNCTYPE({', '.join([self.result(function)[0], *arguments])})"
            elif isinstance(kind, c_ast.TypeDecl) and isinstance(kind.type, c_ast.Struct):
                if kind.type.decls:
                    self.structures[name] = [(each.name, self.ctype(each.type)) for each in kind.type.decls]
            elif isinstance(kind, c_ast.TypeDecl) and isinstance(kind.type, c_ast.IdentifierType):
                self.scalars[name] = self.scalars[" ".join(kind.type.names)]
        elif isinstance(kind, c_ast.FuncDecl):
            ctype, python = self.result(kind)
            named = [(str(each.name), self.ctype(each.type)) for each in self.parameters(kind)]
            self.functions.append((name, ctype, python, named))

    @staticmethod
    def parameters(function: c_ast.FuncDecl) -> list[c_ast.Decl]:
        listed = function.args.params if function.args else []
        return [each for each in listed if not (isinstance(each, c_ast.Typename) and not each.name)]

    def result(self, function: c_ast.FuncDecl) -> tuple[str, str]:
        """The type of the result in ctypes, and in Python."""
        ctype = self.ctype(function.type)
        if ctype == "ctypes.c_char_p" and any("POINTER(ctypes.c_size_t)" in self.ctype(each.type)
                                              for each in self.parameters(function)):
            ctype = "ctypes.c_void_p"  # its length is answered too, so it may hold NULs
        if ctype == "None":
            return ctype, "None"
        if ctype in ("ctypes.c_void_p", "ctypes.c_char_p"):
            return ctype, "int | None" if ctype == "ctypes.c_void_p" else "bytes | None"
        for scalar, python in self.scalars.values():
            if scalar == ctype:
                return ctype, python
        raise ValueError(f"no Python type for {ctype}")

    def ctype(self, kind: c_ast.Node) -> str:
        if isinstance(kind, c_ast.PtrDecl):
            return self.pointer(kind.type)
        if isinstance(kind, c_ast.ArrayDecl):
            raise ValueError("an array in the header")
        named = kind.type
        if isinstance(named, c_ast.Struct):
            return str(named.name)
        name = " ".join(named.names)
        if name == "void":
            return "None"
        if name in self.scalars:
            return self.scalars[name][0]
        return name

    def pointer(self, target: c_ast.Node) -> str:
        if isinstance(target, c_ast.FuncDecl):
            raise ValueError("a function pointer without a typedef")
        if isinstance(target, c_ast.PtrDecl):
            inner = self.pointer(target.type)
            if inner == "ctypes.c_char_p" and "const" not in target.quals:
                inner = "ctypes.c_void_p"  # where a text is answered: ctypes would end it at its first NUL
            return f"ctypes.POINTER({inner})"
        named = target.type
        name = named.name if isinstance(named, c_ast.Struct) else " ".join(named.names)
        if name == "char":
            return "ctypes.c_char_p"
        if name in self.scalars:
            return f"ctypes.POINTER({self.scalars[name][0]})"
        if name in self.structures:
            return f"ctypes.POINTER({name})"
        return "ctypes.c_void_p"  # void, and every handle


def generated(text: str) -> str:
    header = Header(text)
    lines = [
        '"""What include/obhut.h declares, for ctypes. Generated by tools/generate_bindings.py: do not edit."""',
        "",
        "from __future__ import annotations",
        "",
        "import ctypes",
        "from typing import Any, Callable",
        "",
    ]
    lines += [f"{name} = {value}" for name, value in constants(text)]
    for name, fields in header.structures.items():
        lines += ["", "", f"class {name}(ctypes.Structure):", "    _fields_ = ["]
        lines += [f'        ("{field}", {ctype}),' for field, ctype in fields]
        lines += ["    ]"]
    lines += [""]
    if header.callbacks:
        lines += ["", *(f"{name} = {ctype}" for name, ctype in header.callbacks.items())]
    lines += ["", "", "class Bindings:", '    """The functions of a loaded library, under their names."""', ""]
    for name, _, python, _ in header.functions:
        lines.append(f"    {name}: Callable[..., {python}]")
    lines += ["", "    def __init__(self, library: ctypes.CDLL) -> None:", "        def bind(name: str, result: Any, *arguments: Any) -> Any:",
              "            function = library[name]", "            function.restype = result",
              "            function.argtypes = list(arguments)", "            return function", ""]
    for name, ctype, _, arguments in header.functions:
        types = "".join(f", {each}" for _, each in arguments)
        line = f'        self.{name} = bind("{name}", {ctype}{types})'
        if len(line) > 118:
            wrapped = "".join(f"            {each},\n" for _, each in arguments)
            line = f'        self.{name} = bind(\n            "{name}",\n            {ctype},\n{wrapped}        )'
        lines.append(line)
    return "\n".join(lines) + "\n"


def main() -> int:
    text = generated(HEADER.read_text())
    if sys.argv[1:] == ["--check"]:
        if TARGET.exists() and TARGET.read_text() == text:
            return 0
        print(f"{TARGET.name} is not what the header gives: run {Path(__file__).name}", file=sys.stderr)
        return 1
    if sys.argv[1:]:
        sys.exit(__doc__)
    TARGET.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
