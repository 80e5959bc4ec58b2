"""The recording that every job of `core` is about: as short and as plain as can be."""

import json
import wave
from dataclasses import asdict
from io import BytesIO

import numpy as np

from benchmarks.core_stack import Stack
from storage.local import LocalStorage

RATE_HZ = 16_000
TONE_HZ = 440


def store_recording(stack: Stack) -> str:
    """Put one second of sound into the store, for all jobs; what is known of it, as JSON."""
    storage = LocalStorage(stack.folder / "uploads", min_free_bytes=0)
    content = wav_of_a_second()
    return json.dumps(asdict(storage.put(BytesIO(content), max_bytes=len(content))))


def wav_of_a_second() -> bytes:
    """A tone: 16 kHz, one channel, 16 bit, which is what the engine hears."""
    phase = 2 * np.pi * TONE_HZ * np.arange(RATE_HZ) / RATE_HZ
    target = BytesIO()
    with wave.open(target, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(RATE_HZ)
        writer.writeframes((8000 * np.sin(phase)).astype("<i2").tobytes())
    return target.getvalue()
