"""The contract of engines, for the engine that is installed apart, in both of its modes."""

import pytest

from engines.ctranslate2_whisper import FasterWhisperLoader
from tests.contract.test_engines import EngineContract, Sequential
from tests.real_models import real_loader


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
