"""The beginning of a text, read at once: the prompt and the start-of-transcript tokens."""

import torch
from torch.nn import functional

from engines.batched.caches import DeviceCache
from engines.batched.device_operations import HEAD_WIDTH, StepOperations
from engines.batched.network import FusedWhisper


class PromptReader:
    """Reads the beginnings of texts, each beside the features of its window."""

    def __init__(self, network: FusedWhisper, operations: StepOperations) -> None:
        self._network = network
        self._operations = operations

    def read(
        self,
        tokens: torch.Tensor,
        features: torch.Tensor,
        scored: torch.Tensor,
        caches: tuple[list[DeviceCache], list[DeviceCache], torch.Tensor] | None = None,
    ) -> torch.Tensor:
        """Logits (rows, n, vocabulary), float32, after the tokens at the indices `scored`
        (rows, n) of tokens (rows, m); features are (rows, frames, width).

        Shorter prompts have anything behind them: nothing looks back at it. With `caches`, those
        of the texts, those of the recordings, and slots (rows,), keys and values are kept.
        """
        network, operations, dtype = self._network, self._operations, self._network.dtype
        x = network.embed(tokens, torch.arange(tokens.shape[1], device=tokens.device))
        width = x.shape[-1]
        change = None
        for layer, block in enumerate(network.decoder_blocks):
            normed = operations.add_norm(x, change, block.attention_norm, dtype)
            mixed = block.query_key_value(normed)
            heard = block.cross_key_value(features)
            if caches is not None:
                own, cross, slots = caches
                own[layer].put(mixed[..., width:], slots)
                cross[layer].put(heard, slots)
            change = block.attention_out(
                self._attend(mixed[..., :width], mixed[..., width:], is_causal=True)
            )
            queries = block.cross_query(operations.add_norm(x, change, block.cross_norm, dtype))
            change = block.cross_out(self._attend(queries, heard, is_causal=False))
            change = block.mlp_out(
                block.mlp_in(operations.add_norm(x, change, block.mlp_norm, dtype))
            )
        normed = operations.add_norm(x, change, network.decoder_norm, dtype)
        at = scored[..., None].expand(-1, -1, width)
        return network.head(normed.gather(1, at)).float()

    def _attend(
        self, queries: torch.Tensor, mixed: torch.Tensor, *, is_causal: bool
    ) -> torch.Tensor:
        """(rows, n, width) of queries (rows, n, width) and mixed (rows, m, 2 * width), keys before
        values.
        """
        rows, count, width = queries.shape
        heads = self._network.heads
        keys, values = mixed.view(rows, -1, 2, heads, HEAD_WIDTH).permute(2, 0, 3, 1, 4)
        found = functional.scaled_dot_product_attention(
            queries.view(rows, count, heads, HEAD_WIDTH).transpose(1, 2),
            keys,
            values,
            is_causal=is_causal,
        )
        return found.transpose(1, 2).reshape(rows, count, width)
