"""SyncNet's confidence and distance (LSE-C and LSE-D), and the offset it finds.

Reference: Chung, Zisserman, Out of time: automated lip sync in the wild, ACCV workshops 2016, as
its authors' evaluation computes it (and with it the paper, table 1, "Sync": the confidence).
Protocol: 25 fps, 16 kHz mono. Every window of five face crops (224x224, BGR, 0 to 255) is compared
with the window of 20 steps of 13 MFCC that begins with it, and with those up to 15 frames before
and after; beyond the clip's ends the sound's embedding is zero. The distances are averaged over the
clip.
- `sync_distance`: the least over offsets, lower is better;
- `sync_confidence`: the median over offsets minus the least, higher is better;
- `sync_offset`: where it is, frames; positive: the sound is late (the authors' "AV offset" has the
  other sign). Face crops: a square 2.8 times half the longer side of the face's box, lower by 0.4
  times it, so that the chin is in it; smoothed by a median over 13 frames; grey 110 beyond the
  picture.
Pitfalls: the network's own faces come from the detector S3FD, ours from the landmarks' box
(forehead to chin), so figures differ a little from the authors' pipeline: compare with the truth's
own here. A network trained against SyncNet (Wav2Lip) beats the truth. Short clips and edges count
zeros.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch

from ssp_nerf.landmarks import face_boxes
from ssp_nerf.metrics.syncnet_network import AUDIO_STEPS, FRAMES, SIDE, SyncNet
from ssp_nerf.progress import progress
from ssp_nerf.speech import SAMPLE_RATE, SAMPLES_PER_FRAME

STEPS_PER_FRAME = 4  # of MFCC
REACH = 15  # frames: the offsets that are tried
CROP_SCALE = 0.4
MEDIAN_FRAMES = 13
BEYOND = 110  # grey level outside the picture
BATCH = 20  # windows at once


class Sync(NamedTuple):
    """Distances (F, 31) of each window of frames at each offset, and what counts of them."""

    distances: np.ndarray

    def of(self, rows: np.ndarray) -> "Sync":
        """The same of some windows, for the bootstrap."""
        return Sync(self.distances[rows])

    @property
    def mean(self) -> np.ndarray:
        """(31,) mean distance at each offset, the sound's from 15 frames early to 15 late."""
        return self.distances.mean(axis=0)

    @property
    def distance(self) -> float:
        return float(self.mean.min())

    @property
    def confidence(self) -> float:
        return float(np.median(self.mean) - self.mean.min())

    @property
    def offset(self) -> int:
        """Frames by which the sound is late."""
        return int(self.mean.argmin()) - REACH


