"""The course of an attack: hand in work, hurt the server, wait until it has recovered, again."""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chaos.awaiting import POLL_S, ask, await_value, wait_for
from chaos.checks import MAX_RECOVERY_S
from chaos.faults import Fault, FaultKind, released_by
from chaos.feeder import Feeder
from chaos.history import Recovery, is_over, recovery
from chaos.inflict import MIN_WAITING, WAYS, Blow
from chaos.target import Target

VICTIM_TIMEOUT_S = 90.0
END_TIMEOUT_S = 240.0
MAX_PAUSE_S = 0.5
MIDST = frozenset({FaultKind.API, FaultKind.DATABASE})  # done in the middle of a submission
# Done when nobody submits: the message of a new job would do for one whose own was lost.
QUIET = frozenset({FaultKind.FLUSH, FaultKind.BROKER_EMPTY})
TOP_UP = 2  # jobs released at once when there would soon be nothing to do


@dataclass
class Attack:
    """Faults, one after the other, on one server that is handed work all the while."""

    target: Target
    feeder: Feeder
    seed: int
    say: Callable[[str], None]

    def run(self, kinds: Sequence[FaultKind], jobs: int) -> list[Fault]:
        """Do every fault, and wait until no job is left to do. Raises ChaosFailed."""
        draw = random.Random(f"{self.seed}-attack")  # noqa: S311 - not a secret
        faults = []
        for index, kind in enumerate(kinds):
            self.feeder.release(released_by(jobs, len(kinds), index))
            time.sleep(draw.uniform(0, MAX_PAUSE_S))
            blow = self._strike(kind, draw)
            faults.append(self._await_recovery(index + 1, kind, blow))
        self._await_end()
        return faults

    def _strike(self, kind: FaultKind, draw: random.Random) -> Blow:
        def look() -> Blow | None:
            self._keep_busy()
            if kind in MIDST and not self._is_submitting():
                return None
            if kind in QUIET and not self.feeder.is_idle:
                return None
            return WAYS[kind](self.target, draw)

        return await_value(look, VICTIM_TIMEOUT_S, f"something to hit: {kind.value}")

    def _is_submitting(self) -> bool:
        """Whether a client waits for its answer now; sees that one soon does."""
        if self.feeder.is_idle:
            self.feeder.release(self.feeder.released + TOP_UP)
        return self.feeder.in_flight > 0

    def _keep_busy(self) -> None:
        """See that some job waits: a fault is to hit work, and its recovery to show."""
        if self.feeder.is_idle and len(self.target.database.waiting()) < MIN_WAITING:
            self.feeder.release(self.feeder.released + TOP_UP)

    def _await_recovery(self, number: int, kind: FaultKind, blow: Blow) -> Fault:
        """Watch until all has recovered, or until patience ends: the checks then say so."""
        facts = {key: value for key, value in vars(blow).items() if key != "is_back"}
        fault = Fault(number, kind, **facts)
        back_after_s: float | None = None
        deadline = time.monotonic() + MAX_RECOVERY_S
        while time.monotonic() < deadline:
            if blow.is_back and back_after_s is None and ask(blow.is_back):
                back_after_s = time.time() - blow.at
            after = ask(lambda: recovery(fault, self.target.database.events_after(blow.at)))
            is_whole = blow.is_back is None or back_after_s is not None
            if is_whole and after and after.is_complete:
                break
            if not fault.hit and (after is None or after.start_s is None):
                ask(self._keep_busy)
            time.sleep(POLL_S)
        done = Fault(number, kind, **facts, back_after_s=back_after_s)
        self.say(describe(done, after))
        return done

    def _await_end(self) -> None:
        """Wait until nothing is left to do; what is left all the same, the checks name."""
        wait_for(
            lambda: self.feeder.is_idle and is_over(self.target.database.statuses()), END_TIMEOUT_S
        )


def describe(fault: Fault, after: Recovery | None) -> str:
    """One fault in a line."""
    where = f" (worker {fault.slot + 1})" if fault.slot is not None else ""
    if after is None or after.start_s is None:
        parts = ["no job started again"]
    else:
        parts = [f"next start after {after.start_s:.1f} s"]
        if after.hit_s is not None:
            parts.append(f"{after.hit} hit, on again after {after.hit_s:.1f} s")
    if fault.back_after_s is not None:
        parts.append(f"back after {fault.back_after_s:.1f} s")
    words = ", ".join(filter(None, (fault.note, *parts)))
    return f"{fault.number:>2} {fault.kind.value}{where}: {words}"
