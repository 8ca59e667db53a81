"""CSIM: one person is nearer to herself than to another, whatever size and place she has."""

import numpy as np
import pytest
import skimage.data
import torch

from ssp_nerf.errors import InputError
from ssp_nerf.landmarks import alignment_points, eye_distance, face_boxes
from ssp_nerf.metrics.arcface_network import ArcFace, load_arcface
from ssp_nerf.metrics.csim import ARCFACE_TEMPLATE, ArcFaceIdentity, DlibIdentity, align, cosine

FACE = np.ascontiguousarray(skimage.data.astronaut()[:256, 96:352])


@pytest.fixture(scope="module")
def points() -> np.ndarray:
    """(478, 2) of the astronaut's face."""
    face_mesh = pytest.importorskip("mediapipe").solutions.face_mesh
    with face_mesh.FaceMesh(static_image_mode=True, refine_landmarks=True) as detector:
        found = detector.process(FACE).multi_face_landmarks[0].landmark
    return np.array([(point.x, point.y) for point in found]) * 256


def test_the_same_face_enlarged_is_the_same_person_and_noise_is_not(points):
    from PIL import Image

    identity = DlibIdentity()
    vector = identity.vector(FACE, points)
    assert vector.shape == (identity.length,)
    large = np.asarray(Image.fromarray(FACE).resize((400, 400)))
    again = identity.vector(large, points * 400 / 256)
    noise = np.random.default_rng(0).integers(0, 256, FACE.shape, np.uint8)
    stranger = identity.vector(noise, points)
    assert cosine(vector, vector) == pytest.approx(1)
    assert cosine(vector, again) > 0.98 > cosine(vector, stranger)
    assert np.linalg.norm(vector - again) < 0.3 < 0.6 < np.linalg.norm(vector - stranger)


def test_dlib_finds_the_same_vector_with_its_own_landmarks(points):
    import importlib.util
    from pathlib import Path

    import dlib

    package = importlib.util.find_spec("face_recognition_models")
    models = Path(package.origin).parent / "models"
    predict = dlib.shape_predictor(str(models / "shape_predictor_5_face_landmarks.dat"))
    left, top, right, bottom = face_boxes(points).astype(int).tolist()
    shape = predict(FACE, dlib.rectangle(left, top, right, bottom))
    identity = DlibIdentity()
    theirs = np.array(identity.network.compute_face_descriptor(FACE, shape))
    assert np.linalg.norm(identity.vector(FACE, points) - theirs) < 0.2


def test_an_aligned_face_has_its_eyes_where_arcface_saw_them(points):
    picture = np.zeros((256, 256, 3), np.uint8)
    corners = alignment_points(points)
    for x, y in (corners[:2].mean(0), corners[2:4].mean(0)):
        picture[round(y) - 2 : round(y) + 3, round(x) - 2 : round(x) + 3] = 255
    aligned = align(picture, points)[..., 0].astype(float)
    for half, eye in ((np.s_[:, :56], 0), (np.s_[:, 56:], 1)):
        weight = aligned[half]
        y, x = (np.indices(weight.shape) * weight).sum(axis=(1, 2)) / weight.sum()
        assert (x + 56 * eye, y) == pytest.approx(ARCFACE_TEMPLATE[eye], abs=1)


@pytest.mark.parametrize("blocks", [(2, 2, 2, 2), (1, 2, 3, 1)])
def test_arcface_reads_a_file_of_any_depth(tmp_path, points, blocks):
    torch.manual_seed(0)
    network = ArcFace(blocks).eval()
    torch.save(network.state_dict(), tmp_path / "arcface.pth")
    assert {"layer1.0.downsample.1.running_mean", "features.weight"} <= set(network.state_dict())
    read = load_arcface(tmp_path, torch.device("cpu"))
    crops = torch.randn(1, 3, 112, 112)
    with torch.inference_mode():
        assert torch.equal(read(crops), network(crops)) and read(crops).shape == (1, 512)
    vector = ArcFaceIdentity(tmp_path, torch.device("cpu")).vector(FACE, points)
    assert vector.shape == (512,) and np.isfinite(vector).all()


def test_another_network_in_arcfaces_place_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"arcface\.pth.*evaluation\.weights"):
        load_arcface(tmp_path, torch.device("cpu"))
    torch.save({"layer1.0.bn1.weight": torch.zeros(3)}, tmp_path / "arcface.pth")
    with pytest.raises(InputError, match="backbone of insightface"):
        load_arcface(tmp_path, torch.device("cpu"))


def test_cosine_is_scale_free():
    a, b = np.random.default_rng(0).normal(size=(2, 5, 8))
    np.testing.assert_allclose(cosine(3 * a, b), cosine(a, 0.1 * b))
    np.testing.assert_allclose(cosine(a, -a), -1)


def test_eyes_and_box_of_68_points():
    face = np.zeros((68, 2))
    face[36], face[45], face[8], face[19] = (10, 50), (40, 54), (25, 90), (15, 30)
    face[[i for i in range(68) if i not in (36, 45, 8, 19)]] = (25, 60)
    assert eye_distance(face) == pytest.approx(np.hypot(30, 4))
    assert face_boxes(face).tolist() == [10, 30 - 60 / 3, 40, 90]
