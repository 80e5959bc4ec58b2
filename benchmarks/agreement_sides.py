"""Our tokens and openai-whisper's, of the same windows and weights in one process."""

from collections.abc import Iterator, Sequence

import numba
import torch
import whisper
from whisper.audio import HOP_LENGTH, N_FRAMES
from whisper.tokenizer import Tokenizer, get_tokenizer

from config import Settings
from engines.base import Samples
from engines.batched.network import FusedWhisper
from engines.batched.precision import PLAIN, Precision, fastest_precision
from engines.batched.requests import WindowRequest
from engines.batched.rules import RuleState, TokenRules
from engines.batched.slots import SlotDecoder
from engines.mel import LONG_PIECE_FRAMES, log_mel
from engines.openai_whisper import PRECISION_FILE

SIDE_BY_SIDE = 8  # windows, of either side
LEAST_FRAMES = 100  # what is left of a recording and shorter is no window
CPU = torch.device("cpu")


class AgreementSides:
    """openai-whisper's model, and ours in float32 and as this processor computes fastest."""

    def __init__(self, model_size: str, *, threads: int) -> None:
        models = Settings().model_path
        torch.set_num_threads(threads)
        numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))  # type: ignore[attr-defined]
        self._model = whisper.load_model(model_size, device="cpu", download_root=str(models))
        chosen = fastest_precision(models / "mapped" / PRECISION_FILE)
        self._networks = {each.name: self._network(each) for each in (PLAIN, chosen)}

    @property
    def precisions(self) -> list[str]:
        """What ours computes in, by name."""
        return list(self._networks)

    def windows(self, samples: Samples) -> list[torch.Tensor]:
        """Spectrograms (bins, 3000) of a recording, cut every 30 s."""
        mel = log_mel(samples, self._model.dims.n_mels, piece_frames=LONG_PIECE_FRAMES)
        last = len(samples) // HOP_LENGTH - LEAST_FRAMES
        return [mel[:, first : first + N_FRAMES] for first in range(0, max(1, last), N_FRAMES)]

    def theirs(self, windows: Sequence[torch.Tensor], language: str) -> list[list[int]]:
        """What `whisper.decode` writes, greedy, in float32."""
        options = whisper.DecodingOptions(language=language, fp16=False)
        return [
            each.tokens
            for some in _batches(windows)
            for each in whisper.decode(self._model, torch.stack(some), options)
        ]

    @torch.inference_mode()
    def ours(
        self, windows: Sequence[torch.Tensor], language: str, precision: str
    ) -> list[list[int]]:
        """What the batched decoder writes with one hypothesis."""
        network, tokenizer = self._networks[precision], self._tokenizer(language)
        decoder = SlotDecoder(network, tokenizer, slots=SIDE_BY_SIDE)
        prompt = tuple(tokenizer.sot_sequence)
        texts: list[list[int]] = []
        for some in _batches(windows):
            slots = [
                decoder.admit(WindowRequest(network.encode(mel[None])[0], prompt, sot_index=0))
                for mel in some
            ]
            ended: dict[int, list[int]] = {}
            while len(ended) < len(slots):
                ended |= {slot: window.tokens for slot, window in decoder.step()}
            texts += [ended[slot] for slot in slots]
        return texts

    @torch.inference_mode()
    def gap(self, window: torch.Tensor, language: str, theirs: list[int], ours: list[int]) -> float:
        """By how much openai-whisper's network prefers its own token to ours, in log probability,
        where the two texts first differ. A timestamp against a word counts with all timestamps
        together, as the rule that chooses between them does.
        """
        tokenizer = self._tokenizer(language)
        wrote, write = [*theirs, tokenizer.eot], [*ours, tokenizer.eot]
        common = next(n for n, (a, b) in enumerate(zip(wrote, write, strict=False)) if a != b)
        rules = TokenRules(tokenizer, self._model.dims.n_vocab, CPU)
        state = RuleState.fresh(1, CPU)
        for token in wrote[:common]:
            rules.advance(state, torch.tensor([token]))
        before = torch.tensor([[*tokenizer.sot_sequence, *wrote[:common]]])
        logits = self._model.logits(before, self._model.encoder(window[None]))[:, -1].float()
        allowed = rules.without_preference(logits, state)[0]
        return preference(allowed, wrote[common], write[common], rules.stamps_from)

    def _network(self, precision: Precision) -> FusedWhisper:
        return FusedWhisper(
            self._model,
            dtype=precision.dtype,
            weights=precision.weights,
            attention=precision.attention,
            rows=SIDE_BY_SIDE,
        )

    def _tokenizer(self, language: str) -> Tokenizer:
        languages = self._model.num_languages
        return get_tokenizer(
            self._model.is_multilingual,
            num_languages=languages,
            language=language,
            task="transcribe",
        )


def preference(logits: torch.Tensor, first: int, second: int, stamps_from: int) -> float:
    """How much likelier the first token is than the second, in log probability."""
    if (first >= stamps_from) == (second >= stamps_from):
        return float(logits[first] - logits[second])
    stamps = logits[stamps_from:].logsumexp(0)
    weights = [stamps if token >= stamps_from else logits[token] for token in (first, second)]
    return float(weights[0] - weights[1])


def _batches(windows: Sequence[torch.Tensor]) -> Iterator[list[torch.Tensor]]:
    for first in range(0, len(windows), SIDE_BY_SIDE):
        yield list(windows[first : first + SIDE_BY_SIDE])
