"""A study of three short clips by two methods, with sound, served for real."""

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ssp_nerf.study.blind import blind_copies
from ssp_nerf.study.clips import Clip, Study, read_clips
from ssp_nerf.study.ratings import RatingsFile
from ssp_nerf.study.server import StudyServer
from ssp_nerf.study.session import Session
from ssp_nerf.video import write_video
from tests import clips as synthetic

SIZE, FRAMES = 64, 10
GOOD = {"lip_sync_accuracy": 4, "video_realness": 3, "image_quality": 5}


def pictures(seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (FRAMES, SIZE // 16, SIZE // 16, 3), np.uint8)
    return list(coarse.repeat(16, axis=1).repeat(16, axis=2))


@pytest.fixture(scope="session")
def videos(tmp_path_factory) -> list[str]:
    """METHOD=FILE of three clips that say in every way who made them."""
    folder = tmp_path_factory.mktemp("secret-ssp-nerf")
    wav = synthetic.write_wav(folder / "speech.wav", synthetic.speech(FRAMES / 25))
    pairs = []
    for number, method in enumerate(["secret-ours", "secret-other", "secret-ours"]):
        path = folder / f"secret-{number}.mp4"
        write_video(path, pictures(number), audio=wav, comment=f"made by {method}")
        pairs.append(f"{method}={path}")
    return pairs


@pytest.fixture(scope="session")
def clips(videos) -> list[Clip]:
    return read_clips(videos, None)


@pytest.fixture(scope="session")
def study(clips) -> Study:
    return Study(clips, "a seed")


@pytest.fixture(scope="session")
def copies(study, tmp_path_factory) -> dict[str, Path]:
    return blind_copies(study, tmp_path_factory.mktemp("copies"))


class Client:
    """Asks a server, over one connection after the other."""

    def __init__(self, port: int):
        self.port = port

    def ask(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, named)
        reply = connection.getresponse()
        content = reply.read()
        connection.close()
        return reply.status, {k.lower(): v for k, v in reply.getheaders()}, content

    def get(self, path: str) -> Any:
        status, _, content = self.ask("GET", path)
        assert status == 200, content
        return json.loads(content)

    def post(self, path: str, said: object) -> tuple[int, Any]:
        body = json.dumps(said).encode()
        status, _, content = self.ask("POST", path, body, Content_Type="application/json")
        return status, json.loads(content)

    def join(self) -> tuple[str, list[str]]:
        """A new participant and the clips in order."""
        status, about = self.post("/api/participants", {})
        assert status == 201
        return about["participant"], [clip["clip"] for clip in about["clips"]]

    def rate(self, participant: object, clip: object, ratings: object) -> tuple[int, Any]:
        said = {"participant": participant, "clip": clip, "ratings": ratings}
        return self.post("/api/ratings", said)


@contextmanager
def served(study: Study, copies: dict[str, Path], ratings: Path) -> Iterator[Client]:
    with RatingsFile(ratings) as file:
        server = StudyServer(("127.0.0.1", 0), Session(study, file), copies)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            with server:
                yield Client(server.server_port)
                server.shutdown()
        finally:
            thread.join()


@pytest.fixture
def ratings(tmp_path) -> Path:
    return tmp_path / "ratings.csv"


@pytest.fixture
def client(study, copies, ratings) -> Iterator[Client]:
    with served(study, copies, ratings) as asking:
        yield asking
