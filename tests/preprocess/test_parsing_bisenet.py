"""The pretrained parser, with weight files of the real format but random numbers."""

import importlib.util
import io
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from preprocess import parsing_bisenet
from preprocess.face_topology import MESH_TO_68
from preprocess.parsing import main
from ssp_nerf.errors import InputError
from ssp_nerf.files import sha256
from ssp_nerf.schema import PARSING
from ssp_nerf.weights import require_weights
from tests import clips
from tests.preprocess.stages import refused, write_frames, write_landmarks

SIZE, COUNT = 512, 3


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the file, in the older format of PyTorch's in which the real one is."""
    if importlib.util.find_spec("facexlib") is None:
        pytest.skip("needs the package facexlib")
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    network = parsing_bisenet.bisenet_module().BiSeNet(num_class=19)
    path = folder / parsing_bisenet.WEIGHTS
    torch.save(network.state_dict(), path, _use_new_zipfile_serialization=False)
    return folder


@pytest.fixture
def images() -> np.ndarray:
    """(COUNT, SIZE, SIZE, 3) uint8."""
    return np.stack([clips.talking_frame(t, SIZE, SIZE) for t in np.arange(COUNT) / 5])


def landmarks68(eyes_to_mouth: float) -> np.ndarray:
    """(COUNT, 68, 3) points of which the eyes and the corners of the mouth are that far apart."""
    points = np.random.default_rng(0).normal(200, 40, (COUNT, 68, 3))
    points[:, 36:48, :2] = (200, 150)
    points[:, [48, 54], :2] = [(180, 150 + eyes_to_mouth), (220, 150 + eyes_to_mouth)]
    return points


def inputs(folder: Path, images: np.ndarray) -> list[object]:
    """Arguments of the command but for the weights; writes frames and landmarks."""
    frames = write_frames(folder / "frames.h5", images)
    landmarks = write_landmarks(folder / "landmarks.h5", landmarks68(120), SIZE, SIZE)
    named = {"--frames": frames, "--landmarks": landmarks, "--parsing": folder / "parsing.h5"}
    return [*(a for pair in named.items() for a in pair), "--parser", "bisenet", "--device", "cpu"]


