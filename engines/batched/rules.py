"""Which token may come next, for many windows at once.

The rules of `whisper.decoding` (SuppressBlank, SuppressTokens, ApplyTimestampRules), without a
loop over windows and without asking the device anything.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from whisper.tokenizer import Tokenizer

from engines.batched.kernels import FORBIDDEN, rank_tokens

MAX_FIRST_STAMP = 50  # 1.0 s: a first timestamp may not lie later
PAIR = 2
NEVER = float("-inf")


@dataclass
class RuleState:
    """What the rules must know of the tokens so far; one entry per row."""

    count: torch.Tensor  # sampled tokens
    last: torch.Tensor  # the last of them, -1 for none
    before_last: torch.Tensor  # the one before, -1 for none
    last_stamp: torch.Tensor  # the last timestamp among them, -1 for none

    @classmethod
    def fresh(cls, rows: int, device: torch.device) -> "RuleState":
        """Rows that have no token yet."""
        return cls(
            torch.zeros(rows, dtype=torch.long, device=device),
            *(torch.full((rows,), -1, dtype=torch.long, device=device) for _ in range(3)),
        )

    def select(self, rows: torch.Tensor | slice) -> "RuleState":
        """A copy of these rows."""
        return RuleState(*(part[rows] for part in self.parts()))

    def put(self, rows: torch.Tensor, selected: "RuleState") -> None:
        """Put what `select` returned back in its place."""
        for part, new in zip(self.parts(), selected.parts(), strict=True):
            part[rows] = new

    def parts(self) -> tuple[torch.Tensor, ...]:
        """The tensors."""
        return self.count, self.last, self.before_last, self.last_stamp

    def clear(self, rows: torch.Tensor) -> None:
        """Forget these rows."""
        self.count[rows] = 0
        for state in (self.last, self.before_last, self.last_stamp):
            state[rows] = -1


@dataclass(frozen=True)
class Ranked:
    """What may come next in every row, the likeliest first.

    After a likeliest token that is text come the next texts, as far as there are columns; after
    any other, and where there is no other text, tokens with the log probability FORBIDDEN.
    """

    tokens: torch.Tensor  # (rows, count)
    logprobs: torch.Tensor  # (rows, count)
    normalisers: torch.Tensor  # (rows,): what makes a log probability when taken off a logit


class TokenRules:
    """The rules of one tokenizer."""

    def __init__(self, tokenizer: Tokenizer, vocabulary: int, device: torch.device) -> None:
        self.stamps_from = tokenizer.timestamp_begin
        self.end = tokenizer.eot
        self.vocabulary = vocabulary
        self._ids = torch.arange(vocabulary, device=device)
        self._is_stamp = self._ids >= self.stamps_from
        self.never = torch.zeros(vocabulary, device=device)
        self.never[self._suppressed(tokenizer)] = NEVER
        self._never_numbers = self.never.clamp(min=float(FORBIDDEN)).cpu().numpy()

    def rank(self, logits: torch.Tensor, state: RuleState, count: int) -> Ranked:
        """Up to `count` tokens that may come next, of logits (rows, vocabulary), float32, on a
        CPU. The logits of the tokens are overwritten.
        """
        rows = len(logits)
        ranked = Ranked(
            torch.empty(rows, count, dtype=torch.long), torch.empty(rows, count), torch.empty(rows)
        )
        rank_tokens(
            logits.numpy(),
            self._never_numbers,
            self._ranges(state).numpy(),
            self.stamps_from,
            ranked.tokens.numpy(),
            ranked.logprobs.numpy(),
            ranked.normalisers.numpy(),
        )
        return ranked

    def apply(self, logits: torch.Tensor, state: RuleState) -> torch.Tensor:
        """The logits (rows, vocabulary), float32, with minus infinity where a rule forbids."""
        return self._prefer_stamps(self.without_preference(logits, state))

    def without_preference(self, logits: torch.Tensor, state: RuleState) -> torch.Tensor:
        """As `apply`, save for the last rule: timestamps, where they are likelier than text."""
        first_text, first_stamp, end = self._ranges(state)[:, :, None]
        is_outside = (self._ids < first_stamp) | (self._ids >= end)
        forbidden = (self._ids < first_text) | (self._is_stamp & is_outside)
        return (logits + self.never).masked_fill(forbidden, NEVER)

    def _ranges(self, state: RuleState) -> torch.Tensor:
        """(3, rows): the first text that may come, the first timestamp, and one past the last."""
        stamps_from = self.stamps_from
        is_first = state.count == 0
        after_stamp = state.last >= stamps_from
        # The first token counts as paired: whisper asks for `len(seq) < 2 or ...`.
        after_pair = (state.before_last >= stamps_from) | (state.count < PAIR)
        is_open = after_stamp & ~after_pair
        # Time does not run backwards, and a segment has a length. Without a timestamp so far the
        # last is -1.
        floor = (state.last_stamp + ~is_open).clamp(min=stamps_from)
        first_text = is_open * self.end
        first_stamp = floor.masked_fill(after_stamp & after_pair, self.vocabulary)
        # A window begins with a timestamp, at most MAX_FIRST_STAMP steps from its start.
        past_first = stamps_from + MAX_FIRST_STAMP + 1
        return torch.stack(
            [
                first_text.masked_fill(is_first, stamps_from),
                first_stamp,
                torch.full_like(floor, self.vocabulary).masked_fill(is_first, past_first),
            ]
        )

    def _prefer_stamps(self, logits: torch.Tensor) -> torch.Tensor:
        """If a timestamp is likelier than every single text token, one must come."""
        # The normaliser of the softmax stands on both sides and cancels out.
        stamps = logits[:, self.stamps_from :].logsumexp(dim=-1, keepdim=True)
        best_text = logits[:, : self.stamps_from].amax(dim=-1, keepdim=True)
        return logits.masked_fill((stamps > best_text) & ~self._is_stamp, NEVER)

    def advance(self, state: RuleState, tokens: torch.Tensor) -> None:
        """Note the tokens (rows,) that were chosen."""
        state.before_last.copy_(state.last)
        state.last.copy_(tokens)
        state.count.add_(1)
        state.last_stamp.copy_(torch.where(tokens >= self.stamps_from, tokens, state.last_stamp))

    def forbid(self, tokens: Sequence[int]) -> None:
        """Let these tokens never come, beside those that Whisper suppresses."""
        forbidden = list(tokens)
        self.never[forbidden] = NEVER
        self._never_numbers[forbidden] = FORBIDDEN

    @staticmethod
    def _suppressed(tokenizer: Tokenizer) -> list[int]:
        return sorted(
            {
                *tokenizer.non_speech_tokens,
                tokenizer.transcribe,
                tokenizer.translate,
                tokenizer.sot,
                tokenizer.sot_prev,
                tokenizer.sot_lm,
                tokenizer.no_speech,
                tokenizer.no_timestamps,
            }
        )
