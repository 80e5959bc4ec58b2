"""One decoder, many recordings: their windows share its slots.

Whoever calls `decode` and finds nobody at work drives the decoder, for all recordings that are
there, until its own is done; then the next one takes over. So there is no thread of its own to
start, to stop, or to survive its callers.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Condition, Lock

from domain.errors import Stopped
from engines.batched.run import Part, RecordingRun
from engines.batched.slots import SlotDecoder

# An encoder run lasts as long as some ten decoder steps: windows that are being decoded shall
# not stand still while a long recording fills the slots.
ADMITTED_PER_STEP = 2
LOOK_S = 0.1  # how often one that waits asks whether it shall stop


@dataclass(eq=False)
class _Guest:
    """A recording that is being decoded."""

    run: RecordingRun
    should_stop: Callable[[], bool]
    on_progress: Callable[[float], None]
    slots: dict[int, Part] = field(default_factory=dict)
    error: BaseException | None = None

    @property
    def is_over(self) -> bool:
        return self.error is not None or self.run.is_done


class SharedDecoder:
    """Safe for many threads."""

    def __init__(self, decoder: SlotDecoder, before_step: Callable[[], None]) -> None:
        """`before_step` is called in the thread that drives, before every step."""
        self._decoder = decoder
        self._before_step = before_step
        self._guests: list[_Guest] = []
        self._driving = Lock()
        self._changed = Condition()

    def decode(
        self,
        run: RecordingRun,
        *,
        should_stop: Callable[[], bool],
        on_progress: Callable[[float], None],
    ) -> None:
        """Return when the run is done. Raises Stopped soon after `should_stop` turns true, and
        whatever went wrong with this recording.
        """
        guest = _Guest(run, should_stop, on_progress)
        with self._changed:
            self._guests.append(guest)
        try:
            while not guest.is_over:
                if self._driving.acquire(blocking=False):
                    try:
                        self._drive(guest)
                    finally:
                        self._driving.release()
                        self._tell()
                else:
                    with self._changed:
                        self._changed.wait_for(lambda: self._may_go_on(guest), LOOK_S)
        finally:
            with self._changed:
                if guest in self._guests:
                    self._guests.remove(guest)
        if guest.error is not None:
            raise guest.error

    def _may_go_on(self, guest: _Guest) -> bool:
        return guest.is_over or not self._driving.locked()

    def _tell(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _drive(self, mine: _Guest) -> None:
        try:
            while not mine.is_over:
                self._before_step()
                guests = self._present()
                self._admit(guests)
                self._deliver(guests)
                self._tell()
        except BaseException as error:  # a failed step spoils every window in the slots
            for guest in self._present():
                guest.error = error
            raise
        finally:
            for guest in self._guests_left():
                self._let_go(guest)

    def _guests_left(self) -> list[_Guest]:
        with self._changed:
            return [guest for guest in self._guests if guest.is_over]

    def _present(self) -> list[_Guest]:
        with self._changed:
            guests = list(self._guests)
        for guest in guests:
            if not guest.is_over and guest.should_stop():
                guest.error = Stopped()
            if guest.error is not None:
                self._let_go(guest)
        return [guest for guest in guests if not guest.is_over]

    def _let_go(self, guest: _Guest) -> None:
        for slot in guest.slots:
            self._decoder.release(slot)
        guest.slots.clear()

    def _admit(self, guests: list[_Guest]) -> None:
        for _ in range(min(ADMITTED_PER_STEP, self._decoder.free)):
            # Who has least in the slots goes first: a short recording is not stuck behind a long.
            for guest in sorted(guests, key=lambda guest: len(guest.slots)):
                if self._admit_one(guest):
                    break
            else:
                return

    def _admit_one(self, guest: _Guest) -> bool:
        request = guest.run.next_request()
        if request is None:
            return False
        part, window = request
        guest.slots[self._decoder.admit(window)] = part
        return True

    def _deliver(self, guests: list[_Guest]) -> None:
        owners = {slot: guest for guest in guests for slot in guest.slots}
        for slot, decoded in self._decoder.step():
            guest = owners[slot]
            part = guest.slots.pop(slot)
            guest.run.accept(part, decoded)
        for guest in guests:
            self._let_out(guest)

    @staticmethod
    def _let_out(guest: _Guest) -> None:
        try:
            while not guest.should_stop() and guest.run.let_out_next():
                guest.on_progress(guest.run.share)
        except Exception as error:  # noqa: BLE001 - its owner's, raised in its thread
            guest.error = error
