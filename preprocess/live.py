"""A trained portrait that speaks along: speech in, frames out in order, with measured latency.

A frame hears 282.5 ms of speech after its own time: half of its window (160 ms), three more frames
for the smoothing (120 ms) and a feature's overhang (2.5 ms). A live picture is that far behind its
speech, and further by the time of drawing. Nothing is left out: where a frame takes longer than
40 ms, the picture falls behind. Features must be log-mel; others hear all of a speech first.
"""

import itertools
import sys
import tempfile
import time
import wave
from argparse import ArgumentParser, BooleanOptionalAction, Namespace
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from preprocess.live_speech import LOOK_AHEAD, LiveWindows, Piece, piped, played
from preprocess.speech import extract_speech
from ssp_nerf import cli, cuda_graph
from ssp_nerf.audio import ATTENDED_WINDOWS, WINDOW_STEPS
from ssp_nerf.bundle import Bundle, load_bundle
from ssp_nerf.config import ProvenanceConfig, RenderingConfig, add_flags, from_flags
from ssp_nerf.device import DEVICES, pick_device
from ssp_nerf.errors import InputError
from ssp_nerf.fast_renderer import FastRenderer
from ssp_nerf.files import folder_sha256, scratch_folder, sha256
from ssp_nerf.frame_renderer import ExactRenderer, FrameRenderer
from ssp_nerf.mark import Mark, marked
from ssp_nerf.provenance.record import GENERATED, Provenance
from ssp_nerf.provenance.writing import add_provenance_flags, generated_video
from ssp_nerf.render import AUTO_MODES, back_and_forth
from ssp_nerf.schema import FPS
from ssp_nerf.speech import SAMPLE_RATE, read_speech
from ssp_nerf.video import add_sound, write_video

EXTRACTOR = "logmel"  # the others hear all of a speech before they say anything
LOUDNESSES = 32  # windows of made-up speech that say where a portrait's density may be
LOUDEST = 2.0  # of them, times the mean features of the training speech; silence is 0
WARM_UP = cuda_graph.WARM_UP + 1
"""Fast frames drawn on a GPU before the speech begins: kernels are compiled, the work recorded."""
UNMARKED = ProvenanceConfig()
BEHIND = 1.0  # seconds of latency that nobody should wait for in silence


