"""What a port receives."""

from __future__ import annotations

import ctypes
import threading
from dataclasses import dataclass, field
from typing import Any, Callable, cast

from . import _bindings as b
from ._errors import NotFound, ProcessFailed, RequestFailed, Timeout, WrongState, checked, text_of
from ._library import c
from ._payload import ErrorValue, Pid, decode, encode


class _Held:
    """A message's handle that is kept, for what is still to be done with it. Freed with this, or before."""

    def __init__(self, handle: int) -> None:
        self._handle: int | None = handle
        self._lock = threading.Lock()  # a message belongs to one thread at a time

    def use(self, function: Any, *arguments: Any) -> bool:
        """Calls a function with the handle, and frees it when that succeeded. False: it was freed before."""
        with self._lock:
            if self._handle is None:
                return False
            checked(function, self._handle, *arguments)
            self._free()
        return True

    def _free(self) -> None:
        handle, self._handle = self._handle, None
        c.obhut_message_free(handle)

    def __del__(self) -> None:
        if getattr(self, "_handle", None) is not None:
            self._free()


@dataclass(frozen=True)
class Message:
    """Sent by a process, by a port or from outside. A request is a message whose sender waits for `reply`.

    Attributes:
        topic: under which it was sent.
        value: what was sent; of several values sent from Lua, a list.
        sender: who sent it, or None if nobody said.
    """

    topic: str
    value: Any
    sender: Pid | None
    _request: _Held | None = field(default=None, repr=False, compare=False, kw_only=True)

    @property
    def is_request(self) -> bool:
        """Whether its sender waits for a reply. A request that is dropped is not answered: who asked waits until its time is
        over."""
        return self._request is not None

    def reply(self, value: Any = None) -> bool:
        """Replies to a request, once. False: who asked has ended; one that does not wait any more takes no notice. Neither is
        an error of who answers.

        Raises:
            WrongState: it is no request, or was answered.
            TypeError: the value cannot be sent; the request can still be answered.
        """
        data = encode(value)
        return self._answer(c.obhut_message_reply, data, len(data))

    def reply_error(self, error: str | ErrorValue) -> bool:
        """Replies to a request with an error, in Lua `nil, error`. Gives and raises as `reply`."""
        data = encode(error)
        return self._answer(c.obhut_message_reply_error_object, data, len(data))

    def _answer(self, function: Any, *arguments: Any) -> bool:
        if self._request is None:
            raise WrongState("this message is no request", b.OBHUT_WRONG_STATE)
        try:
            if self._request.use(function, *arguments):
                return True
        except NotFound:
            return False
        raise WrongState("this request was answered", b.OBHUT_WRONG_STATE)


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
    """The port was asked to end. Nothing forces a port to; a process is ended by force at the deadline.

    Attributes:
        sender: who asked, or None.
        deadline: when it is ended by force, on the clock of `time.monotonic`.
    """

    sender: Pid | None
    deadline: float = field(default=0.0, compare=False)


@dataclass(frozen=True)
class Reply:
    """The one answer to a request of `Port.start_request`.

    Attributes:
        request: the number of the request.
        pid: who answered, or ended without; None when the time was over.
        value: the reply; None if there is none.
        error: the error that was replied, a text or an `ErrorValue`; None if there is none.
        text: why there is no value, for people; None if there is one.
    """

    request: int
    pid: Pid | None
    value: Any
    error: str | ErrorValue | Any | None
    text: str | None
    _status: int = field(default=b.OBHUT_OK, repr=False, kw_only=True)

    @property
    def failed(self) -> bool:
        """Whether there is no value."""
        return self.text is not None

    def result(self) -> Any:
        """The value of the reply.

        Raises:
            RequestFailed: the reply was an error.
            NotFound: the one asked ended without a reply.
            Timeout: there was none in time.
        """
        if self._status == b.OBHUT_TIMEOUT:
            raise Timeout(self.text or "", self._status)
        if self._status != b.OBHUT_OK:
            raise NotFound(self.text or "", self._status)
        if self.text is not None:
            raise RequestFailed(self.text, self.pid, self.error)
        return self.value


