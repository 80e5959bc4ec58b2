"""Who decodes random windows in `gpu`: this project's decoder and its peers, one call each."""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import whisper
from whisper.model import ModelDimensions

from benchmarks.gpu_models import halved, random_model, tokenizer_of
from engines.batched.device_slots import DeviceSlotDecoder
from engines.batched.network import FusedWhisper
from engines.batched.requests import DecodedWindow, WaitingFeatures, WindowRequest

Decode = Callable[[torch.Tensor], list[int]]  # from spectrograms to tokens written for each


@dataclass(frozen=True)
class Work:
    """What every side is asked for."""

    dims: ModelDimensions
    device: torch.device
    tokens: int  # per window; the end of the text is suppressed

    @property
    def dtype(self) -> torch.dtype:
        """float16 on a GPU; a CPU tries the script out in float32."""
        return torch.float16 if self.device.type == "cuda" else torch.float32


class Ours:
    """The batched decoder for GPUs on a random model."""

    def __init__(self, work: Work, slots: int) -> None:
        self.work = work
        model = random_model(work.dims, work.device)
        self.network = FusedWhisper(model, dtype=work.dtype, rows=slots)
        del model
        self.tokenizer = tokenizer_of(work.dims)
        self.decoder = DeviceSlotDecoder(
            self.network, self.tokenizer, slots=slots, most_tokens=work.tokens
        )
        self.decoder.rules.forbid([self.tokenizer.eot])

    def decode(self, mels: torch.Tensor) -> list[DecodedWindow]:
        """What is written for these windows (count, bins, frames), at most as many as slots."""
        prompt = tuple(self.tokenizer.sot_sequence)
        slots = []
        for mel in mels:
            features = WaitingFeatures(mel, self.decoder.encoder.encode)
            slots.append(self.decoder.admit(WindowRequest(features, prompt, sot_index=0)))
        ended: dict[int, DecodedWindow] = {}
        while len(ended) < len(slots):
            ended |= dict(self.decoder.step())
        return [ended[slot] for slot in slots]

    def __call__(self, mels: torch.Tensor) -> list[int]:
        """How many tokens are written for each of these windows."""
        return [len(window.tokens) for window in self.decode(mels)]


def whisper_side(work: Work, *, is_halved: bool) -> Decode:
    """`whisper.decode`, as shipped (float32 weights, cast at every call) or with halved weights."""
    model = random_model(work.dims, work.device)
    is_gpu = work.device.type == "cuda"
    if is_halved and is_gpu:
        halved(model)
    options = whisper.DecodingOptions(
        language="en",
        fp16=is_gpu,
        sample_len=work.tokens,
        suppress_tokens=[-1, tokenizer_of(work.dims).eot],
    )
    return lambda mels: [len(each.tokens) for each in whisper.decode(model, mels, options)]


def transformers_side(work: Work) -> Decode:
    """`generate` of transformers with torch's fused attention."""
    from transformers import (  # late: a peer that need not be there
        GenerationConfig,
        WhisperConfig,
        WhisperForConditionalGeneration,
    )

    dims, tokenizer = work.dims, tokenizer_of(work.dims)
    config = WhisperConfig(
        vocab_size=dims.n_vocab,
        num_mel_bins=dims.n_mels,
        encoder_layers=dims.n_audio_layer,
        encoder_attention_heads=dims.n_audio_head,
        decoder_layers=dims.n_text_layer,
        decoder_attention_heads=dims.n_text_head,
        encoder_ffn_dim=4 * dims.n_audio_state,
        decoder_ffn_dim=4 * dims.n_text_state,
        d_model=dims.n_audio_state,
        max_source_positions=dims.n_audio_ctx,
        max_target_positions=dims.n_text_ctx,
        pad_token_id=tokenizer.eot,
        bos_token_id=tokenizer.eot,
        eos_token_id=tokenizer.eot,
        decoder_start_token_id=tokenizer.sot,
        attn_implementation="sdpa",
        torch_dtype=work.dtype,
    )
    with torch.device(work.device):
        model = WhisperForConditionalGeneration(config).to(work.dtype).eval()
    generation = GenerationConfig(
        pad_token_id=tokenizer.eot,
        eos_token_id=tokenizer.eot,
        decoder_start_token_id=tokenizer.sot,
        max_new_tokens=work.tokens,
        do_sample=False,
        suppress_tokens=[tokenizer.eot],
        is_multilingual=False,
        no_timestamps_token_id=tokenizer.no_timestamps,
        return_timestamps=False,
    )
    prompt = torch.tensor([[*tokenizer.sot_sequence, tokenizer.no_timestamps]], device=work.device)

    @torch.inference_mode()
    def decode(mels: torch.Tensor) -> list[int]:
        written = model.generate(
            input_features=mels.to(work.dtype),
            generation_config=generation,
            decoder_input_ids=prompt.expand(len(mels), -1),
        )
        # Some versions hand the prompt back in front, others do not.
        return [min(len(row), work.tokens) for row in written]

    return decode


def ctranslate2_side(work: Work) -> Decode:
    """`generate` of CTranslate2, which faster-whisper and WhisperX call."""
    import ctranslate2  # late: a peer that need not be there

    model = _random_ctranslate2(work)
    tokenizer = tokenizer_of(work.dims)
    prompt = [*tokenizer.sot_sequence, tokenizer.no_timestamps]

    def decode(mels: torch.Tensor) -> list[int]:
        features = ctranslate2.StorageView.from_array(
            mels.contiguous() if work.device.type == "cuda" else mels.numpy()
        )
        results = model.generate(
            features,
            [prompt] * len(mels),
            beam_size=1,
            # It takes half of the length for an earlier text, and hands back the other half.
            max_length=2 * work.tokens,
            suppress_tokens=[tokenizer.eot],
            suppress_blank=False,
        )
        return [len(result.sequences_ids[0]) for result in results]

    return decode


def _random_ctranslate2(work: Work) -> Any:
    import ctranslate2
    from ctranslate2.models import Whisper

    from engines.weights.bpe_file import vocabulary
    from engines.weights.ctranslate2_model import _fill

    model = halved(random_model(work.dims, work.device))
    weights = {name: tensor.cpu() for name, tensor in model.state_dict().items()}
    del model
    spec = _fill(vars(work.dims), weights)
    tokenizer = tokenizer_of(work.dims)
    spec.register_vocabulary(vocabulary(tokenizer.encoding))
    spec.config.alignment_heads = [[0, 0]]
    spec.config.lang_ids = sorted(tokenizer.all_language_tokens)
    spec.config.suppress_ids = []
    spec.config.suppress_ids_begin = []
    spec.validate()
    with tempfile.TemporaryDirectory() as folder:
        spec.save(folder)
        kind = "float16" if work.device.type == "cuda" else "float32"
        ctranslate2.set_random_seed(0)
        return Whisper(str(Path(folder)), device=work.device.type, compute_type=kind)


PEERS: Mapping[str, Callable[[Work], Decode]] = {
    "transformers, sdpa": transformers_side,
    "ctranslate2": ctranslate2_side,
    "openai-whisper, halved": lambda work: whisper_side(work, is_halved=True),
    "openai-whisper": lambda work: whisper_side(work, is_halved=False),
}
