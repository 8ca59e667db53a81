"""Clips with one fault each: the check names that fault, and no other.

The head of `tests.clips` is a photograph of a smile that sways in its plane, for some seconds only.
So three things are always found: the clip is too short, the head does not turn, and the lips never
meet.
"""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import cv2
import ffmpeg
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from preprocess.check import __main__ as command
from preprocess.check import admit
from preprocess.check.examine import Report, examine
from preprocess.check.film import Film
from preprocess.check.findings import Finding, Level, verdict
from preprocess.makehuman import base_mesh
from preprocess.media import WHOLE, Cut, picture_at_25_fps, probe
from ssp_nerf.schema import FPS
from ssp_nerf.video import read_frames, run_ffmpeg, write_video
from tests import clips
from tests.preprocess.stages import refused

SIDE, SHORT, LONG = 192, 4.0, 16.0  # pixels, seconds
ALWAYS = {"length", "turns"}  # and a mouth that never closes

Frames = np.ndarray
"""(N, H, W, 3) uint8 RGB at 25 fps."""


@cache
def openings() -> np.ndarray:
    """How far the mouth is open, 0 to 1, a thousand times a second, never the same twice."""
    noise = np.random.default_rng(3).normal(size=round(1000 * LONG))
    smooth = cv2.GaussianBlur(noise[None], (0, 0), 45)[0]
    return np.clip(0.45 + 0.5 * smooth / smooth.std(), 0, 1)


@cache
def talking(seconds: float = SHORT) -> Frames:
    at = np.arange(round(seconds * FPS)) / FPS
    return np.stack(
        [clips.talking_frame(t, SIDE, SIDE, opening=openings()[round(1000 * t)]) for t in at]
    )


def voice(seconds: float = SHORT, late: float = 0.0) -> np.ndarray:
    """What the mouth says, and pauses where it is shut."""
    t = np.arange(round(seconds * clips.SOUND_RATE)) / clips.SOUND_RATE
    spoken = np.interp(t - late, np.arange(len(openings())) / 1000, openings())
    buzz = clips.speech(seconds) / np.maximum(0.05, clips.mouth_opening(t))
    return buzz * spoken * (spoken > 0.1)


def film(path: Path, frames: Frames, sound: np.ndarray | None, fps: float = FPS) -> Path:
    wav = None if sound is None else clips.write_wav(path.with_suffix(".wav"), sound)
    write_video(path, frames, audio=wav, fps=fps)
    return path


def look(path: Path, frames: Frames, sound: np.ndarray | None = None, fps: float = FPS) -> Report:
    video = film(path / "clip.mp4", frames, voice() if sound is None else sound, fps)
    return examine(video, size=SIDE, face_fraction=0.4, cut=WHOLE)


def named(report: Report) -> dict[str, Finding]:
    """What is found besides what always is."""
    return {
        f.topic: f
        for f in report.findings
        if f.level is not Level.GOOD
        and f.topic not in ALWAYS
        and not (f.topic == "mouth" and "never closes" in f.advice)
    }


def test_of_a_clip_without_fault_nothing_is_named(tmp_path: Path) -> None:
    report = look(tmp_path, talking(LONG), voice(LONG))
    assert named(report) == {}
    found = {finding.topic: finding for finding in report.findings}
    assert found["length"].level is found["turns"].level is Level.USABLE
    assert "sound 0 ms" in found["lips and sound"].measured
    assert {"face", "hands", "cuts", "background", "noise"} <= set(found)


# Each takes the frames of a clip without fault, and gives frames and what must be named.


def doubled(frames: Frames) -> Frames:
    return np.repeat(frames[::2], 2, axis=0)


def jump(frames: Frames) -> Frames:
    moved = [clips.talking_frame(t, SIDE, SIDE, (0.4, 0.55)) for t in np.arange(50, 100) / FPS]
    return np.concatenate([frames[:50], moved])


