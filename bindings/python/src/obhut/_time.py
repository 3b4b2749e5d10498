"""Timeouts: seconds in Python, nanoseconds in C."""

from __future__ import annotations

import math
from datetime import timedelta

from ._errors import InvalidArgument

Seconds = float | timedelta
_MOST = 2**63 - 1


def nanoseconds(timeout: Seconds | None) -> int:
    """Nanoseconds of a timeout in seconds; -1, for ever, for None.

    Raises:
        InvalidArgument: it is negative, or not a number.
    """
    if timeout is None:
        return -1
    seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else float(timeout)
    if math.isnan(seconds) or seconds < 0:
        raise InvalidArgument(f"a timeout is None or a number of seconds from 0, got {timeout!r}")
    return _MOST if math.isinf(seconds) else min(math.ceil(seconds * 1e9), _MOST)