class LivePortrait:
    """Draws a portrait's frames one after the other, over the training poses back and forth.

    Args:
        bundle: the portrait, trained on log-mel features.
        config: how it is drawn.

    Raises:
        InputError: it was trained on other features.
    """

    def __init__(self, bundle: Bundle, config: RenderingConfig):
        if bundle.audio_extractor != EXTRACTOR:
            raise InputError(
                f"the portrait was trained on features of {bundle.audio_extractor!r}, expected "
                f"{EXTRACTOR!r}: others are not computed while someone speaks. Train it with "
                f"audio.extractor: {EXTRACTOR}, or render a whole speech with ssp_nerf.render."
            )
        training = bundle.training_frames
        period = max(1, 2 * (len(training) - 1))
        poses = training[back_and_forth(period, len(training)).to(training.device)].tolist()
        self._device = bundle.c2w.device
        # The speech is not known yet; the fast renderer asks where density is when it is spoken.
        loudness = torch.linspace(0, LOUDEST, LOUDNESSES, device=self._device)[:, None, None]
        windows = loudness * bundle.model.audio_encoder.mean.expand(WINDOW_STEPS, -1)
        self._exact = ExactRenderer(
            bundle.model, bundle, windows, config.rays_per_chunk, config.precision, config.kernels
        )
        mode = AUTO_MODES["driven"] if config.mode == "auto" else config.mode
        fast = mode == "fast"
        self._renderer: FrameRenderer = FastRenderer(self._exact, training) if fast else self._exact
        warm_up = WARM_UP if fast and self._device.type == "cuda" else 1
        for pose in itertools.islice(itertools.cycle(poses), warm_up):
            self._renderer.draw(pose, 0).picture()
        self._poses = itertools.cycle(poses)

    def draw(self, around: np.ndarray) -> np.ndarray:
        """The next frame (H, W, 3) uint8 RGB, by the windows (8, 16, C) around it."""
        self._exact.hear(torch.from_numpy(around).to(self._device))
        return self._renderer.draw(next(self._poses), ATTENDED_WINDOWS // 2).picture()


@dataclass
class Times:
    """Seconds, of the frames written so far."""

    latency: list[float] = field(default_factory=list)  # from a frame's last sample on
    work: float = 0.0  # drawing and writing, of all together
    begin: float = field(default_factory=time.monotonic)

    def add(self, arrived: float, taken: float) -> None:
        """Count a frame, written now."""
        now = time.monotonic()
        self.latency.append(now - arrived)
        self.work += now - taken

    @property
    def rate(self) -> float:
        """Frames a second that can be drawn and written."""
        return len(self.latency) / self.work

    def summary(self, real_time: bool) -> str:
        """For the user; latency only of speech that came when it was spoken."""
        count, seconds = len(self.latency), time.monotonic() - self.begin
        lines = [
            f"{count} frames in {seconds:.1f} s, {count / seconds:.1f} frames/s; drawing and "
            f"writing alone {self.rate:.1f} frames/s"
        ]
        if real_time:
            ms = 1000 * np.array(self.latency)
            late = int((ms > 1000 / FPS).sum())
            lines.append(
                "latency from the last sample that a frame hears to the frame written: "
                f"mean {ms.mean():.0f} ms, 95 % under {np.percentile(ms, 95):.0f} ms, worst "
                f"{ms.max():.0f} ms; {late} frames late (over {1000 / FPS:.0f} ms)"
            )
            if self.rate < FPS:
                lines.append(self.too_slow())
        return "\n".join(lines)

    def too_slow(self) -> str:
        return (
            f"warning: drawing gives {self.rate:.1f} frames/s, speech needs {FPS:.0f}: the picture "
            f"falls behind, by {self.latency[-1]:.1f} s now. Nothing is left out. Use a GPU, "
            "--mode fast, a smaller model or smaller frames (pack.size)."
        )


def live_frames(
    portrait: LivePortrait, pieces: Iterable[Piece], channels: int, times: Times, real_time: bool
) -> Iterator[np.ndarray]:
    """Draw a frame (H, W, 3) uint8 for each 40 ms of speech, in order.

    A frame counts as written when the next one is asked for.

    Raises:
        InputError: less than one frame of speech.
    """
    warned = not real_time
    for around, arrived in heard(pieces, LiveWindows(channels)):
        taken = time.monotonic()
        yield portrait.draw(around)
        times.add(arrived, taken)
        if not warned and times.latency[-1] > BEHIND and times.rate < FPS:
            warned = True
            print(times.too_slow(), file=sys.stderr, flush=True)
    if not times.latency:
        raise InputError(
            f"--speech: got less than one frame of speech, expected {1 / FPS:.2f} s or more."
        )


def heard(pieces: Iterable[Piece], windows: LiveWindows) -> Iterator[tuple[np.ndarray, float]]:
    """(8, 16, C) windows around each frame, and when the last sample of them arrived."""
    arrived = 0.0
    for samples, arrived in pieces:
        for around in windows.add(samples):
            yield around, arrived
    for around in windows.end():
        yield around, arrived


def live(
    bundle_path: Path,
    speech: str,
    video: Path | None,
    raw: str | None,
    real_time: bool,
    config: RenderingConfig,
    device: torch.device,
    subject: str = "",
    consent: str = "",
    provenance: ProvenanceConfig = UNMARKED,
) -> Times:
    """Draw along with a speech.

    Args:
        speech: any file with sound, or `-`: raw 16 kHz mono 16-bit samples on stdin.
        video: the video to write, with sound; or
        raw: a file or pipe for raw RGB frames, `-`: stdout.
        real_time: a file is played as if it were spoken now, and latency is told.
        subject, consent: for the video's metadata, see `Provenance`.
        provenance: how else it says that it is generated. Raw frames bear the mark alone.

    Raises:
        InputError: bundle or speech are missing, damaged or do not fit together.
    """
    bundle = load_bundle(bundle_path, device)
    with ExitStack() as stack:
        if video is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        else:  # beside it: where that cannot be written, one hears it before the speech
            folder = stack.enter_context(scratch_folder(video))
        samples = None if speech == "-" else samples_of(Path(speech), folder)
        if provenance.mark:
            Mark(provenance.mark, bundle.width, bundle.height)  # or one hears it too late
        portrait = LivePortrait(bundle, config)
        print(
            f"ready: {bundle.width}x{bundle.height} RGB, {FPS:.0f} frames/s. A frame hears "
            f"{1000 * LOOK_AHEAD / SAMPLE_RATE:.1f} ms of speech after its time.",
            file=sys.stderr,
            flush=True,
        )
        times = Times()
        pieces = piped(sys.stdin.fileno()) if samples is None else played(samples, real_time)
        if video is not None:
            pieces = kept(pieces, folder / "heard.wav")
        frames = live_frames(portrait, pieces, bundle.model.scene.audio_channels, times, real_time)
        frames = marked(frames, provenance.mark)
        try:
            if video is not None:
                silent, spoken = folder / f"silent{video.suffix}", folder / "heard.wav"
                count = write_video(silent, frames)
                about = Provenance(
                    source_type=GENERATED,
                    model=folder_sha256(bundle_path),
                    subject=subject,
                    speech="live" if samples is None else Path(speech).stem,
                    speech_sha256=sha256(spoken),
                    consent=consent,
                )
                with generated_video(video, about, provenance) as partial:
                    add_sound(silent, spoken, count / FPS, partial, comment=about.comment)
            else:
                write_raw(str(raw), frames)
        finally:
            if times.latency:
                print(times.summary(real_time), file=sys.stderr)
    return times


def samples_of(path: Path, folder: Path) -> np.ndarray:
    """(T,) float32 samples at 16 kHz of any file with sound; `folder` is for the conversion."""
    extract_speech(path, folder / "speech.wav")
    return read_speech(folder / "speech.wav")


def kept(pieces: Iterable[Piece], path: Path) -> Iterator[Piece]:
    """The same pieces, which are also written as a wav file."""
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        for piece in pieces:
            file.writeframes((piece.samples * 32768).astype("<i2").tobytes())
            yield piece


def write_raw(path: str, frames: Iterable[np.ndarray]) -> None:
    """Write frames (H, W, 3) uint8 one after the other, each at once; `-` is stdout."""
    with ExitStack() as stack:
        file = sys.stdout.buffer if path == "-" else stack.enter_context(open(path, "wb"))
        for frame in frames:
            file.write(frame.tobytes())
            file.flush()


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--bundle", type=Path, required=True, help="trained model folder")
    parser.add_argument(
        "--speech",
        required=True,
        help="any file with sound, or -: raw 16 kHz mono 16-bit little-endian samples on stdin",
    )
    output = parser.add_mutually_exclusive_group(required=True)
    output.add_argument("--video", type=Path, help="the mp4 to write, with sound")
    output.add_argument("--raw", help="file or pipe for raw RGB frames; -: stdout")
    parser.add_argument(
        "--real-time",
        action=BooleanOptionalAction,
        default=True,
        help="play a file as if it were spoken now, and tell the latency; no: as fast as possible",
    )
    parser.add_argument("--device", choices=DEVICES, default="auto", help="where to compute")
    add_flags(parser, RenderingConfig)
    add_provenance_flags(parser)
    add_flags(parser, ProvenanceConfig)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = cli.parser("preprocess.live", __doc__)
    add_arguments(parser)

    def command(options: Namespace) -> None:
        live(
            options.bundle,
            options.speech,
            options.video,
            options.raw,
            options.real_time,
            from_flags(options, RenderingConfig),
            pick_device(options.device),
            options.subject,
            options.consent,
            from_flags(options, ProvenanceConfig),
        )

    cli.run(parser, command, arguments)


if __name__ == "__main__":
    main()
