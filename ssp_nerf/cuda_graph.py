"""A part of a step, or a frame, as one CUDA graph where there is a GPU; branches side by side.

A step is hundreds of small operations, two thousand without kernels of our own, a fast frame five
hundred; to launch them one by one takes a processor longer than a GPU needs to compute them.
Recorded once, they start with one call.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

import torch

Result = TypeVar("Result")

WARM_UP = 3  # runs before recording: libraries choose their algorithms and workspaces in them


class Recorded(Generic[Result]):
    """Calls `function`; on a GPU records it after some calls and then plays the record.

    What the function reads and writes must stay where it is (tensors are updated in place), and it
    must not wait for the GPU. Its result is the same tensors at every call, with new values.

    Args:
        function: without arguments.
        device: where it computes; on a CPU it is called as it is.
        generators: random streams that it draws from; played, they go on as if it had been called.
        before_recording: called just before, to forget what must be made anew in the record.
    """

    def __init__(
        self,
        function: Callable[[], Result],
        device: torch.device,
        generators: Sequence[torch.Generator] = (),
        before_recording: Callable[[], None] = lambda: None,
    ):
        self._function, self._device, self._generators = function, device, generators
        self._before_recording = before_recording
        self._graph: torch.cuda.CUDAGraph | None = None
        self._result: Result
        self._calls = 0
        # Of its own, and always the same: autograd remembers the stream that it first met a weight
        # on, and the memory of one stream is not another's.
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    def __call__(self) -> Result:
        if self._device.type != "cuda":
            return self._function()
        if self._graph is not None:
            self._graph.replay()
            return self._result
        self._calls += 1
        if self._calls <= WARM_UP:
            return self._called()
        self._before_recording()
        graph = torch.cuda.CUDAGraph()
        for generator in self._generators:
            graph.register_generator_state(generator)
        # Another thread may copy frames meanwhile; it is no part of the record.
        with torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
            self._result = self._function()
        self._graph = graph
        graph.replay()
        return self._result

    def _called(self) -> Result:
        assert self._stream is not None
        main = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(main)
        with torch.cuda.stream(self._stream):
            result = self._function()
        main.wait_stream(self._stream)
        return result


@contextlib.contextmanager
def beside(device: torch.device) -> Iterator[Callable[[], None]]:
    """Context whose work goes to a stream of its own, on a GPU; call what it gives, outside, before
    the results are used.

    Small operations in a chain leave most of a GPU idle: two chains side by side take the time of
    the longer. So do their gradients, which autograd computes on the same streams.
    """
    if device.type != "cuda":
        yield lambda: None
        return
    main, side = torch.cuda.current_stream(device), _side_stream(device)
    side.wait_stream(main)
    with torch.cuda.stream(side):
        yield lambda: main.wait_stream(side)


@functools.cache
def _side_stream(device: torch.device) -> torch.cuda.Stream:
    # Always the same, as in `Recorded`.
    return torch.cuda.Stream(device)
