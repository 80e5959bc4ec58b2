"""Load official weights so that all processes of a machine share one copy in memory.

The official file is converted once to the type that is computed with. From then on every
process maps the converted file: its pages live in the page cache, once for all of them.
"""

import fcntl
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
import whisper
from torch import nn
from torch.overrides import TorchFunctionMode
from whisper.model import ModelDimensions, Whisper

from engines.weights.catalog import official_weights

logger = logging.getLogger(__name__)

# These stay in float32 where the rest is float16: the layers that hold them compute in it.
FLOAT32_PARTS = (
    ".attn_ln.",
    ".cross_attn_ln.",
    ".mlp_ln.",
    ".ln.",
    ".ln_post.",
    ".positional_embedding",
)

INITIALISERS = {
    nn.init.kaiming_uniform_,
    nn.init.uniform_,
    nn.init.normal_,
    nn.init.ones_,
    nn.init.zeros_,
    torch.Tensor.uniform_,
    torch.Tensor.normal_,
}


def dtype_for(device: str) -> torch.dtype:
    """float16 on a GPU; a CPU computes in float32."""
    return torch.float16 if device.startswith("cuda") else torch.float32


def load_whisper(model_size: str, device: str, official: Path) -> Whisper:
    """A model ready to decode on `device`, from its official file. Raises torch's own errors."""
    dtype = dtype_for(device)
    checkpoint = _mapped_checkpoint(model_size, dtype, official, official.parent / "mapped")
    model = _assemble(checkpoint["dims"], checkpoint["model_state_dict"])
    model.set_alignment_heads(whisper._ALIGNMENT_HEADS[model_size])  # noqa: SLF001 - no other source
    return model.to(device).requires_grad_(False).eval()


def _mapped_checkpoint(
    model_size: str, dtype: torch.dtype, official: Path, folder: Path
) -> dict[str, Any]:
    """The converted checkpoint, mapped; a private copy where the disk or platform refuses."""
    sha256 = official_weights(model_size).sha256
    name = f"{model_size}-{str(dtype).removeprefix('torch.')}-{sha256[:12]}"
    target = folder / f"{name}.pt"
    try:
        if not target.exists():
            folder.mkdir(parents=True, exist_ok=True)
            with _lock_file(folder / f"{name}.lock"):
                if not target.exists():  # another process may have been first
                    _convert(official, target, dtype)
        return _read(target, mapped=True)
    except (OSError, RuntimeError, ValueError) as error:
        logger.warning(
            "weights_not_shared", extra={"model_size": model_size, "reason": str(error)[:200]}
        )
        for leftover in (target, _unfinished(target)):
            with suppress(OSError):  # a folder that cannot be written to is one of the reasons
                leftover.unlink()  # damaged or unfinished: the next load converts again
        return _converted(_read(official, mapped=False), dtype)


def _convert(official: Path, target: Path, dtype: torch.dtype) -> None:
    torch.save(_converted(_read(official, mapped=False), dtype), _unfinished(target))
    _unfinished(target).replace(target)  # atomic: a reader sees all of it or nothing


def _unfinished(target: Path) -> Path:
    return target.with_suffix(".part")


def _converted(checkpoint: dict[str, Any], dtype: torch.dtype) -> dict[str, Any]:
    weights = {
        name: tensor.to(_dtype_of(name, dtype)).contiguous()
        for name, tensor in checkpoint["model_state_dict"].items()
    }
    return {"dims": checkpoint["dims"], "model_state_dict": weights}


def _dtype_of(name: str, dtype: torch.dtype) -> torch.dtype:
    return torch.float32 if any(part in f".{name}" for part in FLOAT32_PARTS) else dtype


def _read(path: Path, *, mapped: bool) -> dict[str, Any]:
    content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    return content


class _WithoutInit(TorchFunctionMode):
    """Leaves new parameters as they were allocated: pages that nobody touched take no memory.

    The meta device would do as well, but its first use imports a symbolic algebra system:
    1.3 s and 70 MB in every process.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if func in INITIALISERS:
            return args[0] if args else (kwargs or {})["tensor"]
        return func(*args, **(kwargs or {}))


def _assemble(dims: dict[str, int], weights: dict[str, torch.Tensor]) -> Whisper:
    """Build the modules without filling them and hang the mapped tensors in."""
    shape = ModelDimensions(**dims)
    with _WithoutInit():
        model = Whisper(shape)
    model.load_state_dict(weights, assign=True)
    # Not part of a checkpoint: position i may not look at what comes after it.
    hidden = torch.full((shape.n_text_ctx, shape.n_text_ctx), float("-inf")).triu_(1)
    model.decoder.register_buffer("mask", hidden, persistent=False)
    return model


@contextmanager
def _lock_file(path: Path) -> Iterator[None]:
    with path.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