def test_labels_are_the_networks(
    images: np.ndarray, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two routes to the labels: the command, and the network called by hand on 512 x 512."""
    path = weights / parsing_bisenet.WEIGHTS
    monkeypatch.setattr(parsing_bisenet, "WEIGHTS_SHA256", sha256(path))
    main([str(a) for a in [*inputs(tmp_path, images), "--weights", weights]])
    labels = PARSING.read(tmp_path / "parsing.h5")[0]["parsing"]

    network = parsing_bisenet.load_network(path, "cpu")
    tensor = torch.from_numpy(images).permute(0, 3, 1, 2) / 255
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    deviation = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    with torch.no_grad():
        theirs = network((tensor - mean) / deviation)[0].argmax(1).numpy()
    # CelebAMask-HQ: 1 skin, 2-3 brows, 4-5 eyes, 6 glasses, 7-8 ears, 9 earring, 10 nose,
    # 11 inner mouth, 12-13 lips, 14 neck, 15 necklace, 16 cloth, 17 hair, 18 hat.
    ours = np.array([0, 1, 3, 3, 2, 2, 2, 4, 4, 4, 5, 6, 7, 7, 8, 8, 9, 10, 10])[theirs]
    assert (labels == ours).mean() > 0.999  # ties aside
    assert len(np.unique(labels)) > 1


@pytest.mark.parametrize("size", [512, 704])
def test_frames_of_any_size_keep_it(size: int, images: np.ndarray, weights: Path) -> None:
    """What the network is shown may be larger than the frames; the maps are as large as these."""
    network = parsing_bisenet.load_network(weights / parsing_bisenet.WEIGHTS, "cpu")
    frames = images[:, :300, :300]
    (labels,) = parsing_bisenet.parse_frames(frames[:1], size, network)
    assert labels.shape == (300, 300) and labels.dtype == np.uint8


def test_a_batch_is_its_frames_one_by_one(images: np.ndarray, weights: Path) -> None:
    network = parsing_bisenet.load_network(weights / parsing_bisenet.WEIGHTS, "cpu")
    batch = torch.from_numpy(images)
    with torch.inference_mode():
        together = parsing_bisenet.most_likely(network, batch, (400, 400))
        alone = [parsing_bisenet.most_likely(network, batch[i : i + 1], (400, 400)) for i in (0, 2)]
    for index, labels in zip((0, 2), alone, strict=True):
        assert (together[index] == labels[0]).float().mean() > 0.999


def test_small_faces_are_enlarged_to_the_size_of_the_training_pictures() -> None:
    def size(distance: float, height: int = 512) -> int:
        return parsing_bisenet.network_size(landmarks68(distance), height)

    assert size(131) == size(100) == size(250) == 512
    assert size(131 / 2) == 1024  # twice as large, they are as in training
    assert size(131 / 1.5) == 768
    assert size(131 / 1.5 / 2, height=256) == 768
    assert size(20) == 1024  # no limit of memory is broken by a face far away
    points = np.random.default_rng(0).normal(0, 40, (COUNT, 478, 3))
    on_mesh = parsing_bisenet.network_size(points, 512)
    assert on_mesh == parsing_bisenet.network_size(points[:, MESH_TO_68], 512)


def test_a_missing_weight_file_is_one_line(
    images: np.ndarray, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "empty"
    line = refused(main, [*inputs(tmp_path, images), "--weights", folder], capfd)
    for word in (
        "parsing_bisenet.pth",
        str(folder),
        parsing_bisenet.WEIGHTS_SHA256,
        "parsing.parser",
        "parsing.weights",
        "mesh",
    ):
        assert word in line
    assert not (tmp_path / "parsing.h5").exists()


def test_another_file_of_that_name_is_one_line(
    images: np.ndarray, weights: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The right format, but not the weights that are known."""
    line = refused(main, [*inputs(tmp_path, images), "--weights", weights], capfd)
    assert "not the weight file that is expected" in line
    assert sha256(weights / parsing_bisenet.WEIGHTS) in line
    assert not (tmp_path / "parsing.h5").exists()


def test_a_wrong_weight_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    path.write_bytes(b"something else")
    right = "d3b07384d113edec49eaa6238ad5ff00" * 2
    with pytest.raises(InputError, match=f"{right}.*folder {tmp_path}.*set a.b to c") as error:
        require_weights(tmp_path, "net.pth", "a.b", "c", sha256=right)
    assert "not the weight file" in str(error.value)
    assert require_weights(tmp_path, "net.pth", "a.b", "c") == path


def garbage(path: Path, real: Path) -> None:
    path.write_bytes(b"\x80\x02 no weights")


def other_network(path: Path, real: Path) -> None:
    torch.save(OrderedDict(weight=torch.zeros(3)), path)


def other_classes(path: Path, real: Path) -> None:
    network = parsing_bisenet.bisenet_module().BiSeNet(num_class=11)
    torch.save(network.state_dict(), path)


def no_names(path: Path, real: Path) -> None:
    torch.save([torch.zeros(3)], path)


def a_tensor(path: Path, real: Path) -> None:
    torch.save(torch.zeros(3), path)


def code(path: Path, real: Path) -> None:
    torch.save({"weight": io.StringIO()}, path)  # would run code when unpickled


def cut_at(share: float) -> Callable[[Path, Path], None]:
    def cut(path: Path, real: Path) -> None:
        content = real.read_bytes()
        path.write_bytes(content[: int(share * len(content))])

    return cut


def cut_archive(path: Path, real: Path) -> None:
    torch.save(torch.load(real, weights_only=True), path)  # PyTorch's newer format
    path.write_bytes(path.read_bytes()[:-1000])


@pytest.mark.parametrize(
    "write",
    [
        garbage,
        other_network,
        other_classes,
        no_names,
        a_tensor,
        code,
        *(cut_at(share) for share in (1e-6, 1e-4, 0.5, 0.999)),
        cut_archive,
    ],
)
def test_a_file_with_something_else_is_refused(
    write: Callable[[Path, Path], None], weights: Path, tmp_path: Path
) -> None:
    path = tmp_path / parsing_bisenet.WEIGHTS
    write(path, weights / path.name)
    with pytest.raises(InputError, match="expected the weights of facexlib's BiSeNet") as error:
        parsing_bisenet.load_network(path, "cpu")
    assert str(path) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what a machine without a GPU says")
def test_a_gpu_that_is_not_there_is_one_line(weights: Path) -> None:
    with pytest.raises(InputError, match="device: cuda was asked for"):
        parsing_bisenet.load_network(weights / parsing_bisenet.WEIGHTS, "cuda")
