"""Speech -> a window of features for every video frame: 16 steps at 50 Hz around it.

`python -m preprocess.audio_features --speech speech.wav --features out.h5 --frames frames.h5`
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from preprocess.logmel import logmel
from ssp_nerf import cli
from ssp_nerf.errors import InputError
from ssp_nerf.schema import AUDIO_FEATURES, FPS, FRAMES
from ssp_nerf.speech import SAMPLE_RATE, read_speech
from ssp_nerf.weights import require_weights

RATE = 50
"""Feature steps a second, as DeepSpeech gives them."""
CHANNELS = 32
BLOCK = 1000  # windows written at once
MISMATCH = 0.5  # seconds between picture and sound that nobody should pass over in silence

WINDOW_STEPS = int(AUDIO_FEATURES.fields["windows"].shape[1])
STEPS_PER_FRAME = round(RATE / FPS)
SAMPLES_PER_STEP = SAMPLE_RATE // RATE
SAMPLES_PER_FRAME = STEPS_PER_FRAME * SAMPLES_PER_STEP

EXTRACTORS = ("logmel", "deepspeech", "hubert")
HUBERT = "hubert-large-ls960-ft"


@dataclass(frozen=True)
class Extractor:
    """What hears the speech.

    Attributes:
        name: what a trained model remembers: features of another name do not drive it.
        steps: samples (T,) float32 at 16 kHz, full scale 1 -> (about T / 320, C) float32, a row for
            each 20 ms from time 0 on.
    """

    name: str
    steps: Callable[[np.ndarray], np.ndarray]


def open_extractor(
    name: str = "logmel",
    channels: int = CHANNELS,
    weights: Path = Path("weights"),
    hubert: str = HUBERT,
) -> Extractor:
    """The extractor of that name, its network loaded.

    Args:
        name: one of `EXTRACTORS`.
        channels: width C of log-mel; a network has a width of its own.
        weights: folder of the networks that the user brought.
        hubert: folder in it of the network that the extractor hubert runs.

    Raises:
        InputError: an unknown name, or no such network there.
    """
    if name == "logmel":
        return Extractor(name, partial(logmel, channels=channels))
    if name == "deepspeech":
        from preprocess.deepspeech import GRAPH, GRAPH_SHA1, DeepSpeech

        graph = require_weights(weights, GRAPH, "audio.extractor", "logmel", sha1=GRAPH_SHA1)
        return Extractor(name, DeepSpeech(graph))
    if name == "hubert":
        from preprocess.hubert import Hubert

        return Extractor(f"{name}/{hubert}", Hubert(weights / hubert))
    raise InputError(
        f"audio.extractor (--extractor) is {name!r}, expected one of {', '.join(EXTRACTORS)}."
    )


def extract_audio_features(
    speech: Path,
    features: Path,
    frame_count: int | None = None,
    extractor: Extractor | None = None,
) -> None:
    """Write a window of speech features for every video frame, in the AUDIO_FEATURES layout.

    Args:
        speech: 16 kHz mono 16-bit wav, as `extract_speech` writes it.
        features: where the windows go.
        frame_count: frames of the video; speech that ends earlier or later is continued by silence
            or cut. None: as many whole frames as the speech lasts.
        extractor: what hears the speech; None: log-mel.

    Raises:
        InputError: no such wav, or less than one frame of it.
    """
    extractor = extractor or open_extractor()
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
    windows = windowed(extractor.steps(samples), count)
    with AUDIO_FEATURES.create(
        features,
        {"N": count, "C": windows.shape[-1]},
        {"extractor": extractor.name, "rate": RATE},
        {"extractor": extractor.name},
    ) as file:
        for start in range(0, count, BLOCK):  # the windows overlap: whole, they are 8 times as much
            file["windows"][start : start + BLOCK] = windows[start : start + BLOCK]


def windowed(steps: np.ndarray, count: int) -> np.ndarray:
    """Features in windows: that of frame i holds the steps 2i - 8 ... 2i + 7.

    So it is centred on the time i / 25 s and reaches 160 ms to either side. Beyond both ends of
    the speech the features are 0: silence in log-mel, and what AD-NeRF puts there.

    Args:
        steps: (S, C), 50 a second from time 0 on.
        count: number of frames.

    Returns:
        (count, 16, C), a view.
    """
    half = WINDOW_STEPS // 2
    after = max(0, STEPS_PER_FRAME * (count - 1) + half - len(steps))
    padded = np.pad(steps, ((half, after), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW_STEPS, axis=0)
    return windows[::STEPS_PER_FRAME][:count].transpose(0, 2, 1)


def add_extractor_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of the section `audio`; `extractor_of` reads them."""
    parser.add_argument(
        "--extractor",
        choices=EXTRACTORS,
        default="logmel",
        help="what hears the speech; deepspeech and hubert need files (config key audio.extractor)",
    )
    parser.add_argument("--channels", type=int, default=CHANNELS, help="mel bands; of logmel alone")
    parser.add_argument(
        "--weights",
        type=Path,
        default=Path("weights"),
        help="folder with the networks that you brought (config key audio.weights)",
    )
    parser.add_argument(
        "--hubert", default=HUBERT, help="folder in it of the network that hubert runs"
    )


def extractor_of(options: argparse.Namespace) -> Extractor:
    """The extractor that the flags of `add_extractor_arguments` ask for."""
    return open_extractor(options.extractor, options.channels, options.weights, options.hubert)


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
    add_extractor_arguments(parser)

    def command(options: argparse.Namespace) -> None:
        count = options.frame_count
        if options.frames is not None:
            with FRAMES.open(options.frames) as file:
                count = len(file["frames"])
        extract_audio_features(options.speech, options.features, count, extractor_of(options))

    cli.run(parser, command, arguments)


if __name__ == "__main__":
    main()
