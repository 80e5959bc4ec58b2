"""Silero's voice activity network, in numpy, many stretches of a recording at once.

The network looks at 512 samples (with the 64 before them) and at what it remembers. Looking is
done for many frames in one matrix product. Remembering goes step by step, so the recording is
cut into lanes of a minute that step together; each starts some seconds early, to have something
to remember. docs/decisions/014-voice-activity.md says what that changes and what it saves.
"""

from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from audio.speech_weights import Weights

FRAME_SAMPLES = 512  # 32 ms at 16 kHz
CONTEXT_SAMPLES = 64  # of the frame before
STFT_SAMPLES = 256
STFT_HOP_SAMPLES = 128
STFT_BINS = 129
WIDTH = 128  # features of a frame, and memory of the network

LANE_FRAMES = 1_875  # a minute
WARM_UP_FRAMES = 250  # 8 s
LANES_AT_ONCE = 64  # bounds the memory: an hour of features is 60 MB
BLOCK_FRAMES = 128  # what is looked at together stays in the cache of one core

Array = NDArray[np.float32]


class SpeechNetwork:
    """The network with its weights. Holds no state between calls; threads may share it."""

    def __init__(self, weights: Weights) -> None:
        self._window = weights["stft.forward_basis_buffer"][0, 0].copy()  # a Hann window
        # (out, in, tap) -> (tap and in, out): one row per input, taps in order of time.
        self._kernels = [
            weights[f"encoder.{i}.weight"]
            .transpose(2, 1, 0)
            .reshape(-1, weights[f"encoder.{i}.bias"].size)
            for i in range(4)
        ]
        self._biases = [weights[f"encoder.{i}.bias"] for i in range(4)]
        # ONNX orders the gates: input, output, forget, cell. The first three are sigmoids, and
        # sigmoid(x) = tanh(x / 2) / 2 + 1/2: halved here, one tanh serves all four.
        half = np.repeat(np.array([0.5, 0.5, 0.5, 1.0], np.float32), WIDTH)
        inward, recurrent, bias = (weights[f"onnx::LSTM_{number}"][0] for number in (209, 210, 211))
        self._gates = np.ascontiguousarray(np.concatenate([inward, recurrent], axis=1).T * half)
        self._gates_bias = (bias[: 4 * WIDTH] + bias[4 * WIDTH :]) * half
        self._output = weights["output.weight"].reshape(WIDTH)
        self._output_bias = weights["output.bias"][0]

    def probabilities(
        self,
        samples: Array,
        *,
        gain: float = 1.0,
        lane_frames: int = LANE_FRAMES,
        before_group: Callable[[], None] = lambda: None,
    ) -> Array:
        """Probability of speech in each frame of 512 samples (mono, 16 kHz, from -1 to 1).

        Returns ceil(samples / 512) values; what is missing in the last frame counts as silence.
        `before_group` is called before every few minutes of the recording; what it raises ends
        the work.
        """
        _use_one_thread()
        frames = -(-samples.size // FRAME_SAMPLES)
        if frames == 0:
            return np.zeros(0, np.float32)
        group_frames = LANES_AT_ONCE * lane_frames
        found = []
        for first in range(0, frames, group_frames):
            before_group()
            end = min(frames, first + group_frames)
            lanes = -(-(end - first) // lane_frames)
            features = np.zeros((WARM_UP_FRAMES + lanes * lane_frames, WIDTH), np.float32)
            for start, stop in _blocks(max(0, first - WARM_UP_FRAMES), end):
                row = start - first + WARM_UP_FRAMES
                features[row : row + stop - start] = self._look(_cut(samples, start, stop), gain)
            logits = self._remember(features, lanes, lane_frames, is_first=first == 0)
            found.append(logits[: end - first])
        logits = np.concatenate(found)
        probabilities: Array = np.float32(1) / (np.float32(1) + np.exp(-logits))
        return probabilities

    def _look(self, samples: Array, gain: float) -> Array:
        """Features of n frames, shape (n, 128), of 64 + 512 n samples."""
        magnitudes = _spectrum(samples, self._window * np.float32(gain))
        frames = len(magnitudes)
        # Each frame has four spectra side by side in its row, and a convolution over three of
        # them is a product with a part of the row: no copies, and no zeros at the edges.
        first, second, third, fourth = self._kernels
        hidden = np.empty((frames, 4, WIDTH), np.float32)
        wide = hidden.reshape(frames, 4 * WIDTH)
        np.matmul(magnitudes[:, : 2 * STFT_BINS], first[STFT_BINS:], out=wide[:, :128])
        np.matmul(magnitudes[:, : 3 * STFT_BINS], first, out=wide[:, 128:256])
        np.matmul(magnitudes[:, STFT_BINS:], first, out=wide[:, 256:384])
        np.matmul(magnitudes[:, 2 * STFT_BINS :], first[: 2 * STFT_BINS], out=wide[:, 384:])
        _add_and_rectify(hidden, self._biases[0])

        halved = np.empty((frames, 2, 64), np.float32)
        np.matmul(wide[:, :256], second[WIDTH:], out=halved[:, 0])
        np.matmul(wide[:, WIDTH:], second, out=halved[:, 1])
        _add_and_rectify(halved, self._biases[1])

        one = _add_and_rectify(halved.reshape(frames, 128) @ third[64:], self._biases[2])
        return _add_and_rectify(one @ fourth[64:128], self._biases[3])

    def _remember(self, features: Array, lanes: int, lane_frames: int, *, is_first: bool) -> Array:
        """Logits of speech, shape (lanes * lane_frames), of features with a warm-up in front."""
        inputs = np.zeros((lanes, 2 * WIDTH), np.float32)  # features, then the short memory
        short = inputs[:, WIDTH:]
        long = np.zeros((lanes, WIDTH), np.float32)
        gates = np.empty((lanes, 4 * WIDTH), np.float32)
        sigmoids = gates[:, : 3 * WIDTH]
        let_in, let_out, keep, new = (gates[:, i * WIDTH : (i + 1) * WIDTH] for i in range(4))
        logits = np.empty((lane_frames, lanes), np.float32)
        for step in range(WARM_UP_FRAMES + lane_frames):
            if step == WARM_UP_FRAMES and is_first:
                inputs[0] = long[0] = 0  # there is nothing before the start to remember
            inputs[:, :WIDTH] = features[step::lane_frames][:lanes]
            np.matmul(inputs, self._gates, out=gates)
            gates += self._gates_bias
            np.tanh(gates, out=gates)
            sigmoids *= 0.5
            sigmoids += 0.5
            long *= keep
            new *= let_in
            long += new
            np.tanh(long, out=new)
            np.multiply(new, let_out, out=short)
            if step >= WARM_UP_FRAMES:
                np.maximum(short, 0, out=new)
                np.matmul(new, self._output, out=logits[step - WARM_UP_FRAMES])
        logits += self._output_bias
        return logits.T.reshape(-1)


def _spectrum(samples: Array, window: Array) -> Array:
    """Magnitudes of four spectra per frame, shape (n, 4 * 129), of 64 + 512 n samples."""
    frames = (samples.size - CONTEXT_SAMPLES) // FRAME_SAMPLES
    step = samples.strides[0]
    cut = np.empty((frames, 4, STFT_SAMPLES), np.float32)
    whole = as_strided(
        samples,
        (frames, 3, STFT_SAMPLES),
        (FRAME_SAMPLES * step, STFT_HOP_SAMPLES * step, step),
        writeable=False,
    )
    np.multiply(whole, window, out=cut[:, :3])
    # The fourth reaches 64 samples beyond the frame, where the frame is mirrored.
    length = CONTEXT_SAMPLES + FRAME_SAMPLES
    row = as_strided(samples, (frames, length), (FRAME_SAMPLES * step, step), writeable=False)
    np.multiply(row[:, 384:], window[:192], out=cut[:, 3, :192])
    np.multiply(row[:, -2:-66:-1], window[192:], out=cut[:, 3, 192:])
    magnitudes: Array = np.abs(np.fft.rfft(cut, axis=-1)).reshape(frames, 4 * STFT_BINS)
    return magnitudes


def _add_and_rectify(values: Array, bias: Array) -> Array:
    values += bias
    return np.maximum(values, 0, out=values)


def _blocks(first: int, end: int) -> Iterator[tuple[int, int]]:
    for start in range(first, end, BLOCK_FRAMES):
        yield start, min(end, start + BLOCK_FRAMES)


def _cut(samples: Array, first: int, end: int) -> Array:
    """The samples of these frames with the context in front; zeros outside the recording."""
    start, stop = first * FRAME_SAMPLES - CONTEXT_SAMPLES, end * FRAME_SAMPLES
    if start >= 0 and stop <= samples.size:
        return samples[start:stop]
    inside = samples[max(0, start) : stop]
    before = max(0, -start)
    return np.pad(inside, (before, stop - start - before - inside.size))


@cache
def _use_one_thread() -> None:
    """Keep numpy's matrix products in the thread that asks for them, from now on.

    The cores belong to Whisper, which computes in torch, and nothing else here multiplies
    matrices in numpy. With a fixed number of threads the outcome is also always the same.
    """
    for library in ThreadpoolController().lib_controllers:
        if "numpy" in (library.filepath or ""):
            library.set_num_threads(1)
