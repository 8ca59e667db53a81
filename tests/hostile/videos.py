"""Hostile and odd videos, through the stages that read them."""

import contextlib
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import ffmpeg
import numpy as np
from PIL import Image

from preprocess.media import probe
from ssp_nerf.schema import FRAMES
from ssp_nerf.video import run_ffmpeg, write_video
from tests import clips
from tests.hostile.case import Case, Check, Folders

SIZE = (192, 160)
COUNT = 20  # frames of a usable clip, 25 a second
SIDE = 64  # of the portrait

Maker = Callable[[Folders], Path]


def crop(maker: Maker, *more: str) -> Callable[[Folders], list[str]]:
    """Arguments of `preprocess.crop` for a video."""

    def arguments(folders: Folders) -> list[str]:
        video, out = maker(folders), folders.out
        outputs = [f"--portrait={out}/portrait.mp4", f"--frames={out}/frames.h5", f"--size={SIDE}"]
        return [f"--video={video}", *outputs, *more]

    return arguments


def check(maker: Maker) -> Callable[[Folders], list[str]]:
    """Arguments of `preprocess.check` for a video."""

    def arguments(folders: Folders) -> list[str]:
        video, out = maker(folders), folders.out
        return [f"--check={out}/check.json", f"--picture={out}/check.png", "--", str(video)]

    return arguments


def cropped(count: int = COUNT) -> Check:
    """As many frames as at 25 fps, and the talking head in all of them, upright."""

    def right(folders: Folders, said: str) -> None:
        frames = FRAMES.read(folders.out / "frames.h5")[0]["frames"]
        assert abs(len(frames) - count) <= 1, len(frames)
        plain = cropped_plainly(folders.made)
        moments = (np.linspace(0, 1, 3) * (len(frames) - 1)).astype(int)
        for i, moment in enumerate(moments):
            difference = np.abs(frames[moment].astype(float) - plain[i]).mean()
            assert difference < 25, difference  # upside down or in false colours: 60 and more
        assert probe(folders.out / "portrait.mp4").picture is not None

    return right


def length(least: int = COUNT - 1, most: int = COUNT + 1) -> Check:
    """A portrait of so many frames."""

    def right(folders: Folders, said: str) -> None:
        with FRAMES.open(folders.out / "frames.h5") as file:
            assert least <= len(file["frames"]) <= most, len(file["frames"])

    return right


def cropped_plainly(made: Path) -> np.ndarray:
    """(3, SIDE, SIDE, 3): first, middle and last frame of the same clip in its plain form."""
    path = made / "plain.h5"
    if not path.exists():
        from preprocess.crop import crop_video

        crop_video(plain_clip(made), made / "plain-portrait.mp4", path, size=SIDE)
    frames = FRAMES.read(path)[0]["frames"]
    return frames[(np.linspace(0, 1, 3) * (len(frames) - 1)).astype(int)].astype(float)


def plain_clip(made: Path) -> Path:
    """The talking head, made once in a session."""
    path = made / "talk.mp4"
    return path if path.exists() else clips.talking_clip(path, COUNT, size=SIZE)


def copied(name: str) -> Maker:
    """The plain clip under another name."""

    def make(folders: Folders) -> Path:
        path = folders.own / name
        path.write_bytes(plain_clip(folders.made).read_bytes())
        return path

    return make


def encoded(name: str, filters: tuple[tuple, ...] = (), **options: Any) -> Maker:
    """The plain clip in another encoding, after ffmpeg's filters; with its sound."""

    def make(folders: Folders) -> Path:
        path = folders.own / name
        source = ffmpeg.input(str(plain_clip(folders.made)))
        picture = source.video
        for filter_name, *values in filters:
            picture = picture.filter(filter_name, *values)
        run_ffmpeg(ffmpeg.output(picture, source.audio, str(path), **options), name)
        return path

    return make


