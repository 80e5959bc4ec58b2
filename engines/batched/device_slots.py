"""Windows being decoded side by side on a GPU, each in its slot.

The host only says which windows come and go. A step is a graph over the first slots, as many as
are in use and rounded up; the slots' states lie on the device, and what has become of them is
read one look late. Keeps the promises of `SlotDecoder`; on a CPU, where it is tested, it runs
the same steps one by one.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from whisper.tokenizer import Tokenizer

from engines.batched.caches import DeviceCache
from engines.batched.device_choice import operations_for
from engines.batched.device_encoder import DeviceEncoder
from engines.batched.device_operations import StepOperations, computing_on
from engines.batched.device_prompts import PromptReader
from engines.batched.device_reports import Report, Reports
from engines.batched.device_state import SlotState, send
from engines.batched.device_step import DecoderStep
from engines.batched.device_tokens import write_tokens
from engines.batched.graphs import Capture, CudaCapture, StepGraphs
from engines.batched.network import FusedWhisper
from engines.batched.requests import DecodedWindow, WindowRequest, tensor_of
from engines.batched.rules import TokenRules
from engines.out_of_memory import reclaim

STEPS_PER_LOOK = 4  # tokens between two looks of the host: it ends windows, and lets others in
BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128)  # slots of a step; between them the next larger one
# An eighth of the slots is filled at once: windows encoded together cost less, and slots that
# wait for each other cost next to nothing.
FEWEST_SHARE = 8


class DeviceSlotDecoder:
    """Decodes up to `slots` windows at a time with one model."""

    def __init__(
        self,
        network: FusedWhisper,
        tokenizer: Tokenizer,
        *,
        slots: int,
        operations: StepOperations | None = None,
        capture: Capture | None = None,
        most_tokens: int | None = None,
    ) -> None:
        """`operations` and `capture` are found out where they are not given. `most_tokens` is a
        bound on a text, half of the text context without it.
        """
        self._network = network
        self._tokenizer = tokenizer
        self._device = network.device
        self._most_tokens = most_tokens or network.dims.n_text_ctx // 2
        with computing_on(self._device):
            self.operations = operations or operations_for(self._device)
            if capture is None and self._device.type == "cuda":
                capture = CudaCapture(self._device)
        self._capture = capture
        self.rules = TokenRules(tokenizer, network.dims.n_vocab, self._device)
        self.encoder = DeviceEncoder(network, self.operations)
        self._prompts = PromptReader(network, self.operations)
        self._make_room(slots)

    def _make_room(self, slots: int) -> None:
        dims, device = self._network.dims, self._device
        heads, dtype = self._network.heads, self._network.dtype
        layers = range(dims.n_text_layer)
        self._own = [DeviceCache(slots, heads, dims.n_text_ctx, dtype, device) for _ in layers]
        self._cross = [DeviceCache(slots, heads, dims.n_audio_ctx, dtype, device) for _ in layers]
        self._state = SlotState.empty(slots, self._most_tokens, device)
        step = DecoderStep(
            self._network,
            self.operations,
            self.rules,
            own=self._own,
            cross=self._cross,
            state=self._state,
        )
        self._graphs = StepGraphs(step, self._capture, self._state_kept)
        self._reports = Reports(self._state)
        self._buckets = [count for count in BUCKETS if count < slots] + [slots]
        self._busy: dict[int, WindowRequest] = {}
        self._arriving: list[int] = []  # busy ones whose prompts are not read yet
        self._first_report: dict[int, int] = {}  # of every busy slot, the first about its window
        self._steps_left: dict[int, int] = {}  # of every busy slot, until its text is full
        self._stopped: set[int] = set()  # freed by the host; the device writes on in them
        self._slots = slots

    def resize(self, slots: int) -> None:
        """Have so many slots from now on. All of them must be free."""
        # First the old ones: both together may be more than there is room for. They are gone
        # already where there was no room for the new ones the last time.
        for name in ("_own", "_cross", "_graphs"):
            self.__dict__.pop(name, None)
        reclaim()
        self._make_room(slots)

    @property
    def has_graphs(self) -> bool:
        """Whether steps are replayed as graphs."""
        return self._graphs.are_used

    @property
    def free(self) -> int:
        """How many windows can be admitted now: none while too few to pay could be."""
        free = self._slots - len(self._busy)
        is_worth_it = free >= self._slots // FEWEST_SHARE or self._arriving or not self._busy
        return free if is_worth_it else 0

    def admit(self, request: WindowRequest) -> int:
        """Give a window a slot; the next step encodes it and begins its text. Returns the slot."""
        slot = next(slot for slot in range(self._slots) if slot not in self._busy)
        self._busy[slot] = request
        self._arriving.append(slot)
        return slot

    def step(self) -> list[tuple[int, DecodedWindow]]:
        """Write a few tokens in every busy slot; returns the windows that are known to have ended,
        now free.
        """
        if not self._busy:
            return []
        with computing_on(self._device):
            self._stop()
            self._begin()
            count = next(bucket for bucket in self._buckets if bucket > max(self._busy))
            is_drawing = any(request.temperature > 0 for request in self._busy.values())
            steps = min(STEPS_PER_LOOK, max(self._steps_left.values()))
            for _ in range(steps):
                self._graphs.run(count, is_drawing=is_drawing)
            for slot in self._busy:
                self._steps_left[slot] = max(0, self._steps_left[slot] - steps)
            if steps:
                self._reports.take()
            report = self._reports.read(is_last=not steps)
        return [] if report is None else list(self._take_ended(report))

    def release(self, slot: int) -> None:
        """Free a slot whose window nobody waits for any more."""
        if self._busy.pop(slot, None) is None:
            return
        self._steps_left.pop(slot, None)
        if slot in self._arriving:
            self._arriving.remove(slot)
        else:
            self._stopped.add(slot)

    def clear(self) -> None:
        """Free every slot: after an error in here nobody knows how far their windows are."""
        self._busy.clear()
        self._steps_left.clear()
        self._arriving.clear()
        self._stopped.update(range(self._slots))

    def detect_language(self, features: torch.Tensor) -> dict[str, float]:
        """Probability of every language, by code, of one window's features."""
        with computing_on(self._device):
            start = torch.tensor([[self._tokenizer.sot]], device=self._device)
            first = torch.zeros_like(start)
            logits = self._prompts.read(start, features[None], first)[0, 0]
            languages = list(self._tokenizer.all_language_tokens)
            chances = logits[languages].softmax(dim=-1).tolist()
        return dict(zip(self._tokenizer.all_language_codes, chances, strict=True))

    @contextmanager
    def _state_kept(self) -> Iterator[None]:
        """Steps in the block are forgotten. The keys and values that they stored are those that
        the same steps will store again.
        """
        every_slot = torch.arange(self._slots, device=self._device)
        before = self._state.select(every_slot)
        try:
            yield
        finally:
            self._state.put(every_slot, before)

    def _stop(self) -> None:
        if self._stopped:
            self._state.has_ended[send(sorted(self._stopped), self._device)] = True
            self._stopped.clear()

    def _begin(self) -> None:
        """Encode what arrives, read the prompts and write the first tokens."""
        if not self._arriving:
            return
        requests = [self._busy[slot] for slot in self._arriving]
        self.encoder.encode_waiting(requests)
        features = torch.stack([tensor_of(request.features) for request in requests])
        slots = send(self._arriving, self._device)
        caches = self._own, self._cross, slots
        tokens, scored = self._prompt_tensors(requests)
        logits = self._prompts.read(tokens, features, scored, caches)
        rows = SlotState.empty(len(requests), self._most_tokens, self._device)
        rows.begin(requests, features.shape[1], self._network.dims.n_text_ctx)
        rows.no_speech_prob.copy_(logits[:, 0].softmax(dim=-1)[:, self._tokenizer.no_speech])
        is_drawing = any(request.temperature > 0 for request in requests)
        write_tokens(self.rules, logits[:, 1], rows, is_drawing=is_drawing)
        self._state.put(slots, rows)
        for slot, request in zip(self._arriving, requests, strict=True):
            self._first_report[slot] = self._reports.next_number
            places_left = self._network.dims.n_text_ctx - len(request.prompt)
            # The first token was written just now.
            self._steps_left[slot] = min(self._most_tokens, places_left) - 1
        self._arriving.clear()

    def _prompt_tensors(
        self, requests: Sequence[WindowRequest]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Prompts (rows, n), the shorter ones with end tokens behind them; and (rows, 2): where
        the start-of-transcript and the last token stand.
        """
        longest = max(len(request.prompt) for request in requests)
        prompts = [
            (*request.prompt, *[self._tokenizer.eot] * (longest - len(request.prompt)))
            for request in requests
        ]
        scored = [(request.sot_index, len(request.prompt) - 1) for request in requests]
        return send(prompts, self._device), send(scored, self._device)

    def _take_ended(self, report: Report) -> Iterator[tuple[int, DecodedWindow]]:
        for slot, has_ended in enumerate(report.has_ended.tolist()):
            is_about_it = slot in self._busy and report.number >= self._first_report[slot]
            if not has_ended or not is_about_it:
                continue
            tokens = report.tokens[slot, : int(report.written[slot])].tolist()
            if tokens[-1] == self._tokenizer.eot:
                tokens.pop()
            del self._steps_left[slot]
            yield (
                slot,
                DecodedWindow(
                    tokens=tokens,
                    sum_logprob=float(report.sum_logprob[slot]),
                    no_speech_prob=float(report.no_speech_prob[slot]),
                    temperature=self._busy.pop(slot).temperature,
                ),
            )
