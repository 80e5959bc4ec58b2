"""Models of the true shapes with random weights: speed does not ask what was learnt."""

import torch
from whisper.model import ModelDimensions, Whisper
from whisper.tokenizer import Tokenizer, get_tokenizer

from engines.batched.network import FRAMES_PER_PLACE

TRUE = {
    "turbo": ModelDimensions(128, 1500, 1280, 20, 32, 51866, 448, 1280, 20, 4),
    "large-v3": ModelDimensions(128, 1500, 1280, 20, 32, 51866, 448, 1280, 20, 32),
}
# For a try-out of the whole script: seconds on a CPU. Windows of 2 s.
SMALL = {
    "turbo": ModelDimensions(128, 100, 64, 1, 1, 51866, 448, 64, 1, 1),
    "large-v3": ModelDimensions(128, 100, 64, 1, 2, 51866, 448, 64, 1, 2),
}
SPREAD = 0.02  # of the weights: activations stay in the range of float16
KEPT_FLOAT32 = ("_ln.", "ln.", "ln_post.", "positional_embedding")
SEED = 0


@torch.no_grad()
def random_model(dims: ModelDimensions, device: torch.device, *, seed: int = SEED) -> Whisper:
    """In float32, as openai-whisper loads a model."""
    with torch.device(device):
        model = Whisper(dims)
    generator = torch.Generator(device).manual_seed(seed)
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1 or name.endswith("bias"):
            parameter.normal_(0, SPREAD, generator=generator)
    return model.requires_grad_(False).eval()


def halved(model: Whisper) -> Whisper:
    """The model with its matrices in float16 and what openai-whisper computes in float32 as it
    is; changed in place.
    """
    for name, parameter in model.named_parameters():
        if not any(part in f".{name}" for part in KEPT_FLOAT32):
            parameter.data = parameter.data.half()
    return model


def random_mels(count: int, dims: ModelDimensions, device: torch.device) -> torch.Tensor:
    """Spectrograms (count, bins, frames), float32, that differ."""
    generator = torch.Generator(device).manual_seed(SEED)
    shape = (count, dims.n_mels, frames_of(dims))
    return torch.randn(shape, generator=generator, device=device).mul_(0.3).clamp_(-1, 1.5)


def frames_of(dims: ModelDimensions) -> int:
    """Of the spectrogram of a full window; 100 a second."""
    return FRAMES_PER_PLACE * int(dims.n_audio_ctx)


def tokenizer_of(dims: ModelDimensions) -> Tokenizer:
    """English speech in a multilingual model of this vocabulary."""
    languages = dims.n_vocab - 51765 - 1  # as `whisper.model.Whisper.num_languages` counts
    return get_tokenizer(True, num_languages=languages, language="en", task="transcribe")


def synchronize(device: torch.device) -> None:
    """Wait until the device has done all it was asked to."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
