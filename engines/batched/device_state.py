"""How far every slot is, in tensors that stay where they are: a captured step works on them."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch

from engines.batched.requests import WindowRequest
from engines.batched.rules import RuleState


def send(numbers: Sequence[object], device: torch.device) -> torch.Tensor:
    """Numbers as a tensor on the device; without waiting for what the device has to do before."""
    tensor = torch.tensor(numbers)
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


@dataclass
class SlotState:
    """One entry per slot."""

    next_token: torch.Tensor  # int64: what the next step reads
    position: torch.Tensor  # int64: its place in the text context
    frames: torch.Tensor  # int64: places of the recording
    limit: torch.Tensor  # int64: tokens that may be written
    written: torch.Tensor  # int64: tokens that were
    has_ended: torch.Tensor  # bool; of a free slot too
    temperature: torch.Tensor  # float32
    seed: torch.Tensor  # int64
    sum_logprob: torch.Tensor  # float32
    no_speech_prob: torch.Tensor  # float32
    tokens: torch.Tensor  # int64 (slots, most + 1); the last column is for what nobody wants
    rules: RuleState

    @classmethod
    def empty(cls, slots: int, most_tokens: int, device: torch.device) -> "SlotState":
        """Free slots."""

        def zeros(dtype: torch.dtype) -> torch.Tensor:
            return torch.zeros(slots, dtype=dtype, device=device)

        return cls(
            next_token=zeros(torch.long),
            position=zeros(torch.long),
            frames=torch.ones_like(zeros(torch.long)),
            limit=zeros(torch.long),
            written=zeros(torch.long),
            has_ended=torch.ones_like(zeros(torch.bool)),
            temperature=zeros(torch.float32),
            seed=zeros(torch.long),
            sum_logprob=zeros(torch.float32),
            no_speech_prob=zeros(torch.float32),
            tokens=torch.zeros(slots, most_tokens + 1, dtype=torch.long, device=device),
            rules=RuleState.fresh(slots, device),
        )

    def begin(self, requests: Sequence[WindowRequest], frames: int, most_at: int) -> None:
        """Rows as they are once the prompts were read; of `most_at` places in the text context
        the prompt takes its share.
        """
        device = self.position.device
        most_tokens = self.tokens.shape[1] - 1
        lengths = [len(request.prompt) for request in requests]
        limits = [min(most_tokens, most_at - length) for length in lengths]
        self.position.copy_(send(lengths, device))
        self.limit.copy_(send(limits, device))
        self.frames.fill_(frames)
        self.has_ended.fill_(False)
        self.temperature.copy_(send([request.temperature for request in requests], device))
        self.seed.copy_(send([request.seed for request in requests], device))

    def select(self, rows: torch.Tensor | slice) -> "SlotState":
        """These rows: a view of them for a slice, a copy for an index tensor."""
        parts: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        chosen: dict[str, Any] = {
            name: part.select(rows) if isinstance(part, RuleState) else part[rows]
            for name, part in parts.items()
        }
        return SlotState(**chosen)

    def put(self, rows: torch.Tensor, selected: "SlotState") -> None:
        """Put rows, made elsewhere, in their place."""
        for field in fields(self):
            part, new = getattr(self, field.name), getattr(selected, field.name)
            if isinstance(part, RuleState):
                part.put(rows, new)
            else:
                part[rows] = new
