import signal
from contextlib import contextmanager

import numpy as np
import pytest

from config import Settings
from domain.errors import ConfigurationError, EngineError, OutOfMemory, Stopped
from domain.options import TranscriptionOptions
from engines.fake import FakeLoader, FakeScript
from engines.registry import get_loader

ONE_SECOND = np.full(16_000, 0.1, np.float32)


def transcribe(script=None, *, prompt=None, should_stop=lambda: False):
    engine = FakeLoader(script).load("base", "cpu")
    options = TranscriptionOptions("base", initial_prompt=prompt)
    return engine.transcribe(
        ONE_SECOND, options, on_progress=lambda _: None, should_stop=should_stop
    )


def test_it_hangs_until_it_is_told_to_stop():
    asked = []

    with pytest.raises(Stopped):
        transcribe(FakeScript(hangs=True), should_stop=lambda: asked.append(1) or len(asked) > 3)

    assert len(asked) == 4


class Alarm(Exception):
    pass


@contextmanager
def alarm():
    """Interrupts whatever hangs in this thread, as a time limit would."""

    def ring(*_):
        raise Alarm

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_it_hangs_hard_and_asks_nobody_whether_to_stop():
    asked = []

    with pytest.raises(Alarm), alarm():
        transcribe(FakeScript(hangs_hard=True), should_stop=lambda: asked.append(1) or True)

    assert asked == []


@pytest.mark.parametrize(
    ("prompt", "script"),
    [
        ("fake: hangs_hard rtfx=2", FakeScript(hangs_hard=True, rtfx=2.0)),
        ("fake: dies", FakeScript(dies=True)),
        ("fake: fails_after=3", FakeScript(fails_after=3)),
        ("fake: unknown", FakeScript()),
    ],
)
def test_a_prompt_may_give_several_orders(prompt, script):
    assert FakeScript().with_prompt(prompt) == script


def test_it_fails_after_some_windows_but_not_when_it_goes_on_from_there():
    engine = FakeLoader(FakeScript(fails_after=2)).load("base", "cpu")
    audio = np.tile(ONE_SECOND, 95)
    windows = []

    def attempt():
        return engine.transcribe(
            audio,
            TranscriptionOptions("base"),
            on_progress=lambda _: None,
            should_stop=lambda: False,
            on_window=windows.append,
            resume=tuple(windows),
        )

    with pytest.raises(EngineError):
        attempt()
    transcript = attempt()

    assert transcript.text == "Window 1. Window 2. Window 3. Window 4."
    assert [window.number for window in windows] == [0, 1, 2]


def test_it_takes_its_time():
    asked = []

    transcribe(FakeScript(rtfx=10), should_stop=lambda: asked.append(1) is not None)

    assert len(asked) > 2


@pytest.mark.parametrize(
    ("prompt", "error"),
    [("fake: fails", EngineError), ("fake: no_room_to_decode=base", OutOfMemory)],
)
def test_an_initial_prompt_steers_it(prompt, error):
    with pytest.raises(error):
        transcribe(prompt=prompt)


def test_an_ordinary_prompt_does_not():
    transcript = transcribe(prompt="fails and hangs")

    assert transcript.text == "Window 1."


def test_engines_are_found_by_name():
    loader = get_loader("fake", Settings())

    assert loader.name == "fake"


def test_an_unknown_engine_is_refused():
    with pytest.raises(ConfigurationError, match="no engine 'abacus'"):
        get_loader("abacus", Settings())
