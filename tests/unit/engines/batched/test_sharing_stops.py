import threading

import pytest

from domain.errors import Stopped
from engines.batched.sharing import SharedDecoder
from tests.unit.engines.batched.callers import (
    Caller,
    EndlessDecoder,
    GatedDecoder,
    start_all,
    talk,
    wait_for,
    wait_until,
)
from tests.unit.engines.batched.scripted import (
    ScriptedDecoder,
    ScriptedListener,
    make_run,
    span_of,
    speech_map,
)


@pytest.mark.parametrize("others", [0, 3])
def test_who_is_to_stop_at_once_decodes_nothing(others):
    decoder = ScriptedDecoder()
    shared = SharedDecoder(decoder, lambda: None)
    start_all(working := [Caller(shared, talk(5)) for _ in range(others)])
    listener = ScriptedListener()
    run = make_run(speech_map((0.0, 9.0), duration_s=9.0), listener=listener)

    with pytest.raises(Stopped):
        shared.decode(run, should_stop=lambda: True, on_progress=pytest.fail)

    assert listener.encoded == []
    assert [caller.wait() for caller in working] == [None] * others


def test_a_stop_of_one_lets_the_others_go_on_and_frees_its_slots():
    decoder = EndlessDecoder(endless={7.0, 47.0, 87.0}, slots=4)
    shared = SharedDecoder(decoder, lambda: None)
    stop = threading.Event()
    stuck = Caller(shared, talk(3, from_s=7.0), should_stop=stop.is_set)
    others = [Caller(shared, talk(10, from_s=n)) for n in (0.0, 1.0)]
    start_all([stuck])
    wait_for(lambda: len(decoder.busy) == 3)
    start_all(others)
    wait_for(lambda: others[0].run_.segments)

    stop.set()

    assert isinstance(stuck.wait(), Stopped)
    assert [caller.wait() for caller in others] == [None, None]
    assert [len(caller.run_.segments) for caller in others] == [10, 10]
    assert sum(decoder.released.values()) == 3
    assert decoder.free == 4


def test_who_waits_is_stopped_while_the_driver_is_busy_and_its_late_text_is_ignored():
    decoder = GatedDecoder(steps=1)
    guest_in_slot, stop = threading.Event(), threading.Event()
    first_step = decoder.step

    def step():
        if any(span_of(request).start_s == 3.0 for _, request in decoder.busy.values()):
            guest_in_slot.set()
            return first_step()
        return []

    decoder.step = step
    shared = SharedDecoder(decoder, lambda: None)
    driver = Caller(shared, talk(1))
    guest = Caller(shared, talk(2, from_s=3.0), should_stop=stop.is_set, on_progress=pytest.fail)
    start_all([driver])
    wait_for(lambda: decoder.busy)
    start_all([guest])
    wait_until(guest_in_slot)

    stop.set()
    error = guest.wait()
    segments = list(guest.run_.segments)
    decoder.may_go_on.set()

    assert isinstance(error, Stopped)
    assert driver.wait() is None
    assert guest.run_.segments == segments == []
    assert decoder.free == 4
