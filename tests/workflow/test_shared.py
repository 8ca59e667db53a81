"""What subjects and projects share: weights that are fetched, and the face model, once for all."""

import hashlib
import os
from pathlib import Path

import pytest
import yaml

from preprocess.deepspeech import GRAPH, GRAPH_SHA1
from preprocess.parsing_bisenet import WEIGHTS, WEIGHTS_SHA256
from ssp_nerf.metrics import syncnet_network
from ssp_nerf.weights import WEIGHT_FILES, sha256_in_name
from tests.web import Web, serving
from tests.workflow.conftest import ROOT, Project, checkout

CONTENT = b"an ArcFace, by the name of it"
FILE = "shared weights/arcface.pth"
BASIS = "results/face_models/makehuman.h5"


@pytest.fixture
def web():
    with serving() as web:
        yield web


def project(folder: Path, web: Web) -> Project:
    """A checkout whose config asks for a network of the web's."""
    config = folder / "weights.yaml"
    folder.mkdir()
    about = {
        "url": f"{web.address}/arcface.pth",
        "sha256": hashlib.sha256(CONTENT).hexdigest(),
    }
    config.write_text(
        yaml.safe_dump(
            {
                "device": "cpu",
                "evaluation": {"metrics": "psnr, csim_arcface", "weights": "shared weights"},
                "downloads": {"arcface.pth": about},
            }
        )
    )
    return Project(checkout(folder / "checkout"), [config])


def test_every_known_network_s_file_can_be_had_and_is_the_one_that_the_stages_expect():
    downloads = yaml.safe_load((ROOT / "config.yaml").read_text())["downloads"]
    files = {name for of in WEIGHT_FILES.values() for names in of.values() for name in names}
    assert set(downloads) == files - {"arcface.pth"}  # any backbone: nobody's in particular
    assert downloads[WEIGHTS]["sha256"] == WEIGHTS_SHA256
    assert downloads[GRAPH]["sha1"] == GRAPH_SHA1
    assert downloads[syncnet_network.WEIGHTS_FILE]["sha256"] == syncnet_network.SHA256
    for name in ("s3fd-619a316812.pth", "2DFAN4-11f355bf06.pth.tar", "alexnet-owt-7be5be79.pth"):
        assert downloads[name]["sha256"].startswith(sha256_in_name(name))


def test_weights_are_fetched_again_until_they_come(web: Web, tmp_path: Path):
    web.files["arcface.pth"], web.failures = CONTENT, 2
    here = project(tmp_path / "a", web)
    done = here.snakemake(FILE)
    assert done.returncode == 0, done.stdout
    assert (here.folder / FILE).read_bytes() == CONTENT
    assert web.asked == ["arcface.pth"] * 3


def test_other_weights_than_expected_do_not_come(web: Web, tmp_path: Path):
    web.files["arcface.pth"] = CONTENT + b"."
    here = project(tmp_path / "a", web)
    done = here.snakemake(FILE, "--retries", "0")
    assert done.returncode == 1
    assert "is not the arcface.pth that is expected" in done.stdout
    assert not (here.folder / FILE).exists()


def test_weights_that_are_there_are_neither_fetched_nor_replaced(web: Web, tmp_path: Path):
    here = project(tmp_path / "a", web)
    path = here.folder / FILE
    path.parent.mkdir()
    path.write_bytes(b"mine")
    done = here.snakemake(FILE)
    assert done.returncode == 0 and "Nothing to be done" in done.stdout
    assert path.read_bytes() == b"mine" and not web.asked


def test_projects_share_them(web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """With --cache another project takes the first one's face model and weights."""
    (tmp_path / "cache").mkdir()
    monkeypatch.setenv("SNAKEMAKE_OUTPUT_CACHE", os.fspath(tmp_path / "cache"))
    web.files["arcface.pth"] = CONTENT
    first, second = project(tmp_path / "a", web), project(tmp_path / "b", web)
    for here in (first, second):
        done = here.snakemake("--cache", "--", FILE, BASIS)
        assert done.returncode == 0, done.stdout
    assert web.asked == ["arcface.pth"]
    for name in (FILE, BASIS):
        assert (first.folder / name).resolve() == (second.folder / name).resolve()
    assert (second.folder / FILE).read_bytes() == CONTENT
