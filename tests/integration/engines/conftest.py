import pytest
import whisper

from tests.real_models import MODEL_DIR, real_loader


@pytest.fixture(scope="module")
def engine():
    """tiny, by our engine."""
    loader = real_loader("tiny")
    engine = loader.load("tiny", "cpu")
    yield engine
    loader.unload(engine)


@pytest.fixture(scope="module")
def whisper_model():
    """tiny, as openai-whisper has it."""
    model = whisper.load_model(str(MODEL_DIR / "tiny.pt"), device="cpu")
    model.set_alignment_heads(whisper._ALIGNMENT_HEADS["tiny"])
    return model
