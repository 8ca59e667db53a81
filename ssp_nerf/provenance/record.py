"""The record of where a generated video comes from, and the words it says that in."""

import json
from dataclasses import asdict, dataclass

import ssp_nerf

SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
GENERATED = SOURCE_TYPES + "trainedAlgorithmicMedia"
"""IPTC: made by a model that was trained on captured content."""
BESIDE_FILMED = SOURCE_TYPES + "compositeWithTrainedAlgorithmicMedia"
"""IPTC: such media composed with others."""
DRAWN = SOURCE_TYPES + "algorithmicMedia"
"""IPTC: made by an algorithm that was not trained on anything captured."""

SOFTWARE = f"ssp-nerf {ssp_nerf.__version__}"
OWN_SPEECH = "its own"


@dataclass(frozen=True)
class Provenance:
    """Where a video comes from.

    Attributes:
        source_type: one of IPTC's, see above.
        software: name and version of the program that made it.
        model: SHA-256 of the bundle that drew it, see `ssp_nerf.files.folder_sha256`; empty: none.
        subject: the name of the person in the config; empty: not told.
        speech: the name of the speech that drove it, or `OWN_SPEECH`.
        speech_sha256: of the speech's file, as it was given to the program.
        consent: what the config says of the person's consent; empty: nothing.
    """

    source_type: str
    software: str = SOFTWARE
    model: str = ""
    subject: str = ""
    speech: str = ""
    speech_sha256: str = ""
    consent: str = ""

    @property
    def is_foreign(self) -> bool:
        """Someone says what they never said."""
        return self.source_type != DRAWN and self.speech != OWN_SPEECH

    @property
    def sentence(self) -> str:
        """For people."""
        of = f" of {self.subject!r}" if self.subject else ""
        if self.source_type == DRAWN:
            return f"Generated video{of}: drawn by {self.software}. Nobody was filmed."
        beside = ", beside what was filmed" if self.source_type == BESIDE_FILMED else ""
        model = f"model {self.model[:12]}" if self.model else "a model that was not kept"
        words = [f"Generated video{of}{beside}: not filmed, drawn by {self.software} from {model}."]
        if self.is_foreign:
            words.append(f"Speech that is not the person's own drives it: {self.speech!r}.")
            words.append(f"Consent: {self.consent}" if self.consent else f"{NO_CONSENT}.")
        return " ".join(words)

    @property
    def comment(self) -> str:
        """Metadata for the container: a sentence for people and, in a line of its own, JSON."""
        record = json.dumps(asdict(self), sort_keys=True, ensure_ascii=False)
        return f"{self.sentence}\n{record}"


NO_CONSENT = "No consent of the person to foreign speech is on record"
