"""Generated videos are written here: with their record, and signed where the config says so."""

import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ssp_nerf.config import ProvenanceConfig
from ssp_nerf.files import sha256, whole_output
from ssp_nerf.provenance.credential import open_signer
from ssp_nerf.provenance.record import GENERATED, NO_CONSENT, OWN_SPEECH, Provenance
from ssp_nerf.provenance.xmp import write_xmp
from ssp_nerf.render_parts import RenderParts


def provenance_of(
    parts: RenderParts,
    audio: Path | None,
    source_type: str = GENERATED,
    subject: str = "",
    speech: str = "",
    consent: str = "",
) -> Provenance:
    """Of a video of rendered parts; `speech` names one that is not the clip's own.

    `audio` is the speech that is heard; None: the video is silent.
    """
    name = speech or ("" if audio is None else audio.stem)
    return Provenance(
        source_type=source_type,
        model=parts.model,
        subject=subject,
        speech=OWN_SPEECH if parts.take == "heldout" else name,
        speech_sha256="" if audio is None else sha256(audio),
        consent=consent,
    )


@contextmanager
def generated_video(path: Path, about: Provenance, config: ProvenanceConfig) -> Iterator[Path]:
    """Yield a path to write a generated video to, with `about.comment`; XMP, signature follow.

    The video appears at `path` when all of it is there. Foreign speech without consent is told.

    Raises:
        InputError: it cannot be signed.
    """
    if about.is_foreign and not about.consent:
        key = f"subjects.{about.subject or '<name>'}.consent"
        print(
            f"warning: {path}: {NO_CONSENT.lower()} ({key} in the config). The video is made, and "
            "says so. Make portraits of people who agreed to it, and write down that they did.",
            file=sys.stderr,
            flush=True,
        )
    with whole_output(path) as partial, open_signer(config, path) as signer:
        yield partial
        write_xmp(partial, about)
        if signer is not None:
            signer.sign(partial, about)


def add_provenance_flags(parser: ArgumentParser) -> None:
    """Flags for what a command cannot know of a video that it writes."""
    group = parser.add_argument_group("what the video says of itself")
    group.add_argument("--subject", default="", help="name of the person (subjects.<name>)")
    group.add_argument(
        "--consent", default="", help="who agreed, to what, when (subjects.<name>.consent)"
    )
