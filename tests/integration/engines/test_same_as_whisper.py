"""Our loop over the windows against openai-whisper's `transcribe`, on real speech."""

import pytest
import torch
import whisper

from domain.options import TranscriptionOptions
from engines.base import SAMPLE_RATE_HZ
from engines.random_state import SAMPLING_SEED
from tests.real_models import two_cities

CASES = {  # options, and how many seconds of the recording
    "as it comes": ({}, 33),
    "words": ({"word_timestamps": True}, 33),
    "beams and a prompt": ({"beam_size": 2, "initial_prompt": "Doctor Manette"}, 10),
    "translation of a named language": ({"task": "translate", "language": "de"}, 5),
    "sampling": ({"temperature": 0.8}, 33),
}


@pytest.mark.parametrize(("options", "length_s"), CASES.values(), ids=CASES)
def test_the_transcript_is_whispers_token_for_token(engine, whisper_model, options, length_s):
    audio = two_cities()[: length_s * SAMPLE_RATE_HZ]

    ours = engine.transcribe(
        audio,
        TranscriptionOptions("tiny", decode_mode="sequential", **options),
        on_progress=lambda _: None,
        should_stop=lambda: False,
    )
    torch.manual_seed(SAMPLING_SEED)
    theirs = whisper.transcribe(whisper_model, audio, fp16=False, **options)

    assert [list(s.tokens) for s in ours.segments] == [s["tokens"] for s in theirs["segments"]]
    assert [(s.start, s.end, s.seek) for s in ours.segments] == [
        (s["start"], s["end"], s["seek"]) for s in theirs["segments"]
    ]
    assert ours.language == theirs["language"]
    assert ours.text == theirs["text"].strip()
