"""Speech networks of random weights in the files of the real ones, and the same computed otherwise.

DeepSpeech: dense layers of clipped ReLUs, an LSTM that runs both ways, dense layers; 2048 wide in
the file that users bring, a few here. Its loops are those of TensorFlow 1, as in that file.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.special

INPUTS, CHARACTERS = 494, 29
CLIP = 20.0  # of the ReLUs
FORGET_BIAS = 1.0


@dataclass(frozen=True)
class DeepSpeechWeights:
    """Matrices (inputs + 1, outputs), biases last; of the LSTM's gates i, j, f, o beside each
    other."""

    before: np.ndarray
    forward: np.ndarray
    backward: np.ndarray
    after: np.ndarray
    last: np.ndarray


def deepspeech_weights(width: int = 6, seed: int = 0) -> DeepSpeechWeights:
    rng = np.random.default_rng(seed)

    def matrix(inputs: int, outputs: int) -> np.ndarray:
        return rng.normal(0, inputs**-0.5, (inputs + 1, outputs)).astype(np.float32)

    return DeepSpeechWeights(
        before=matrix(INPUTS, width),
        forward=matrix(2 * width, 4 * width),
        backward=matrix(2 * width, 4 * width),
        after=matrix(2 * width, width),
        last=matrix(width, CHARACTERS),
    )


def write_deepspeech(path: Path, weights: DeepSpeechWeights) -> Path:
    """The network as a frozen graph with the tensors of DeepSpeech 0.1.0."""
    import tensorflow as tf

    v1 = tf.compat.v1
    width = weights.before.shape[1]

    def dense(x, matrix):
        return x @ tf.constant(matrix[:-1]) + tf.constant(matrix[-1])

    def relu(x):
        return tf.minimum(tf.nn.relu(x), CLIP)

    def lstm(x, matrix, steps):
        outputs = tf.TensorArray(tf.float32, size=steps)

        def step(t, h, c, outputs):
            i, j, f, o = tf.split(dense(tf.concat([x[t], h], 1), matrix), 4, axis=1)
            c = c * tf.sigmoid(f + FORGET_BIAS) + tf.sigmoid(i) * tf.tanh(j)
            h = tf.tanh(c) * tf.sigmoid(o)
            return t + 1, h, c, outputs.write(t, h)

        state = tf.zeros([tf.shape(x)[1], width])
        start = (0, state, state, outputs)
        return v1.while_loop(lambda t, *_: t < steps, step, start)[3].stack()

    v1.disable_control_flow_v2()
    try:
        with tf.Graph().as_default() as graph:
            inputs = v1.placeholder(tf.float32, [None, None, INPUTS], name="input_node")
            lengths = v1.placeholder(tf.int32, [None], name="input_lengths")
            batch, steps = tf.shape(inputs)[0], tf.shape(inputs)[1]
            by_time = tf.reshape(tf.transpose(inputs, [1, 0, 2]), [-1, INPUTS])
            x = tf.reshape(relu(dense(by_time, weights.before)), [steps, batch, width])
            turn = lambda y: tf.reverse_sequence(y, lengths, seq_axis=0, batch_axis=1)  # noqa: E731
            forward = lstm(x, weights.forward, steps)
            backward = turn(lstm(turn(x), weights.backward, steps))
            both = tf.reshape(tf.concat([forward, backward], 2), [-1, 2 * width])
            logits = dense(relu(dense(both, weights.after)), weights.last)
            tf.reshape(logits, [-1, batch, CHARACTERS], name="logits")
            path.write_bytes(graph.as_graph_def().SerializeToString())
    finally:
        v1.enable_control_flow_v2()
    return path


def deepspeech_logits(inputs: np.ndarray, weights: DeepSpeechWeights) -> np.ndarray:
    """What that network says of inputs (S, 494), without TensorFlow: (S, 29)."""
    x = np.clip(_dense(inputs, weights.before), 0, CLIP)
    both = np.concatenate(
        [_lstm(x, weights.forward), _lstm(x[::-1], weights.backward)[::-1]], axis=1
    )
    return _dense(np.clip(_dense(both, weights.after), 0, CLIP), weights.last)


def _dense(x: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    return x @ matrix[:-1] + matrix[-1]


def _lstm(x: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    h = c = np.zeros(x.shape[1])
    outputs = []
    for row in x:
        i, j, f, o = np.split(_dense(np.concatenate([row, h]), matrix), 4)
        c = c * scipy.special.expit(f + FORGET_BIAS) + scipy.special.expit(i) * np.tanh(j)
        h = np.tanh(c) * scipy.special.expit(o)
        outputs.append(h)
    return np.array(outputs)


def write_hubert(folder: Path, width: int = 12, layers: int = 2, **more: object) -> Path:
    """A HuBERT of random weights, saved as transformers does; like hubert-large-ls960-ft it
    normalises its input as a whole, and its convolutions' output at each step for itself."""
    import torch
    import transformers

    transformers.logging.disable_progress_bar()
    torch.manual_seed(0)
    config = transformers.HubertConfig(
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=2,
        intermediate_size=2 * width,
        conv_dim=[8] * 7,
        feat_extract_norm="layer",
        do_stable_layer_norm=True,
        num_conv_pos_embedding_groups=2,
        **more,
    )
    transformers.HubertModel(config).save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(folder)
    return folder
