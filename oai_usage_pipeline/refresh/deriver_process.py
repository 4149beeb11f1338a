"""A process that derives what comes in on its input, until that ends; started by `derivers`.

Belongs here: this loop, and how frames go through pipes: a length of eight bytes, then Arrow.
"""

import io
import os
import signal
import sys
from typing import IO

import polars as pl

from oai_usage_pipeline.usage.derive import derive

YIELDS_TO_OTHERS = 5
"""Of 19: live passes and whoever commits go first."""


def send(pipe: IO[bytes], frame: pl.DataFrame) -> None:
    """Write one frame; raises BrokenPipeError when nobody reads any more."""
    # Not the newest form of texts: it would carry all the texts that a slice was cut of.
    packed = frame.write_ipc(None, compat_level=pl.CompatLevel.oldest()).getbuffer()
    pipe.write(len(packed).to_bytes(8))
    pipe.write(packed)
    pipe.flush()


def receive(pipe: IO[bytes]) -> pl.DataFrame | None:
    """Read one frame; None when there is no more, or only a part of one."""
    length = int.from_bytes(pipe.read(8))
    packed = pipe.read(length)
    return pl.read_ipc(io.BytesIO(packed)) if length and len(packed) == length else None


def main() -> None:
    """Derive frame by frame."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(YIELDS_TO_OTHERS)
    try:
        while (bronze := receive(sys.stdin.buffer)) is not None:
            send(sys.stdout.buffer, derive(bronze))
    except BrokenPipeError:
        # Whoever asked was killed. Nothing is left to be told, not even that.
        os._exit(1)


if __name__ == "__main__":
    main()
