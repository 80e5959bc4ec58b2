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
