"""How many windows may be decoded side by side: as many as pay, within a bound on memory."""

import torch
from whisper.model import ModelDimensions

MIB = 1024 * 1024
MOST = {"cpu": 16, "cuda": 64}  # more gains little: a step is bound by arithmetic by then
ROOM_MB = {"cpu": 512, "cuda": 24_576}  # for their keys and values
FEWEST = 2


def slots_for(dims: ModelDimensions, dtype: torch.dtype, device: str) -> int:
    """Slots of a decoder on `device`, by what the keys and values of one window take."""
    kind = "cpu" if device == "cpu" else "cuda"
    fitting = int(ROOM_MB[kind] / slot_mb(dims, dtype))
    return max(FEWEST, min(MOST[kind], fitting))


def slot_mb(dims: ModelDimensions, dtype: torch.dtype) -> float:
    """Keys and values of one window in MiB: of the recording, and of its own text."""
    places = dims.n_audio_ctx + dims.n_text_ctx
    numbers = 2 * dims.n_text_layer * dims.n_text_state * places
    return numbers * torch.empty(0, dtype=dtype).element_size() / MIB
