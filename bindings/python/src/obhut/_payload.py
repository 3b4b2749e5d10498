"""Values that travel between processes: MessagePack, and the two extension types of Obhut."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any, Callable

import msgpack  # type: ignore[import-untyped]

from ._errors import InvalidArgument

_PID, _ERROR = 1, 2  # extension types, see obhut.h


class Pid:
    """A process, as a value: comparable, hashable, sendable. It may have ended.

    `str(pid)` is its text, "{app:processes|0x00004}", as long as its runtime is open.
    """

    __slots__ = ("_name", "value")

    def __init__(self, value: int, name: Callable[[int], str] | None = None) -> None:
        self.value = value
        self._name = name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pid) and other.value == self.value

    def __hash__(self) -> int:
        return hash(self.value)

    def __str__(self) -> str:
        return self._name(self.value) if self._name else f"{{pid 0x{self.value:x}}}"

    def __repr__(self) -> str:
        return f"<Pid {self}>"


@dataclass(frozen=True)
class ErrorValue:
    """An error object of Lua's `errors`: what `errors.new{...}` makes.

    Attributes:
        message: what went wrong.
        kind: such as "NOT_FOUND"; "UNKNOWN" by default.
        retryable: whether trying again may help; None if nobody said.
        details: any value that can be sent, or None.
        stack: where it was made, one line each, or None.
    """

    message: str
    kind: str = "UNKNOWN"
    retryable: bool | None = None
    details: Any = None
    stack: Any = field(default=None, compare=False)

    def __str__(self) -> str:
        return self.message


def _extension(value: Any) -> msgpack.ExtType:
    if isinstance(value, Pid):
        return msgpack.ExtType(_PID, struct.pack(">Q", value.value))
    if isinstance(value, ErrorValue):
        parts = [value.kind, value.message, value.retryable, value.details, value.stack]
        return msgpack.ExtType(_ERROR, encode(parts))
    if isinstance(value, int):
        raise InvalidArgument(f"cannot send {value}: an int has 64 bits")
    raise TypeError(f"cannot send a {type(value).__name__}: None, bool, int, float, str, bytes, list, tuple, dict, Pid "
                    "and ErrorValue can be sent")


# Making a packer costs more than packing a small value, so they are kept. Who uses one takes it out meanwhile: another thread, an
# error object within the value, or a signal's handler, needs another; one that has failed is not used again.
_packers: list[msgpack.Packer] = []
_MOST = 8  # about as many as there are threads that send at a time
_KEPT = 65_536  # bytes; a packer that has packed more keeps as much memory


def encode(value: Any) -> bytes:
    """MessagePack of a value: None, bool, int (of 64 bits), float, str, bytes, list, tuple, dict, Pid, ErrorValue.

    Raises:
        TypeError: it holds something else.
        InvalidArgument: an int does not fit, or it nests too deeply.
    """
    try:
        packer = _packers.pop()
    except IndexError:
        packer = msgpack.Packer(default=_extension, use_bin_type=True)
    try:
        data: bytes = packer.pack(value)
    except (OverflowError, ValueError, RecursionError) as error:
        raise InvalidArgument(f"cannot send this value: {error}") from error
    if len(data) < _KEPT and len(_packers) < _MOST:
        _packers.append(packer)
    return data


def decode(data: bytes, name: Callable[[int], str] | None = None) -> Any:
    """The value of one MessagePack value. Lists are lists; a Lua string that is not UTF-8 comes as bytes.

    Args:
        data: exactly one value, from the library.
        name: gives the text of a pid, for the `Pid`s in it.
    """

    def extension(code: int, content: bytes) -> Any:
        if code == _PID and len(content) == 8:
            return Pid(struct.unpack(">Q", content)[0], name)
        if code == _ERROR:
            kind, message, retryable, details, stack = (*decode(content, name), None, None, None)[:5]
            return ErrorValue(message, kind, retryable, details, stack)
        return msgpack.ExtType(code, content)

    return msgpack.unpackb(data, ext_hook=extension, raw=False, strict_map_key=False)
