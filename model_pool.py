"""The pool of loaded models of one process: lend, evict, fall back, count.

`acquire_model` is the only door to a model. The pools live in the model hosts (see `hosting`);
whoever works on a job borrows from one of them.
"""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from threading import Condition
from time import monotonic
from typing import Any

from config import get_settings
from domain.errors import ModelPoolExhausted, OutOfMemory, ScriptoriumError
from domain.options import canonical_model
from engines.base import EngineLoader
from engines.borrowing import BorrowedModel
from engines.device_memory import default_budget_mb
from engines.ladder import FREE_IDLE_MODELS, Descent
from engines.pool_records import ModelInstance, Place, PoolCounts, describe_models
from hosting.client import HostedModel, borrow
from hosting.folder import open_folder

__all__ = ["BorrowedModel", "ModelInstance", "ModelPool", "acquire_model"]

logger = logging.getLogger(__name__)


class ModelPool:
    """Lends loaded models, each to as many borrowers at a time as its engine serves.

    Every model is loading, idle or lent. Eviction looks only in `_idle`, so a model in use
    is never unloaded. Loading and unloading happen outside the lock.

    Of a size on a device there is one copy, however many borrow it; who asks for one that is
    being loaded waits for that load, and for its error. There are two copies only where the
    engine serves no more borrowers, and while the borrowers of a discarded one, which nobody
    new gets, have not let go of it yet.

    `capacity` is how many models are kept when nobody needs them, `max_capacity` how many may
    be there at all. `max_mb` bounds their memory per device; 0 means a share of the device,
    which one model alone may exceed: then the device has the last word.
    A model counts with its loader's estimate while it loads and with what it holds from then
    on. What it holds grows while it decodes: that keeps others out, and evicts nobody.
    """

    def __init__(
        self,
        loader: EngineLoader,
        *,
        capacity: int = 2,
        max_capacity: int = 4,
        max_mb: float = 0,
        idle_unload_s: float = 900,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._loader = loader
        self._capacity = capacity
        self._max_capacity = max(capacity, max_capacity)
        self._max_mb = max_mb
        self._idle_unload = timedelta(seconds=idle_unload_s)
        self._now = now
        self._idle: list[ModelInstance] = []  # least recently used first
        self._lent: list[ModelInstance] = []
        self._loading: list[Place] = []
        self._counts = PoolCounts()
        self._budgets_mb: dict[str, float] = {}
        self._devices: list[str] = []
        self._changed = Condition()

    def acquire(
        self, model_size: str, timeout: float = 300.0, *, allow_downgrade: bool = True
    ) -> ModelInstance:
        """Lend a model of this size, or a smaller one where memory is short.

        Waits up to `timeout` seconds for a place. Raises ModelPoolExhausted, OutOfMemory,
        ModelUnavailable. Whoever wants to know of a fallback uses `borrow`.
        """
        return self.descend(self.descent(model_size, allow_downgrade=allow_downgrade), timeout)

    def descent(self, model_size: str, *, allow_downgrade: bool = True) -> Descent:
        """The top of the out-of-memory ladder for a new borrower."""
        size = canonical_model(model_size)
        return Descent(size, size, self.devices()[0], allow_downgrade)

    def descend(self, descent: Descent, timeout: float) -> ModelInstance:
        """Lend what the descent stands at, one rung lower after every OutOfMemory."""
        deadline_s = monotonic() + timeout
        while True:
            try:
                return self._lend(descent.model_size, descent.device, deadline_s)
            except OutOfMemory as error:
                reason = error.message
            logger.warning("OOM loading %s on %s", descent.model_size, descent.device)
            self._fallback_to_smaller_model(descent, "load", reason)

    def release(self, instance: ModelInstance) -> None:
        """Take a lent model back from one borrower. Does nothing for one that is not lent."""
        self._take_back(instance, keep=True)

    def discard(self, instance: ModelInstance) -> None:
        """Take a lent model back from one borrower: it ran out of memory or broke.

        Nobody new gets it; it is unloaded when the last borrower gave it back.
        """
        self._take_back(instance, keep=False)

    def fallback_while_decoding(
        self, descent: Descent, instance: ModelInstance, error: OutOfMemory
    ) -> bool:
        """Take the next rung after decoding with this lent model ran out of memory.

        True when the borrower goes on with it, in smaller batches; otherwise it was discarded.
        Raises OutOfMemory.
        """
        logger.warning("OOM decoding with %s on %s", descent.model_size, descent.device)
        batch_size = error.details.get("batch_size")
        has_shrunk = isinstance(batch_size, int) and instance.model.shrink_batch(batch_size)
        if not has_shrunk:
            self.discard(instance)
        self._fallback_to_smaller_model(
            descent, "decode", error.message, has_shrunk_batch=has_shrunk
        )
        return has_shrunk

    def warm_up(self, model_size: str) -> bool:
        """Load a model ahead of need, if there is room; True when it is there afterwards.

        May run in a thread: whoever acquires that size meanwhile waits for this load.
        """
        size, device = canonical_model(model_size), self.devices()[0]
        place = Place(size, device, self._loader.estimate_mb(size, device), is_warm_up=True)
        with self._changed:
            if self._has(size):
                return True
            if self._is_too_large(place) or not self._fits(place, self._idle):
                return False
            self._loading.append(place)
        try:
            instance = self._load_model(place)
        except ScriptoriumError as error:
            logger.warning("warm_up_failed", extra={"model_size": size, "error": error.code})
            return False
        with self._changed:
            self._loading.remove(place)
            self._idle.append(instance)
            self._changed.notify_all()
        return True

    def unload_idle(self, now: datetime | None = None) -> int:
        """Unload what nobody used for `idle_unload_s` (0: never); return how many."""
        if not self._idle_unload:
            return 0
        limit = (now or self._now()) - self._idle_unload
        with self._changed:
            old = [instance for instance in self._idle if instance.last_used <= limit]
            self._idle = [instance for instance in self._idle if instance.last_used > limit]
            self._counts.idle_unloads += len(old)
            self._changed.notify_all()
        self._unload(old)
        return len(old)

    def devices(self) -> list[str]:
        """Devices to load on, best first. Asked once: it may start the GPU's driver."""
        if not self._devices:
            self._devices = self._loader.devices()
        return self._devices

    def get_stats(self) -> dict[str, Any]:
        """Counts since the start and what is loaded now, as plain JSON types; memory in MiB."""
        with self._changed:
            return {
                **self._counts.describe(),
                **describe_models(self._idle, self._lent),
                "loading": [place.model_size for place in self._loading],
                "memory_limit_mb": {d: round(mb, 1) for d, mb in self._budgets_mb.items()},
                "capacity": self._capacity,
                "max_capacity": self._max_capacity,
                "pid": os.getpid(),
            }

    def _lend(self, model_size: str, device: str, deadline_s: float) -> ModelInstance:
        started_s = monotonic()
        place = Place(model_size, device, self._loader.estimate_mb(model_size, device))
        if self._is_too_large(place):
            raise OutOfMemory(
                f"{model_size} is larger than the model pool may be",
                needed_mb=round(place.memory_mb),
                maximum_mb=self._max_mb,
            )
        with self._changed:
            instance, evicted = self._wait_for_place(place, deadline_s)
        is_hit = instance is not None
        if instance is None:
            instance = self._load_model(place, evicted)
            instance.borrowers = 1
            with self._changed:
                self._loading.remove(place)
                self._lent.append(instance)
                self._changed.notify_all()
        wait_s = monotonic() - started_s
        logger.info(
            "Model acquired in %.2f s",
            wait_s,
            extra={"model_size": model_size, "device": device, "hit": is_hit},
        )
        return instance

    def _wait_for_place(
        self, place: Place, deadline_s: float
    ) -> tuple[ModelInstance | None, list[ModelInstance]]:
        """A loaded model, now lent; or None, the place being taken, and what had to go for it."""
        while True:
            instance = self._lend_loaded(place)
            if instance is not None:
                return instance, []
            ahead = self._loading_now(place)
            if ahead is None and self._fits(place, []):
                evicted = self._make_room(place)
                self._loading.append(place)
                self._counts.misses += 1
                return None, evicted
            wait_s = deadline_s - monotonic()
            if wait_s <= 0 or not self._changed.wait(wait_s):
                raise ModelPoolExhausted(
                    f"no place for {place.model_size} in the model pool: all are in use",
                    model_size=place.model_size,
                    lent=len(self._lent),
                )
            if ahead is not None and ahead.error is not None:
                # An error of its own: an exception that several threads raise gathers the
                # traces of all of them.
                raise type(ahead.error)(ahead.error.message, **ahead.error.details)

    def _lend_loaded(self, place: Place) -> ModelInstance | None:
        for instance in (*self._lent, *reversed(self._idle)):
            wanted = (instance.model_size, instance.device) == (place.model_size, place.device)
            if wanted and instance.has_room:
                if not instance.borrowers:
                    self._idle.remove(instance)
                    self._lent.append(instance)
                instance.borrowers += 1
                instance.use_count += 1
                instance.last_used = self._now()
                self._counts.hits += 1
                return instance
        return None

    def _has(self, model_size: str) -> bool:
        sizes = [m.model_size for m in (*self._idle, *self._lent) if m.is_sound]
        return model_size in sizes or model_size in [place.model_size for place in self._loading]

    def _loading_now(self, place: Place) -> Place | None:
        wanted = (place.model_size, place.device)
        return next((p for p in self._loading if (p.model_size, p.device) == wanted), None)

    def _is_too_large(self, place: Place) -> bool:
        return bool(self._max_mb) and place.memory_mb > self._max_mb

    def _fits(self, place: Place, idle: list[ModelInstance]) -> bool:
        """Whether there is room beside what is lent, what is loading and these idle models."""
        others: list[ModelInstance | Place] = [*self._lent, *self._loading, *idle]
        if len(others) >= self._max_capacity:
            return False
        used_mb = sum(other.memory_mb for other in others if other.device == place.device)
        return not used_mb or used_mb + place.memory_mb <= self._budget_mb(place.device)

    def _make_room(self, place: Place) -> list[ModelInstance]:
        evicted = []
        while not self._fits(place, self._idle):
            is_full = len(self._lent) + len(self._loading) + len(self._idle) >= self._max_capacity
            # Where only memory is short, a model on another device would go in vain.
            device = None if is_full else place.device
            if not any(device in (None, instance.device) for instance in self._idle):
                break  # what is lent has grown since the place was found
            evicted.append(self._evict_lru_model(device))
        return evicted

    def _evict_lru_model(self, device: str | None = None) -> ModelInstance:
        """Take the least recently used idle model, of that device if one is named, out of the
        pool; the caller unloads it.
        """
        instance = next(m for m in self._idle if device in (None, m.device))
        self._idle.remove(instance)
        self._counts.evictions += 1
        logger.info(
            "Pool full, evicting %s",
            instance.model_size,
            extra={"device": instance.device, "use_count": instance.use_count},
        )
        return instance

    def _load_model(self, place: Place, evicted: Sequence[ModelInstance] = ()) -> ModelInstance:
        """Load into a place, after what was evicted for it is gone. A failed load frees it."""
        try:
            self._unload(evicted)
            engine = self._loader.load(place.model_size, place.device)
        except BaseException as error:
            with self._changed:
                # Of a warm-up nobody expects more than an attempt; and who waited for a load
                # that was interrupted, or failed in no known way, makes its own.
                if isinstance(error, ScriptoriumError) and not place.is_warm_up:
                    place.error = error
                self._loading.remove(place)
                self._counts.load_failures += 1
                self._changed.notify_all()
            raise
        now = self._now()
        return ModelInstance(
            engine,
            place.model_size,
            place.device,
            loaded_at=now,
            last_used=now,
            use_count=0 if place.is_warm_up else 1,
        )

    def _take_back(self, instance: ModelInstance, *, keep: bool) -> None:
        unwanted: list[ModelInstance] = []
        with self._changed:
            if instance not in self._lent:
                return
            instance.borrowers -= 1
            instance.last_used = self._now()
            instance.is_sound = instance.is_sound and keep
            if not instance.borrowers:
                self._lent.remove(instance)
                (self._idle if instance.is_sound else unwanted).append(instance)
            while len(self._idle) > self._capacity:
                unwanted.append(self._evict_lru_model())
            self._changed.notify_all()
        self._unload(unwanted)

    def _fallback_to_smaller_model(
        self, descent: Descent, stage: str, reason: str, *, has_shrunk_batch: bool = False
    ) -> None:
        """Take the next rung of the ladder. Raises OutOfMemory when there is none."""
        with self._changed:
            has_idle = any(instance.device == descent.device for instance in self._idle)
        rung = descent.step(
            stage=stage,
            reason=reason,
            devices=self.devices(),
            has_idle=has_idle,
            is_present=self._loader.is_present,
            has_shrunk_batch=has_shrunk_batch,
        )
        with self._changed:
            self._counts.rungs[rung.kind] += 1
            freed = self._idle if rung.kind == FREE_IDLE_MODELS else []
            self._idle = [instance for instance in self._idle if instance not in freed]
            self._counts.evictions += len(freed)
            self._changed.notify_all()
        self._unload(freed)
        logger.warning(
            "oom_fallback",
            extra={"rung": rung.kind, "stage": stage, "model_size": rung.model_size},
        )

    def _unload(self, instances: Sequence[ModelInstance]) -> None:
        for instance in instances:
            self._loader.unload(instance.model)

    def _budget_mb(self, device: str) -> float:
        if device not in self._budgets_mb:
            self._budgets_mb[device] = self._max_mb or default_budget_mb(device)
        return self._budgets_mb[device]


def acquire_model(
    model_size: str,
    timeout: float | None = None,
    *,
    allow_downgrade: bool = True,
    is_urgent: bool = False,
    is_suspect: bool = False,
    should_stop: Callable[[], bool] = lambda: False,
    pool: ModelPool | None = None,
) -> AbstractContextManager[BorrowedModel | HostedModel]:
    """Lend a model for the block: one of this pool, or else of a model host of this machine.

    `timeout` in seconds, MODEL_ACQUIRE_TIMEOUT_S by default. Others may have the model at the
    same time; what `is_urgent` is decoded before what is not, and what `is_suspect` of having
    killed a host gets one of its own. `should_stop` is asked while a host is waited for.
    Raises ModelPoolExhausted, ModelUnavailable, OutOfMemory, OptionInvalid, and of a host
    ModelHostLost and Stopped.
    """
    if timeout is None:
        timeout = get_settings().model_acquire_timeout_s
    if pool is not None:
        descent = pool.descent(model_size, allow_downgrade=allow_downgrade)
        return _lend(pool, descent, timeout, is_urgent=is_urgent)
    return borrow(
        open_folder(get_settings().run_path),
        canonical_model(model_size),
        timeout,
        allow_downgrade=allow_downgrade,
        is_urgent=is_urgent,
        is_suspect=is_suspect,
        should_stop=should_stop,
    )


@contextmanager
def _lend(
    pool: ModelPool, descent: Descent, timeout: float, *, is_urgent: bool
) -> Iterator[BorrowedModel]:
    borrowed = BorrowedModel(pool, descent, timeout, is_urgent=is_urgent)
    try:
        yield borrowed
    finally:
        borrowed.give_back()
