"""Generated videos say that they are, and what is measured does not show it."""

import hashlib
import json
import shutil
import subprocess

import numpy as np
import pytest

from ssp_nerf import comparison, gather, render
from ssp_nerf.config import ProvenanceConfig, RenderingConfig
from ssp_nerf.errors import InputError
from ssp_nerf.files import folder_sha256
from ssp_nerf.mark import Mark
from ssp_nerf.panels import ComparisonSheet
from ssp_nerf.provenance import __main__ as command
from ssp_nerf.provenance.record import BESIDE_FILMED, GENERATED, OWN_SPEECH
from ssp_nerf.provenance.xmp import read_xmp
from ssp_nerf.schema import RENDER
from ssp_nerf.video import ffmpeg_binary
from tests.ssp_nerf import synthetic_clip as clip
from tests.ssp_nerf.generated_videos import gathered, refused, run

av = pytest.importorskip("av")

MODEL = "0123456789abcdef" * 4
CONSENT = "Jane Doe, in writing; a=b,\nfor research: 'any' \"speech\" \\ ünï"


@pytest.fixture
def heldout(tmp_path):
    return clip.write_render(tmp_path / "heldout.h5", [9, 10, 11], clip.pictures()[9:])


def decoded(path) -> list[np.ndarray]:
    with av.open(str(path)) as file:
        return [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]


def test_a_driven_video_says_by_what_from_which_model_of_whom_and_which_speech(
    tmp_path, driven, speech, capsys
):
    flags = ["--speech-name", "weather", "--consent", CONSENT]
    path = gathered(driven, speech, tmp_path / "video.mp4", *flags)
    assert "warning" not in capsys.readouterr().err
    run(command, path, "--json")
    said = json.loads(capsys.readouterr().out)
    assert said["source_type"] == said["xmp_source_type"] == GENERATED
    assert said["source_type"].endswith("/trainedAlgorithmicMedia")
    assert said["software"].startswith("ssp-nerf ")
    assert (said["model"], said["subject"], said["speech"]) == (MODEL, "me", "weather")
    assert said["speech_sha256"] == hashlib.sha256(speech.read_bytes()).hexdigest()
    assert said["consent"] == CONSENT and f"Consent: {CONSENT}" in said["says"]
    assert said["content_credential"] == "none"
    run(command, path)
    assert "Generated video of 'me'" in capsys.readouterr().out


def test_another_program_reads_the_comment_and_the_xmp(tmp_path, driven, speech):
    path = gathered(driven, speech, tmp_path / "video.mp4", "--consent", CONSENT)
    with av.open(str(path)) as file:
        comment = file.metadata["comment"]
    assert comment.startswith("Generated video of 'me': not filmed, drawn by ssp-nerf ")
    assert json.loads(comment.rpartition("\n")[2])["consent"] == CONSENT
    # The box is the last of the file and says its own length.
    content = path.read_bytes()
    box = content[content.rindex(b"uuid") - 4 :]
    assert int.from_bytes(box[:4], "big") == len(box)
    if probe := shutil.which("ffprobe"):
        shown = subprocess.run(
            [probe, "-v", "error", "-of", "json", "-show_format", path], capture_output=True
        )
        assert json.loads(shown.stdout)["format"]["tags"]["comment"] == comment


@pytest.mark.parametrize("suffix", [".mkv", ".mov"])
def test_the_record_survives_a_copy_into_another_container(tmp_path, driven, speech, suffix):
    path = gathered(driven, speech, tmp_path / "video.mp4", "--consent", CONSENT)
    copy = tmp_path / f"copy{suffix}"
    copying = ["-loglevel", "error", "-i", path, "-c", "copy", copy]
    subprocess.run([ffmpeg_binary(), *copying], check=True)
    assert command.read_provenance(copy) == command.read_provenance(path)


def test_foreign_speech_without_consent_is_made_and_says_so(tmp_path, driven, speech, capsys):
    path = gathered(driven, speech, tmp_path / "video.mp4")
    warning = capsys.readouterr().err
    assert "warning:" in warning and "subjects.me.consent" in warning
    about = command.read_provenance(path)
    assert about.speech == "talk"  # the file's name, where none is given
    assert "No consent" in about.sentence and about.consent == ""


def test_held_out_speech_is_the_persons_own_and_needs_no_consent(tmp_path, heldout, speech, capsys):
    path = gathered(heldout, speech, tmp_path / "video.mp4", "--speech-name", "weather")
    assert "warning" not in capsys.readouterr().err
    about = command.read_provenance(path)
    assert about.speech == OWN_SPEECH and "onsent" not in about.sentence


def test_a_comparison_says_that_what_was_filmed_is_beside(tmp_path, heldout, speech):
    dataset = clip.write_dataset(tmp_path / "dataset.h5")
    path = tmp_path / "comparison.mp4"
    run(comparison, "--dataset", dataset, "--render", heldout, "--audio", speech, "--video", path)
    assert command.read_provenance(path).source_type == BESIDE_FILMED
    assert read_xmp(path)["DigitalSourceType"] == BESIDE_FILMED


def test_the_same_inputs_give_the_same_bytes(tmp_path, driven, speech):
    flags = ["--consent", CONSENT, "--mark", "AI"]
    frames = np.full((3, 160, 160, 3), 200, np.uint8)
    part = clip.write_render(tmp_path / "large.h5", [0, 1, 2], frames, take="driven")
    one, two = (gathered(part, speech, tmp_path / f"{i}.mp4", *flags) for i in (1, 2))
    assert one.read_bytes() == two.read_bytes()


