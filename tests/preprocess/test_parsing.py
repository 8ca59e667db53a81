"""Parsing of a real face whose outline, mouth and background are known."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.draw

from preprocess import face_topology as mesh
from preprocess import parsing_mesh
from preprocess.ears import LEFT, RIGHT, ear_shows, ears
from preprocess.facial_features import FacialFeatures, draw_polygons, fill_polygon, mesh_width
from preprocess.landmarks import detect_landmarks
from preprocess.materials import Memory
from preprocess.parsing import main, parse_frames
from ssp_nerf import parsing_map as classes
from ssp_nerf.schema import LANDMARKS, PARSING
from ssp_nerf.video import read_frames
from tests import clips
from tests.preprocess.stages import refused, write_frames, write_landmarks

SIZE, COUNT = 256, 16
SHARED_CLIPS = Path(__file__).resolve().parents[3] / "shared" / "clips"


class Parsed:
    """A clip, what is known of it, and its parsing."""

    def __init__(self, folder: Path):
        self.times = np.arange(COUNT) / 12.5
        self.images = np.stack([clips.talking_frame(t, SIZE, SIZE) for t in self.times])
        self.frames = write_frames(folder / "frames.h5", self.images)
        self.landmarks = folder / "landmarks.h5"
        detect_landmarks([self.frames], self.landmarks)
        self.points = LANDMARKS.read(self.landmarks)[0]["points"]
        self.path = folder / "parsing.h5"
        parse_frames(self.frames, self.landmarks, self.path, "mesh", folder)
        self.parsing = PARSING.read(self.path)[0]["parsing"]

    def polygon(self, frame: int, ring: tuple[int, ...]) -> np.ndarray:
        """(H, W) bool by scikit-image's rasteriser, another one than the parser's."""
        corners = self.points[frame, list(ring), 1::-1] - 0.5
        return skimage.draw.polygon2mask((SIZE, SIZE), corners)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Parsed:
    return Parsed(tmp_path_factory.mktemp("parsing"))


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return (a & b).sum() / (a | b).sum()


def test_every_class_is_found(clip: Parsed) -> None:
    assert set(np.unique(clip.parsing)) == set(range(len(classes.CLASSES)))


def test_the_person_is_where_it_was_put(clip: Parsed) -> None:
    wall = clips.background(SIZE, SIZE)
    for image, labels in zip(clip.images, clip.parsing, strict=True):
        # The person has nowhere exactly the colours of the wall, but for a few pixels.
        person = cv2.medianBlur((np.abs(image.astype(int) - wall) > 2).any(-1).astype(np.uint8), 5)
        head = slice(0, 170)  # her shoulders end in the picture that the clip is made from
        assert iou(person[head] > 0, labels[head] != classes.BACKGROUND) > 0.92


def test_features_are_the_mesh_polygons(clip: Parsed) -> None:
    for frame, labels in enumerate(clip.parsing):
        lips = np.isin(labels, (classes.LIP, classes.TEETH))
        assert iou(lips, clip.polygon(frame, mesh.LIPS_OUTER)) > 0.8
        eyes = clip.polygon(frame, mesh.RIGHT_EYE) | clip.polygon(frame, mesh.LEFT_EYE)
        assert iou(labels == classes.EYE, eyes) > 0.6  # 40 pixels each, mostly rim
        assert iou(labels == classes.NOSE, clip.polygon(frame, mesh.NOSE)) > 0.85


def painted_faces(clip: Parsed, ring: tuple[int, ...], grow: float) -> tuple[np.ndarray, ...]:
    """Skin-coloured pictures (N, H, W, 3) with one dark feature, and where it is, (N, H, W) bool:
    the polygon of the mesh and `grow` face widths around it."""
    pictures = np.full((COUNT, SIZE, SIZE, 3), (205, 160, 135), np.uint8)
    truth = np.zeros((COUNT, SIZE, SIZE), bool)
    for frame, face in enumerate(clip.points):
        disc = cv2.getStructuringElement(
            cv2.MORPH_ELLIPSE, (2 * round(grow * mesh_width(face)) + 1,) * 2
        )
        truth[frame] = cv2.dilate(clip.polygon(frame, ring).astype(np.uint8), disc) > 0
    pictures[truth] = (70, 50, 40)
    return pictures, truth


def test_a_thick_eyebrow_is_found_beyond_the_polygon(clip: Parsed) -> None:
    pictures, truth = painted_faces(clip, mesh.RIGHT_EYEBROW, grow=0.02)
    features = FacialFeatures(pictures, clip.points)
    right = np.arange(SIZE) < clip.points[:, mesh.FACE_OVAL[0], 0].min()
    for frame, (picture, face) in enumerate(zip(pictures, clip.points, strict=True)):
        labels = np.zeros((SIZE, SIZE), np.uint8)
        features.draw(labels, picture, face, face)
        assert iou((labels == classes.EYEBROW) & right, truth[frame]) > 0.9
        assert iou(clip.polygon(frame, mesh.RIGHT_EYEBROW), truth[frame]) < 0.75


def test_where_colours_say_nothing_the_polygons_stay(clip: Parsed) -> None:
    picture = np.full((SIZE, SIZE, 3), (205, 160, 135), np.uint8)
    labels, polygons = np.zeros((2, SIZE, SIZE), np.uint8)
    FacialFeatures([picture], clip.points[:1]).draw(labels, picture, *clip.points[[0, 0]])
    draw_polygons(polygons, clip.points[0])
    for label in (classes.NOSE, classes.EYEBROW, classes.EYE, classes.LIP, classes.TEETH):
        assert iou(labels == label, polygons == label) > 0.9


def test_a_polygon_holds_the_pixels_whose_centres_it_holds() -> None:
    corners = np.array([(10.25, 5.75), (20.25, 5.75), (20.25, 9.75), (10.25, 9.75)])
    inside = np.zeros((20, 30), bool)
    inside[6:10, 10:20] = True  # centres at 10.5 to 19.5, and 6.5 to 9.5
    np.testing.assert_array_equal(fill_polygon(corners, (20, 30)), inside)
    beyond = fill_polygon(corners - (15, 0), (20, 30))
    np.testing.assert_array_equal(beyond[:, :5], inside[:, 15:20])
    assert not fill_polygon(corners + (100, 0), (20, 30)).any()


def test_steadied_points_keep_a_steady_motion_and_lose_a_tremble_of_all() -> None:
    shape = np.random.default_rng(0).normal(0, 100, (468, 3))
    motion = shape + np.arange(9.0)[:, None, None] * (3, -2, 0)
    tremble = np.where(np.arange(9) % 2, 0.3, -0.3)[:, None, None]
    calm = np.stack([calm for _, calm in parsing_mesh.steadied(motion + tremble)])
    np.testing.assert_allclose(calm[1:-1], motion[1:-1])


def test_steadied_points_keep_any_motion_of_the_head_and_lose_their_own_tremble() -> None:
    random = np.random.default_rng(0)
    shape = random.normal(0, 30, (468, 3))
    tremble = random.normal(0, 0.5, (5, 468, 3))
    shifts = random.normal(0, 50, (5, 1, 3)) * (1, 1, 0)  # jumps, as a cut in the film makes
    motion = shape + shifts
    (_, calm) = list(parsing_mesh.steadied(motion + tremble))[2]
    np.testing.assert_allclose(list(parsing_mesh.steadied(motion))[2][1], motion[2], atol=1e-9)
    # Weights 1:2:1 leave sqrt(1 + 4 + 1) / 4 of independent noise.
    assert (calm - motion[2]).std() == pytest.approx(0.5 * np.sqrt(6) / 4, rel=0.1)


def test_memory_moves_with_the_head_and_yields_where_the_picture_changed() -> None:
    random = np.random.default_rng(0)
    before, now = random.dirichlet(np.ones(4), (2, 40, 50)).astype(np.float32)
    picture = random.random((40, 50)).astype(np.float32)
    face = random.random((30, 2)) * 30
    # The head moves by 3 pixels to the right, the picture with it; its lower half changes.
    moved = np.roll(picture, 3, axis=1)
    moved[20:] += 0.5
    found = Memory(before, picture, face).recalled(now, moved, face + (3, 0))
    np.testing.assert_allclose(found[20:, 3:], now[20:, 3:], atol=1e-6)
    share = np.roll(before, 3, axis=1)[:20, 3:] - now[:20, 3:]
    np.testing.assert_allclose(found[:20, 3:] - now[:20, 3:], 0.6 * share, atol=1e-4)


def test_the_far_ear_disappears_behind_a_turned_face(clip: Parsed) -> None:
    face = clip.points[0] - clip.points[0].mean(0)
    visible = []
    for degrees in (-35, 0, 35):
        cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        turned = face @ np.array([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]]) + SIZE / 2
        oval = fill_polygon(turned[list(mesh.FACE_OVAL), :2], (SIZE, SIZE))
        visible.append(
            [(fill_polygon(ear, (SIZE, SIZE)) & ~oval).sum() for ear in ears(turned)],
        )
    one_way, ahead, other_way = np.array(visible)
    assert abs(ahead[RIGHT] - ahead[LEFT]) < 0.3 * ahead.mean()
    near, far = max(one_way), min(one_way)
    assert far < 0.2 * near
    assert np.argmax(one_way) != np.argmax(other_way)


@pytest.mark.parametrize(("width", "shows"), [(0.0, False), (0.015, False), (0.05, True)])
def test_an_ear_shows_where_skin_goes_on_beside_the_face(
    width: float, shows: bool, clip: Parsed
) -> None:
    skins = []
    for frame, face in enumerate(clip.points):
        beyond = skimage.draw.polygon2mask(
            (SIZE, SIZE),
            # The right side of the face goes on to the right, which is left in the picture.
            face[list(mesh.FACE_OVAL), 1::-1] - (0, width * mesh_width(face)),
        )
        skins.append(clip.polygon(frame, mesh.FACE_OVAL) | beyond)
    assert ear_shows(skins, clip.points, RIGHT) == shows
    assert not ear_shows(skins, clip.points, LEFT)


def test_classes_lie_inside_one_another(clip: Parsed) -> None:
    for frame, labels in enumerate(clip.parsing):
        rim = np.ones((3, 3), np.uint8)
        oval = cv2.dilate(clip.polygon(frame, mesh.FACE_OVAL).astype(np.uint8), rim) > 0
        lips = cv2.dilate(clip.polygon(frame, mesh.LIPS_OUTER).astype(np.uint8), rim) > 0
        assert not ((labels == classes.TEETH) & ~lips).any()
        for inner in (classes.NOSE, classes.EYE, classes.LIP):
            assert not ((labels == inner) & ~oval).any()
        for outer in (classes.NECK, classes.EAR):
            assert not (
                (labels == outer) & cv2.erode(oval.astype(np.uint8), rim, iterations=2)
            ).any()


def test_hair_face_neck_torso_come_in_this_order(clip: Parsed) -> None:
    for labels in clip.parsing:
        heights = [
            np.nonzero(labels == label)[0].mean()
            for label in (classes.HAIR, classes.NOSE, classes.LIP, classes.NECK, classes.TORSO)
        ]
        assert heights == sorted(heights)


def test_the_mouth_class_opens_with_the_mouth(clip: Parsed) -> None:
    area = (clip.parsing == classes.TEETH).sum((1, 2))
    assert np.corrcoef(area, clips.mouth_opening(clip.times))[0, 1] > 0.9


def test_nothing_flickers(clip: Parsed) -> None:
    """A pixel that is one class before and after should rarely be another in between."""
    before, now, after = clip.parsing[:-2], clip.parsing[1:-1], clip.parsing[2:]
    assert ((before == after) & (now != before)).mean() < 0.01


class Counted:
    """Frames that remember how often each was read."""

    def __init__(self, images: np.ndarray):
        self.images, self.reads = images, np.zeros(len(images), int)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> np.ndarray:
        image = self.images[index]
        self.reads[index] += 1
        return image


def test_frames_are_read_when_their_turn_comes(clip: Parsed) -> None:
    frames = Counted(clip.images[np.arange(80) % COUNT])
    maps = parsing_mesh.parse_clip(frames, clip.points[np.arange(80) % COUNT])
    next(maps)
    assert frames.reads.sum() == parsing_mesh.LEARNING_FRAMES + 1
    next(maps)
    assert frames.reads.sum() == parsing_mesh.LEARNING_FRAMES + 2


def test_the_same_frames_give_the_same_bytes(clip: Parsed, tmp_path: Path) -> None:
    again = tmp_path / "again.h5"
    inputs = ["--frames", clip.frames, "--landmarks", clip.landmarks, "--parsing", again]
    main([str(argument) for argument in inputs])
    assert again.read_bytes() == clip.path.read_bytes()


def test_landmarks_of_another_clip_are_refused(
    clip: Parsed, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    short = write_landmarks(tmp_path / "short.h5", clip.points[1:], SIZE, SIZE)
    sparse = write_landmarks(tmp_path / "sparse.h5", clip.points[:, :68], SIZE, SIZE)
    out = tmp_path / "parsing.h5"
    for landmarks, words in ((short, f"{COUNT - 1} frames"), (sparse, "68 points")):
        inputs = ["--frames", clip.frames, "--landmarks", landmarks, "--parsing", out]
        line = refused(main, inputs, capfd)
        assert words in line and str(landmarks) in line
        assert not out.exists()


@pytest.mark.parametrize(("name", "long_hair"), [("address", True), ("anchor", False)])
def test_real_clips(name: str, long_hair: bool, tmp_path: Path) -> None:
    """Long hair falls below the chin and is hair there; with short hair, nothing below is."""
    video = SHARED_CLIPS / f"{name}.mp4"
    if not video.exists():
        pytest.skip(f"needs the real clip {video}")
    import ffmpeg

    stream = ffmpeg.input(str(video)).filter("select", "not(mod(n,12))").filter("scale", 256, 256)
    source = stream.filter("setpts", "N/25/TB")
    images = np.stack(
        [image for _, image in zip(range(12), read_frames(source, 256, 256, name), strict=False)]
    )
    frames, landmarks = write_frames(tmp_path / "f.h5", images), tmp_path / "l.h5"
    detect_landmarks([frames], landmarks)
    parse_frames(frames, landmarks, tmp_path / "p.h5", "mesh", tmp_path)
    parsing = PARSING.read(tmp_path / "p.h5")[0]["parsing"]
    hidden = {classes.EAR} if long_hair else set()  # but for the lobes, now and then
    assert set(np.unique(parsing)) | hidden == set(range(len(classes.CLASSES)))
    points = LANDMARKS.read(landmarks)[0]["points"]
    below = np.arange(256)[:, None] > points[:, 152, 1][:, None, None]
    hair_below = ((parsing == classes.HAIR) & below).sum() / (below & (parsing > 0)).sum()
    assert hair_below > 0.25 if long_hair else hair_below < 0.02
