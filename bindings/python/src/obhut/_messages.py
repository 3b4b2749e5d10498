"""What a port receives."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any, Callable

from . import _bindings as b
from ._errors import ProcessFailed, text_of
from ._library import c
from ._payload import ErrorValue, Pid, decode


@dataclass(frozen=True)
class Message:
    """Sent by a process, by a port or from outside.

    Attributes:
        topic: under which it was sent.
        value: what was sent; of several values sent from Lua, a list.
        sender: who sent it, or None if nobody said.
    """

    topic: str
    value: Any
    sender: Pid | None


@dataclass(frozen=True)
class _End:
    pid: Pid
    value: Any
    error: str | ErrorValue | Any | None
    text: str | None
    origin: Pid
    hops: int

    @property
    def failed(self) -> bool:
        """Whether the end was abnormal."""
        return self.text is not None

    def result(self) -> Any:
        """The value with which the process ended.

        Raises:
            ProcessFailed: it ended abnormally.
        """
        if self.text is not None:
            raise ProcessFailed(self.text, self.pid, self.error, self.origin, self.hops)
        return self.value


@dataclass(frozen=True)
class Exit(_End):
    """A monitored process has ended.

    Attributes:
        pid: which one.
        value: what it returned; None if it failed.
        error: why it failed, a text or an `ErrorValue`; None if it ended normally.
        text: the same for people; None if it ended normally.
        origin: the process where the failure began.
        hops: how many links it travelled from there to `pid`.
    """


@dataclass(frozen=True)
class LinkDown(_End):
    """A linked process has failed; the attributes are those of `Exit`."""


@dataclass(frozen=True)
class Cancel:
    """The port was asked to end. Nothing forces it to.

    Attributes:
        sender: who asked, or None.
    """

    sender: Pid | None


Event = Message | Exit | LinkDown | Cancel


def taken(handle: int, name: Callable[[int], str]) -> Event | None:
    """What a message handle (taken) stands for; None for a kind of a later version."""
    try:
        kind = c.obhut_message_kind(handle)
        sender = c.obhut_message_from(handle)
        if kind == b.OBHUT_MESSAGE_DATA:
            length = ctypes.c_size_t()
            reference = ctypes.byref(length)
            topic = c.obhut_message_topic(handle, reference)
            name_of_topic = text_of(ctypes.string_at(topic, length.value)) if topic else ""
            payload = c.obhut_message_payload(handle, reference)
            value = decode(ctypes.string_at(payload, length.value), name) if payload else None
            return Message(name_of_topic, value, Pid(sender, name) if sender else None)
        if kind in (b.OBHUT_MESSAGE_EXIT, b.OBHUT_MESSAGE_LINK_DOWN):
            return _end(Exit if kind == b.OBHUT_MESSAGE_EXIT else LinkDown, handle, Pid(sender, name), name)
        if kind == b.OBHUT_MESSAGE_CANCEL:
            return Cancel(Pid(sender, name) if sender else None)
        return None
    finally:
        c.obhut_message_free(handle)


def _end(kind: type[Exit] | type[LinkDown], handle: int, pid: Pid, name: Callable[[int], str]) -> Exit | LinkDown:
    content, length, text = ctypes.c_void_p(), ctypes.c_size_t(), ctypes.c_void_p()
    normal = c.obhut_message_result(handle, ctypes.byref(content), ctypes.byref(length), ctypes.byref(text))
    value = decode(ctypes.string_at(content.value, length.value), name) if content.value else None
    origin = Pid(c.obhut_message_origin(handle) or pid.value, name)
    hops = c.obhut_message_hops(handle)
    if normal:
        return kind(pid, value, None, None, origin, hops)
    said = text_of(ctypes.string_at(text.value)) if text.value else ""
    return kind(pid, None, value, said, origin, hops)