def encoded_silent(name: str) -> Maker:
    def make(folders: Folders) -> Path:
        source = ffmpeg.input(str(plain_clip(folders.made))).video
        run_ffmpeg(source.output(str(folders.own / name)), name)
        return folders.own / name

    return make


def of_pictures(name: str, pictures: Callable[[], list[np.ndarray]]) -> Maker:
    """A video without sound of given pictures (H, W, 3)."""

    def make(folders: Folders) -> Path:
        write_video(folders.own / name, pictures())
        return folders.own / name

    return make


def bytes_of(name: str, content: Callable[[bytes], bytes]) -> Maker:
    """A file whose bytes are made of the plain clip's."""

    def make(folders: Folders) -> Path:
        path = folders.own / name
        path.write_bytes(content(plain_clip(folders.made).read_bytes()))
        return path

    return make


def talking(frame: int) -> np.ndarray:
    return clips.talking_frame(frame / 25, *SIZE)


def two_faces() -> list[np.ndarray]:
    """A small face beside a large one."""
    large = [clips.talking_frame(i / 25, 320, 240, (0.35, 0.5), 0.45) for i in range(COUNT)]
    small = [clips.talking_frame(i / 25, 320, 240, (0.85, 0.5), 0.35) for i in range(COUNT)]
    for picture, other in zip(large, small, strict=True):
        picture[:, 220:] = other[:, 220:]
    return large


def larger_face(folders: Folders, said: str) -> None:
    """The crop is centred on the large face, at 0.35 of the width."""
    x, _, width, _ = FRAMES.read(folders.out / "frames.h5")[1]["source_box"]
    assert abs(x + width / 2 - 0.35 * 320) < 30, (x, width)


def with_cut() -> list[np.ndarray]:
    """A head that jumps to another place, before another wall."""
    first = [clips.talking_frame(i / 25, 240, 240, (0.4, 0.5), 0.35) for i in range(30)]
    second = [clips.talking_frame(i / 25, 240, 240, (0.6, 0.45), 0.35) for i in range(30)]
    return first + [np.ascontiguousarray(255 - p[:, ::-1]) for p in second]


def variable_rate(folders: Folders) -> Path:
    """Every second frame of the second half is missing; the others keep their times."""
    path = folders.own / "variable.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.bit_rate = *SIZE, 2_000_000
        for i in range(COUNT):
            if i > COUNT // 2 and i % 2 and i != COUNT - 1:
                continue
            frame = av.VideoFrame.from_ndarray(talking(i), "rgb24")
            frame.pts, frame.time_base = i, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def huge(folders: Folders) -> Path:
    """7680x4320, two frames."""
    path = folders.own / "8k.mp4"
    source = ffmpeg.input(str(plain_clip(folders.made))).video.filter("trim", end_frame=2)
    options = {"preset": "ultrafast", "crf": 30}
    run_ffmpeg(source.filter("scale", 7680, 4320).output(str(path), **options), "8k")
    return path


def header_only(folders: Folders) -> Path:
    """A container that declares a picture and has no frame."""
    path = folders.own / "no-frames.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height = SIZE
        container.start_encoding()
    return path


def face_lost(folders: Folders) -> Path:
    """frames.h5 of a head that is away for 20 frames in the middle."""
    from tests.preprocess.stages import write_frames

    away = clips.background(SIZE[1], SIZE[1])
    size = (SIZE[1], SIZE[1])
    seen = [clips.talking_frame(i / 25, *size) for i in range(10)]
    return write_frames(folders.own / "frames.h5", np.stack([*seen, *[away] * 20, *seen]))


def still(name: str) -> Maker:
    def make(folders: Folders) -> Path:
        Image.fromarray(talking(0)).save(folders.own / name)
        return folders.own / name

    return make


def named_pipe(folders: Folders) -> Path:
    import os

    path = folders.own / "pipe.mp4"
    with contextlib.suppress(FileExistsError):
        os.mkfifo(path)
    return path


def folder(folders: Folders) -> Path:
    (folders.own / "folder.mp4").mkdir()
    return folders.own / "folder.mp4"


