"""Files of pretrained networks: the user brings them, we say clearly which and where."""

from pathlib import Path

from ssp_nerf.errors import InputError
from ssp_nerf.files import sha256 as digest


def require_weights(
    folder: Path, name: str, config_key: str, alternative: str, sha256: str | None = None
) -> Path:
    """The path of a weight file that is there and, if its SHA-256 is known, is the right one.

    Args:
        folder: where the user keeps weights.
        name: file name of the weights.
        config_key: the key that picks the backend, e.g. "parsing.parser"; the folder is the key
            `weights` of the same section.
        alternative: the value of `config_key` that needs no file.
        sha256: hexadecimal digest of the right file, if known.

    Raises:
        InputError: the file is missing, empty or another one.
    """
    section = config_key.partition(".")[0]
    path = Path(folder) / name
    want = f" (sha256 {sha256})" if sha256 else ""
    remedy = (
        f"Put {name}{want} into the folder {Path(folder).resolve()} (config key "
        f"{section}.weights), or set {config_key} to {alternative}, which needs no weight file."
    )
    if not path.is_file() or path.stat().st_size == 0:
        raise InputError(f"{path}: expected a weight file, found none. {remedy}")
    if sha256 and (got := digest(path)) != sha256:
        raise InputError(
            f"{path}: not the weight file that is expected, its sha256 is {got}. {remedy}"
        )
    return path
