"""Threads that have recordings decoded by one shared decoder, and decoders that keep them there."""

import threading
import time
from itertools import zip_longest

from engines.batched.sharing import SharedDecoder
from tests.unit.engines.batched.scripted import ScriptedDecoder, make_run, span_of, speech_map

PATIENCE_S = 20


def talk(windows, *, from_s=0.0, **options):
    """A run of so many windows; recordings differ in where they begin to speak."""
    spans = [(from_s + 40.0 * n, from_s + 40.0 * n + 18.0) for n in range(windows)]
    return make_run(speech_map(*spans, duration_s=spans[-1][1]), **options)


class Caller(threading.Thread):
    """A thread that has one recording decoded."""

    def __init__(
        self,
        shared,
        run,
        *,
        should_stop=lambda: False,
        on_progress=lambda _: None,
        is_urgent=False,
    ):
        super().__init__(daemon=True)
        self._shared = shared
        self._calls = {
            "should_stop": should_stop,
            "on_progress": on_progress,
            "is_urgent": is_urgent,
        }
        self.run_ = run
        self.error = None

    def run(self):
        try:
            self._shared.decode(self.run_, **self._calls)
        except BaseException as error:  # noqa: BLE001 - looked at by the test
            self.error = error

    def wait(self):
        self.join(PATIENCE_S)
        assert not self.is_alive()
        return self.error


def start_all(callers):
    for caller in callers:
        caller.start()
    return callers


def wait_until(event):
    assert event.wait(PATIENCE_S)


def wait_for(condition):
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.001)


def start_together(decoder, *runs, calls=(), now_s=time.monotonic):
    """Callers whose recordings are all there before the decoder's first step."""
    gate = threading.Event()
    shared = SharedDecoder(decoder, lambda: wait_until(gate), now_s=now_s)
    callers = [Caller(shared, run, **own) for run, own in zip_longest(runs, calls, fillvalue={})]
    for number, caller in enumerate(callers, start=1):
        caller.start()
        wait_for(lambda number=number: len(shared._guests) == number)
    gate.set()
    return shared, callers


def decode_alone(run, **calls):
    shared = SharedDecoder(ScriptedDecoder(), lambda: None)
    shared.decode(run, **{"should_stop": lambda: False, "on_progress": lambda _: None, **calls})
    return run.segments


class GatedDecoder(ScriptedDecoder):
    """Waits in its steps until it is let go on; its windows end when told to."""

    def __init__(self, slots=4, **options):
        super().__init__(slots, **options)
        self.in_step = threading.Event()
        self.may_go_on = threading.Event()

    def step(self):
        self.in_step.set()
        wait_until(self.may_go_on)
        return super().step()


class EndlessDecoder(ScriptedDecoder):
    """Windows that begin at one of these times never end."""

    def __init__(self, endless, slots=4):
        super().__init__(slots)
        self._endless = endless

    def step(self):
        for entry in self.busy.values():
            if span_of(entry[1]).start_s in self._endless:
                entry[0] += 1
        return super().step()
