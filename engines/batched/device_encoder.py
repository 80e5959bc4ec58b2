"""Whisper's encoder on a GPU: full windows, several at a time, of one recording or of many."""

from collections.abc import Sequence

import torch
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from engines.batched.device_operations import HEAD_WIDTH, StepOperations, computing_on
from engines.batched.network import FusedWhisper, convolve
from engines.batched.requests import WaitingFeatures, WindowRequest

# Windows that are encoded together. A GPU's matrix units are full with 8; more saves launches.
MICRO_BATCH = 16
# Best first; on Hopper cuDNN's kernel is the faster one.
BACKENDS = [
    SDPBackend.CUDNN_ATTENTION,
    SDPBackend.FLASH_ATTENTION,
    SDPBackend.EFFICIENT_ATTENTION,
    SDPBackend.MATH,
]


class DeviceEncoder:
    """The encoder of one model."""

    def __init__(
        self,
        network: FusedWhisper,
        operations: StepOperations,
        backends: Sequence[SDPBackend] = BACKENDS,
    ) -> None:
        """Attention is computed by the first of `backends` that can."""
        self._network = network
        self._operations = operations
        self._backends = list(backends)

    def encode_waiting(self, requests: Sequence[WindowRequest]) -> None:
        """Encode together what of these windows nobody has encoded yet."""
        waiting = {
            id(request.features): request.features
            for request in requests
            if isinstance(request.features, WaitingFeatures) and request.features.mel is not None
        }
        mels = [each.mel for each in waiting.values() if each.mel is not None]
        if not mels:
            return
        for each, features in zip(waiting.values(), self.encode(torch.stack(mels)), strict=True):
            # A copy: a view would keep the features of the whole batch in memory.
            each.put(features.clone())

    def encode(self, mels: torch.Tensor) -> torch.Tensor:
        """Features (windows, 1500, width) of spectrograms (windows, bins, 3000)."""
        preferred = sdpa_kernel(self._backends, set_priority=True)
        with computing_on(self._network.device), preferred:
            return torch.cat([self._encode(batch) for batch in torch.split(mels, MICRO_BATCH)])

    def _encode(self, mels: torch.Tensor) -> torch.Tensor:
        network, operations, dtype = self._network, self._operations, self._network.dtype
        x = functional.gelu(convolve(network.first_convolution, mels.to(dtype), stride=1))
        x = functional.gelu(convolve(network.second_convolution, x, stride=2))
        x = (x.transpose(1, 2) + network.encoder_positions).contiguous()
        change = None
        for block in network.encoder_blocks:
            normed = operations.add_norm(x, change, block.attention_norm, dtype)
            change = block.attention_out(self._attend(block.query_key_value(normed)))
            normed = operations.add_norm(x, change, block.mlp_norm, dtype)
            change = block.mlp_out(block.mlp_in(normed))
        return operations.add_norm(x, change, network.encoder_norm, dtype)

    def _attend(self, mixed: torch.Tensor) -> torch.Tensor:
        """(windows, places, width) of mixed (windows, places, 3 * width)."""
        windows, places, _ = mixed.shape
        parts = mixed.view(windows, places, 3, -1, HEAD_WIDTH).permute(2, 0, 3, 1, 4)
        found = functional.scaled_dot_product_attention(parts[0], parts[1], parts[2])
        return found.transpose(1, 2).reshape(windows, places, -1)
