"""SyncNet: shapes, the distances of a brute-force computation, and a known shift that is found."""

import numpy as np
import pytest
import torch
from torch import nn

from ssp_nerf.errors import InputError
from ssp_nerf.files import sha256
from ssp_nerf.metrics import syncnet_network
from ssp_nerf.metrics.syncnet import (
    REACH,
    Sync,
    crop_face,
    crop_squares,
    distances,
    mfcc,
    syncnet,
)
from ssp_nerf.metrics.syncnet_network import SyncNet, load
from ssp_nerf.speech import SAMPLE_RATE, SAMPLES_PER_FRAME

FRAMES = 80
LOUDEST = 8000  # amplitude


def by_hand() -> SyncNet:
    """A network of the real layout whose embeddings are known functions of its input.

    Unit 0 of the face's embedding is the brightness of the crops, that of the sound's the first
    cepstrum, which is the logarithm of the energy, as `talk` makes them go together; everything
    else is zero.
    """
    network = SyncNet()
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.Conv3d, nn.Linear)):
            nn.init.zeros_(module.weight)
            nn.init.zeros_(module.bias)

    def first_layers(tower):
        return [m for m in tower if isinstance(m, (nn.Conv2d, nn.Conv3d))]

    face, sound = first_layers(network.netcnnlip), first_layers(network.netcnnaud)
    with torch.no_grad():
        face[0].weight[0, :, 2] = 1 / (3 * 7 * 7) / 255  # the middle frame's brightness, 0 to 1
        for layer in face[1:-1]:
            layer.weight[0, 0, 0, layer.weight.shape[3] // 2, layer.weight.shape[4] // 2] = 1
        face[-1].weight[0, 0] = 1 / 36
        # Loudness 0.5 has the brightness 155 / 255 and the energy below; the other cepstra are
        # smaller, so the ReLU takes them away before they are pooled with row 0.
        slope = 200 / 255 / (2 * np.log(10))
        energy = np.log(SAMPLE_RATE / 40 * (LOUDEST * 10**-0.5) ** 2)
        sound[0].weight[0, 0, 1, 1] = slope
        sound[0].bias[0] = 155 / 255 - slope * energy
        for layer in sound[1:-1]:
            layer.weight[0, 0, 1, 1] = 1
        sound[-1].weight[0, 0, 0, 1:3] = 1 / 2  # the middle of the window, pooled over time
        for head in (network.netfclip, network.netfcaud):
            head[0].weight[0, 0] = head[3].weight[0, 0] = 1
    return network.eval().requires_grad_(False)


def talk(late: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Frames as bright as the sound is loud, which is late by some frames."""
    rng = np.random.default_rng(0)
    loud = np.repeat(np.arange(40) % 2, rng.choice([3, 5, 9, 15], 40))  # syllables and pauses
    seen, heard = loud[40:][:FRAMES], loud[40 - late :][:FRAMES]
    frames = [np.full((100, 100, 3), 55 + 200 * level, np.uint8) for level in seen]
    sound = LOUDEST * rng.normal(0, 1, (FRAMES, SAMPLES_PER_FRAME)) * 10.0 ** (heard[:, None] - 1)
    return frames, sound.ravel().astype(np.int16)


def face_points() -> np.ndarray:
    rng = np.random.default_rng(1)
    return np.tile(30 + 40 * rng.uniform(size=(68, 2)), (FRAMES, 1, 1))


@pytest.mark.parametrize("late", [-10, 0, 5])
def test_a_known_shift_is_found(late):
    frames, speech = talk(late)
    sync = syncnet(by_hand(), frames, face_points(), speech)
    assert sync.offset == late
    assert sync.confidence == pytest.approx(np.median(sync.mean) - sync.mean.min())
    assert sync.distance == sync.mean.min()


def test_the_real_layout_gives_1024_numbers():
    network = SyncNet().eval()
    with torch.inference_mode():
        assert network.audio(torch.zeros(2, 1, 13, 20)).shape == (2, 1024)
        assert network.face(torch.zeros(1, 3, 5, 224, 224)).shape == (1, 1024)
    keys = set(network.state_dict())
    # Names and sizes as in the published file.
    assert {"netcnnaud.0.weight", "netfcaud.3.bias", "netcnnlip.18.weight"} <= keys
    assert network.state_dict()["netcnnlip.0.weight"].shape == (96, 3, 5, 7, 7)
    assert network.state_dict()["netcnnaud.18.weight"].shape == (512, 256, 5, 4)


def test_distances_are_those_of_every_pair_by_itself():
    torch.manual_seed(0)
    faces, sound = torch.randn(7, 1024), torch.randn(7, 1024)
    found = distances(faces, sound)
    for i in range(7):
        for shift in range(-REACH, REACH + 1):
            other = sound[i + shift] if 0 <= i + shift < 7 else torch.zeros(1024)
            expected = torch.linalg.norm(faces[i] - other)
            assert found[i, shift + REACH] == pytest.approx(float(expected), abs=1e-3)


def test_a_file_of_the_real_format_is_read(tmp_path, monkeypatch):
    torch.manual_seed(0)
    network = SyncNet().eval()
    state = {k: v for k, v in network.state_dict().items() if not k.endswith("batches_tracked")}
    torch.save(state, tmp_path / "syncnet_v2.model", _use_new_zipfile_serialization=False)
    with pytest.raises(InputError, match="not the weight file that is expected"):
        load(tmp_path, torch.device("cpu"))
    monkeypatch.setattr(syncnet_network, "SHA256", sha256(tmp_path / "syncnet_v2.model"))
    read = load(tmp_path, torch.device("cpu"))
    mel = torch.randn(3, 1, 13, 20)
    with torch.inference_mode():
        assert torch.equal(read.audio(mel), network.audio(mel))
    del state["netfclip.0.weight"]
    torch.save(state, tmp_path / "syncnet_v2.model")
    monkeypatch.setattr(syncnet_network, "SHA256", sha256(tmp_path / "syncnet_v2.model"))
    with pytest.raises(InputError, match=r"netfclip\.0\.weight"):
        load(tmp_path, torch.device("cpu"))


def test_a_steady_box_is_cropped_as_the_authors_crop_it():
    boxes = np.tile([40.0, 30.0, 100.0, 110.0], (20, 1))
    boxes[7] = np.nan  # a frame without a face
    boxes[9] += 50  # a slip of the detector
    half = 40  # of the longer side
    expected = [70 - 1.4 * half, 70 - half, 2.8 * half]
    np.testing.assert_allclose(crop_squares(boxes), np.tile(expected, (20, 1)))


def test_a_crop_shows_the_square_and_grey_beyond():
    picture = np.zeros((60, 80, 3), np.uint8)
    picture[20:40, 30:50] = (200, 100, 50)
    inside = crop_face(picture, np.array([30.0, 20.0, 20.0]))
    assert inside.shape == (224, 224, 3)
    assert (inside[8:-8, 8:-8] == (200, 100, 50)).all()  # at the edge it is interpolated
    beyond = crop_face(picture, np.array([-40.0, -40.0, 39.0]))
    assert (beyond == 110).all()


def test_mfcc_takes_integers_at_a_hundred_a_second():
    rng = np.random.default_rng(0)
    speech = (3000 * rng.normal(size=SAMPLE_RATE)).astype(np.int16)
    assert mfcc(speech).shape == (99, 13)
    louder = mfcc((2 * speech.astype(int)).astype(np.int16))
    assert louder[:, 0] - mfcc(speech)[:, 0] == pytest.approx(2 * np.log(2), abs=1e-2)


def test_figures_of_some_windows():
    rng = np.random.default_rng(0)
    sync = Sync(rng.uniform(5, 10, (30, 31)))
    some = sync.of(np.array([3, 3, 8]))
    assert some.distance == pytest.approx((2 * sync.distances[3] + sync.distances[8]).min() / 3)


def test_nothing_is_measured_without_a_face_or_too_short():
    frames, speech = talk(0)
    nowhere = np.full((FRAMES, 68, 2), np.nan)
    assert syncnet(by_hand(), frames, nowhere, speech) is None
    assert syncnet(by_hand(), frames[:5], face_points()[:5], speech) is None
