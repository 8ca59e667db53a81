"""Keeps the start-up chatter of native libraries out of logs that people read."""

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_native_stderr() -> Iterator[None]:
    """Send what native code writes to file descriptor 2 nowhere; for setting networks up only.

    TensorFlow Lite and absl print a few lines when a graph is built and when it first runs, and
    heed none of the environment variables that claim to silence them. Errors still reach us as
    Python exceptions.
    """
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(nowhere)
        os.close(kept)
