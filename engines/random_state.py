"""The generator that temperatures above 0 draw from, and its state as plain JSON.

A recording has one of its own: another one that is decoded at the same time draws nothing from
it. It draws what torch's global one would, with the same seed.
"""

import base64
from collections.abc import Mapping

import torch
from torch.distributions import Categorical
from torch.nn import functional
from whisper.decoding import GreedyDecoder

SAMPLING_SEED = 0  # the same recording shall give the same text


def make_generator(device: torch.device) -> torch.Generator:
    """A generator at its beginning."""
    return torch.Generator(device).manual_seed(SAMPLING_SEED)


def save_random_state(generator: torch.Generator) -> dict[str, str]:
    """The state of a generator, under its device's type."""
    state = generator.get_state()
    return {generator.device.type: base64.b64encode(state.numpy().tobytes()).decode("ascii")}


def restore_random_state(generator: torch.Generator, saved: Mapping[str, str]) -> None:
    """Undo `save_random_state` on a device of the same type. Raises KeyError for another."""
    state = base64.b64decode(saved[generator.device.type])
    generator.set_state(torch.frombuffer(bytearray(state), dtype=torch.uint8))


class DrawingDecoder(GreedyDecoder):  # type: ignore[misc]
    """openai-whisper's choice of tokens at temperatures above 0, from a generator of its own."""

    def __init__(self, temperature: float, eot: int, generator: torch.Generator) -> None:
        super().__init__(temperature, eot)
        self._generator = generator

    def update(
        self, tokens: torch.Tensor, logits: torch.Tensor, sum_logprobs: torch.Tensor
    ) -> tuple[torch.Tensor, bool]:
        """Write one more token of each text; see `whisper.decoding.TokenDecoder.update`."""
        chances = Categorical(logits=logits / self.temperature).probs
        chosen = torch.multinomial(chances, 1, replacement=True, generator=self._generator)[:, 0]
        logprobs = functional.log_softmax(logits.float(), dim=-1)
        has_ended = tokens[:, -1] == self.eot
        sum_logprobs += logprobs.gather(1, chosen[:, None])[:, 0] * ~has_ended
        chosen[has_ended] = self.eot
        tokens = torch.cat([tokens, chosen[:, None]], dim=-1)
        return tokens, bool((chosen == self.eot).all())
