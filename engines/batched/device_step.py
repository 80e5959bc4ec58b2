"""One token more in every slot, as one function of fixed shapes that asks the device nothing."""

import torch

from engines.batched.caches import DeviceCache
from engines.batched.device_noise import gumbel
from engines.batched.device_operations import StepOperations
from engines.batched.device_state import SlotState
from engines.batched.network import FusedWhisper
from engines.batched.rules import TokenRules


class TokenWriter:
    """Chooses tokens by Whisper's rules and notes them."""

    def __init__(self, rules: TokenRules, end: int) -> None:
        """`end` is the token that ends a text."""
        self._rules = rules
        self._end = end

    def write(self, logits: torch.Tensor, rows: SlotState, *, is_drawing: bool) -> None:
        """One token more in these rows, in place, of logits (rows, vocabulary).

        Rows that have ended stay as they are. With `is_drawing` each row draws at its
        temperature, which may be 0; without, all take the likeliest.
        """
        allowed = self._rules.apply(logits.float(), rows.rules)
        scores = allowed
        if is_drawing:
            noise = gumbel(rows.seed, rows.written, logits.shape[1])
            scores = allowed + rows.temperature[:, None] * noise
        chosen = scores.argmax(dim=-1)
        logprobs = allowed.gather(1, chosen[:, None])[:, 0] - allowed.logsumexp(dim=-1)
        nowhere = rows.tokens.shape[1] - 1
        column = rows.written.masked_fill(rows.has_ended, nowhere)
        rows.tokens.scatter_(1, column[:, None], chosen[:, None])
        rows.sum_logprob.add_(logprobs.masked_fill(rows.has_ended, 0.0))
        rows.written.add_(~rows.has_ended)
        rows.next_token.copy_(chosen)
        rows.has_ended.logical_or_((chosen == self._end) | (rows.written >= rows.limit))
        self._rules.advance(rows.rules, chosen)


class DecoderStep:
    """The step of one decoder. Reads and writes its caches and its state in place."""

    def __init__(
        self,
        network: FusedWhisper,
        operations: StepOperations,
        writer: TokenWriter,
        *,
        own: list[DeviceCache],
        cross: list[DeviceCache],
        state: SlotState,
    ) -> None:
        self._network = network
        self._operations = operations
        self._writer = writer
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
        self._writer.write(logits, rows, is_drawing=is_drawing)

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
