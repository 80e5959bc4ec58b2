"""The out-of-memory ladder: what to try next when a device has no room. Pure decisions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from domain.errors import OptionInvalid, OutOfMemory
from domain.options import TranscriptionOptions, check_options
from domain.transcript import Fallback
from engines.model_facts import smaller_sizes

SMALLER_BATCH = "smaller_batch"
FREE_IDLE_MODELS = "free_idle_models"
SMALLER_MODEL = "smaller_model"
CPU = "cpu"
RUNGS = (SMALLER_BATCH, FREE_IDLE_MODELS, SMALLER_MODEL, CPU)


@dataclass(frozen=True)
class Rung:
    """One step down: what it is, and the model and device to go on with."""

    kind: str
    model_size: str
    device: str


def next_rung(
    model_size: str,
    device: str,
    *,
    devices: Sequence[str],
    has_shrunk_batch: bool,
    may_free_idle: bool,
    can_use: Callable[[str], bool],
) -> Rung | None:
    """The next thing to try, or None at the foot of the ladder.

    Every rung costs more than the one before: first the model in hand decodes fewer windows at
    a time, then idle models go, then the model shrinks, and at last the device changes.
    `can_use` says which smaller models are allowed.
    """
    if has_shrunk_batch:
        return Rung(SMALLER_BATCH, model_size, device)
    if may_free_idle:
        return Rung(FREE_IDLE_MODELS, model_size, device)
    for smaller in smaller_sizes(model_size):
        if can_use(smaller):
            return Rung(SMALLER_MODEL, smaller, device)
    if device != "cpu" and "cpu" in devices:
        return Rung(CPU, model_size, "cpu")
    return None


@dataclass
class Descent:
    """One borrower's way down. It belongs to one job: the next one starts at the top again."""

    requested: str
    model_size: str
    device: str
    allow_downgrade: bool
    options: TranscriptionOptions | None = None  # known once the job transcribes
    fallbacks: list[Fallback] = field(default_factory=list)
    _freed_at: set[tuple[str, str]] = field(default_factory=set)

    def step(
        self,
        *,
        stage: str,
        reason: str,
        devices: Sequence[str],
        has_idle: bool,
        is_present: Callable[[str], bool],
        has_shrunk_batch: bool = False,
    ) -> Rung:
        """Take the next rung and note it. `stage` is load or decode. Raises OutOfMemory.

        `has_shrunk_batch`: the model in hand decodes fewer windows at a time from now on.
        """
        here = (self.model_size, self.device)
        rung = next_rung(
            *here,
            devices=devices,
            has_shrunk_batch=has_shrunk_batch,
            # Once per place: other threads may put back idle models for ever.
            may_free_idle=has_idle and here not in self._freed_at,
            can_use=lambda size: self.allow_downgrade and is_present(size) and self.can_do(size),
        )
        if rung is None:
            raise OutOfMemory(
                f"{reason}; nothing smaller is left to try"
                if self.allow_downgrade
                else f"{reason}; the job does not allow a smaller model",
                model_requested=self.requested,
                rungs_taken=[fallback.rung for fallback in self.fallbacks],
            )
        if rung.kind == FREE_IDLE_MODELS:
            self._freed_at.add(here)
        self.fallbacks.append(Fallback(rung.kind, stage, self.model_size, rung.model_size, reason))
        self.model_size, self.device = rung.model_size, rung.device
        return rung

    def can_do(self, model_size: str) -> bool:
        """Whether a model knows the job's language and task; anything goes while unknown."""
        if self.options is None:
            return True
        try:
            check_options(replace(self.options, model_size=model_size))
        except OptionInvalid:
            return False
        return True
