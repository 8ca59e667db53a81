"""One utterance by espeak-ng's C library, in a process of its own.

`python -m preprocess.demo_subject.espeak < request.json > utterance`

espeak-ng keeps the phase of its waves, its noise and its pitch cycle from one utterance to the
next, so that the second is neither the bytes nor the length of the first. Only a fresh process
repeats itself; it also keeps what the library prints away from the terminal.
"""

import ctypes
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import espeakng_loader

from ssp_nerf.errors import InputError

SYNCHRONOUS = 2
PHONEME_EVENTS = 0x0001
DONT_EXIT = 0x8000
RATE, PITCH = 1, 3
POS_CHARACTER = 1
CHARS_UTF8 = 1
EVENT_END_OF_LIST, EVENT_PHONEME = 0, 7
"""Names and values of espeak-ng's speak_lib.h, API revision 12."""

SEED = 1
"""Of the library's noise; any fixed value."""


class Utterance(NamedTuple):
    """What espeak-ng made of a text.

    `samples` are 16-bit at `rate` Hz in this machine's byte order; `phonemes` are the samples at
    which they are reported, and their mnemonics.
    """

    samples: bytes
    rate: int
    phonemes: list[tuple[int, str]]


class _Id(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_void_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    """`espeak_EVENT`."""

    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),  # ms
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Id),
    ]


_SynthCallback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


def utter(text: str, voice: str, words_per_minute: int, pitch: int) -> Utterance:
    """Synthesise in a fresh process: the same arguments give the same bytes on one machine.

    Raises:
        InputError: espeak-ng failed.
    """
    # The library has room for 160 bytes of its data's path: it gets a short one.
    with tempfile.TemporaryDirectory(prefix="espeak-") as folder:
        data = Path(folder, "data")
        data.symlink_to(Path(espeakng_loader.get_data_path()).absolute())
        request = json.dumps([str(data), text, voice, words_per_minute, pitch])
        done = subprocess.run(
            [sys.executable, "-m", __name__],
            input=request.encode(),
            capture_output=True,
            cwd=Path(__file__).parents[2],  # where the package is found, installed or not
            check=False,
        )
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip() or f"exit status {done.returncode}"
        raise InputError(f"espeak-ng cannot say the text: {said.splitlines()[-1]}.")
    header, samples = done.stdout.split(b"\n", 1)
    rate, phonemes = json.loads(header)
    return Utterance(samples, rate, [(at, name) for at, name in phonemes])


def _synthesise(data: str, text: str, voice: str, words_per_minute: int, pitch: int) -> Utterance:
    """As `utter`, in this process, once, with the library's data at a short path."""
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    rate = library.espeak_Initialize(SYNCHRONOUS, 0, data.encode(), PHONEME_EVENTS | DONT_EXIT)
    if rate <= 0:
        sys.exit(f"it cannot read its data in {data}; set TMPDIR to a folder with a shorter path")
    samples = bytearray()
    phonemes: list[tuple[int, str]] = []

    def receive(block: ctypes._Pointer, length: int, events: ctypes._Pointer) -> int:
        if length > 0:  # a last call without sound says that it is over
            samples.extend(ctypes.string_at(block, length * ctypes.sizeof(ctypes.c_short)))
        index = 0
        while (event := events[index]).type != EVENT_END_OF_LIST:
            if event.type == EVENT_PHONEME:
                phonemes.append((event.sample, event.id.string.decode("utf-8")))
            index += 1
        return 0

    callback = _SynthCallback(receive)  # named, so that it outlives the synthesis
    library.espeak_SetSynthCallback(callback)
    library.espeak_ng_SetRandSeed(ctypes.c_long(SEED))
    settings = [
        library.espeak_SetVoiceByName(voice.encode()),
        library.espeak_SetParameter(RATE, words_per_minute, 0),
        library.espeak_SetParameter(PITCH, pitch, 0),
    ]
    if any(settings):
        sys.exit(f"it refused voice, rate or pitch with statuses {settings}")
    encoded = text.encode()
    size = ctypes.c_size_t(len(encoded) + 1)
    library.espeak_Synth(encoded, size, 0, POS_CHARACTER, 0, CHARS_UTF8, None, None)
    library.espeak_Synchronize()
    return Utterance(bytes(samples), rate, phonemes)


if __name__ == "__main__":
    utterance = _synthesise(*json.load(sys.stdin))
    sys.stdout.buffer.write(json.dumps([utterance.rate, utterance.phonemes]).encode() + b"\n")
    sys.stdout.buffer.write(utterance.samples)
