"""What the model pool knows about its models and about itself."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from domain.errors import ScriptoriumError
from engines.base import Engine
from engines.ladder import RUNGS


@dataclass(eq=False)
class ModelInstance:
    """One loaded model and what is known about its use."""

    model: Engine
    model_size: str
    device: str
    loaded_at: datetime
    last_used: datetime
    use_count: int = 0
    borrowers: int = 0  # now
    is_sound: bool = True  # False: lent to nobody new, unloaded when its last borrower lets go

    @property
    def memory_mb(self) -> float:
        """What it holds now, in MiB; a batched decoder grows when it is first used."""
        return self.model.memory_mb

    @property
    def has_room(self) -> bool:
        """Whether one more may borrow it."""
        return self.is_sound and self.borrowers < self.model.max_borrowers

    def describe(self, state: str) -> dict[str, Any]:
        """As plain JSON types; `state` is idle or lent."""
        return {
            "model_size": self.model_size,
            "device": self.device,
            "state": state,
            "borrowers": self.borrowers,
            "memory_mb": round(self.memory_mb, 1),
            "use_count": self.use_count,
            "loaded_at": self.loaded_at.isoformat(),
            "last_used": self.last_used.isoformat(),
        }


@dataclass(eq=False)
class Place:
    """Room that is taken for a model while it loads."""

    model_size: str
    device: str
    memory_mb: float
    is_warm_up: bool = False
    error: ScriptoriumError | None = None  # why nothing was loaded, for those who waited for it


@dataclass
class PoolCounts:
    """What happened since the pool was made."""

    hits: int = 0
    misses: int = 0
    evictions: int = 0
    idle_unloads: int = 0
    load_failures: int = 0
    rungs: Counter[str] = field(default_factory=Counter)

    def describe(self) -> dict[str, Any]:
        """As plain JSON types; `hit_rate` is None while nothing was asked for."""
        asked = self.hits + self.misses
        return {
            "hits": self.hits,
            "misses": self.misses,
            "hit_rate": self.hits / asked if asked else None,
            "evictions": self.evictions,
            "idle_unloads": self.idle_unloads,
            "load_failures": self.load_failures,
            "oom_fallbacks": self.rungs.total(),
            "oom_rungs": {kind: self.rungs[kind] for kind in RUNGS},
        }


def describe_models(idle: Sequence[ModelInstance], lent: Sequence[ModelInstance]) -> dict[str, Any]:
    """What is loaded now, as plain JSON types; memory in MiB."""
    models = [m.describe("lent") for m in lent] + [m.describe("idle") for m in idle]
    return {
        "total_loaded": len(models),
        "models_by_size": dict(Counter(m["model_size"] for m in models)),
        "models": models,
        "memory_mb": round(sum(m["memory_mb"] for m in models), 1),
        "borrowers": sum(m["borrowers"] for m in models),
    }
