"""Giving memory back to the system after a run's work, for processes that do many runs.

Belongs here: the one call of the C library. How much a capture may hold at a time is for `capture.batch`.

Readers work in threads, and glibc keeps what each thread has freed for later threads: with a few lasting
pieces among it, a process grows for hours although nothing is held (measured: 180 MB of arenas, 30 in use).
"""

import ctypes
from typing import Protocol, cast


class _Trim(Protocol):
    def __call__(self, pad: int, /) -> int: ...


def give_back() -> None:
    """Return freed memory to the system; takes some milliseconds. Without glibc it does nothing."""
    trim = _trim()
    if trim is not None:
        trim(0)


def _trim() -> _Trim | None:
    """`malloc_trim(3)`: https://man7.org/linux/man-pages/man3/malloc_trim.3.html."""
    try:
        return cast(_Trim, ctypes.CDLL(None).malloc_trim)
    except (AttributeError, OSError, TypeError):
        return None
