"""Files of pretrained networks: the user brings them, we say clearly which and where."""

import hashlib
import re
from pathlib import Path

from ssp_nerf.errors import InputError

WEIGHTED = {
    "landmarks": "detector",
    "parsing": "parser",
    "audio": "extractor",
    "evaluation": "metrics",
}
"""Sections of the config with networks that need files, and the key that chooses among them."""
WEIGHT_FILES: dict[str, dict[str, tuple[str, ...]]] = {
    "landmarks": {"face_alignment": ("s3fd-619a316812.pth", "2DFAN4-11f355bf06.pth.tar")},
    "parsing": {"bisenet": ("parsing_bisenet.pth",)},
    "audio": {"deepspeech": ("deepspeech-0_1_0-b90017e8.pb",)},
    "evaluation": {
        "lpips": ("alexnet-owt-7be5be79.pth",),
        "syncnet": ("syncnet_v2.model",),
        "csim_arcface": ("arcface.pth",),
    },
}
"""Their files: section -> choice -> names in the section's folder `weights`."""


def require_weights(
    folder: Path,
    name: str,
    config_key: str,
    alternative: str,
    sha256: str | None = None,
    sha1: str | None = None,
) -> Path:
    """The path of a weight file that is there and, if its digest is known, is the right one.

    Args:
        folder: where the user keeps weights.
        name: file name of the weights.
        config_key: the key that picks the backend, e.g. "parsing.parser"; the folder is the key
            `weights` of the same section.
        alternative: the value of `config_key` that needs no file.
        sha256: hexadecimal digest of the right file, or how it begins, if known. PyTorch's hub puts
            the beginning into the file's name: `sha256_in_name`.
        sha1: the same, for files of which only that is published.

    Raises:
        InputError: the file is missing, empty or another one.
    """
    section = config_key.partition(".")[0]
    path = Path(folder) / name
    known = {kind: want for kind, want in (("sha256", sha256), ("sha1", sha1)) if want}
    want = "".join(f" ({kind} {digest})" for kind, digest in known.items())
    remedy = (
        f"Put {name}{want} into the folder {folder} (config key "
        f"{section}.weights), or set {config_key} to {alternative}, which needs no weight file."
    )
    if not path.is_file() or path.stat().st_size == 0:
        raise InputError(f"{path}: expected a weight file, found none. {remedy}")
    for kind, digest in known.items():
        with open(path, "rb") as file:
            got = hashlib.file_digest(file, kind).hexdigest()
        if not got.startswith(digest):
            raise InputError(
                f"{path}: not the weight file that is expected, its {kind} is {got}. {remedy}"
            )
    return path


def sha256_in_name(name: str) -> str:
    """How the SHA-256 of a file begins, as PyTorch's hub writes it: `net-0123abcd.pth`."""
    digits = re.search(r"-([0-9a-f]{8,})\.", name)
    assert digits, name
    return digits[1]
