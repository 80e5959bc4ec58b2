"""One decoder, many recordings: their windows share its slots.

Whoever calls `decode` and finds nobody at work drives the decoder, for all recordings that are
there, until its own is done; then the next one takes over. So there is no thread of its own to
start, to stop, or to survive its callers.

The driver asks and tells on everybody's behalf: what goes wrong in one recording's questions is
that recording's alone. What goes wrong in the decoder is everybody's, for a failed step spoils
every window in the slots.
"""

import math
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from threading import Condition, Lock

from domain.errors import EngineError, Stopped
from engines.batched.decoder import WindowDecoder
from engines.batched.run import Part, RecordingRun

# An encoder run lasts as long as some ten decoder steps: windows that are being decoded shall
# not stand still while a long recording fills the slots.
ADMITTED_PER_STEP = 2
MAX_WAIT_S = 5.0  # without a slot, before a recording goes ahead of what is urgent or shorter
LOOK_S = 0.1  # how often a recording's owner is asked whether to stop


@dataclass(eq=False)
class _Guest:
    """A recording that is being decoded."""

    run: RecordingRun
    should_stop: Callable[[], bool]
    on_progress: Callable[[float], None]
    is_urgent: bool
    without_slot_since_s: float  # when it came, or its last slot became free
    asking: Lock = field(default_factory=Lock)  # held while one of its owner's calls runs
    asked_at_s: float = float("-inf")
    # Of the driver:
    slots: dict[int, Part] = field(default_factory=dict)
    has_news: bool = True  # windows may be ready to leave
    # Under the decoder's lock:
    is_over: bool = False
    error: BaseException | None = None

    def is_overdue(self, now_s: float) -> bool:
        """Whether it has waited for a slot as long as anybody should."""
        return not self.slots and now_s - self.without_slot_since_s >= MAX_WAIT_S


