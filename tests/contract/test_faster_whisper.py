"""The contract of engines, for the engine that is installed apart, in both of its modes."""

from dataclasses import replace

import pytest

from engines.ctranslate2_whisper import FasterWhisperLoader
from tests.contract.test_engines import EngineContract
from tests.real_models import real_loader


class Sequential:
    """An engine whose jobs all ask for one window after the other."""

    def __init__(self, engine):
        self._engine = engine
        self.info = engine.info

    def transcribe(self, audio, options, **kwargs):
        options = replace(options, decode_mode="sequential")
        return self._engine.transcribe(audio, options, **kwargs)


class TestBatchedFasterWhisper(EngineContract):
    @pytest.fixture(scope="class")
    @classmethod
    def loader(cls):
        return real_loader("tiny", kind=FasterWhisperLoader)


class TestSequentialFasterWhisper(EngineContract):
    @pytest.fixture(scope="class")
    @classmethod
    def loader(cls):
        return real_loader("tiny", kind=FasterWhisperLoader)

    @pytest.fixture(scope="class")
    @classmethod
    def engine(cls, loader):
        engine = loader.load("tiny", "cpu")
        yield Sequential(engine)
        loader.unload(engine)