Event = Message | Exit | LinkDown | Cancel | Reply


class Start:
    """A process of a Python function was spawned. Only the ports that this package makes for it get one. If its port is not
    taken the process ends with an error."""

    def __init__(self, handle: int, name: Callable[[int], str]) -> None:
        self.entry = _topic(handle)
        self._name = name
        self._arguments = _payload(handle)
        self._held = _Held(handle)

    def take(self) -> int:
        """The handle of the process's port.

        Raises:
            Closed: it has ended meanwhile.
        """
        port = ctypes.c_void_p()
        self._held.use(c.obhut_message_take_port, ctypes.byref(port))
        assert port.value is not None
        return port.value

    def arguments(self) -> list[Any]:
        """What it was spawned with."""
        return list(decode(self._arguments, self._name))


def _topic(handle: int) -> str:
    length = ctypes.c_size_t()
    topic = c.obhut_message_topic(handle, ctypes.byref(length))
    return text_of(ctypes.string_at(topic, length.value)) if topic else ""


def _payload(handle: int) -> bytes:
    length = ctypes.c_size_t()
    payload = c.obhut_message_payload(handle, ctypes.byref(length))
    return ctypes.string_at(payload, length.value) if payload else b"\xc0"


def taken(handle: int, name: Callable[[int], str]) -> Event | None:
    """What a message handle (taken) stands for; None for a kind of a later version."""
    kept = False
    try:
        kind = c.obhut_message_kind(handle)
        if kind == b.OBHUT_MESSAGE_START:
            kept = True
            return cast(Event, Start(handle, name))  # to nobody but the ports of this package
        sender = c.obhut_message_from(handle)
        if kind == b.OBHUT_MESSAGE_DATA:
            topic, value = _topic(handle), decode(_payload(handle), name)
            request = None
            if c.obhut_message_request(handle):
                kept, request = True, _Held(handle)
            return Message(topic, value, Pid(sender, name) if sender else None, _request=request)
        if kind in (b.OBHUT_MESSAGE_EXIT, b.OBHUT_MESSAGE_LINK_DOWN):
            return _end(Exit if kind == b.OBHUT_MESSAGE_EXIT else LinkDown, handle, Pid(sender, name), name)
        if kind == b.OBHUT_MESSAGE_CANCEL:
            return Cancel(Pid(sender, name) if sender else None, c.obhut_message_deadline(handle) / 1e9)
        if kind == b.OBHUT_MESSAGE_REPLY:
            value, said = _result(handle, name)
            return Reply(c.obhut_message_request(handle), Pid(sender, name) if sender else None,
                         value if said is None else None, None if said is None else value, said,
                         _status=c.obhut_message_status(handle))
        return None
    finally:
        if not kept:
            c.obhut_message_free(handle)


def _result(handle: int, name: Callable[[int], str]) -> tuple[Any, str | None]:
    """A value and None, or an error and its text."""
    content, length, text = ctypes.c_void_p(), ctypes.c_size_t(), ctypes.c_void_p()
    normal = c.obhut_message_result(handle, ctypes.byref(content), ctypes.byref(length), ctypes.byref(text))
    value = decode(ctypes.string_at(content.value, length.value), name) if content.value else None
    if normal:
        return value, None
    return value, text_of(ctypes.string_at(text.value)) if text.value else ""


def _end(kind: type[Exit] | type[LinkDown], handle: int, pid: Pid, name: Callable[[int], str]) -> Exit | LinkDown:
    value, said = _result(handle, name)
    origin = Pid(c.obhut_message_origin(handle) or pid.value, name)
    hops = c.obhut_message_hops(handle)
    if said is None:
        return kind(pid, value, None, None, origin, hops)
    return kind(pid, None, value, said, origin, hops)
