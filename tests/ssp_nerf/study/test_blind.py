"""Copies of clips show the same and tell nothing; orders and aliases are random and kept."""

import subprocess
from collections import Counter

import numpy as np
import pytest

from ssp_nerf.errors import InputError
from ssp_nerf.study.blind import blind_copy, streams
from ssp_nerf.study.clips import Clip, Study, keep_study, open_study, read_clips
from ssp_nerf.video import ffmpeg_binary
from tests.ssp_nerf.study.conftest import FRAMES, SIZE

av = pytest.importorskip("av")


def decoded(path) -> tuple[np.ndarray, np.ndarray]:
    with av.open(str(path)) as file:
        frames = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
    with av.open(str(path)) as file:
        sound = [frame.to_ndarray() for frame in file.decode(audio=0)]
    return np.array(frames), np.concatenate(sound, axis=1)


def convert(source, path, *flags: str) -> Clip:
    command = [ffmpeg_binary(), "-loglevel", "error", "-i", source, *flags, path]
    subprocess.run([str(word) for word in command], check=True)
    return Clip("m", path, "0")


def test_a_copy_shows_every_pixel_and_sample_and_nothing_of_its_origin(study, copies):
    for alias, clip in study.clips.items():
        original = clip.path.read_bytes()
        assert b"secret" in original and b"x264" in original
        copy = copies[alias].read_bytes()
        for word in (b"secret", b"made by", b"x264", b"Lavf"):
            assert word not in copy
        for before, after in zip(decoded(clip.path), decoded(copies[alias]), strict=True):
            np.testing.assert_array_equal(before, after)
        assert "secret" not in copies[alias].name


@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("old.avi", ["-c:v", "mpeg4", "-q:v", "1", "-c:a", "libmp3lame"]),
        ("full.mkv", ["-c:v", "libx264", "-qp", "0", "-pix_fmt", "yuv444p", "-c:a", "flac"]),
    ],
)
def test_what_browsers_do_not_play_is_encoded_finely(clips, tmp_path, name, flags):
    clip = convert(clips[0].path, tmp_path / name, *flags)
    copy = tmp_path / "copy.mp4"
    blind_copy(clip, copy)
    assert streams(Clip("m", copy, "0")) == ("h264", "yuv420p", "aac")
    before, after = decoded(clip.path)[0], decoded(copy)[0]
    assert after.shape == before.shape == (FRAMES, SIZE, SIZE, 3)
    assert np.abs(before.astype(int) - after).mean() < 6


def test_a_clip_without_sound_or_picture_is_refused(clips, tmp_path):
    with pytest.raises(InputError, match="without sound"):
        blind_copy(convert(clips[0].path, tmp_path / "a.mp4", "-an"), tmp_path / "b.mp4")
    with pytest.raises(InputError, match="without picture"):
        blind_copy(convert(clips[0].path, tmp_path / "c.wav"), tmp_path / "b.mp4")
    assert not (tmp_path / "b.mp4").exists()


def test_each_participant_has_an_order_of_their_own_that_stays(clips):
    study, again = Study(clips, "s"), Study(list(reversed(clips)), "s")
    people = [study.new_participant() for _ in range(300)]
    orders = Counter(tuple(study.order(name)) for name in people)
    assert all(sorted(order) == list(study.clips) for order in orders)
    assert len(orders) == 6 and min(orders.values()) > 25  # of 50 each: uniform
    for name in people[:20]:
        assert again.order(name) == study.order(name) and again.is_participant(name)
    other = Study(clips, "t")
    assert not set(other.clips) & set(study.clips)
    assert not other.is_participant(people[0])


@pytest.mark.parametrize("name", ["", "0" * 32, "é" * 32, "x"])
def test_nobody_makes_up_a_participant(study, name):
    assert not study.is_participant(name)


def test_ratings_of_one_study_are_not_mixed_with_anothers(clips, tmp_path):
    ratings = tmp_path / "ratings.csv"
    study = open_study(clips, ratings, begun=False, seed=None)
    keep_study(study, ratings)
    assert open_study(list(reversed(clips)), ratings, begun=True, seed=None).clips == study.clips
    assert open_study(clips, ratings, begun=False, seed=None).seed != study.seed
    with pytest.raises(InputError, match="has other clips: not .*secret-2.mp4"):
        open_study(clips[:2], ratings, begun=True, seed=None)
    with pytest.raises(InputError, match="has other seed"):
        open_study(clips, ratings, begun=True, seed="mine")
    (tmp_path / "ratings.study.json").write_text("[]")
    with pytest.raises(InputError, match="not the description"):
        open_study(clips, ratings, begun=True, seed=None)
    (tmp_path / "ratings.study.json").unlink()
    with pytest.raises(InputError, match="does not exist"):
        open_study(clips, ratings, begun=True, seed=None)


def test_a_file_lists_clips_from_its_own_folder(clips, tmp_path):
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).write_bytes(name.encode())
    file = tmp_path / "study.yaml"
    file.write_text("methods: {ours: [a.mp4], ad-nerf: [b.mp4]}")
    assert [(c.method, c.path) for c in read_clips([], file)] == [
        ("ours", tmp_path / "a.mp4"),
        ("ad-nerf", tmp_path / "b.mp4"),
    ]


@pytest.mark.parametrize(
    "content", ["#", "[a]", "methods: [a]", "methods: {a: b.mp4}", "{", "a: 1"]
)
def test_a_file_of_another_form_is_refused(tmp_path, content):
    file = tmp_path / "study.yaml"
    file.write_text(content)
    with pytest.raises(InputError, match="Expected e.g."):
        read_clips([], file)


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        (["a.mp4"], "expected METHOD=FILE"),
        (["m="], "expected METHOD=FILE"),
        (["m=nothing.mp4"], "does not exist"),
        (["a\nb=nothing.mp4"], "expected a method's name"),
    ],
)
def test_a_clip_of_another_form_is_refused(pairs, words):
    with pytest.raises(InputError, match=words):
        read_clips(pairs, None)


def test_one_clip_or_the_same_twice_is_no_study(clips):
    with pytest.raises(InputError, match="twice"):
        Study([*clips, clips[0]], "s")
    with pytest.raises(InputError, match="two clips or more"):
        Study(clips[:1], "s")
