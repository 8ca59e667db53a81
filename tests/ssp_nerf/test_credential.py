"""Signed videos: by a real certificate of an authority that the test makes, read back, tampered."""

import subprocess

import pytest

from ssp_nerf import gather
from ssp_nerf.provenance import __main__ as command
from ssp_nerf.provenance import credential
from ssp_nerf.provenance.record import GENERATED
from ssp_nerf.video import ffmpeg_binary
from tests.ssp_nerf.certificates import SIGNER, write_certificate
from tests.ssp_nerf.generated_videos import gathered, refused

c2pa = pytest.importorskip("c2pa")


@pytest.fixture
def signed(tmp_path, driven, speech):
    chain, key = write_certificate(tmp_path)
    flags = ["--consent", "yes", "--certificate", chain, "--key", key]
    return gathered(driven, speech, tmp_path / "video.mp4", *flags)


def test_a_signed_video_says_who_signed_it_and_keeps_its_record(signed):
    found = command.describe(signed)
    assert SIGNER in found["content_credential"] and "unchanged" in found["content_credential"]
    assert (found["subject"], found["xmp_source_type"]) == ("me", GENERATED)
    with c2pa.Reader(signed) as reader:
        assertions = reader.get_active_manifest()["assertions"]
    held = {assertion["label"]: assertion["data"] for assertion in assertions}
    (action,) = held["c2pa.actions.v2"]["actions"]
    assert (action["action"], action["digitalSourceType"]) == ("c2pa.created", GENERATED)
    assert held[credential.RECORD]["model"] == found["model"]


@pytest.mark.parametrize("where", ["mdat", "Generated video"])
def test_one_changed_byte_is_seen(signed, where):
    content = bytearray(signed.read_bytes())
    at = content.index(where.encode()) + len(where) + 1
    content[at] ^= 1
    signed.write_bytes(content)
    assert credential.state(signed).startswith("INVALID")


def test_a_copy_by_ffmpeg_loses_the_credential_and_keeps_the_record(signed, tmp_path):
    copy = tmp_path / "copy.mp4"
    copying = ["-loglevel", "error", "-i", signed, "-c", "copy", copy]
    subprocess.run([ffmpeg_binary(), *copying], check=True)
    found = command.describe(copy)
    assert (found["content_credential"], found["xmp_source_type"]) == ("none", "none")
    assert found["subject"] == "me"


@pytest.mark.parametrize("kind", ["Ed25519", "RSA"])
def test_other_keys_sign_too(tmp_path, driven, speech, kind):
    chain, key = write_certificate(tmp_path, kind)
    flags = ["--consent", "yes", "--certificate", chain, "--key", key]
    path = gathered(driven, speech, tmp_path / "video.mp4", *flags)
    assert SIGNER in credential.state(path)


def swapped(folder):
    return write_certificate(folder, "P-256")[0], write_certificate(folder, "RSA")[1]


def self_signed(folder):
    """The authority's own certificate."""
    chain, key = write_certificate(folder)
    chain.write_text("-----BEGIN" + chain.read_text().split("-----BEGIN")[2])
    return chain, key


def not_pem(folder):
    chain, key = write_certificate(folder)
    key.write_bytes(b"\x30\x82")
    return chain, key


def garbled(folder):
    chain, key = write_certificate(folder)
    key.write_text("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    return chain, key


BAD = {
    "of another key": (swapped, "provenance.certificate"),
    "of an authority": (self_signed, "could not be signed"),
    "a curve that C2PA has not": (lambda folder: write_certificate(folder, "secp256k1"), "P-521"),
    "no PEM": (not_pem, "no -----BEGIN"),
    "garbled": (garbled, "provenance.key cannot be read"),
    "not there": (lambda folder: (folder / "no.pem", folder / "key.pem"), "does not exist"),
}


@pytest.mark.parametrize("problem", BAD)
def test_what_cannot_sign_is_one_line_and_no_video(tmp_path, driven, speech, capfd, problem):
    make, words = BAD[problem]
    chain, key = make(tmp_path)
    path = tmp_path / "new" / "video.mp4"
    flags = ["--render", driven, "--audio", speech, "--video", path, "--consent", "yes"]
    line = refused(gather, [*flags, "--certificate", chain, "--key", key], capfd)
    assert words in line, line
    assert not path.exists() and not list(path.parent.iterdir())


def test_a_container_that_cannot_be_signed_is_refused(tmp_path, driven, speech, capfd):
    chain, key = write_certificate(tmp_path)
    path = tmp_path / "video.mkv"
    flags = ["--render", driven, "--audio", speech, "--video", path]
    line = refused(gather, [*flags, "--certificate", chain, "--key", key], capfd)
    assert ".mp4, .m4v, .mov only" in line and not path.exists()
