"""The thread that writes frames."""

import threading
import time

import pytest
import torch

from ssp_nerf.frame_renderer import FrameImage
from ssp_nerf.frame_writer import FRAMES_AHEAD, FrameWriter
from ssp_nerf.schema import DISPLACEMENT_STEP


def frame(number: int) -> FrameImage:
    """A frame whose every number is its own."""
    return FrameImage(
        torch.full((2, 3, 3), number / 255),
        torch.full((2, 3), number, dtype=torch.uint8),
        torch.full((2, 3, 3), number * DISPLACEMENT_STEP / 3**0.5),
    )


def test_frames_are_written_in_order_and_whole():
    written = []
    with FrameWriter(lambda *drawn: written.append(drawn)) as writer:
        for number in range(20):
            writer.put(number, frame(number))
    assert [row for row, _ in written] == list(range(20))
    for row, (picture, parsing, displacement) in written:
        assert displacement.shape == (2, 3) and (displacement == row).all()
        assert picture.shape == (2, 3, 3) and (picture == row).all()
        assert parsing.shape == (2, 3) and (parsing == row).all()


def test_only_so_many_frames_wait():
    gate, put = threading.Event(), []
    with FrameWriter(lambda *drawn: gate.wait()) as writer:

        def draw():
            for number in range(10):
                writer.put(number, frame(number))
                put.append(number)

        drawing = threading.Thread(target=draw)
        drawing.start()
        time.sleep(0.3)
        waiting = len(put)
        gate.set()
        drawing.join()
    assert waiting == FRAMES_AHEAD + 1  # and one is being written
    assert len(put) == 10


@pytest.mark.parametrize("frames", [1, 50])
def test_an_error_of_the_writer_reaches_the_caller(frames):
    def fail(row, frame):
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"), FrameWriter(fail) as writer:
        for number in range(frames):
            writer.put(number, frame(number))


def test_an_error_of_the_caller_ends_the_thread():
    with pytest.raises(ZeroDivisionError), FrameWriter(lambda *drawn: None) as writer:
        writer.put(0, frame(0))
        raise ZeroDivisionError
    assert not writer._thread.is_alive()
