"""Weights come from a web server on this machine, and what is not the right file does not come."""

import hashlib
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ssp_nerf.download import main
from tests.hostile.case import error_line
from tests.web import Web, serving

CONTENT = bytes(range(256)) * 9000  # more than a block
SHA256 = hashlib.sha256(CONTENT).hexdigest()
SHA1 = hashlib.sha1(CONTENT).hexdigest()


@pytest.fixture
def web() -> Iterator[Web]:
    with serving() as web:
        yield web


def archive(member: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as content:
        content.writestr("README", "no")
        content.writestr(member, CONTENT)
    return packed.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [("net.pb", CONTENT), ("net.pb.zip", archive("net.pb")), ("a.zip", archive("models/net.pb"))],
)
@pytest.mark.parametrize("digest", [f"--sha256={SHA256}", f"--sha1={SHA1}"])
def test_the_file_comes_whole(web: Web, tmp_path: Path, name: str, content: bytes, digest: str):
    web.files[name] = content
    path = tmp_path / "weights/net.pb"
    main([f"--url={web.address}/{name}", f"--file={path}", digest])
    assert path.read_bytes() == CONTENT
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("prepare", "name", "said"),
    [
        (lambda web: web.files.update({"net.pb": CONTENT[1:]}), "net.pb", "its sha256 is"),
        (lambda web: None, "net.pb", "404"),
        (lambda web: setattr(web, "failures", 1), "net.pb", "503"),
        (lambda web: setattr(web, "cut", 1000), "net.pb", "bytes"),
        (lambda web: web.files.update({"net.zip": b"no"}), "net.zip", "not a zip file"),
        (
            lambda web: web.files.update({"net.zip": archive("other.pb")}),
            "net.zip",
            "holds no net.pb",
        ),
        (
            lambda web: web.files.update({"net.zip": archive("net.pb")[:-300]}),
            "net.zip",
            "not a zip file",
        ),
    ],
    ids=["another file", "absent", "out of service", "cut off", "no zip", "other zip", "half zip"],
)
def test_what_is_not_the_file_is_refused(web, tmp_path, capfd, prepare, name, said):
    """In one line that names address, file and config key; the file that was there stays."""
    if said not in ("404", "503"):
        web.files["net.pb"] = CONTENT
    prepare(web)
    path = tmp_path / "net.pb"
    path.write_bytes(b"older")
    with pytest.raises(SystemExit) as stop:
        main([f"--url={web.address}/{name}", f"--file={path}", f"--sha256={SHA256}"])
    line = error_line(capfd.readouterr().err)
    assert stop.value.code == 2
    for words in (said, web.address, "net.pb", "downloads.net.pb.url", str(tmp_path)):
        assert words in line
    assert path.read_bytes() == b"older" and list(tmp_path.iterdir()) == [path]


def test_nobody_answers(tmp_path, capfd):
    with serving() as gone:
        address = gone.address
    with pytest.raises(SystemExit):
        main([f"--url={address}/net.pb", f"--file={tmp_path}/net.pb", f"--sha256={SHA256}"])
    assert "refused" in error_line(capfd.readouterr().err)
    assert not list(tmp_path.iterdir())


def test_a_file_that_may_be_any_is_not_fetched(web, tmp_path, capfd):
    web.files["net.pb"] = CONTENT
    with pytest.raises(SystemExit):
        main([f"--url={web.address}/net.pb", f"--file={tmp_path}/net.pb"])
    assert "without --sha256" in error_line(capfd.readouterr().err)
    assert not web.asked
