"""Speech -> a window of features for every video frame: 16 steps at 50 Hz around it.

`python -m preprocess.audio_features --speech speech.wav --features out.h5 --frames frames.h5`
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from preprocess.logmel import logmel
from preprocess.speech import SAMPLE_RATE, read_speech
from ssp_nerf import cli
from ssp_nerf.errors import InputError
from ssp_nerf.schema import AUDIO_FEATURES, FPS, FRAMES

RATE = 50
"""Feature steps a second, as DeepSpeech gives them."""
CHANNELS = 32
MISMATCH = 0.5  # seconds between picture and sound that nobody should pass over in silence

WINDOW_STEPS = int(AUDIO_FEATURES.fields["windows"].shape[1])
STEPS_PER_FRAME = round(RATE / FPS)
SAMPLES_PER_STEP = SAMPLE_RATE // RATE
SAMPLES_PER_FRAME = STEPS_PER_FRAME * SAMPLES_PER_STEP

Extractor = Callable[[np.ndarray, int], np.ndarray]
"""(samples (320 S,) float32 at 16 kHz, channels) -> (S, channels) float32, a row for each 20 ms."""

EXTRACTORS: dict[str, Extractor] = {"logmel": logmel}


def extract_audio_features(
    speech: Path,
    features: Path,
    frame_count: int | None = None,
    extractor: str = "logmel",
    channels: int = CHANNELS,
) -> None:
    """Write a window of speech features for every video frame, in the AUDIO_FEATURES layout.

    Args:
        speech: 16 kHz mono 16-bit wav, as `extract_speech` writes it.
        features: where the windows go.
        frame_count: frames of the video; speech that ends earlier or later is continued by silence
            or cut. None: as many whole frames as the speech lasts.
        extractor: a name in `EXTRACTORS`.
        channels: width C of the features.

    Raises:
        InputError: no such wav, less than one frame of it, or an unknown extractor.
    """
    if extractor not in EXTRACTORS:
        raise InputError(
            f"audio.extractor (--extractor) is {extractor!r}, expected one of "
            f"{', '.join(EXTRACTORS)}."
        )
    samples = read_speech(speech)
    count = len(samples) // SAMPLES_PER_FRAME if frame_count is None else frame_count
    if count < 1:
        raise InputError(
            f"{speech}: {len(samples) / SAMPLE_RATE:.3f} s of speech, shorter than one frame "
            f"({1 / FPS:.2f} s). Use a longer recording."
        )
    excess = len(samples) / SAMPLE_RATE - count / FPS
    if abs(excess) > MISMATCH and frame_count is not None:
        print(
            f"warning: {speech}: the speech is {abs(excess):.2f} s "
            f"{'longer' if excess > 0 else 'shorter'} than the {count} frames; it is "
            f"{'cut' if excess > 0 else 'continued by silence'}.",
            file=sys.stderr,
        )
    windows = windowed(samples, count, EXTRACTORS[extractor], channels)
    settings = {"extractor": extractor, "channels": channels}
    with AUDIO_FEATURES.create(
        features,
        {"N": count, "C": windows.shape[-1]},
        {"extractor": extractor, "rate": RATE},
        settings,
    ) as file:
        file["windows"][:] = windows


def windowed(samples: np.ndarray, count: int, extractor: Extractor, channels: int) -> np.ndarray:
    """Features in windows: that of frame i holds the steps 2i - 8 ... 2i + 7.

    So it is centred on the time i / 25 s and reaches 160 ms to either side. Beyond both ends of
    the speech lies digital silence, and the extractor says what silence looks like.

    Args:
        samples: (T,) float32, 16 kHz.
        count: number of frames.

    Returns:
        (count, 16, channels) float32.
    """
    half = WINDOW_STEPS // 2 * SAMPLES_PER_STEP
    padded = np.zeros(count * SAMPLES_PER_FRAME + 2 * half, np.float32)
    heard = samples[: count * SAMPLES_PER_FRAME]
    padded[half : half + len(heard)] = heard
    steps = extractor(padded, channels)
    assert len(steps) == len(padded) // SAMPLES_PER_STEP, (len(steps), len(padded))
    windows = np.lib.stride_tricks.sliding_window_view(steps, WINDOW_STEPS, axis=0)
    return windows[::STEPS_PER_FRAME][:count].transpose(0, 2, 1)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = cli.parser("preprocess.audio_features", __doc__)
    parser.add_argument("--speech", type=Path, required=True, help="16 kHz mono wav")
    parser.add_argument("--features", type=Path, required=True, help="HDF5 file to write")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--frames", type=Path, help="frames.h5 of the same clip: as many windows")
    length.add_argument(
        "--frame-count",
        type=int,
        help="number of windows; without this and --frames: as long as the speech lasts",
    )
    parser.add_argument(
        "--extractor", choices=sorted(EXTRACTORS), default="logmel", help="what hears the speech"
    )
    parser.add_argument(
        "--channels", type=int, default=CHANNELS, help="width of the features: mel bands"
    )

    def command(options: argparse.Namespace) -> None:
        count = options.frame_count
        if options.frames is not None:
            with FRAMES.open(options.frames) as file:
                count = len(file["frames"])
        extract_audio_features(
            options.speech, options.features, count, options.extractor, options.channels
        )

    cli.run(parser, command, arguments)


if __name__ == "__main__":
    main()
