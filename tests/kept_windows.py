"""Decoded windows as a store gives them back."""

import json
from dataclasses import asdict

from domain.transcript import segments_from_dicts
from domain.windows import Window


def through_json(windows):
    """The same windows after a journey through strict JSON."""
    kept = json.loads(json.dumps([asdict(window) for window in windows], allow_nan=False))
    return [
        Window(**{**window, "segments": segments_from_dicts(window["segments"])}) for window in kept
    ]
