"""Speech through Mozilla's DeepSpeech 0.1.0, as AD-NeRF and SSP-NeRF hear it: 29 logits of
characters, 50 times a second.

The user brings the frozen graph. Step k is heard through a 25 ms window that begins at k / 50 s
(the reference's convention: centred 2.5 ms later than a step of log-mel).
"""

import os
from pathlib import Path

import numpy as np

from preprocess.pieces import in_pieces
from preprocess.quiet import quiet_native_stderr
from ssp_nerf.errors import InputError, first_line
from ssp_nerf.speech import SAMPLE_RATE
from ssp_nerf.weights import WEIGHT_FILES

(GRAPH,) = WEIGHT_FILES["audio"]["deepspeech"]
GRAPH_SHA1 = "b90017e816572ddce84f5843f1fa21e6a377975e"

# What the network was trained on: audiofile_to_input_vector of DeepSpeech 0.1.0.
CEPSTRA = 26
CONTEXT = 9  # steps to either side that belong to the input of a step
FULL_SCALE = 32768  # its samples are 16-bit integers
FRAME = SAMPLE_RATE // 40  # samples: python_speech_features' 25 ms
FRAME_HOP = SAMPLE_RATE // 100  # samples: its 10 ms
STEP = 2 * FRAME_HOP  # the network takes every second frame

BLOCK = 1500  # steps (30 s) whose cepstra are computed at once; memory only
PIECE, OVERLAP = 15_000, 500
"""Steps (5 min, 10 s) of speech in one run of the network, and what a run sees beyond them.

Its recurrent layer runs both ways over all of the speech, so no cut is exact: speech of up to five
minutes goes through whole, as the reference does it; of longer speech a step hears at least ten
seconds to either side. A run of five minutes takes 1 GB."""


class DeepSpeech:
    """The frozen graph, ready to hear.

    Args:
        path: the graph file.

    Raises:
        InputError: a package is missing, or the file holds no graph with DeepSpeech's tensors.
    """

    def __init__(self, path: Path):
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        with quiet_native_stderr():
            try:
                import python_speech_features  # noqa: F401, by `mfcc`
                import tensorflow as tf
                from google.protobuf.message import DecodeError
            except ImportError as error:
                raise InputError(
                    "audio.extractor is deepspeech, which needs TensorFlow and "
                    f"python_speech_features, but this environment lacks {error.name}. Run `make "
                    "setup`, or set audio.extractor to logmel."
                ) from error
            v1, graph = tf.compat.v1, tf.Graph()
            settings = v1.ConfigProto()
            # It would copy the weights over and over: twice the memory, and no faster.
            settings.graph_options.rewrite_options.disable_meta_optimizer = True
            try:
                definition = v1.GraphDef.FromString(Path(path).read_bytes())
                with graph.as_default():
                    tf.import_graph_def(definition, name="deepspeech")
                self.input, self.lengths, self.logits = (
                    graph.get_tensor_by_name(f"deepspeech/{name}:0")
                    for name in ("input_node", "input_lengths", "logits")
                )
                self.session = v1.Session(graph=graph, config=settings)
                self._run(np.zeros((1, (2 * CONTEXT + 1) * CEPSTRA), np.float32))
            except (DecodeError, ValueError, LookupError, tf.errors.OpError) as error:
                reason = first_line(error).rstrip(".")
                raise InputError(
                    f"{path}: expected the frozen graph of DeepSpeech 0.1.0 with the tensors "
                    f"input_node, input_lengths and logits, but: {reason}. Replace the file, or "
                    "set audio.extractor to logmel."
                ) from error

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        """Logits of the characters.

        Args:
            samples: (T,) float, 16 kHz, full scale 1.

        Returns:
            (about T / 320, 29) float32.
        """
        inputs = input_vectors(mfcc(samples))
        return in_pieces(lambda a, b: self._run(inputs[a:b]), len(inputs), PIECE, OVERLAP)

    def _run(self, inputs: np.ndarray) -> np.ndarray:
        feed = {self.input: inputs[None], self.lengths: [len(inputs)]}
        return self.session.run(self.logits, feed)[:, 0]  # (S, batch of 1, 29)


def mfcc(samples: np.ndarray) -> np.ndarray:
    """Mel-frequency cepstra at 50 Hz, by the package whose every default the network learned.

    Args:
        samples: (T,) float, 16 kHz, full scale 1.

    Returns:
        (about T / 320, 26) float64: log energy, then cepstra 1 to 25, liftered.
    """
    from python_speech_features import mfcc as cepstra

    signal = FULL_SCALE * samples.astype(np.float64)
    frames = 1 + max(0, -(-(len(signal) - FRAME) // FRAME_HOP))
    steps = []
    for start in range(0, len(signal), BLOCK * STEP):
        # The pre-emphasis needs the sample before; a step more at the front, then dropped, has it.
        before = STEP if start else 0
        block = signal[start - before : start + BLOCK * STEP + FRAME - FRAME_HOP]
        steps.append(cepstra(block, SAMPLE_RATE, numcep=CEPSTRA)[::2][before // STEP :])
    return np.concatenate(steps)[: (frames + 1) // 2]


def input_vectors(cepstra: np.ndarray) -> np.ndarray:
    """Each step's cepstra with those of 9 steps to either side, zeros beyond the ends; the whole of
    it to mean 0 and deviation 1.

    Args:
        cepstra: (S, 26).

    Returns:
        (S, 494) float32; 19 steps one after the other, oldest first.
    """
    padded = np.pad(cepstra.astype(np.float32), ((CONTEXT, CONTEXT), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * CONTEXT + 1, axis=0)
    inputs = windows.transpose(0, 2, 1).reshape(len(cepstra), -1)
    mean = inputs.mean(dtype=np.float64)
    deviation = inputs.std(dtype=np.float64)
    return ((inputs - mean) / deviation).astype(np.float32)
