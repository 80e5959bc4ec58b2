"""Fewer slots, while recordings are there."""

import pytest

from engines.batched.sharing import SharedDecoder
from tests.unit.engines.batched.callers import decode_alone, start_together, talk
from tests.unit.engines.batched.scripted import ScriptedDecoder


class WatchedDecoder(ScriptedDecoder):
    """Keeps how many windows it had in its slots in every step, and how many slots."""

    def __init__(self, **options):
        super().__init__(**options)
        self.seen = []

    def step(self):
        self.seen.append((len(self.busy), self._slots))
        return super().step()


def test_windows_in_the_slots_are_decoded_before_there_are_fewer():
    decoder = WatchedDecoder(slots=4, steps=6)
    shares = []

    def shrink_once(share):
        shares.append(share)
        if len(shares) == 1:
            shared.resize(2)

    shared, callers = start_together(
        decoder,
        talk(8),
        talk(8, from_s=1.0),
        calls=[{"on_progress": shrink_once}],
    )

    assert [caller.wait() for caller in callers] == [None, None]
    assert [caller.run_.segments for caller in callers] == [
        decode_alone(talk(8, from_s=n)) for n in (0.0, 1.0)
    ]
    assert max(busy for busy, slots in decoder.seen if slots == 4) == 4
    assert max(busy for busy, slots in decoder.seen if slots == 2) == 2
    assert decoder.free == 2


def test_slots_for_which_there_is_no_room_are_an_error_of_the_decoder():
    class Full(ScriptedDecoder):
        has_room = False

        def resize(self, slots):
            if not self.has_room:
                raise RuntimeError("out of memory")
            super().resize(slots)

    decoder = Full(slots=4)
    shared = SharedDecoder(decoder, lambda: None)
    shared.resize(2)
    calls = {"should_stop": lambda: False, "on_progress": lambda _: None}

    with pytest.raises(RuntimeError, match="out of memory"):
        shared.decode(talk(1), **calls)
    decoder.has_room = True
    shared.decode(run := talk(3), **calls)

    assert run.segments == decode_alone(talk(3))
    assert decoder.free == 2
