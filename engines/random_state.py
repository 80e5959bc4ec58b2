"""The generator that temperatures above 0 draw from: its state as plain JSON."""

import base64
from collections.abc import Mapping

import torch


def save_random_state(device: torch.device) -> dict[str, str]:
    """The state of this device's generator, under the device's type."""
    is_cuda = device.type == "cuda"
    state = torch.cuda.get_rng_state(device) if is_cuda else torch.get_rng_state()
    return {device.type: base64.b64encode(state.numpy().tobytes()).decode("ascii")}


def restore_random_state(device: torch.device, saved: Mapping[str, str]) -> None:
    """Undo `save_random_state` on a device of the same type. Raises KeyError for another."""
    state = torch.frombuffer(bytearray(base64.b64decode(saved[device.type])), dtype=torch.uint8)
    if device.type == "cuda":
        torch.cuda.set_rng_state(state, device)
    else:
        torch.set_rng_state(state)