def link_to_itself(folders: Folders) -> Path:
    path = folders.own / "link.mp4"
    path.symlink_to(path)
    return path


def playlist(folders: Folders) -> Path:
    """An HLS playlist that sends its reader to the network."""
    path = folders.own / "playlist.mp4"
    path.write_text("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/secret.ts\n#EXT-X-ENDLIST\n")
    return path


def script(folders: Folders) -> Path:
    """A list for ffmpeg that names a file outside."""
    path = folders.own / "list.mp4"
    path.write_text("ffconcat version 1.0\nfile '/etc/hostname'\n")
    return path


def with_cue(kind: str, words: str) -> Check:
    """The report of `preprocess.check` says so."""

    def right(folders: Folders, said: str) -> None:
        assert (folders.out / "check.json").is_file() and (folders.out / "check.png").is_file()
        lines = [line for line in said.splitlines() if f" {kind}: " in line]
        assert lines and words in lines[0], said

    return right


def half_damaged(content: bytes) -> bytes:
    """Noise over every 400th byte of the second half."""
    damaged = bytearray(content)
    noise = np.random.default_rng(0).integers(0, 256, len(content), np.uint8)
    for i in range(len(content) // 2, len(content), 400):
        damaged[i] = noise[i]
    return bytes(damaged)


def video(what: str, arguments: Callable[[Folders], list[str]], **more: Any) -> Case:
    return Case("video", what, more.pop("module", "preprocess.crop"), arguments, **more)


AS_PLAIN = "the same head, upright, at 25 fps"
NOT_MEDIA = "cannot be read as one"

CASES = [
    video("absent", crop(lambda f: f.own / "absent.mp4"), refusal="does not exist"),
    video("zero bytes", crop(bytes_of("zero.mp4", lambda b: b"")), refusal="is empty (0 bytes)"),
    video("text named .mp4", crop(bytes_of("a.mp4", lambda b: b"text\n" * 99)), refusal=NOT_MEDIA),
    video("noise", crop(bytes_of("n.mp4", lambda b: b[::-1])), refusal=NOT_MEDIA),
    video("cut off in its header", crop(bytes_of("c.mp4", lambda b: b[:600])), refusal=NOT_MEDIA),
    video(
        "cut off in the middle",
        crop(bytes_of("half.mp4", lambda b: b[: len(b) // 2])),
        refusal="of the picture are missing",
    ),
    video("a folder", crop(folder), refusal="is not a file"),
    video("a named pipe", crop(named_pipe), refusal="is not a file"),
    video("a link to itself", crop(link_to_itself), refusal="does not exist"),
    video("name too long", crop(lambda f: f.own / ("x" * 300)), refusal="File name too long"),
    video("no frames", crop(header_only), refusal="cannot be read as one"),
    video("one frame", crop(of_pictures("1.mp4", lambda: [talking(0)])), refusal="one frame"),
    video("a PNG", crop(still("still.png")), refusal="one frame"),
    video("sound only", crop(lambda f: clips.write_wav(f.own / "v.wav", clips.speech(0.4))),
          refusal="has no video stream"),
    video("no face", crop(of_pictures("wall.mp4", lambda: [clips.background(*SIZE)] * 12)),
          refusal="no face found in any of 3 sampled frames"),
    video("1x1 pixel", crop(encoded("1x1.mkv", (("scale", 1, 1),), vcodec="ffv1")),
          refusal="its picture is 1x1 pixels"),
    video("1x1 pixel, checked", check(encoded("1x1.mkv", (("scale", 1, 1),), vcodec="ffv1")),
          module="preprocess.check", refusal="its picture is 1x1 pixels"),
    video("playlist of web addresses", crop(playlist), refusal=NOT_MEDIA),
    video("list that names another file", crop(script), refusal=NOT_MEDIA),
    video("start beyond the end", crop(copied("t.mp4"), "--start=9"), refusal="no frame at 25 fps"),
    video("negative start", crop(copied("t.mp4"), "--start=-1"), refusal="expected 0 or more"),
    video("start that is no number", crop(copied("t.mp4"), "--start=nan"), refusal="--start"),
    video("infinite start", crop(copied("t.mp4"), "--start=inf"), refusal="--start"),
    video("duration of 0", crop(copied("t.mp4"), "--duration=0"), refusal="more than 0"),
    video("infinite duration", crop(copied("t.mp4"), "--duration=inf"), refusal="--duration"),
    video("odd size asked for", crop(copied("t.mp4"), "--size=65"), refusal="even number"),
    video("face away in the middle",
          lambda f: [f"--frames={face_lost(f)}", f"--landmarks={f.out}/l.h5"],
          module="preprocess.landmarks", refusal="no face in frames 10-29"),
    video("bytes damaged in the middle", crop(bytes_of("d.mp4", half_damaged)),
          works=("what a player shows of it", length(COUNT - 6))),
    video("variable frame rate", crop(variable_rate), works=(AS_PLAIN, cropped())),
    video("10 bits", crop(encoded("10bit.mkv", vcodec="libx265", pix_fmt="yuv420p10le",
          **{"x265-params": "log-level=none"})), works=(AS_PLAIN, cropped())),
    video("interlaced", crop(encoded("i.mp4", vcodec="libx264", **{"flags:v": "+ildct+ilme"})),
          works=(AS_PLAIN, cropped())),
    video("alpha channel", crop(encoded("alpha.mov", vcodec="qtrle", pix_fmt="argb")),
          works=(AS_PLAIN, cropped())),
    video("a GIF", crop(encoded_silent("talk.gif")), works=("the same length", length())),
    video("grey", crop(encoded("grey.mkv", vcodec="ffv1", pix_fmt="gray")),
          works=("the same length", length())),
    video("8K", crop(huge), works=("its two frames", length(2, 2)), fast=False),
    video("stored on its side", crop(lambda f: clips.talking_clip(
          f.own / "turned.mp4", COUNT, size=SIZE, clockwise=90)), works=(AS_PLAIN, cropped())),
    video("60 fps", crop(encoded("60.mp4", (("fps", 60),))), works=(AS_PLAIN, cropped())),
    video("two faces", crop(of_pictures("two.mp4", two_faces)),
          works=("the larger one", larger_face)),
    video("two faces, checked", check(of_pictures("two.mp4", two_faces)), module="preprocess.check",
          works=("the report names them", with_cue("other faces", "a second face"))),
    video("a cut", check(of_pictures("cut.mp4", with_cut)), module="preprocess.check",
          works=("the report names it", with_cue("cuts", "1 cut"))),
    video("zero bytes, checked", check(bytes_of("zero.mp4", lambda b: b"")),
          module="preprocess.check", refusal="is empty"),
    video("one frame, checked", check(of_pictures("1.mp4", lambda: [talking(0)])),
          module="preprocess.check", refusal="one frame"),
]  # fmt: skip

NAMES = [
    "with spaces in it.mp4", "it's \"quoted\".mp4", "two\nlines.mp4", "Jürgen 你好 🎬.mp4",
    "-leading-dash.mp4", "--help.mp4", "$(touch code-ran).mp4", "; touch code-ran; .mp4",
    "`touch code-ran`.mp4", "percent %03d %s.mp4", "pipe:0.mp4", "http:example.mp4", "a\\b.mp4",
    "{braces}.mp4", "no-suffix", "comma,semi;colon:.mp4", "'[0:v]null[out]'.mp4", "*.mp4",
]  # fmt: skip


def relative(name: str) -> Maker:
    """The plain clip, named without a folder, from the folder it lies in."""

    def make(folders: Folders) -> Path:
        copied(name)(folders)
        return Path(name)

    return make


CASES += [
    Case("name", repr(name), "preprocess.crop", crop(relative(name)), works=(AS_PLAIN, cropped()),
         fast=name in NAMES[:5])
    for name in NAMES
]  # fmt: skip
