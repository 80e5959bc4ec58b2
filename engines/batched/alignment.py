"""When each token of a text is spoken, by the heads of the decoder that look for it.

The text is put through the decoder once more, whole and without time stamps. Some heads of its
cross-attention look at the sound of the token that comes next; which ones, openai-whisper says
of each model.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional
from whisper.model import Whisper
from whisper.tokenizer import Tokenizer

from engines.batched.blocks import DecoderBlock
from engines.batched.dtw import warp_texts
from engines.batched.network import FusedWhisper
from engines.batched.token_costs import token_costs

PLACES_PER_S = 50  # of the encoder's output


@dataclass(frozen=True)
class Text:
    """What was heard in one window."""

    tokens: Sequence[int]  # without special ones and time stamps
    features: torch.Tensor  # (1500, width)
    places: int  # of the features that are recording; the rest is silence


@dataclass(frozen=True)
class TokenTimes:
    """Of a text of n tokens."""

    bounds_s: NDArray[np.float64]  # (n + 1,): where each begins, and where the last ends
    probabilities: NDArray[np.float64]  # (n,), among all tokens of text


class TextAligner:
    """Finds the times of tokens, for one model and language."""

    def __init__(
        self, network: FusedWhisper, heads: Sequence[tuple[int, int]], tokenizer: Tokenizer
    ) -> None:
        """`heads`: layer and number of each alignment head."""
        self._network = network
        self._heads: dict[int, list[int]] = {}
        for layer, head in heads:
            self._heads.setdefault(layer, []).append(head)
        self._opening = (*tokenizer.sot_sequence, tokenizer.no_timestamps)
        self._eot = tokenizer.eot

    @torch.inference_mode()
    def __call__(self, texts: Sequence[Text]) -> list[TokenTimes]:
        """The times of texts of at least one token, side by side."""
        if not texts:
            return []
        device = self._network.device
        lines = [torch.tensor([*self._opening, *text.tokens, self._eot]) for text in texts]
        tokens = torch.nn.utils.rnn.pad_sequence(lines, batch_first=True, padding_value=self._eot)
        features = torch.stack([text.features for text in texts])
        places = torch.tensor([max(1, text.places) for text in texts])
        scores, x = self._read(tokens.to(device), features, int(places.max()))
        rows = torch.tensor([len(line) for line in lines])
        costs = token_costs(scores, rows.to(device), places.to(device))
        # A row is about the token that follows: the text's are those from the last opening one on.
        first = len(self._opening) - 1
        rows = rows - first - 1
        starts = np.zeros((len(texts), costs.shape[1] - first), np.int64)
        about_text = np.ascontiguousarray(costs[:, first:].cpu().numpy())
        warp_texts(about_text, rows.numpy(), places.numpy(), starts)
        return [
            TokenTimes(own[:count] / PLACES_PER_S, self._probabilities(text, row[first:]))
            for own, count, text, row in zip(starts, rows.tolist(), texts, x, strict=True)
        ]

    def _read(
        self, tokens: torch.Tensor, features: torch.Tensor, places: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Scores (windows, heads, n, places) of the alignment heads, and the decoder's last
        states (windows, n, width), of tokens (windows, n).
        """
        network = self._network
        keys_values = network.cross_keys_values(features)
        x = network.embed(tokens, torch.arange(tokens.shape[1], device=tokens.device))
        scores: list[torch.Tensor] = []
        for layer, (block, pair) in enumerate(
            zip(network.decoder_blocks, keys_values, strict=True)
        ):
            x = x + self._look_back(block, x)
            queries = self._split(block.cross_query(block.cross_norm(x).to(network.dtype)), 1)[0]
            keys, values = self._split(pair, 2)
            scores.extend(self._scores(layer, queries, keys[:, :, :places]))
            x = x + block.cross_out(network.attend(queries, keys, values))
            x = x + block.mlp_out(block.mlp_in(block.mlp_norm(x).to(network.dtype)))
        return torch.stack(scores, dim=1), x

    def _look_back(self, block: DecoderBlock, x: torch.Tensor) -> torch.Tensor:
        mixed = block.query_key_value(block.attention_norm(x).to(self._network.dtype))
        queries, keys, values = self._split(mixed, 3)
        # Padding stands behind the text: nothing that counts looks at it.
        seen = functional.scaled_dot_product_attention(queries, keys, values, is_causal=True)
        return block.attention_out(seen.transpose(1, 2).reshape(x.shape))

    def _scores(
        self, layer: int, queries: torch.Tensor, keys: torch.Tensor
    ) -> Iterator[torch.Tensor]:
        for head in self._heads.get(layer, ()):
            scaled = queries[:, head].float() * queries.shape[-1] ** -0.5
            yield scaled @ keys[:, head].float().transpose(1, 2)

    def _split(self, mixed: torch.Tensor, parts: int) -> tuple[torch.Tensor, ...]:
        """(windows, heads, n, 64) each, of (windows, n, parts * width)."""
        windows, count, _ = mixed.shape
        split = mixed.view(windows, count, parts, self._network.heads, -1)
        return tuple(split.permute(2, 0, 3, 1, 4))

    def _probabilities(self, text: Text, x: torch.Tensor) -> NDArray[np.float64]:
        """Of the text's tokens, of the states before each."""
        network = self._network
        states = network.decoder_norm(x[: len(text.tokens)]).to(network.dtype)
        chances = network.head(states)[:, : self._eot].float().softmax(dim=-1)
        chosen = torch.tensor(text.tokens, device=chances.device)
        found = chances.gather(1, chosen[:, None])[:, 0]
        return found.double().cpu().numpy()


def alignment_heads(model: Whisper) -> list[tuple[int, int]]:
    """Layer and number of each of the model's alignment heads."""
    return [(layer, head) for layer, head in model.alignment_heads.indices().T.tolist()]