class SharedDecoder:
    """Safe for many threads."""

    def __init__(
        self,
        decoder: WindowDecoder,
        before_step: Callable[[], None],
        while_driving: Callable[[], AbstractContextManager[None]] = nullcontext,
        now_s: Callable[[], float] = time.monotonic,
        admitted_per_step: int = ADMITTED_PER_STEP,
    ) -> None:
        """`before_step` is called in the thread that drives, before every step; what
        `while_driving` returns is entered by it as long as it drives. `now_s` is the clock by
        which recordings wait for a slot.
        """
        self._decoder = decoder
        self._admitted_per_step = admitted_per_step
        self._before_step = before_step
        self._while_driving = while_driving
        self._now_s = now_s
        self._was_ahead = False  # the last one to get a slot, of others because it was overdue
        self._changed = Condition()  # guards what follows
        self._guests: list[_Guest] = []
        self._left: list[_Guest] = []  # they are gone; their slots are not free yet
        self._driver: _Guest | None = None
        self._new_size: int | None = None

    def decode(
        self,
        run: RecordingRun,
        *,
        should_stop: Callable[[], bool],
        on_progress: Callable[[float], None],
        is_urgent: bool = False,
    ) -> None:
        """Return when the run is done. Raises Stopped soon after `should_stop` turns true, and
        whatever went wrong with this recording. See `_in_order` for `is_urgent`.

        They are called in the thread that drives, `should_stop` in the caller's as well; never
        two at a time, and none of them after this returned.
        """
        guest = _Guest(run, should_stop, on_progress, is_urgent, self._now_s())
        with self._changed:
            self._guests.append(guest)
        try:
            while not guest.is_over:
                if self._takes_over(guest):
                    self._drive(guest)
                else:
                    self._wait(guest)
        finally:
            self._leave(guest)
        if guest.error is not None:
            raise guest.error

    def resize(self, slots: int) -> None:
        """Have so many slots as soon as the windows that are in them are decoded.

        Another thread may be driving. Where the decoder finds no room even for these slots,
        that is an error of the decoder's, as in a step.
        """
        with self._changed:
            self._new_size = slots

    def _takes_over(self, guest: _Guest) -> bool:
        with self._changed:
            if self._driver is None:
                self._driver = guest
            return self._driver is guest

    def _wait(self, guest: _Guest) -> None:
        """Until the guest is done, may drive, or shall stop: whoever drives may be busy."""
        with self._changed:
            self._changed.wait_for(lambda: guest.is_over or self._driver is None, LOOK_S)
        if not guest.is_over:
            self._ask(guest)

    def _leave(self, guest: _Guest) -> None:
        """Also out of the middle of a turn, with whatever exception."""
        with guest.asking:
            self._end(guest)
        with self._changed:
            self._guests.remove(guest)
            self._left.append(guest)
            if self._driver is guest:
                self._driver = None
            if self._driver is None:
                self._free_left()
                self._changed.notify_all()

    def _free_left(self) -> None:
        # By the driver, or under the lock where there is none: so a slot is freed once.
        for guest in self._left:
            self._let_go(guest)
        self._left.clear()

    def _let_go(self, guest: _Guest) -> None:
        for slot in guest.slots:
            self._decoder.release(slot)
        guest.slots.clear()

    def _end(self, guest: _Guest, error: BaseException | None = None) -> None:
        with self._changed:
            if not guest.is_over:
                guest.error = error
                guest.is_over = True
                self._changed.notify_all()

    @contextmanager
    def _on_behalf_of(self, guest: _Guest) -> Iterator[None]:
        """What goes wrong in the block ends this recording, and no other."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - its owner's, raised in its thread
            self._end(guest, error)

    def _ask(self, guest: _Guest) -> None:
        guest.asked_at_s = time.monotonic()
        with guest.asking, self._on_behalf_of(guest):
            if not guest.is_over and guest.should_stop():
                raise Stopped

    def _drive(self, mine: _Guest) -> None:
        try:
            with self._while_driving():
                while not mine.is_over:
                    self._before_step()
                    guests = self._present()
                    if not self._is_resizing(guests):
                        self._admit(guests)
                    self._step(guests)
                    for guest in guests:
                        if guest.has_news:
                            self._let_out(guest)
        except BaseException as error:
            self._spoil(error)
            raise

    def _present(self) -> list[_Guest]:
        """Who is to be decoded for. Those who are not any more lose their slots."""
        with self._changed:
            guests = list(self._guests)
            self._free_left()
        due_s = time.monotonic() - LOOK_S
        for guest in guests:
            if guest.asked_at_s <= due_s:
                self._ask(guest)
            if guest.is_over:
                self._let_go(guest)
        return [guest for guest in guests if not guest.is_over]

    def _is_resizing(self, guests: list[_Guest]) -> bool:
        """Whether windows have to leave the slots before their number can change."""
        with self._changed:
            new_size = self._new_size
        if new_size is None:
            return False
        if any(guest.slots for guest in guests):
            return True
        self._decoder.resize(new_size)
        with self._changed:
            if self._new_size == new_size:
                self._new_size = None
        return False

    def _admit(self, guests: list[_Guest]) -> None:
        for _ in range(min(self._admitted_per_step, self._decoder.free)):
            now_s = self._now_s()
            for guest in self._in_order(guests, now_s):
                is_overdue = guest.is_overdue(now_s)
                if self._admit_one(guest):
                    self._was_ahead = is_overdue and not self._was_ahead
                    break
            else:
                return

    def _in_order(self, guests: list[_Guest], now_s: float) -> list[_Guest]:
        """Who is asked for a window first.

        What is urgent goes before the rest, and within a class who has least in the slots, so
        that a short recording is not stuck behind a long one; of those, who has been without a
        slot for longest. Who has been for `MAX_WAIT_S` goes before all of them. But only every
        other time: where all are overdue, what is urgent shall still be ahead.
        """
        ordered = sorted(
            guests,
            key=lambda guest: (not guest.is_urgent, len(guest.slots), guest.without_slot_since_s),
        )
        if not self._was_ahead:
            ordered.sort(
                key=lambda guest: (
                    guest.without_slot_since_s if guest.is_overdue(now_s) else math.inf
                )
            )
        return ordered

    def _admit_one(self, guest: _Guest) -> bool:
        request = None
        if not guest.is_over:
            with self._on_behalf_of(guest):
                request = guest.run.next_request()
        if request is None:
            return False
        part, window = request
        guest.slots[self._decoder.admit(window)] = part
        return True

    def _step(self, guests: list[_Guest]) -> None:
        # Those who left since the turn began are among them, so every slot has an owner.
        owners = {slot: guest for guest in guests for slot in guest.slots}
        for slot, decoded in self._decoder.step():
            guest = owners[slot]
            part = guest.slots.pop(slot)
            if not guest.slots:
                guest.without_slot_since_s = self._now_s()
            if not guest.is_over:
                guest.has_news = True
                with self._on_behalf_of(guest):
                    guest.run.accept(part, decoded)

    def _let_out(self, guest: _Guest) -> None:
        guest.has_news = False
        with guest.asking, self._on_behalf_of(guest):
            while not guest.is_over and not guest.run.is_done:
                if guest.should_stop():
                    raise Stopped
                if not guest.run.let_out_next():
                    break
                guest.on_progress(guest.run.share)
        if guest.run.is_done:
            self._end(guest)

    def _spoil(self, error: BaseException) -> None:
        # Several threads will hold the error: what the failed step computed must not live on
        # in its traceback.
        traceback.clear_frames(error.__traceback__)
        # An interrupt is meant for the thread that drives.
        is_shared = isinstance(error, Exception)
        shared = error if is_shared else EngineError("the thread that decoded was interrupted")
        with self._changed:
            self._decoder.clear()
            for guest in (*self._guests, *self._left):
                guest.slots.clear()
            for guest in self._guests:
                self._end(guest, shared)
