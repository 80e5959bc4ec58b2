"""Whisper's blocks as functions: fused weights, in the type that is computed with."""

from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from engines.batched.linear import GELU, NO_ACTIVATION, Linear, pack_int8, pack_linear

ENCODER_ROWS = 1500  # places of a full window


@dataclass(frozen=True)
class Norm:
    """A layer norm over the last axis."""

    weight: torch.Tensor
    bias: torch.Tensor

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Same shape, float32."""
        return functional.layer_norm(x, x.shape[-1:], self.weight, self.bias)


@dataclass(frozen=True)
class EncoderBlock:
    """Self-attention and a two-layer perceptron."""

    attention_norm: Norm
    query_key_value: Linear
    attention_out: Linear
    mlp_norm: Norm
    mlp_in: Linear
    mlp_out: Linear


@dataclass(frozen=True)
class DecoderBlock:
    """Self-attention, attention to the encoder's output, and a perceptron."""

    attention_norm: Norm
    query_key_value: Linear
    attention_out: Linear
    cross_norm: Norm
    cross_query: Linear
    cross_key_value: Linear
    cross_out: Linear
    mlp_norm: Norm
    mlp_in: Linear
    mlp_out: Linear


class Packing:
    """Turns modules into functions."""

    def __init__(self, dtype: torch.dtype, weights: torch.dtype | None = None) -> None:
        """All that is computed is of `dtype`, products by weights too unless `weights` is int8."""
        self._dtype = dtype
        self._is_int8 = weights == torch.int8

    def convolution(self, module: torch.nn.Conv1d) -> tuple[torch.Tensor, torch.Tensor]:
        """Weight and bias."""
        assert module.bias is not None  # noqa: S101 - whisper's convolutions have one
        return module.weight.to(self._dtype), module.bias.to(self._dtype)

    def linear(
        self, *modules: torch.nn.Linear, activation: str = NO_ACTIVATION, rows: int
    ) -> Linear:
        """One product for modules that read the same input."""
        biases = [
            module.weight.new_zeros(len(module.weight))
            if module.bias is None
            else module.bias.detach()
            for module in modules
        ]
        weight = torch.cat([module.weight.detach() for module in modules])
        return self.product(weight, torch.cat(biases), activation=activation, rows=rows)

    def product(
        self,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        *,
        activation: str = NO_ACTIVATION,
        rows: int,
    ) -> Linear:
        """The product by `weight` (out, in), for mostly `rows` rows."""
        if self._is_int8:
            return pack_int8(weight, bias, activation=activation)
        bias = None if bias is None else bias.to(self._dtype)
        return pack_linear(weight.to(self._dtype), bias, activation=activation, rows=rows)

    def encoder_block(self, block: Any) -> EncoderBlock:
        """Of a `whisper.model.ResidualAttentionBlock`."""
        rows = ENCODER_ROWS
        attention = block.attn
        return EncoderBlock(
            attention_norm=pack_norm(block.attn_ln),
            query_key_value=self.linear(attention.query, attention.key, attention.value, rows=rows),
            attention_out=self.linear(attention.out, rows=rows),
            mlp_norm=pack_norm(block.mlp_ln),
            mlp_in=self.linear(block.mlp[0], activation=GELU, rows=rows),
            mlp_out=self.linear(block.mlp[2], rows=rows),
        )

    def decoder_block(self, block: Any, rows: int) -> DecoderBlock:
        """Of one with cross-attention; a step mostly has `rows` rows."""
        attention, cross = block.attn, block.cross_attn
        return DecoderBlock(
            attention_norm=pack_norm(block.attn_ln),
            query_key_value=self.linear(attention.query, attention.key, attention.value, rows=rows),
            attention_out=self.linear(attention.out, rows=rows),
            cross_norm=pack_norm(block.cross_attn_ln),
            cross_query=self.linear(cross.query, rows=rows),
            cross_key_value=self.linear(cross.key, cross.value, rows=ENCODER_ROWS),
            cross_out=self.linear(cross.out, rows=rows),
            mlp_norm=pack_norm(block.mlp_ln),
            mlp_in=self.linear(block.mlp[0], activation=GELU, rows=rows),
            mlp_out=self.linear(block.mlp[2], rows=rows),
        )


def pack_norm(module: torch.nn.LayerNorm) -> Norm:
    """In float32."""
    return Norm(module.weight.float(), module.bias.float())
