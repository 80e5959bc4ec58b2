"""One token more in every slot, as one function of fixed shapes that asks the device nothing."""

import torch

from engines.batched.caches import DeviceCache
from engines.batched.device_operations import StepOperations
from engines.batched.device_state import SlotState
from engines.batched.device_tokens import write_tokens
from engines.batched.network import FusedWhisper
from engines.batched.rules import TokenRules


class DecoderStep:
    """The step of one decoder. Reads and writes its caches and its state in place."""

    def __init__(
        self,
        network: FusedWhisper,
        operations: StepOperations,
        rules: TokenRules,
        *,
        own: list[DeviceCache],
        cross: list[DeviceCache],
        state: SlotState,
    ) -> None:
        self._network = network
        self._operations = operations
        self._rules = rules
        self._own = own
        self._cross = cross
        self._state = state

    def __call__(self, count: int, *, is_drawing: bool) -> None:
        """One token more in the first `count` slots, those that have ended left out.

        An ended window goes through the networks too, and looks at one place of its recording.
        """
        rows = self._state.select(slice(count))
        is_active = ~rows.has_ended
        logits = self._logits(rows, rows.frames.masked_fill(rows.has_ended, 1))
        rows.position.add_(is_active)
        if is_drawing:
            write_tokens(self._rules, logits, rows, is_drawing=True)
        else:
            self._operations.write(self._rules, logits, rows)

    def _logits(self, rows: SlotState, frames: torch.Tensor) -> torch.Tensor:
        """(rows, vocabulary) after each row's next token."""
        network, operations, dtype = self._network, self._operations, self._network.dtype
        x = network.embed(rows.next_token, rows.position)
        change = None
        for block, own, cross in zip(network.decoder_blocks, self._own, self._cross, strict=True):
            normed = operations.add_norm(x, change, block.attention_norm, dtype)
            mixed = block.query_key_value(normed)
            seen = operations.attend_own(mixed, own.keys, own.values, rows.position)
            change = block.attention_out(seen)
            queries = block.cross_query(operations.add_norm(x, change, block.cross_norm, dtype))
            change = block.cross_out(operations.attend(queries, cross.keys, cross.values, frames))
            change = block.mlp_out(
                block.mlp_in(operations.add_norm(x, change, block.mlp_norm, dtype))
            )
        return network.head(operations.add_norm(x, change, network.decoder_norm, dtype))
