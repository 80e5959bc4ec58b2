"""The choice of tokens by Whisper's rules, noted in the state of the slots."""

import torch

from engines.batched.device_noise import gumbel
from engines.batched.device_state import SlotState
from engines.batched.rules import TokenRules


def write_tokens(
    rules: TokenRules, logits: torch.Tensor, rows: SlotState, *, is_drawing: bool
) -> None:
    """One token more in these rows, in place, of logits (rows, vocabulary).

    Rows that have ended keep their texts. With `is_drawing` each row draws at its temperature,
    which may be 0; without, all take the likeliest.
    """
    allowed = rules.apply(logits.float(), rows.rules)
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
    rows.has_ended.logical_or_((chosen == rules.end) | (rows.written >= rows.limit))
    rules.advance(rows.rules, chosen)