def test_the_model_is_the_bundle_that_drew_it(tmp_path, trained, features, speech, capsys):
    """From the bundle's files through a rendered part into the video, and back."""
    part = tmp_path / "part.h5"
    flags = ["--bundle", trained / "model", "--audio-features", features, "--take", "heldout"]
    run(render, *flags, "--output", part, "--device", "cpu")
    path = gathered(part, speech, tmp_path / "video.mp4")
    listed = subprocess.run(
        "sha256sum * | sha256sum", shell=True, cwd=trained / "model", capture_output=True, text=True
    )
    assert command.read_provenance(path).model == listed.stdout.split()[0]
    run(command, path, "--model", trained / "model")
    assert "drawn by model:      yes" in capsys.readouterr().out
    other = tmp_path / "other"
    shutil.copytree(trained / "model", other)
    (other / "bundle.json").write_text("{}")
    run(command, path, "--model", other)
    assert f"no, {other} is {folder_sha256(other)}" in capsys.readouterr().out


def test_parts_of_two_models_make_no_video(tmp_path, driven, speech, capfd):
    other = clip.write_render(
        tmp_path / "other.h5", [3], clip.pictures()[3:4], take="driven", model="f" * 64
    )
    path = tmp_path / "video.mp4"
    flags = ["--render", driven, other, "--audio", speech, "--video", path]
    line = refused(gather, flags, capfd)
    assert "other.h5: model is 'ffff" in line and not path.exists()


@pytest.mark.parametrize("comment", [None, "made at home", '{"model": "x"}', "[1]"])
def test_a_video_without_a_record_is_said_to_have_none(tmp_path, capfd, comment):
    path = tmp_path / "film.mp4"
    source = ["-f", "lavfi", "-i", "testsrc=duration=0.2:size=64x64"]
    more = [] if comment is None else ["-metadata", f"comment={comment}"]
    subprocess.run([ffmpeg_binary(), "-loglevel", "error", *source, *more, path], check=True)
    assert "no record of a generated video" in refused(command, [path], capfd)


def test_what_is_no_video_is_refused(tmp_path, capfd):
    path = tmp_path / "text.mp4"
    path.write_text("no video")
    assert "ffmpeg failed" in refused(command, [path], capfd)
    assert "does not exist" in refused(command, [tmp_path / "nothing.mp4"], capfd)


@pytest.mark.parametrize("size", [450, 150])
@pytest.mark.parametrize("shade", [0, 128, 255])
def test_a_mark_can_be_read_on_any_ground_and_covers_no_more_than_its_box(size, shade):
    """Legible: WCAG's contrast of large text, 3 to 1, in letters of 10 pixels or more."""
    picture = np.full((size, size, 3), shade, np.uint8)
    mark = Mark("AI generated", size, size)
    shown = mark.on(picture)
    left, top, right, bottom = mark.box
    inside = shown[top:bottom, left:right]
    luminance = (inside[..., 0] / 255.0) ** 2.2
    assert (luminance.max() + 0.05) / (luminance.min() + 0.05) > 3
    assert bottom - top >= 13
    rest = shown.copy()
    rest[top:bottom, left:right] = picture[top:bottom, left:right]
    np.testing.assert_array_equal(rest, picture)
    assert (bottom - top) * (right - left) < 0.07 * size**2


def test_a_long_mark_is_broken_and_one_that_never_fits_is_refused():
    text = "Generated by a computer. Nobody said this."
    assert Mark(text, 150, 150).box[1] < Mark("Generated", 150, 150).box[1]
    with pytest.raises(InputError, match=r"provenance\.mark: .* 40x40"):
        Mark(text, 40, 40)


def test_a_mark_is_on_the_video_and_not_on_what_is_measured(tmp_path, speech):
    frames = np.full((3, 160, 160, 3), 200, np.uint8)
    part = clip.write_render(tmp_path / "part.h5", [9, 10, 11], frames)
    path = gathered(part, speech, tmp_path / "video.mp4", "--mark", "AI generated")
    left, top, right, bottom = Mark("AI generated", 160, 160).box
    for frame in decoded(path):
        assert frame[top:bottom, left:right].min() < 120
        assert abs(int(frame[:100].mean()) - 200) < 4
    np.testing.assert_array_equal(RENDER.read(part)[0]["frames"], frames)


def test_a_comparison_bears_the_mark_on_the_rendering_alone(tmp_path, heldout, speech):
    dataset = clip.write_dataset(tmp_path / "dataset.h5")
    shown = {}
    for mark in ("", "AI generated"):
        path = tmp_path / f"comparison{mark[:2]}.mp4"
        files = ["--dataset", dataset, "--render", heldout, "--audio", speech, "--video", path]
        run(comparison, *files, "--mark", mark)
        shown[mark] = decoded(path)[0].astype(int)
    difference = np.abs(shown["AI generated"] - shown[""]).mean(axis=2)
    changed = []
    for left, top, right, bottom in ComparisonSheet(clip.WIDTH, clip.HEIGHT).panels:
        changed.append((difference[top:bottom, left:right] > 30).mean() > 0.01)
    assert changed == [False, True, False, False]


@pytest.mark.parametrize("given", ["certificate", "key"])
def test_a_signature_needs_certificate_and_key(given):
    with pytest.raises(InputError, match="signing needs both"):
        ProvenanceConfig(**{given: "file.pem"})


def test_rendering_knows_no_mark():
    """Parts of a rendering are what is measured."""
    assert not hasattr(RenderingConfig(), "mark")
