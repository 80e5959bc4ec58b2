"""Whisper's two networks on fused weights, for many windows at a time.

Computes what `whisper.model` does, from the same checkpoint, with fewer and larger operations:
query, key and value are one product, keys and values of the cross-attention are computed once
per window, and weights are converted once to the type that is computed with. The residual
stream and the layer norms stay in float32.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch.nn import functional
from whisper.model import ModelDimensions, Whisper

from engines.batched.attention import FUSED, WAYS
from engines.batched.blocks import Packing, pack_norm
from engines.batched.linear import Linear, pack_linear

FRAMES_PER_PLACE = 2  # mel frames that the second convolution makes one
# cuBLAS takes its fast kernels where every row of the result begins at 16 bytes; 51,866 logits
# of two bytes do not.
HEAD_ALIGNMENT = 64
# Silence in a log-mel spectrogram, which is scaled by the loudest sound of its recording:
# between -0.7 and -0.3, nearly always.
SILENT_MEL = -0.5


@dataclass(frozen=True)
class Silence:
    """What the encoder makes of a window without any sound."""

    keys_values: list[tuple[torch.Tensor, torch.Tensor]]  # per block, (1, heads, 1500, 64) each
    features: torch.Tensor  # (1, 1500, width)


class FusedWhisper:
    """The weights of one model, ready to run on one device in one type.

    Most windows are shorter than the 30 s that the encoder takes. The silence behind the
    recorded part is encoded once per model and not once per window: the recorded places look
    at its kept keys and values. What silence would have made of the recording is left out; the
    decoder reads nothing there anyhow. So a window costs what its length is worth, and Whisper
    still gets the 30 s that it was trained on.
    """

    def __init__(
        self,
        model: Whisper,
        *,
        dtype: torch.dtype,
        weights: torch.dtype | None = None,
        attention: str = FUSED,
        rows: int,
        threads: int | None = None,
    ) -> None:
        """Converts the weights, those of products to `weights` if that is int8. `attention` is one
        of WAYS; `rows` is how many a decoder step may have. See `same_threads` for
        `threads`; without it they are the caller's.
        """
        self.dims: ModelDimensions = model.dims
        self.device = model.device
        self.dtype = dtype
        self.heads = model.dims.n_text_head
        self.attend = WAYS[attention]
        self._threads = threads
        packing = Packing(dtype, weights)
        encoder, decoder = model.encoder, model.decoder
        self.first_convolution = packing.convolution(encoder.conv1)
        self.second_convolution = packing.convolution(encoder.conv2)
        self.encoder_positions = encoder.positional_embedding.float()
        self.encoder_blocks = [packing.encoder_block(block) for block in encoder.blocks]
        self.encoder_norm = pack_norm(encoder.ln_post)
        embedding = decoder.token_embedding.weight
        self._token_embedding = embedding
        self._token_positions = decoder.positional_embedding.float()
        self.decoder_blocks = [packing.decoder_block(block, rows) for block in decoder.blocks]
        self.decoder_norm = pack_norm(decoder.ln)
        if self.device.type == "cpu":
            self.head = packing.product(embedding, None, rows=rows)
        else:
            self._token_embedding, self.head = _aligned_head(embedding.to(dtype))
        self._silence: Silence | None = None

    def encode(self, mel: torch.Tensor) -> torch.Tensor:
        """Features (windows, 1500, width) of mel spectrograms (windows, bins, frames).

        `frames` is even and at most 3,000; what is missing counts as silence.
        """
        places = mel.shape[-1] // FRAMES_PER_PLACE
        with self.same_threads():
            if places >= self.dims.n_audio_ctx:
                return self._encode(mel, None, [])
            silence = self._encoded_silence()
            features = self._encode(mel, silence, [])
        rest = silence.features[:, places:].expand(len(features), -1, -1)
        return torch.cat([features, rest], dim=1)

    def _encode(
        self,
        mel: torch.Tensor,
        silence: Silence | None,
        kept: list[tuple[torch.Tensor, torch.Tensor]],
    ) -> torch.Tensor:
        """Features of the given places alone; `kept` takes each block's keys and values."""
        x = functional.gelu(convolve(self.first_convolution, mel.to(self.dtype), stride=1))
        x = functional.gelu(convolve(self.second_convolution, x, stride=2))
        x = x.transpose(1, 2).float()
        places = x.shape[1]
        x = x + self.encoder_positions[:places]
        for number, block in enumerate(self.encoder_blocks):
            mixed = block.query_key_value(block.attention_norm(x).to(self.dtype))
            queries, keys, values = self._heads_of(mixed)
            kept.append((keys, values))
            if silence is not None:
                behind = silence.keys_values[number]
                keys, values = (
                    torch.cat([own, more[:, :, places:].expand(len(own), -1, -1, -1)], dim=2)
                    for own, more in zip((keys, values), behind, strict=True)
                )
            x = x + block.attention_out(self.attend(queries, keys, values))
            x = x + block.mlp_out(block.mlp_in(block.mlp_norm(x).to(self.dtype)))
        return self.encoder_norm(x).to(self.dtype)

    def _heads_of(self, mixed: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Queries, keys and values (windows, heads, places, 64) each."""
        windows, places, _ = mixed.shape
        parts = mixed.view(windows, places, 3, self.dims.n_audio_head, -1)
        return tuple(parts.permute(2, 0, 3, 1, 4))

    def _encoded_silence(self) -> Silence:
        if self._silence is None:
            frames = self.dims.n_audio_ctx * FRAMES_PER_PLACE
            mel = torch.full((1, self.dims.n_mels, frames), SILENT_MEL, device=self.device)
            kept: list[tuple[torch.Tensor, torch.Tensor]] = []
            features = self._encode(mel, None, kept)
            self._silence = Silence([(k.clone(), v.clone()) for k, v in kept], features)
        return self._silence

    def cross_keys_values(self, features: torch.Tensor) -> Iterator[torch.Tensor]:
        """Layer by layer (windows, places, 2 * width): what every decoder step will look at."""
        for block in self.decoder_blocks:
            with self.same_threads():
                keys_values = block.cross_key_value(features)
            yield keys_values

    @contextmanager
    def same_threads(self) -> Iterator[None]:
        """In the block torch uses the same number of threads whatever else is at work: the last
        bits of a product of more than 32 rows depend on it where oneDNN uses AMX.
        """
        before = torch.get_num_threads()
        if self._threads is None or self._threads == before:
            yield
            return
        torch.set_num_threads(self._threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)

    def embed(self, tokens: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """(..., width), float32, of token ids and their places in the text."""
        return functional.embedding(tokens, self._token_embedding).float() + functional.embedding(
            positions, self._token_positions
        )


def _aligned_head(embedding: torch.Tensor) -> tuple[torch.Tensor, Linear]:
    """The embedding with rows of zeros behind it, and the product by it without them."""
    count = len(embedding)
    padded = functional.pad(embedding, (0, 0, 0, -count % HEAD_ALIGNMENT))
    multiply = pack_linear(padded, None)
    return padded, lambda x: multiply(x)[..., :count]


def convolve(
    weights: tuple[torch.Tensor, torch.Tensor], x: torch.Tensor, *, stride: int
) -> torch.Tensor:
    """(windows, out, frames / stride) of x (windows, in, frames), by a kernel of width 3."""
    weight, bias = weights
    return functional.conv1d(x, weight, bias, stride=stride, padding=1)
