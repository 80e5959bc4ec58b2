"""Windows being decoded side by side, each in its slot; a free slot takes the next window.

For CPUs; GPUs have `device_slots`. A slot has a row for each hypothesis of its window's text. Its
keys and values stay where they are while others come and go, and a window's text does not depend
on its company: see `linear`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from whisper.tokenizer import Tokenizer

from engines.batched.caches import CpuCache
from engines.batched.network import FusedWhisper
from engines.batched.requests import DecodedWindow, WindowRequest, tensor_of
from engines.batched.rules import RuleState, TokenRules
from engines.batched.search import Choice, Growth, WindowSearch
from engines.out_of_memory import reclaim

LAST = slice(-1, None)


@dataclass(frozen=True)
class _Busy:
    """What is in a slot."""

    request: WindowRequest
    search: WindowSearch
    no_speech_prob: float
    draws: torch.Generator | None  # above temperature 0


class SlotDecoder:
    """Decodes up to `slots` windows at a time with one model."""

    def __init__(
        self, network: FusedWhisper, tokenizer: Tokenizer, *, slots: int, hypotheses: int = 1
    ) -> None:
        """Up to so many `hypotheses` of a window's text are followed; with one, search is greedy.
        Above temperature 0 there is always one.
        """
        self._network = network
        self._tokenizer = tokenizer
        self._hypotheses = hypotheses
        self._places = network.dims.n_text_ctx
        self._max_tokens = self._places // 2
        self._rules = TokenRules(tokenizer, network.dims.n_vocab, network.device)
        self._busy: dict[int, _Busy] = {}
        self._make_room(slots)

    def _make_room(self, slots: int) -> None:
        network = self._network
        rows = slots * self._hypotheses
        layers = range(network.dims.n_text_layer)
        heads, dtype = network.heads, network.dtype
        self._own = [CpuCache(rows, heads, self._places, dtype) for _ in layers]
        frames = network.dims.n_audio_ctx
        self._cross = [CpuCache(slots, heads, frames, dtype) for _ in layers]
        self._frames = torch.ones(slots, dtype=torch.long)
        self._position = torch.zeros(rows, dtype=torch.long)
        self._next = torch.zeros(rows, dtype=torch.long)
        self._state = RuleState.fresh(rows, network.device)
        self._slots = slots

    def resize(self, slots: int) -> None:
        """Have so many slots from now on. All of them must be free."""
        # First the old ones: both together may be more than there is room for.
        self._own, self._cross = [], []
        reclaim()
        self._make_room(slots)

    @property
    def free(self) -> int:
        """How many windows can be admitted now."""
        return self._slots - len(self._busy)

    @torch.inference_mode()
    def admit(self, request: WindowRequest) -> int:
        """Give a window a slot and write its first token; returns the slot."""
        slot = self._place(tensor_of(request.features))
        rows = self._rows_of(slot)
        tokens = torch.tensor([request.prompt])
        with self._network.same_threads():  # a prompt may be long
            logits = self._forward(tokens, torch.tensor(rows[:1]), [request.sot_index, -1])
        logits = logits[0].float()
        self._position[rows[0]] = len(request.prompt)
        draws = None
        if request.temperature > 0:
            draws = torch.Generator().manual_seed(request.seed)
            rows = rows[:1]
        self._busy[slot] = _Busy(
            request,
            WindowSearch(rows, end=self._rules.end, stamps_from=self._rules.stamps_from),
            no_speech_prob=float(logits[0].softmax(dim=-1)[self._tokenizer.no_speech]),
            draws=draws,
        )
        self._choose(logits[-1:], [slot])
        return slot

    @torch.inference_mode()
    def step(self) -> list[tuple[int, DecodedWindow]]:
        """Write one token of every hypothesis; returns the windows that ended, now free."""
        if not self._busy:
            return []
        slots = sorted(self._busy)
        rows = self._written(slots)
        logits = self._forward(self._next[rows][:, None], rows)[:, 0].float()
        self._position[rows] += 1
        self._choose(logits, slots)
        return self._take_ended()

    def release(self, slot: int) -> None:
        """Free a slot whose window nobody waits for any more."""
        self._busy.pop(slot, None)

    def clear(self) -> None:
        """Free every slot: after an error in here nobody knows how far their windows are."""
        self._busy.clear()

    @torch.inference_mode()
    def detect_language(self, features: torch.Tensor) -> dict[str, float]:
        """Probability of every language, by code, of one window's features. Needs a free slot."""
        rows = self._rows_of(self._place(features))
        start = torch.tensor([[self._tokenizer.sot]])
        logits = self._forward(start, torch.tensor(rows[:1]))[0, 0].float()
        languages = list(self._tokenizer.all_language_tokens)
        chances = logits[languages].softmax(dim=-1).tolist()
        return dict(zip(self._tokenizer.all_language_codes, chances, strict=True))

    def _rows_of(self, slot: int) -> range:
        return range(slot * self._hypotheses, (slot + 1) * self._hypotheses)

    def _place(self, features: torch.Tensor) -> int:
        """Put a window's features into a free slot, with an empty text; returns the slot."""
        slot = next(i for i in range(self._slots) if i not in self._busy)
        where = torch.tensor([slot])
        mixed = self._network.cross_keys_values(features[None])
        for cache, pair in zip(self._cross, mixed, strict=True):
            cache.write(pair, where, torch.zeros_like(where))
        self._frames[slot] = len(features)
        first = self._rows_of(slot)[:1]
        self._state.clear(torch.tensor(first))
        self._position[first[0]] = 0
        return slot

    def _forward(
        self, tokens: torch.Tensor, rows: torch.Tensor, scored: Sequence[int] | slice = LAST
    ) -> torch.Tensor:
        """Logits (rows, scored, vocabulary) after those of the tokens (rows, n) that `scored`
        names by their index; all of them join the rows' caches.
        """
        network = self._network
        first = self._position[rows]
        slots = rows // self._hypotheses
        places = first[:, None] + torch.arange(tokens.shape[1])
        frames = self._frames[slots][:, None].expand_as(places).contiguous()
        seen = places + 1
        width = network.dims.n_text_state
        x = network.embed(tokens, places)
        for block, own, cross in zip(network.decoder_blocks, self._own, self._cross, strict=True):
            mixed = block.query_key_value(block.attention_norm(x).to(network.dtype))
            own.write(mixed[..., width:].contiguous(), rows, first)
            x = x + block.attention_out(own.attend(mixed[..., :width], rows, seen))
            queries = block.cross_query(block.cross_norm(x).to(network.dtype))
            x = x + block.cross_out(cross.attend(queries, slots, frames))
            x = x + block.mlp_out(block.mlp_in(block.mlp_norm(x).to(network.dtype)))
        return network.head(network.decoder_norm(x[:, scored]).to(network.dtype))

    def _written(self, slots: Sequence[int]) -> torch.Tensor:
        """The rows that are written in these slots, slot by slot: a slot's hypotheses look at the
        same keys and values of the recording.
        """
        hypotheses = (each for slot in slots for each in self._busy[slot].search.hypotheses)
        return torch.tensor([each.row for each in hypotheses])

    def _choose(self, logits: torch.Tensor, slots: Sequence[int]) -> None:
        """Let the hypotheses in these slots grow by a token, of logits (rows, vocabulary)."""
        rows = self._written(slots)
        state = self._state.select(rows)
        owners = [self._busy[slot] for slot in slots for _ in self._busy[slot].search.hypotheses]
        drawn = {
            place: self._draw(owner, logits[place], state.select(slice(place, place + 1)))
            for place, owner in enumerate(owners)
            if owner.draws is not None
        }
        likely = self._rules.rank(logits, state, self._hypotheses)
        choices = [
            [Choice(token, logprob) for token, logprob in zip(*pair, strict=True)]
            for pair in zip(likely.tokens.tolist(), likely.logprobs.tolist(), strict=True)
        ]
        for place, (token, logit) in drawn.items():
            choices[place] = [Choice(token, logit - float(likely.normalisers[place]))]
        following = iter(choices)
        grown: list[Growth] = []
        for slot in slots:
            search = self._busy[slot].search
            grown += search.advance([next(following) for _ in search.hypotheses])
        self._grow(rows, state, grown)

    def _grow(self, rows: torch.Tensor, state: RuleState, grown: Sequence[Growth]) -> None:
        """Put what the rules know of these rows, and their keys and values, where they grew to."""
        if not grown:
            return
        place_of = {row: place for place, row in enumerate(rows.tolist())}
        tokens = torch.tensor([each.token for each in grown])
        targets = torch.tensor([each.row for each in grown])
        after = state.select(torch.tensor([place_of[each.source] for each in grown]))
        self._rules.advance(after, tokens)
        self._state.put(targets, after)
        self._next[targets] = tokens
        for each in grown:
            if each.row != each.source:
                written = self._position[each.row] = self._position[each.source]
                for cache in self._own:
                    cache.copy(each.source, each.row, int(written))

    def _draw(self, owner: _Busy, logits: torch.Tensor, state: RuleState) -> tuple[int, float]:
        """A token by chance and its logit; the generator belongs to the window, so company
        changes nothing.
        """
        allowed = self._rules.apply(logits[None], state)[0]
        chances = (allowed / owner.request.temperature).softmax(dim=-1)
        token = int(torch.multinomial(chances, 1, generator=owner.draws))
        return token, float(logits[token])

    def _take_ended(self) -> list[tuple[int, DecodedWindow]]:
        ended = []
        for slot, busy in list(self._busy.items()):
            search, request = busy.search, busy.request
            # The prompt and the text share the places of the text context.
            most = min(self._max_tokens, self._places - len(request.prompt))
            if search.hypotheses and len(search.hypotheses[0].tokens) >= most:
                search.stop()
            if search.hypotheses or search.best is None:
                continue
            self.release(slot)
            window = DecodedWindow(
                search.best.tokens,
                search.best.sum_logprob,
                busy.no_speech_prob,
                request.temperature,
            )
            ended.append((slot, window))
        return ended
