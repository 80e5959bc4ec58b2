from dataclasses import replace

import pytest

from audio.loss import DecodeFacts, describe_loss

CLEAN = DecodeFacts(decoded_s=100.0, expected_s=100.0)
CUT_OFF = {"was_repaired": True, "is_cut_off": True}
OPEN_ENDED = {**CUT_OFF, "is_open_ended": True, "expected_s": None}


@pytest.mark.parametrize(
    ("changes", "codes"),
    [
        ({}, []),
        ({"expected_s": None}, []),
        ({"expected_s": 100.9}, []),  # padding of an encoder
        ({"expected_s": 101.9}, []),  # below 2%
        ({"expected_s": 103.0}, ["audio_truncated"]),
        ({"expected_s": 90.0}, []),  # more than expected is no loss
        ({"expected_s": 100.5, "has_complaints": True}, ["audio_damaged"]),
        ({"has_complaints": True}, []),
        ({"was_repaired": True}, ["audio_damaged"]),
        ({"was_repaired": True, "expected_s": None}, ["audio_damaged"]),
        ({"was_repaired": True, "expected_s": 200.0}, ["audio_damaged"]),
        (CUT_OFF, ["audio_truncated"]),
        ({**CUT_OFF, "expected_s": None}, ["audio_truncated"]),
        ({"is_cut_off": True, "has_complaints": True}, ["audio_truncated"]),
        (OPEN_ENDED, []),  # written through a pipe, and whole
        ({**OPEN_ENDED, "expected_s": 200.0}, ["audio_truncated"]),  # known from elsewhere
        ({"bad_samples": 3}, ["audio_damaged"]),
        ({"bad_samples": 3, "expected_s": 200.0}, ["audio_truncated", "audio_damaged"]),
    ],
)
def test_every_loss_has_its_warning_and_nothing_else_has(changes, codes):
    warnings = describe_loss(replace(CLEAN, **changes))

    assert [warning.code for warning in warnings] == codes


def test_the_warning_says_how_much_was_decoded_of_how_much():
    (warning,) = describe_loss(replace(CLEAN, decoded_s=61.26, was_repaired=True))

    assert "61.3 s of sound could be decoded of the 100.0 s" in warning.message


def test_the_warning_admits_that_the_length_is_not_known():
    (warning,) = describe_loss(replace(CLEAN, expected_s=None, was_repaired=True))

    assert "100.0 s of sound could be decoded; how long it should be is not known" in (
        warning.message
    )
