"""How many windows may be decoded side by side: as many as pay, within a bound on memory."""

import torch
from whisper.model import ModelDimensions, Whisper

MIB = 1024 * 1024
# More gains little: a step is bound by arithmetic by then. On a CPU all hypotheses together are at
# most `linear.EXACT_ROWS`.
MOST = {"cpu": 16, "cuda": 64}
# Of a window's text, see `search`. A GPU's step has fixed shapes, and searches greedily.
HYPOTHESES = {"cpu": 2, "cuda": 1}
ROOM_MB = 640  # for their keys and values, in main memory
GPU_SHARE = 0.4  # of what is free on a GPU; the encoder and the pool's other models want some
FEWEST = 2


def slots_for(dims: ModelDimensions, dtype: torch.dtype, device: str) -> int:
    """Slots of a decoder on `device`, by what the keys and values of one window take."""
    kind = kind_of(device)
    room_mb = ROOM_MB if kind == "cpu" else GPU_SHARE * free_gpu_mb(device)
    fitting = int(room_mb / slot_mb(dims, dtype, HYPOTHESES[kind]))
    return max(FEWEST, min(MOST[kind], fitting))


def kind_of(device: str) -> str:
    """What `MOST` and `HYPOTHESES` have a number for, of a device as torch names it."""
    return "cpu" if device == "cpu" else "cuda"


def free_gpu_mb(device: str) -> float:
    """Memory of a GPU that nobody holds."""
    free_bytes, _ = torch.cuda.mem_get_info(device)
    return float(free_bytes) / MIB


def weights_mb(model: Whisper, dtype: torch.dtype) -> float:
    """The weights of a model in MiB, once more, as the batched decoder lays them out."""
    numbers = sum(parameter.numel() for parameter in model.parameters())
    return float(numbers * dtype.itemsize) / MIB


def slot_mb(dims: ModelDimensions, dtype: torch.dtype, hypotheses: int) -> float:
    """Keys and values of one window in MiB: of the recording, and of each hypothesis."""
    places = dims.n_audio_ctx + hypotheses * dims.n_text_ctx
    numbers = 2 * dims.n_text_layer * dims.n_text_state * places
    return float(numbers * dtype.itemsize) / MIB