def another_scene(frames: Frames) -> Frames:
    return np.concatenate([frames[:50], 255 - frames[50:, :, ::-1] // 2])


def two_people(frames: Frames) -> Frames:
    beside = [
        clips.talking_frame(i / FPS + 9, SIDE, SIDE, face_fraction=0.32) for i in range(len(frames))
    ]
    return np.concatenate([frames, beside], axis=2)


def shaken(frames: Frames) -> Frames:
    x, y = 4 * np.sin(np.arange(len(frames)) / 3), 3 * np.sin(np.arange(len(frames)) / 2)
    return np.stack([
        cv2.warpAffine(f, np.array([[1, 0, a], [0, 1, b]]), (SIDE, SIDE))
        for f, a, b in zip(frames, x, y, strict=True)
    ])  # fmt: skip


def zoomed(frames: Frames) -> Frames:
    centre = (SIDE / 2, SIDE / 2)
    zooms = np.linspace(1, 1.12, len(frames))
    return np.stack([
        cv2.warpAffine(f, cv2.getRotationMatrix2D(centre, 0, zoom), (SIDE, SIDE))
        for f, zoom in zip(frames, zooms, strict=True)
    ])  # fmt: skip


def blurred(frames: Frames) -> Frames:
    return np.stack([cv2.GaussianBlur(f, (0, 0), 2) for f in frames])


def brightened(gains: Callable[[np.ndarray], np.ndarray]) -> Callable[[Frames], Frames]:
    def change(frames: Frames) -> Frames:
        share = gains(np.arange(len(frames)) / len(frames))
        return (frames * share[:, None, None, None]).clip(0, 255).astype(np.uint8)

    return change


def silent_mouth(frames: Frames) -> Frames:
    return np.stack([
        clips.talking_frame(i / FPS, SIDE, SIDE, opening=0.3) for i in range(len(frames))
    ])  # fmt: skip


def covered_face(frames: Frames) -> Frames:
    """A board in front of the face from second 1 to 2, coming and going over some frames."""
    hidden = frames.copy()
    for i in range(15, 60):
        depth = round(SIDE * np.clip(min(i - 15, 60 - i) / 10, 0, 1) / 2)
        hidden[i, SIDE // 4 : SIDE // 4 + depth, SIDE // 3 : -SIDE // 3] = (120, 90, 60)
    return hidden


def hand_before(frame: Frames, at: tuple[float, float], height: float) -> None:
    """Draw MakeHuman's left hand (CC0) into a frame, fingers down."""
    mesh = base_mesh()
    reach = mesh.vertices[:, 0].max()
    quads = mesh.groups["body"][:, :, 0]
    quads = quads[(mesh.vertices[quads, 0] > 0.79 * reach).all(1)]  # the arms hang to the sides
    used = np.unique(quads)
    turn = Rotation.from_euler("y", 90, degrees=True).as_matrix()
    points = (mesh.vertices - mesh.vertices[used].mean(0)) @ turn.T
    scale = height / np.ptp(points[used, 1])
    pixels = np.array(at) + scale * points[:, :2] * (1, -1)
    corners = points[quads]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    shade = 0.35 + 0.65 * np.clip(normals @ (0.3, 0.5, 0.81), 0, 1)
    for index in np.argsort(corners[:, :, 2].mean(1)):  # the nearest last
        if normals[index, 2] > 0:
            colour = [float(shade[index] * c) for c in (205, 160, 135)]
            cv2.fillConvexPoly(frame, pixels[quads[index]].round().astype(np.int32), colour)


def hand_over_face(frames: Frames) -> Frames:
    """A hand comes up before chin and mouth, stays for half a second, and goes."""
    frames = frames.copy()
    for i in range(46, 66):
        away = SIDE * 0.08 * max(0, 4 - (i - 46), 4 - (65 - i))
        hand_before(frames[i], (0.47 * SIDE, 0.66 * SIDE + away), 0.45 * SIDE)
    return frames


@pytest.mark.parametrize(
    ("change", "topics", "level"),
    [
        (doubled, {"repeated frames"}, Level.USABLE),
        (jump, {"cuts"}, Level.USABLE),
        (another_scene, {"cuts", "background"}, Level.WILL_NOT_WORK),
        (two_people, {"other faces"}, Level.WILL_NOT_WORK),
        (shaken, {"background"}, Level.USABLE),
        (zoomed, {"background"}, Level.USABLE),
        (blurred, {"sharpness"}, Level.USABLE),
        (brightened(lambda t: np.full_like(t, 0.35)), {"exposure"}, Level.USABLE),
        (brightened(lambda t: 0.6 + 0.5 * t), {"light"}, Level.USABLE),
        (brightened(lambda t: 1 + 0.04 * (-1) ** np.round(100 * t)), {"flicker"}, Level.USABLE),
        (silent_mouth, {"mouth"}, Level.WILL_NOT_WORK),
        (covered_face, {"face"}, Level.WILL_NOT_WORK),
        (hand_over_face, {"hands"}, Level.USABLE),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_fault_of_the_picture_is_named_and_nothing_else(
    tmp_path: Path, change: Callable[[Frames], Frames], topics: set[str], level: Level
) -> None:
    found = named(look(tmp_path, change(talking())))
    assert set(found) == topics
    assert max(finding.level for finding in found.values()) is level
    assert all(finding.advice for finding in found.values())


def test_times_of_faults_are_those_of_the_film(tmp_path: Path) -> None:
    cut = named(look(tmp_path, jump(talking())))["cuts"]
    assert cut.times == [(2.0, 2.0)]
    times = named(look(tmp_path, covered_face(talking())))["face"].times
    assert times[0][0] == pytest.approx(0.9, abs=0.3)
    assert times[-1][1] == pytest.approx(2.1, abs=0.3)


def test_fifteen_frames_a_second_are_too_few(tmp_path: Path) -> None:
    at = [i / 15 for i in range(60)]
    slow = [clips.talking_frame(t, SIDE, SIDE, opening=openings()[int(1000 * t)]) for t in at]
    found = named(look(tmp_path, np.stack(slow), fps=15))
    assert set(found) == {"frame rate"} and found["frame rate"].measured.startswith("15 fps")


def test_a_face_too_small_for_the_portrait_is_named(tmp_path: Path) -> None:
    video = film(tmp_path / "clip.mp4", talking(), voice())
    found = named(examine(video, size=450, face_fraction=0.4, cut=WHOLE))
    assert set(found) == {"face size"}
    assert found["face size"].level is Level.USABLE


def test_a_film_without_sound_will_not_work(tmp_path: Path) -> None:
    video = film(tmp_path / "clip.mp4", talking(), None)
    report = examine(video, size=SIDE, face_fraction=0.4, cut=WHOLE)
    assert set(named(report)) == {"sound"} and report.step is None
    assert verdict(report.findings) is Level.WILL_NOT_WORK


def test_late_sound_is_measured_and_another_voice_suspected(tmp_path: Path) -> None:
    frames = talking(LONG)
    late = named(look(tmp_path, frames, voice(LONG, late=0.4)))
    assert set(late) == {"lips and sound"}
    assert "sound 400 ms late" in late["lips and sound"].measured
    assert "-itsoffset -0.40" in late["lips and sound"].advice
    assert late["lips and sound"].level is Level.WILL_NOT_WORK


# Films as cameras write them


@pytest.mark.parametrize("clockwise", [0, 90, 180, 270])
def test_pictures_are_upright_as_ffmpeg_shows_them(tmp_path: Path, clockwise: int) -> None:
    clip = clips.talking_clip(tmp_path / "clip.mp4", 3, size=(192, 160), clockwise=clockwise)
    media = probe(clip)
    assert media.picture is not None
    size = media.picture.width, media.picture.height
    shown = next(read_frames(picture_at_25_fps(media, WHOLE), *size, "test"))
    picture = next(Film(media, WHOLE).frames()).picture()
    assert picture.shape == shown.shape
    assert np.abs(picture.astype(float) - shown).mean() < 2  # upside down it is near 60


def test_pixels_that_are_not_square_or_not_8_bit_are_read(tmp_path: Path) -> None:
    clip = clips.talking_clip(tmp_path / "clip.mp4", 3, size=(192, 160))
    deep = tmp_path / "deep.mkv"
    stream = ffmpeg.input(str(clip)).video.filter("scale", 96, 160).filter("setsar", "2/1")
    run_ffmpeg(stream.output(str(deep), pix_fmt="yuv420p10le", vcodec="ffv1"), "test")
    frame = next(Film(probe(deep), WHOLE).frames())
    plain = next(Film(probe(clip), WHOLE).frames())
    assert frame.picture().shape == plain.picture().shape == (160, 192, 3)
    assert frame.luma().shape == (160, 96)
    assert np.abs(frame.luma().mean() - plain.luma().mean()) < 3


def test_a_cut_gives_its_frames_and_counts_from_its_beginning(tmp_path: Path) -> None:
    clip = clips.talking_clip(tmp_path / "clip.mp4", 60, 30, size=(192, 160), flash_at=1.2)
    film_ = Film(probe(clip), Cut(start=0.7, duration=0.8))
    white = [frame.luma().mean() > 220 for frame in film_.frames()]
    assert len(white) == 24
    assert film_.times[white.index(True)] == pytest.approx(0.5, abs=1 / 30)
    assert film_.estimated_seconds == pytest.approx(0.8)


def test_an_uneven_frame_rate_and_interlacing_are_named(tmp_path: Path) -> None:
    clip = film(tmp_path / "clip.mp4", talking(), voice())
    uneven = tmp_path / "uneven.mp4"
    dropped = ffmpeg.input(str(clip)).video.filter("select", "mod(n,5)")
    sound = ffmpeg.input(str(clip)).audio
    run_ffmpeg(ffmpeg.output(dropped, sound, str(uneven), fps_mode="vfr"), "test")
    laced = tmp_path / "laced.mp4"
    fields = ffmpeg.input(str(clip)).video.filter("setfield", "tff")
    options = {"flags": "+ildct+ilme", "x264-params": "tff=1"}
    run_ffmpeg(ffmpeg.output(fields, sound, str(laced), **options), "test")
    for video, topic, words in ((uneven, "frame rate", "varying"), (laced, "interlaced", "100%")):
        found = named(examine(video, size=SIDE, face_fraction=0.4, cut=WHOLE))
        assert words in found[topic].measured


# The command


def run(path: Path, video: Path, *more: str) -> tuple[dict, bytes]:
    check, picture = path / "out" / "check.json", path / "out" / "check.png"
    arguments = [str(video), "--check", check, "--picture", picture, "--size", str(SIDE), *more]
    command.main([str(argument) for argument in arguments])
    return json.loads(check.read_text()), picture.read_bytes()


def test_the_command_writes_the_verdict_and_a_picture_the_same_each_time(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    video = film(tmp_path / "clip.mp4", jump(talking()), voice())
    written, picture = run(tmp_path, video)
    said = capfd.readouterr().err
    assert written["verdict"] == "will not work" and said.splitlines()[-2].endswith("will not work")
    cuts = next(f for f in written["findings"] if f["topic"] == "cuts")
    assert cuts["times"] == [[2.0, 2.0]] and cuts["level"] == "usable" and cuts["advice"] in said
    assert written["longest_stretch"] == [0, 2] or written["longest_stretch"] == [2, 4]
    image = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
    assert image.shape[0] > 800 and image.shape[1] > 1200
    red = image[20, 20].astype(int)  # the banner's colour, as that of the verdict; OpenCV has BGR
    assert red[2] > 150 > red[1] + red[0] / 2
    assert run(tmp_path, video) == (written, picture)


def test_of_a_film_without_a_face_there_is_a_picture_too(tmp_path: Path) -> None:
    video = film(tmp_path / "wall.mp4", np.stack([clips.background(SIDE, SIDE)] * 30), None)
    written, picture = run(tmp_path, video)
    bad = {f["topic"] for f in written["findings"] if f["level"] == "will not work"}
    assert bad == {"length", "sound", "face"} and picture.startswith(b"\x89PNG")


def not_media(path: Path) -> None:
    path.write_text("this is no video\n" * 100)


def sound_only(path: Path) -> None:
    clips.write_wav(path, clips.speech(0.5))


def one_frame(path: Path) -> None:
    clips.talking_clip(path, 1)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: None, "clip.mp4: expected a video or audio file, but it does not exist"),
        (Path.touch, "clip.mp4: expected a video or audio file, but it is empty (0 bytes)"),
        (not_media, "clip.mp4: expected a video or audio file, but it cannot be read as one"),
        (sound_only, "clip.mp4: has no video stream"),
        (one_frame, "clip.mp4: one frame between"),
    ],
)
def test_what_is_no_film_is_refused_in_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], make: Callable[[Path], object], words: str
) -> None:
    make(tmp_path / "clip.mp4")
    with pytest.raises(SystemExit) as stop:
        run(tmp_path, tmp_path / "clip.mp4")
    assert stop.value.code == 2
    *before, last = capfd.readouterr().err.splitlines()
    assert last.startswith("error: ") and words in last
    assert all(line.startswith("check_video: ") for line in before)
    assert not (tmp_path / "out").exists()


# The gate


def verdict_file(path: Path, level: Level) -> Path:
    finding = {"topic": "sound", "level": str(level), "measured": "none", "advice": "Add it."}
    report = {"video": "me.mp4", "verdict": str(level), "findings": [finding]}
    path.write_text(json.dumps(report))
    return path


@pytest.mark.parametrize("level", [Level.GOOD, Level.USABLE])
def test_a_video_that_works_is_admitted(tmp_path: Path, level: Level) -> None:
    admit.admit(verdict_file(tmp_path / "check.json", level), tmp_path / "admitted.txt")
    assert (tmp_path / "admitted.txt").read_text() == f"{level}\n"


def test_a_video_that_will_not_work_is_stopped_unless_told_otherwise(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    check, admitted = verdict_file(tmp_path / "c.json", Level.WILL_NOT_WORK), tmp_path / "a.txt"
    arguments = ["--check", check, "--admitted", admitted]
    line = refused(admit.main, arguments, capfd)
    assert "me.mp4: will not work. sound: none. Add it." in line and "check.stop" in line
    assert not admitted.exists()
    admit.main([*map(str, arguments), "--no-stop"])
    assert admitted.read_text() == "will not work\n"
    assert capfd.readouterr().err == "warning: me.mp4: sound: none. Add it.\n"


def test_another_json_is_no_verdict(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for content in ("[1]", "{", '{"verdict": "good"}'):
        (tmp_path / "c.json").write_text(content)
        arguments = ["--check", tmp_path / "c.json", "--admitted", tmp_path / "a.txt"]
        assert "preprocess.check" in refused(admit.main, arguments, capfd)


@pytest.mark.parametrize(
    ("flags", "words"), [(["--size", "-5"], "crop.size"), (["--face-fraction", "7"], "0.1 to 0.9")]
)
def test_settings_of_the_crop_that_make_no_sense_are_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], flags: list[str], words: str
) -> None:
    film = clips.talking_clip(tmp_path / "clip.mp4", frames=4)
    outputs = ["--check", tmp_path / "c.json", "--picture", tmp_path / "c.png"]
    assert words in refused(command.main, [*outputs, *flags, "--", film], capfd)
    assert not (tmp_path / "c.json").exists()
