"""mediapipe's solutions, imported without TensorFlow.

mediapipe imports all of TensorFlow where that is installed, for one decorator of its documentation:
1.8 s and 570 MB (measured) in every stage that looks at faces.
"""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def solution(name: str) -> Any:
    """The module `mediapipe.python.solutions.<name>`."""
    return mediapipe_module(f"python.solutions.{name}")


def mediapipe_module(name: str) -> Any:
    """The module `mediapipe.<name>`."""
    with _absent("tensorflow"):
        return importlib.import_module(f"mediapipe.{name}")


@contextmanager
def _absent(package: str) -> Iterator[None]:
    """Let imports of a package fail as if it were not installed, unless it is imported already."""
    if package in sys.modules:
        yield
        return
    sys.modules[package] = None  # type: ignore[assignment]  # how the import system says "absent"
    try:
        yield
    finally:
        del sys.modules[package]
