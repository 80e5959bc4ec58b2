"""Recordings through the decoder for GPUs, run on a CPU: windows are encoded together."""

from threading import Thread

import numpy as np
import pytest
import torch

from audio.speech import find_speech
from domain.options import TranscriptionOptions
from domain.windows import ignore_window
from engines.batched.device_encoder import MICRO_BATCH
from engines.batched.device_slots import DeviceSlotDecoder
from engines.batched.listening import WhisperListener
from engines.batched.run import RecordingRun
from engines.batched.sharing import SharedDecoder
from engines.window_trail import WindowTrail
from tests.integration.engines import fused
from tests.integration.engines.fused import TOKENIZER, samples_of, tiny
from tests.real_models import two_cities

PATIENCE_S = 240


class Device:
    """What `BatchedWhisper` puts together for a GPU."""

    def __init__(self):
        self.network = fused.network(torch.float32)
        self.decoder = DeviceSlotDecoder(self.network, TOKENIZER, slots=4)
        self.encoded_together = []
        encode = self.decoder.encoder.encode

        def counting(mels):
            self.encoded_together.append(len(mels))
            return encode(mels)

        self.decoder.encoder.encode = counting
        self._shared = SharedDecoder(self.decoder, lambda: None, admitted_per_step=MICRO_BATCH)

    def transcribe(self, audio, **options):
        options = TranscriptionOptions("tiny", **options)
        encoder = self.decoder.encoder
        listener = WhisperListener(tiny(), self.network, self.decoder, audio, options, encoder)
        listener.prepare()
        trail = WindowTrail((), ignore_window, engine="openai_whisper", model="tiny")
        run = RecordingRun(find_speech(audio), options, listener, trail)
        self._shared.decode(run, should_stop=lambda: False, on_progress=lambda _: None)
        return run.segments, listener.language


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def device():
    return Device()


def text_of(segments):
    return "".join(segment.text for segment in segments)


def test_a_recording_of_several_windows_is_heard_and_its_language_found(device):
    segments, language = device.transcribe(two_cities())

    assert language == "en"
    assert "best of times" in text_of(segments)
    starts = [segment.start for segment in segments]
    assert starts == sorted(starts)
    assert device.decoder.free == 4


def test_words_are_found_on_features_that_were_encoded_with_others(device):
    audio = np.concatenate([samples_of("jfk.wav")] * 4)

    segments, _ = device.transcribe(audio, language="en", word_timestamps=True)

    assert max(device.encoded_together) > 1
    for segment in segments:
        assert "".join(word.word for word in segment.words) == segment.text
        assert all(segment.start <= word.start <= word.end for word in segment.words)


def test_recordings_that_share_the_slots_have_the_texts_they_have_alone(device):
    recordings = [two_cities(), samples_of("jfk.wav"), samples_of("austen_0880.wav")]
    alone = [Device().transcribe(audio, language="en")[0] for audio in recordings]
    found = {}

    def hear(number):
        found[number] = device.transcribe(recordings[number], language="en")[0]

    callers = [Thread(target=hear, args=(number,)) for number in range(len(recordings))]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(PATIENCE_S)

    for number, segments in enumerate(alone):
        assert text_of(found[number]) == text_of(segments)
