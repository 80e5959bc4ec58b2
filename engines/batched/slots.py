"""Windows being decoded side by side, each in its slot; a free slot takes the next window.

For CPUs; GPUs have `device_slots`. A slot's keys and values stay where they are while others
come and go, and a window's text does not depend on its company: see `linear`.
"""

from collections.abc import Sequence

import torch
from whisper.tokenizer import Tokenizer

from engines.batched.caches import CpuCache
from engines.batched.network import FusedWhisper
from engines.batched.requests import DecodedWindow, WindowRequest, tensor_of
from engines.batched.rules import RuleState, TokenRules
from engines.out_of_memory import reclaim

LAST = slice(-1, None)


class SlotDecoder:
    """Decodes up to `slots` windows at a time with one model."""

    def __init__(self, network: FusedWhisper, tokenizer: Tokenizer, *, slots: int) -> None:
        self._network = network
        self._tokenizer = tokenizer
        self._places = network.dims.n_text_ctx
        self._max_tokens = self._places // 2
        self._device = network.device
        self._rules = TokenRules(tokenizer, network.dims.n_vocab, network.device)
        self._busy: dict[int, tuple[WindowRequest, DecodedWindow]] = {}
        self._draws: dict[int, torch.Generator] = {}
        self._make_room(slots)

    def _make_room(self, slots: int) -> None:
        network, device = self._network, self._device
        layers = range(network.dims.n_text_layer)
        heads, dtype = network.heads, network.dtype
        self._own = [CpuCache(slots, heads, self._places, dtype) for _ in layers]
        frames = network.dims.n_audio_ctx
        self._cross = [CpuCache(slots, heads, frames, dtype) for _ in layers]
        self._all = torch.arange(slots, device=device)
        self._frames = torch.ones(slots, dtype=torch.long, device=device)
        self._position = torch.zeros(slots, dtype=torch.long, device=device)
        self._next = torch.zeros(slots, dtype=torch.long, device=device)
        self._state = RuleState.fresh(slots, device)
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
        where = self._place(tensor_of(request.features))
        slot = int(where)
        tokens = torch.tensor([request.prompt], device=self._device)
        logits = self._forward(tokens, where, [request.sot_index, -1])[0].float()
        window = DecodedWindow(temperature=request.temperature)
        at_start = logits[0].softmax(dim=-1)
        window.no_speech_prob = float(at_start[self._tokenizer.no_speech])
        self._position[slot] = len(request.prompt)
        self._busy[slot] = (request, window)
        if request.temperature > 0:
            generator = torch.Generator(device="cpu")
            generator.manual_seed(request.seed)
            self._draws[slot] = generator
        self._choose(logits[-1:], where)
        return slot

    @torch.inference_mode()
    def step(self) -> list[tuple[int, DecodedWindow]]:
        """Write one token in every busy slot; returns the windows that ended, now free."""
        if not self._busy:
            return []
        slots = torch.tensor(sorted(self._busy), device=self._device)
        logits = self._forward(self._next[slots][:, None], slots)[:, 0].float()
        self._position[slots] += 1
        self._choose(logits, slots)
        return self._take_ended()

    def release(self, slot: int) -> None:
        """Free a slot whose window nobody waits for any more."""
        self._busy.pop(slot, None)
        self._draws.pop(slot, None)

    def clear(self) -> None:
        """Free every slot: after an error in here nobody knows how far their windows are."""
        self._busy.clear()
        self._draws.clear()

    @torch.inference_mode()
    def detect_language(self, features: torch.Tensor) -> dict[str, float]:
        """Probability of every language, by code, of one window's features. Needs a free slot."""
        where = self._place(features)
        start = torch.tensor([[self._tokenizer.sot]], device=self._device)
        logits = self._forward(start, where)[0, 0].float()
        languages = list(self._tokenizer.all_language_tokens)
        chances = logits[languages].softmax(dim=-1).tolist()
        return dict(zip(self._tokenizer.all_language_codes, chances, strict=True))

    def _place(self, features: torch.Tensor) -> torch.Tensor:
        """Put a window's features into a free slot; returns the slot as a tensor (1,)."""
        slot = next(i for i in range(self._slots) if i not in self._busy)
        where = self._all[slot : slot + 1]
        mixed = self._network.cross_keys_values(features[None])
        for cache, pair in zip(self._cross, mixed, strict=True):
            cache.write(pair, where, torch.zeros_like(where))
        self._frames[slot] = len(features)
        self._state.clear(where)
        self._position[slot] = 0
        return where

    def _forward(
        self, tokens: torch.Tensor, slots: torch.Tensor, scored: Sequence[int] | slice = LAST
    ) -> torch.Tensor:
        """Logits (rows, scored, vocabulary) after those of the tokens (rows, n) that `scored`
        names by their index; all of them join the slots' caches.
        """
        network = self._network
        first = self._position[slots]
        places = first[:, None] + torch.arange(tokens.shape[1], device=self._device)
        frames = self._frames[slots][:, None].expand_as(places).contiguous()
        seen = places + 1
        width = network.dims.n_text_state
        x = network.embed(tokens, places)
        for block, own, cross in zip(network.decoder_blocks, self._own, self._cross, strict=True):
            mixed = block.query_key_value(block.attention_norm(x).to(network.dtype))
            own.write(mixed[..., width:].contiguous(), slots, first)
            x = x + block.attention_out(own.attend(mixed[..., :width], slots, seen))
            queries = block.cross_query(block.cross_norm(x).to(network.dtype))
            x = x + block.cross_out(cross.attend(queries, slots, frames))
            x = x + block.mlp_out(block.mlp_in(block.mlp_norm(x).to(network.dtype)))
        return network.head(network.decoder_norm(x[:, scored]).to(network.dtype))

    def _choose(self, logits: torch.Tensor, slots: torch.Tensor) -> None:
        """Choose the next token of these slots, of logits (rows, vocabulary)."""
        state = self._state.select(slots)
        chosen, normalisers = self._rules.choose(logits, state)
        for row, slot in enumerate(slots.tolist()):
            if slot in self._draws:
                alone = slice(row, row + 1)
                allowed = self._rules.apply(logits[alone], state.select(alone))
                chosen[row] = self._draw(slot, allowed[0])
        logprobs = logits.gather(1, chosen[:, None])[:, 0] - normalisers
        self._rules.advance(state, chosen)
        self._state.put(slots, state)
        self._next[slots] = chosen
        for slot, token, logprob in zip(
            slots.tolist(), chosen.tolist(), logprobs.tolist(), strict=True
        ):
            window = self._busy[slot][1]
            window.tokens.append(token)
            window.sum_logprob += logprob

    def _draw(self, slot: int, allowed: torch.Tensor) -> int:
        """A token by chance; its generator belongs to the window, so company changes nothing."""
        chances = (allowed / self._busy[slot][0].temperature).softmax(dim=-1).cpu()
        return int(torch.multinomial(chances, 1, generator=self._draws[slot]))

    def _take_ended(self) -> list[tuple[int, DecodedWindow]]:
        ended = []
        for slot, (request, window) in list(self._busy.items()):
            has_ended = window.tokens[-1] == self._tokenizer.eot
            # The prompt and the text share the places of the text context.
            most = min(self._max_tokens, self._places - len(request.prompt))
            if not has_ended and len(window.tokens) < most:
                continue
            if has_ended:
                window.tokens.pop()
            self.release(slot)
            ended.append((slot, window))
        return ended
