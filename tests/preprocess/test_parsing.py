"""Parsing of a real face whose outline, mouth and background are known."""

import importlib.util
import io
from collections import OrderedDict
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.draw
import torch

from preprocess import face_topology as mesh
from preprocess import parsing_bisenet
from preprocess.facial_features import FacialFeatures, draw_polygons, mesh_width
from preprocess.landmarks import detect_landmarks
from preprocess.parsing import main, parse_frames
from preprocess.parsing_mesh import LEFT, RIGHT, ear_shows
from preprocess.weights import require_weights
from ssp_nerf import parsing_map as classes
from ssp_nerf.errors import InputError
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
        features.draw(labels, picture, face)
        assert iou((labels == classes.EYEBROW) & right, truth[frame]) > 0.9
        assert iou(clip.polygon(frame, mesh.RIGHT_EYEBROW), truth[frame]) < 0.75


def test_where_colours_say_nothing_the_polygons_stay(clip: Parsed) -> None:
    picture = np.full((SIZE, SIZE, 3), (205, 160, 135), np.uint8)
    labels, polygons = np.zeros((2, SIZE, SIZE), np.uint8)
    FacialFeatures([picture], clip.points[:1]).draw(labels, picture, clip.points[0])
    draw_polygons(polygons, clip.points[0])
    for label in (classes.NOSE, classes.EYEBROW, classes.EYE, classes.LIP, classes.TEETH):
        assert iou(labels == label, polygons == label) > 0.9


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
            assert not ((labels == outer) & cv2.erode(oval.astype(np.uint8), rim, 2)).any()


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
    assert set(np.unique(parsing)) == set(range(len(classes.CLASSES)))
    points = LANDMARKS.read(landmarks)[0]["points"]
    below = np.arange(256)[:, None] > points[:, 152, 1][:, None, None]
    hair_below = ((parsing == classes.HAIR) & below).sum() / (below & (parsing > 0)).sum()
    assert hair_below > 0.25 if long_hair else hair_below < 0.02


# The pretrained backend, with a weight file of the real format but random numbers.


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if importlib.util.find_spec("facexlib") is None:
        pytest.skip("needs the package facexlib")
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    network = parsing_bisenet.bisenet_module().BiSeNet(num_class=19)
    torch.save(network.state_dict(), folder / parsing_bisenet.WEIGHTS)
    return folder


def test_a_missing_weight_file_is_one_line(
    clip: Parsed, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "parsing.h5"
    inputs = ["--frames", clip.frames, "--landmarks", clip.landmarks, "--parsing", out]
    folder = tmp_path / "empty"
    line = refused(main, [*inputs, "--parser", "bisenet", "--weights", folder], capfd)
    for word in ("parsing_bisenet.pth", str(folder), "parsing.parser", "parsing.weights", "mesh"):
        assert word in line
    assert not list(tmp_path.iterdir())


def test_a_wrong_weight_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    path.write_bytes(b"something else")
    right = "d3b07384d113edec49eaa6238ad5ff00" * 2
    with pytest.raises(InputError, match=f"{right}.*folder {tmp_path}.*set a.b to c") as error:
        require_weights(tmp_path, "net.pth", "a.b", "c", sha256=right)
    assert "not the weight file" in str(error.value)
    assert require_weights(tmp_path, "net.pth", "a.b", "c") == path


@pytest.mark.parametrize("content", ["garbage", "other network", "code"])
def test_a_file_with_something_else_is_refused(content: str, weights: Path, tmp_path: Path) -> None:
    path = tmp_path / parsing_bisenet.WEIGHTS
    if content == "garbage":
        path.write_bytes(b"\x80\x02 no weights")
    elif content == "other network":
        torch.save(OrderedDict(weight=torch.zeros(3)), path)
    else:
        torch.save({"weight": io.StringIO()}, path)  # would run code when unpickled
    with pytest.raises(InputError, match="expected the weights of facexlib's BiSeNet"):
        parsing_bisenet.load_network(tmp_path)


def test_bisenet_labels_are_the_networks(clip: Parsed, weights: Path, tmp_path: Path) -> None:
    """Two routes to the labels: the command, and the network called by hand on 512 x 512."""
    image = cv2.resize(clip.images[0], (512, 512))
    frames = write_frames(tmp_path / "frames.h5", image[None])
    landmarks = write_landmarks(tmp_path / "landmarks.h5", clip.points[:1, :68], 512, 512)
    out = tmp_path / "parsing.h5"
    inputs = ["--frames", frames, "--landmarks", landmarks, "--parsing", out]
    main([str(a) for a in [*inputs, "--parser", "bisenet", "--weights", weights]])
    labels = PARSING.read(out)[0]["parsing"][0]

    network = parsing_bisenet.load_network(weights)
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None] / 255
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    deviation = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    with torch.no_grad():
        theirs = network((tensor - mean) / deviation)[0][0].argmax(0).numpy()
    # CelebAMask-HQ: 1 skin, 2-3 brows, 4-5 eyes, 6 glasses, 7-8 ears, 9 earring, 10 nose,
    # 11 inner mouth, 12-13 lips, 14 neck, 15 necklace, 16 cloth, 17 hair, 18 hat.
    ours = np.array([0, 1, 3, 3, 2, 2, 2, 4, 4, 4, 5, 6, 7, 7, 8, 8, 9, 10, 10])[theirs]
    assert (labels == ours).mean() > 0.999  # ties aside
    assert len(np.unique(labels)) > 1
