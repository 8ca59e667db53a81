"""Speech through HuBERT (Hsu et al., 2021) or a network of its kind: the last hidden states, 50
times a second.

The user brings the folder of the network as Hugging Face's transformers saves it. Step k is
centred on the 20 ms from k / 50 s on, as a step of log-mel is.
"""

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from preprocess.pieces import in_pieces
from ssp_nerf.errors import InputError, first_line
from ssp_nerf.speech import SAMPLE_RATE

HOP = SAMPLE_RATE // 50  # samples from step to step
TRAINING_ONLY = {"masked_spec_embed"}  # what a hidden step is replaced by; some files lack it
PIECE, OVERLAP = 800, 100
"""Steps (16 s, 2 s) of speech in one run of the network, and what a run sees beyond them.

It learned on utterances of this length. The convolution that tells it of positions reaches 64 steps
to either side. Attention reaches farther, so a cut changes only what it would have fetched from
more than two seconds away."""


class Hubert:
    """A HuBERT, wav2vec 2.0, WavLM or like network, ready to hear.

    Args:
        folder: config.json, preprocessor_config.json and the weights.

    Raises:
        InputError: transformers or a file is missing, or the files hold another kind of network.
    """

    def __init__(self, folder: Path):
        remedy = (
            f"Put the files of the network, as transformers saves it (config.json, "
            f"preprocessor_config.json, model.safetensors or pytorch_model.bin), into the folder "
            f"{folder.resolve()} (config keys audio.weights and audio.hubert), or set "
            "audio.extractor to logmel, which needs none."
        )
        for name in ("config.json", "preprocessor_config.json"):
            if not (folder / name).is_file():
                raise InputError(f"{folder / name}: expected a network, found none. {remedy}")
        try:
            import safetensors
            import torch
            import transformers
        except ImportError as error:
            raise InputError(
                "audio.extractor is hubert, which needs PyTorch and transformers, but this "
                f"environment lacks {error.name}. Run `make setup`, or set audio.extractor to "
                "logmel."
            ) from error
        self.torch = torch
        transformers.logging.set_verbosity_error()  # or it reports on the head, which is not used
        transformers.logging.disable_progress_bar()
        try:
            self.prepare: Any = transformers.AutoFeatureExtractor.from_pretrained(
                folder, local_files_only=True
            )
            network, loaded = transformers.AutoModel.from_pretrained(
                folder,
                local_files_only=True,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # what does not fit is counted below
            )
            hop, self.field = strides(network.config.conv_kernel, network.config.conv_stride)
            other_size = {name for name, *_ in loaded["mismatched_keys"]}
            if wrong := (loaded["missing_keys"] - TRAINING_ONLY) | other_size:
                raise ValueError(
                    f"{len(wrong)} weights are missing or of another size, {min(wrong)} among them"
                )
            if hop != HOP:
                raise ValueError(f"it takes {SAMPLE_RATE / hop:g} steps a second, not 50")
        except (
            OSError,
            ValueError,
            TypeError,
            LookupError,
            AttributeError,
            RuntimeError,
            pickle.UnpicklingError,
            safetensors.SafetensorError,
        ) as error:
            reason = first_line(error).rstrip(".")
            raise InputError(
                f"{folder}: expected HuBERT or a network of its kind, but: {reason}. {remedy}"
            ) from error
        self.network: Any = network.eval()

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        """The last hidden states.

        Args:
            samples: (T,) float, 16 kHz, full scale 1.

        Returns:
            (T / 320 rounded up, C) float32.
        """
        count = -(-len(samples) // HOP)
        heard = self.prepare(samples, sampling_rate=SAMPLE_RATE, return_tensors="np")
        # Without padding the first step would be centred on half its field, not on half a hop.
        overhang = (self.field - HOP) // 2
        padded = np.pad(
            heard.input_values[0], (overhang, count * HOP + overhang - len(samples))
        ).astype(np.float32)

        def run(first: int, last: int) -> np.ndarray:
            batch = self.torch.from_numpy(padded[first * HOP : last * HOP + 2 * overhang])[None]
            with self.torch.inference_mode():
                return self.network(batch).last_hidden_state[0].numpy()

        return in_pieces(run, count, PIECE, OVERLAP)


def strides(kernels: list[int], hops: list[int]) -> tuple[int, int]:
    """From step to step, and what a step sees, in samples, of convolutions one upon the other."""
    hop, field = 1, 1
    for kernel, stride in zip(kernels, hops, strict=True):
        field += (kernel - 1) * hop
        hop *= stride
    return hop, field