def syncnet(
    network: SyncNet, frames: Sequence[np.ndarray], points: np.ndarray, speech: np.ndarray
) -> Sync | None:
    """Distances of faces and speech.

    Args:
        frames: (N) of (H, W, 3) uint8 RGB at 25 fps.
        points: (N, P, 2) landmarks in pixels; a frame without a face is nan and takes the crop of
            those beside it.
        speech: (T,) int16 at 16 kHz, the first sample at the time of frame 0.

    Returns:
        None where no face is found, or the clip is too short for one window.
    """
    count = min(len(frames), len(speech) // SAMPLES_PER_FRAME) - FRAMES
    found = np.isfinite(points).all(axis=(1, 2))
    if count < 1 or not found.any():
        return None
    device = next(network.parameters()).device
    squares = crop_squares(face_boxes(points))
    faces = _batches(network.face, _face_windows(frames, squares, count), count, device)
    sound = _batches(network.audio, _sound_windows(mfcc(speech), count), count, device)
    return Sync(distances(faces, sound))


def crop_squares(boxes: np.ndarray) -> np.ndarray:
    """Where the face crops lie: (N, 4) face boxes, nan without a face -> (N, 3) left, top, side."""
    from scipy.signal import medfilt

    known = np.flatnonzero(np.isfinite(boxes).all(axis=1))
    every = np.arange(len(boxes))
    left, top, right, bottom = (np.interp(every, known, boxes[known, i]) for i in range(4))
    kernel = min(MEDIAN_FRAMES, len(boxes) - 1 + len(boxes) % 2)
    half, x, y = (
        _edge_median(curve, kernel, medfilt)
        for curve in (
            np.maximum(right - left, bottom - top) / 2,
            (left + right) / 2,
            (top + bottom) / 2,
        )
    )
    reach = half * (1 + CROP_SCALE)
    return np.stack([x - reach, y - half, 2 * reach], axis=1)


def _edge_median(curve: np.ndarray, kernel: int, medfilt) -> np.ndarray:  # noqa: ANN001
    """Median that repeats the ends: zeros beyond them would move the first crops."""
    half = kernel // 2
    return medfilt(np.pad(curve, half, mode="edge"), kernel)[half : half + len(curve)]


def crop_face(picture: np.ndarray, square: np.ndarray) -> np.ndarray:
    """(224, 224, 3) uint8 of a picture (H, W, 3) inside (left, top, side); grey beyond it."""
    from PIL import Image

    left, top, side = square
    first = np.floor([left, top]).astype(int)
    last = np.ceil([left + side, top + side]).astype(int)
    height, width = picture.shape[:2]
    pad = max(0, *(-first), last[0] - width, last[1] - height)
    padded = np.pad(picture, ((pad, pad), (pad, pad), (0, 0)), constant_values=BEYOND)
    box = (left + pad, top + pad, left + pad + side, top + pad + side)
    resized = Image.fromarray(padded).resize((SIDE, SIDE), Image.Resampling.BILINEAR, box)
    return np.asarray(resized)


def mfcc(speech: np.ndarray) -> np.ndarray:
    """(T,) int16 at 16 kHz -> (K, 13) float32 at 100 Hz, with the package's own settings.

    Integers, not fractions of full scale: the network was trained on their logarithms.
    """
    from python_speech_features import mfcc as cepstra

    return cepstra(speech, SAMPLE_RATE).astype(np.float32)


def distances(faces: torch.Tensor, sound: torch.Tensor) -> np.ndarray:
    """(F, 31) Euclidean distance of each face embedding (F, 1024) to the sound's at each offset."""
    padded = torch.nn.functional.pad(sound, (0, 0, REACH, REACH))
    columns = [
        torch.nn.functional.pairwise_distance(faces, padded[offset : offset + len(faces)])
        for offset in range(2 * REACH + 1)
    ]
    return torch.stack(columns, dim=1).numpy()


def _face_windows(
    frames: Sequence[np.ndarray], squares: np.ndarray, count: int
) -> Iterator[np.ndarray]:
    """(3, 5, 224, 224) BGR of the `count` windows, each crop made once."""
    window: list[np.ndarray] = []
    for i in progress(range(count + FRAMES - 1), "syncnet", count + FRAMES - 1):
        window.append(crop_face(frames[i], squares[i])[..., ::-1].transpose(2, 0, 1))
        if len(window) == FRAMES:
            yield np.stack(window, axis=1)
            window.pop(0)


def _sound_windows(cepstra: np.ndarray, count: int) -> Iterator[np.ndarray]:
    needed = (count - 1) * STEPS_PER_FRAME + AUDIO_STEPS
    short = max(0, needed - len(cepstra))  # the last window of MFCC is not always whole
    cepstra = np.pad(cepstra, ((0, short), (0, 0)), mode="edge")
    for i in range(count):
        yield cepstra[i * STEPS_PER_FRAME :][:AUDIO_STEPS].T[None]


def _batches(tower, windows: Iterator[np.ndarray], count: int, device) -> torch.Tensor:  # noqa: ANN001
    """(count, 1024) embeddings on the CPU."""
    out = []
    with torch.inference_mode():
        for start in range(0, count, BATCH):
            block = np.stack([next(windows) for _ in range(min(BATCH, count - start))])
            out.append(tower(torch.from_numpy(block).to(device).float()).cpu())
    return torch.cat(out)
